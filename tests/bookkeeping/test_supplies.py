"""What supplies say goes into the books, and their silence too."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import trio
from sqlalchemy import delete, func, select

from jouled.bookkeeping import batteries, device_reports, meter_energy, meters, power_history, power_readings
from jouled.bookkeeping.devices import register
from jouled.bookkeeping.supplies import look_at_supplies, meter_id_of
from jouled.config import Config
from jouled.config.books import Node, Supplies
from jouled.errors import InvalidError
from jouled.store import Store
from jouled.store.schema import meters as schema
from jouled.wire.devices import DeviceDraft, Meter, MeterDraft, PowerDraft

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def with_battery(store: Store) -> str:
    store.write(lambda connection: register(connection, "cabin", DeviceDraft(), NOON))
    draft = MeterDraft("battery", "Bank", "bank", device_id="cabin", capacity_wh=100.0)
    return store.write(lambda connection: meters.create(connection, draft, NOON)).id


def meter(store: Store, name: str) -> Meter:
    return store.read(lambda connection: meters.get(connection, name))


def kinds(store: Store, device: str) -> list[tuple[str, str]]:
    found = store.read(lambda connection: device_reports.device_events(connection, device)).events
    return [(event.type, event.severity) for event in reversed(found)]


async def test_the_battery_of_this_host_is_logged_and_its_loss_is_said(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "class/power_supply/BAT0"
    folder.mkdir(parents=True)
    texts = {"type": "Battery", "status": "Discharging", "energy_now": "5000000", "energy_full": "50000000"}
    for name, text in {**texts, "power_now": "10000000"}.items():
        (folder / name).write_text(text)
    config = msgspec.structs.replace(
        Config(), sysfs=str(tmp_path), node=Node(name="box"), supplies=Supplies(interval_s=0.01)
    )
    name = meter_id_of("box", "BAT0")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_at_supplies, config, store, lambda: datetime.now(UTC))
            while not await store.fetch(lambda c: c.execute(select(schema.power_readings.c.seq)).first()):  # noqa: ASYNC110  (the store tells nobody)
                await trio.sleep(0.01)
            assert (meter(store, name).state, meter(store, name).wattage) == ("low", 10.0)
            (folder / "present").write_text("0")
            while ("stale", "critical") not in kinds(store, "box"):  # noqa: ASYNC110  (the store tells nobody)
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert kinds(store, "box") == [("discharge", "warning"), ("stale", "critical")]
    stale = store.read(lambda connection: device_reports.device_events(connection, "box")).events[0]
    assert stale.note == "BAT0: stale while on battery: it is not in /sys/class/power_supply any more"
    assert meter(store, name).state == "critical"


def test_a_battery_that_falls_silent_is_stale_once(store: Store) -> None:
    name = with_battery(store)
    draft = PowerDraft(wattage=0.0, charge_pct=60.0)
    store.write(lambda connection: power_readings.log_power(connection, name, draft, NOON))
    later = NOON + timedelta(minutes=14)
    assert store.write(lambda connection: batteries.mark_all_stale(connection, later)) == 0
    later = NOON + timedelta(minutes=16)
    assert store.write(lambda connection: batteries.mark_all_stale(connection, later)) == 1
    assert store.write(lambda connection: batteries.mark_all_stale(connection, later)) == 0
    assert kinds(store, "cabin") == [("stale", "warning")]
    assert meter(store, name).state == "unknown"
    store.write(lambda connection: power_readings.log_power(connection, name, draft, later))
    assert meter(store, name).state == "normal"
    much_later = later + timedelta(hours=1)
    assert store.write(lambda connection: batteries.mark_all_stale(connection, much_later)) == 1


def test_minutes_are_quarter_hours_are_days_in_any_order(store: Store) -> None:
    name = with_battery(store)
    chance = random.Random(7)
    drafts = [
        PowerDraft(wattage=chance.uniform(-90, 90), timestamp=NOON - timedelta(seconds=chance.uniform(0, 40_000)))
        for _ in range(600)
    ]
    for start in range(0, 600, 37):
        part = tuple(drafts[start : start + 37])
        store.write(lambda c, part=part: power_readings._log(c, name, part, NOON))  # type: ignore[misc]
    table = schema.meter_energy.c
    columns = [func.sum(table[column]) for column in ("energy_mj", "returned_mj", "covered_us", "readings")]
    sums = store.read(lambda c: c.execute(select(table.resolution_s, *columns).group_by(table.resolution_s)).all())
    assert {row[0] for row in sums} == {60, 900, 86_400}
    assert len({tuple(int(value) for value in row[1:]) for row in sums}) == 1
    assert int(sums[0][4]) == 600


def test_history_falls_back_to_minutes_and_closed_time_stays_closed(store: Store) -> None:
    name = with_battery(store)
    for minutes in range(30, 0, -1):
        draft = PowerDraft(wattage=30.0, timestamp=NOON - timedelta(minutes=minutes))
        store.write(lambda c, draft=draft: power_readings.log_power(c, name, draft, NOON))  # type: ignore[misc]
    table = schema.power_readings
    edge = NOON - timedelta(minutes=10)
    store.write(lambda c: c.execute(delete(table).where(table.c.at < edge)))
    assert store.read(lambda c: meter_energy.closed_until_us(c, name)) == round(edge.timestamp() * 1e6)
    found = store.read(lambda c: power_history.history(c, name, NOON - timedelta(hours=1), NOON)).readings
    assert [entry.resolution_seconds for entry in found] == [60] * 20 + [0] * 10
    assert {entry.wattage for entry in found} == {30.0}
    late = PowerDraft(wattage=1.0, timestamp=NOON - timedelta(minutes=15, seconds=30))
    with pytest.raises(InvalidError, match="its time is closed"):
        store.write(lambda c: power_readings.log_power(c, name, late, NOON))
