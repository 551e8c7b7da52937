"""Batteries as kernels show them: the attributes as text, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jouled.signals.power_supply import battery_of, read_batteries

THINKPAD = {
    "type": "Battery",
    "status": "Discharging",
    "present": "1",
    "energy_now": "21000000",
    "energy_full": "42000000",
    "power_now": "10500000",
    "voltage_now": "11500000",
    "capacity": "50",
}


def written(sysfs: Path, name: str, attributes: dict[str, str]) -> None:
    folder = sysfs / "class/power_supply" / name
    folder.mkdir(parents=True)
    for attribute, text in attributes.items():
        (folder / attribute).write_text(f"{text}\n")


def power_of(**changes: str | None) -> Any:
    attributes = {**THINKPAD, **changes}
    found = battery_of("BAT0", {name: text for name, text in attributes.items() if text is not None})
    assert found is not None
    return found.power


def test_a_host_without_batteries_has_none(tmp_path: Path) -> None:
    assert read_batteries(tmp_path) == []
    written(tmp_path, "AC", {"type": "Mains", "online": "1"})
    assert read_batteries(tmp_path) == []


def test_a_battery_is_read_in_micro_units(tmp_path: Path) -> None:
    written(tmp_path, "BAT0", THINKPAD)
    (battery,) = read_batteries(tmp_path)
    assert (battery.name, battery.kind, battery.capacity_wh) == ("BAT0", "battery", 42.0)
    power = battery.power
    assert (power.wattage, power.voltage, power.charge_pct, power.status) == (10.5, 11.5, 50.0, "discharging")


@pytest.mark.parametrize("sign", ["", "-"])
def test_the_direction_is_the_status_and_not_the_sign(sign: str) -> None:
    power = power_of(power_now=None, current_now=f"{sign}2000000", status="Charging")
    assert (power.status, power.wattage) == ("charging", 23.0)


def test_without_energies_charges_are_taken() -> None:
    changes = {"energy_now": None, "energy_full": None, "charge_now": "1000000", "charge_full": "4000000"}
    assert power_of(**changes).charge_pct == 25.0
    assert power_of(energy_now=None, energy_full=None, capacity="77").charge_pct == 77.0


def test_a_capacity_comes_from_charges_too() -> None:
    found = battery_of(
        "BAT0", {"type": "Battery", "status": "Full", "charge_full": "4000000", "voltage_now": "12000000"}
    )
    assert found is not None
    assert (found.capacity_wh, found.power.wattage, found.power.charge_pct) == (48.0, 0.0, None)


def test_an_unknown_direction_is_no_power() -> None:
    assert power_of(status="Unknown").wattage is None
    assert power_of(status="Unknown", current_now="-1000000").status == "discharging"


@pytest.mark.parametrize("change", [{"scope": "Device"}, {"present": "0"}, {"type": "Mains"}])
def test_what_does_not_supply_the_host_is_left_out(change: dict[str, str]) -> None:
    assert battery_of("hid-mouse", {**THINKPAD, **change}) is None


def test_attributes_that_are_no_numbers_are_absent() -> None:
    power = power_of(power_now="?", energy_now="", capacity="x")
    assert (power.wattage, power.charge_pct) == (None, None)
