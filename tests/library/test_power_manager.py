"""The checklist of a power manager, on both engines; the first part are defects of the one it replaces."""

from __future__ import annotations

import json
import math
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import jouled
from jouled.errors import JouledError
from jouled.power_manager import PowerManager
from jouled.store import Store
from jouled.wire.devices import PowerDraft

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manager(store: Store, clock: Clock) -> PowerManager:
    manager = PowerManager(store, clock=clock)
    manager.register_device("cabin", "The cabin")
    return manager


@pytest.fixture
def battery(manager: PowerManager) -> str:
    return manager.add_meter("cabin", "battery", 100.0, "Bank").id


def kinds(manager: PowerManager, device: str = "cabin") -> list[str]:
    return [event["type"] for event in reversed(manager.get_events(device))]


# Defects


def test_registering_again_keeps_what_is_not_given(manager: PowerManager) -> None:
    manager.register_device("ranch", "Ranch", shutdown_threshold=10.0, target_wh=500.0, low_threshold=30.0)
    again = manager.register_device("ranch", "New name")
    assert (again.name, again.shutdown_threshold, again.target_wh, again.low_threshold) == ("New name", 10, 500, 30)
    assert manager.register_device("ranch").name == "New name"
    assert manager.register_device("ranch", target_wh=None).target_wh is None


def test_six_samples_at_ten_percent_are_one_event(manager: PowerManager, battery: str, clock: Clock) -> None:
    for _ in range(6):
        manager.log_power(battery, 12.0, 1.0, 10.0)
        clock.pass_s(10)
    assert kinds(manager) == ["discharge"]


def test_a_gauge_that_trembles_at_the_threshold_is_one_event(manager: PowerManager, battery: str, clock: Clock) -> None:
    for charge in (21.0, 20.0, 21.0, 20.0, 21.5, 19.0):
        manager.log_power(battery, 12.0, 0.0, charge)
        clock.pass_s(10)
    assert kinds(manager) == ["discharge"]
    manager.log_power(battery, 12.0, 0.0, 22.5)
    assert kinds(manager) == ["discharge", "restore"]


def test_production_is_not_added_to_load(manager: PowerManager, battery: str) -> None:
    solar = manager.add_meter("cabin", "solar").id
    manager.log_power(battery, 12.0, 1.0, 80.0)
    manager.log_power(solar, 20.0, 2.0)
    found = manager.power_budget_check(["cabin"])["cabin"]
    assert (found["total_wattage"], found["production_wattage"]) == (12.0, 40.0)


def test_a_runtime_is_of_all_batteries(manager: PowerManager, battery: str) -> None:
    second = manager.add_meter("cabin", "battery", 300.0).id
    manager.log_power(battery, 10.0, 1.0, 50.0)
    manager.log_power(second, 10.0, 3.0, 100.0)
    assert manager.estimate_runtime("cabin") == 8.75  # (50 + 300) Wh / 40 W


def test_a_runtime_counts_what_charges_meanwhile(manager: PowerManager, battery: str, clock: Clock) -> None:
    second = manager.add_meter("cabin", "battery", 100.0).id
    manager.log_power(battery, 10.0, 3.0, 50.0)
    manager.log_power(second, 10.0, -1.0, 50.0)
    assert manager.estimate_runtime("cabin") == 5.0  # 100 Wh / (30 - 10) W
    clock.pass_s(600)
    manager.log_power(second, 10.0, -4.0, 50.0)
    assert manager.estimate_runtime("cabin") is None
    assert manager.runtime("cabin").reason == "its batteries charge"


def test_a_negative_current_that_discharges_has_a_runtime(manager: PowerManager) -> None:
    by_direction = manager.add_meter("cabin", "battery", 100.0, direction="consume").id
    manager.log_power(by_direction, 10.0, -2.0, 50.0)
    assert manager.estimate_runtime("cabin") == 2.5
    manager.register_device("boat")
    by_status = manager.add_meter("boat", "battery", 100.0).id
    manager.log_power(by_status, 10.0, -2.0, 50.0, status="discharging")
    assert manager.estimate_runtime("boat") == 2.5


def test_a_shutdown_threshold_and_a_target_are_heeded(manager: PowerManager, clock: Clock) -> None:
    manager.register_device("boat", shutdown_threshold=15.0, target_wh=40.0)
    meter = manager.add_meter("boat", "battery", 100.0).id
    manager.log_power(meter, 10.0, 1.0, 50.0)
    assert manager.runtime("boat").hours_to_shutdown == 3.5
    assert manager.power_budget_check(["boat"])["boat"]["is_target_met"] is True
    clock.pass_s(60)
    manager.log_power(meter, 10.0, 1.0, 15.0)
    assert kinds(manager, "boat") == ["discharge", "shutdown"]
    assert manager.power_budget_check(["boat"])["boat"]["is_target_met"] is False


def test_thresholds_are_of_each_device(manager: PowerManager) -> None:
    manager.register_device("boat", low_threshold=50.0, critical_threshold=30.0)
    meter = manager.add_meter("boat", "battery", 100.0).id
    assert manager.log_power(meter, 12.0, 1.0, 40.0).state == "low"
    assert manager.log_power(meter, 12.0, 1.0, 30.0).state == "critical"


def test_a_ups_behaves(manager: PowerManager, clock: Clock) -> None:
    ups = manager.add_meter("cabin", "ups", 200.0).id
    assert manager.log_power(ups, wattage=50.0, charge_pct=100.0, status="full").state == "full"
    assert manager.runtime("cabin").reason == "its batteries are on mains"
    clock.pass_s(5)
    assert manager.log_power(ups, wattage=50.0, charge_pct=99.0, status="discharging").state == "discharging"
    assert manager.estimate_runtime("cabin") == 3.96
    clock.pass_s(5)
    assert manager.log_power(ups, wattage=50.0, charge_pct=4.0, status="discharging").state == "critical"
    clock.pass_s(5)
    manager.log_power(ups, wattage=50.0, charge_pct=30.0, status="charging")
    assert kinds(manager) == ["discharge", "low_battery", "restore", "charge_start"]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 2e6])
@pytest.mark.parametrize("place", ["voltage", "current"])
def test_what_no_meter_can_say_is_refused(manager: PowerManager, battery: str, wrong: float, place: str) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        manager.log_power(battery, **{"voltage": 12.0, "current": 1.0, place: wrong})  # type: ignore[arg-type]
    with pytest.raises(JouledError, match="cannot be"):
        manager.log_power(battery, 12.0, 1.0, math.nan)
    assert manager.get_history(battery) == []


def test_hours_without_readings_are_not_energy(manager: PowerManager, battery: str, clock: Clock) -> None:
    """Of old: the mean of samples, times 24 h, times the days."""
    for _ in range(2):
        manager.log_power(battery, 10.0, 36.0, 80.0)
        clock.pass_s(60)
        manager.log_power(battery, 10.0, 36.0, 80.0)
        clock.pass_s(3 * 3600)
    (meter,) = json.loads(manager.export_report("cabin", days=1))["meters"]
    assert meter["energy_wh"] == pytest.approx(12.0)  # two minutes of 360 W
    assert meter["coverage_ratio"] == pytest.approx(120 / 86_400, rel=0.02)


def test_a_mean_is_weighted_by_time(manager: PowerManager, battery: str, clock: Clock) -> None:
    for _ in range(60):
        manager.log_power(battery, 10.0, 10.0, 80.0)
        clock.pass_s(1)
    for _ in range(4):
        manager.log_power(battery, 10.0, 0.0, 80.0)
        clock.pass_s(240)
    (meter,) = json.loads(manager.export_report("cabin"))["meters"]
    assert meter["avg_wattage"] < 10  # 59.5 s of 100 W in 13 minutes; the mean of samples is 94 W
    assert meter["reading_count"] == 64


# Features


def test_devices_are_registered_with_the_documented_defaults(manager: PowerManager) -> None:
    device = manager.get_device("cabin")
    assert (device.id, device.name, device.shutdown_threshold, device.target_wh) == ("cabin", "The cabin", 3.0, None)
    with pytest.raises(ValueError, match=r"^Device not found: nowhere$"):
        manager.get_device("nowhere")


@pytest.mark.parametrize("kind", ["main", "battery", "solar", "ups", "generation"])
def test_meters_are_of_five_kinds(manager: PowerManager, kind: Any) -> None:
    meter = manager.add_meter("cabin", kind, 50.0, "It")
    assert manager.list_meters("cabin") == [meter]
    assert (meter.kind, meter.capacity_wh, meter.name, meter.state) == (kind, 50.0, "It", "unknown")
    assert meter.direction == ("consume" if kind == "main" else "produce")


def test_meters_of_no_such_kind_or_device_are_refused(manager: PowerManager) -> None:
    with pytest.raises(ValueError, match=r"'nuclear' - at .*; there is battery, generation, main, solar, ups"):
        manager.add_meter("cabin", "nuclear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Device not found: nowhere"):
        manager.add_meter("nowhere", "main")


def test_meters_are_listed_for_all_devices(manager: PowerManager, battery: str) -> None:
    manager.register_device("boat")
    main = manager.add_meter("boat", "main").id
    assert {meter.id for meter in manager.list_meters()} == {battery, main}
    assert [meter.id for meter in manager.list_meters("boat")] == [main]


def test_a_power_is_voltage_times_current(manager: PowerManager, battery: str) -> None:
    assert manager.log_power(battery, 12.34567, 1.1, 50.0).wattage == 13.5802
    meter = manager.get_meter(battery)
    assert (meter.voltage, meter.current_draw, meter.wattage, meter.charge_pct) == (12.34567, 1.1, 13.5802, 50.0)
    assert meter.last_updated == NOON


def test_a_charge_is_clamped_and_kept(manager: PowerManager, battery: str) -> None:
    assert manager.log_power(battery, 12.0, 1.0, 150.0).charge_pct == 100.0
    assert manager.log_power(battery, 12.0, 1.0).charge_pct is None
    assert manager.get_meter(battery).charge_pct == 100.0
    assert manager.log_power(battery, 12.0, 1.0, -5.0).charge_pct == 0.0


@pytest.mark.parametrize(
    ("charge", "current", "state"),
    [
        (5.0, 1.0, "critical"),
        (5.1, 1.0, "low"),
        (20.0, 1.0, "low"),
        (20.1, 1.0, "discharging"),
        (50.0, 0.0, "normal"),
        (50.0, -1.0, "charging"),
        (95.0, -1.0, "full"),
        (95.0, 1.0, "discharging"),
    ],
)
def test_a_battery_is_in_one_state(
    manager: PowerManager, battery: str, charge: float, current: float, state: str
) -> None:
    assert manager.log_power(battery, 12.0, current, charge).state == state


def test_other_meters_have_states_too(manager: PowerManager) -> None:
    solar, main = manager.add_meter("cabin", "solar").id, manager.add_meter("cabin", "main").id
    assert manager.log_power(solar, 20.0, 1.0).state == "charging"
    assert manager.log_power(main, 230.0, 1.0, 3.0).state == "normal"
    assert kinds(manager) == []


def test_a_whole_discharge_has_each_event_once(manager: PowerManager, battery: str, clock: Clock) -> None:
    for charge in (60, 40, 20, 15, 10, 5, 4, 3, 2, 1):
        manager.log_power(battery, 12.0, 2.0, charge)
        clock.pass_s(60)
    assert kinds(manager) == ["discharge", "discharge", "low_battery", "shutdown"]
    for charge in (2, 10, 30, 60, 99):
        manager.log_power(battery, 12.0, -2.0, charge)
        clock.pass_s(60)
    assert kinds(manager)[4:] == ["charge_start", "restore"]


def test_a_budget_check_has_the_documented_fields(manager: PowerManager, battery: str) -> None:
    manager.add_meter("cabin", "solar")
    manager.log_power(battery, 12.0, 1.0, 48.0)
    found = manager.power_budget_check(["cabin", "nowhere"])
    assert found["nowhere"] == {"error": "Device not found: nowhere"}
    wanted = {
        "total_wattage": 12.0,
        "battery_count": 1,
        "solar_count": 1,
        "avg_charge_pct": 48.0,
        "estimated_runtime_hours": 4.0,
    }
    assert wanted.items() <= found["cabin"].items()
    assert sorted(found["cabin"]["states"]) == ["discharging", "unknown"]


def test_a_ups_on_mains_is_not_counted_twice(manager: PowerManager) -> None:
    ups, main = manager.add_meter("cabin", "ups").id, manager.add_meter("cabin", "main").id
    manager.log_power(main, wattage=60.0)
    manager.log_power(ups, wattage=50.0, charge_pct=90, status="idle")
    assert manager.power_budget_check(["cabin"])["cabin"]["total_wattage"] == 60.0
    manager.log_power(main, wattage=0.0)
    manager.log_power(ups, wattage=50.0, charge_pct=90, status="discharging")
    assert manager.power_budget_check(["cabin"])["cabin"]["total_wattage"] == 50.0


def test_a_runtime_that_is_not_known_says_why(manager: PowerManager, clock: Clock) -> None:
    assert manager.runtime("cabin").reason == "it has no battery"
    meter = manager.add_meter("cabin", "battery").id
    manager.log_power(meter, 12.0, 1.0, 50.0)
    assert manager.runtime("cabin").reason == "no battery's capacity and charge are both known"
    full = manager.add_meter("cabin", "battery", 100.0).id
    manager.log_power(full, 12.0, 1.0, 50.0)
    assert manager.estimate_runtime("cabin") is not None
    clock.pass_s(3600)
    assert "was not heard of" in str(manager.runtime("cabin").reason)


def test_a_moment_of_low_power_does_not_lengthen_the_runtime_much(
    manager: PowerManager, battery: str, clock: Clock
) -> None:
    manager.log_power(battery, 10.0, 5.0, 50.0)
    clock.pass_s(1)
    manager.log_power(battery, 10.0, 0.5, 50.0)
    assert manager.estimate_runtime("cabin") == pytest.approx(1.37)
    clock.pass_s(1)
    manager.log_power(battery, 10.0, 10.0, 50.0)
    assert manager.estimate_runtime("cabin") == 0.5


def test_backfill_changes_history_and_not_the_state(manager: PowerManager, battery: str) -> None:
    manager.log_power(battery, 12.0, 1.0, 60.0)
    manager.log_power(battery, 12.0, 2.0, 3.0, NOON - timedelta(minutes=2))
    meter = manager.get_meter(battery)
    assert (meter.state, meter.wattage, meter.charge_pct) == ("discharging", 12.0, 60.0)
    assert [entry["wattage"] for entry in manager.get_history(battery)] == [24.0, 12.0]
    assert kinds(manager) == ["discharge"]


def test_the_future_is_refused(manager: PowerManager, battery: str) -> None:
    manager.log_power(battery, 12.0, 1.0, timestamp=NOON + timedelta(minutes=5))
    with pytest.raises(ValueError, match="lies in the future"):
        manager.log_power(battery, 12.0, 1.0, timestamp=NOON + timedelta(minutes=6))
    with pytest.raises(ValueError, match="no zone"):
        manager.log_power(battery, 12.0, 1.0, timestamp=datetime(2026, 5, 4))  # noqa: DTZ001  (that is the point)


def test_the_same_key_is_the_same_reading(manager: PowerManager, battery: str, clock: Clock) -> None:
    first = manager.log_power(battery, 12.0, 1.0, 60.0, key="a")
    clock.pass_s(60)
    assert manager.log_power(battery, 12.0, 1.0, 60.0, key="a") == first
    with pytest.raises(ValueError, match="'a' of this meter says otherwise"):
        manager.log_power(battery, 12.0, 9.0, 60.0, key="a")
    assert len(manager.get_history(battery)) == 1


def test_the_same_instant_is_the_same_reading(manager: PowerManager, battery: str) -> None:
    first = manager.log_power(battery, 12.0, 1.0, timestamp=NOON)
    assert manager.log_power(battery, 12.0, 1.0, timestamp=NOON) == first
    with pytest.raises(ValueError, match="says otherwise"):
        manager.log_power(battery, 12.0, 2.0, timestamp=NOON)


def test_history_is_of_the_last_hours(manager: PowerManager, battery: str) -> None:
    for hours in (1, 23, 25):
        manager.log_power(battery, 12.0, 1.0, timestamp=NOON - timedelta(hours=hours))
    assert len(manager.get_history(battery)) == 2
    assert len(manager.get_history(battery, hours=30)) == 3
    with pytest.raises(ValueError, match="Meter not found"):
        manager.get_history("nowhere")


def test_events_are_newest_first_and_limited(manager: PowerManager, clock: Clock) -> None:
    for number in range(60):
        manager.log_event("cabin", "restore", float(number))
        clock.pass_s(1)
    found = manager.get_events("cabin")
    assert [event["value"] for event in found] == [float(number) for number in range(59, 9, -1)]
    assert len(manager.get_events("cabin", limit=3)) == 3
    with pytest.raises(ValueError, match="not known"):
        manager.log_event("cabin", "party")  # type: ignore[arg-type]


def test_a_report_has_the_documented_fields(manager: PowerManager, battery: str) -> None:
    silent = manager.add_meter("cabin", "solar").id
    for second in range(25):
        manager.log_power(battery, 10.0, 3.0, 4.0 if second % 2 else 99.0, NOON - timedelta(seconds=60 - second))
    report = json.loads(manager.export_report("cabin"))
    assert {"device_id", "period_days", "generated_at", "meters", "event_count", "events"} <= report.keys()
    assert (report["device_id"], report["period_days"]) == ("cabin", 7)
    meters = {meter["meter_id"]: meter for meter in report["meters"]}
    assert meters[silent] == {"meter_id": silent, "type": "solar", "reading_count": 0}
    found = meters[battery]
    assert found["type"] == "battery"
    assert (found["avg_wattage"], found["max_wattage"], found["min_charge_pct"]) == (30.0, 30.0, 4.0)
    assert (found["reading_count"], found["current_state"]) == (25, "discharging")
    assert len(report["events"]) == 20
    assert report["event_count"] > 20
    assert {"id", "device_id", "type", "value", "timestamp", "note"} <= report["events"][0].keys()


def test_a_batch_is_all_or_nothing(manager: PowerManager, battery: str) -> None:
    drafts = [PowerDraft(wattage=1.0, timestamp=NOON - timedelta(seconds=second)) for second in range(100)]
    done = manager.log_batch(battery, drafts)
    assert (done.new, done.known) == (100, 0)
    more = [*drafts[:50], PowerDraft(wattage=2.0, timestamp=NOON - timedelta(hours=1))]
    done = manager.log_batch(battery, more)
    assert (done.new, done.known) == (1, 50)
    with pytest.raises(ValueError, match="cannot be"):
        manager.log_batch(battery, [PowerDraft(wattage=3.0), PowerDraft(wattage=math.nan)])
    assert len(manager.get_history(battery)) == 101


def test_threads_share_one_manager(manager: PowerManager, battery: str) -> None:
    failed: list[BaseException] = []

    def log_some(number: int) -> None:
        try:
            for place in range(20):
                manager.log_power(battery, 10.0, 1.0, 80.0, key=f"{number}-{place}")
        except BaseException as error:  # noqa: BLE001  (the test looks at it)
            failed.append(error)

    threads = [threading.Thread(target=log_some, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(manager.get_history(battery)) == 160


def test_a_file_is_its_own_store(tmp_path: Path) -> None:
    with jouled.PowerManager(tmp_path / "power.sqlite") as manager:
        manager.register_device("cabin")
        meter = manager.add_meter("cabin", "battery", 100.0).id
        manager.log_power(meter, 12.0, 1.0, 50.0)
    with jouled.PowerManager(str(tmp_path / "power.sqlite")) as manager:
        assert manager.list_meters()[0].wattage == 12.0
        assert [device.id for device in manager.list_devices()] == ["cabin"]
