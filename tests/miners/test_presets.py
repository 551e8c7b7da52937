"""Presets as devices list them."""

from __future__ import annotations

import pytest

from jouled.loads.actuator import Preset
from jouled.loads.miners.presets import (
    TYPICAL_J_PER_TH,
    parsed,
    watts_in,
    work_in,
)


@pytest.mark.parametrize(
    ("text", "watts"),
    [
        ("1100 watt ~ 53 TH", 1100),
        ("3010W", 3010),
        ("1100", 1100),
        ("2950 watts ~ 99 TH LC", 2950),
        ("1.5 TH", None),
        ("disabled", None),
        ("eco", None),
        ("", None),
        ("90000 watt", None),
        ("7", None),
    ],
)
def test_watts_are_found_in_names(text: str, watts: float | None) -> None:
    assert watts_in(text) == watts


@pytest.mark.parametrize(
    ("text", "work"),
    [("1100 watt ~ 53 TH", 53), ("900 watt ~ 13500 GH", 13.5), ("9 MH/s", 9e-6), ("1100", None), ("0.1 PH", 100)],
)
def test_work_is_found_in_names_in_terahashes(text: str, work: float | None) -> None:
    assert work_in(text) == (None if work is None else pytest.approx(work))


def test_disabled_is_no_preset_and_neither_is_what_makes_no_sense() -> None:
    entries = [
        {"name": "disabled", "pretty": "Disabled", "status": "untuned"},
        {"name": "Disabled", "pretty": "4690 watt"},
        {"name": "off", "pretty": "1 watt"},
        {"name": "eco", "pretty": "eco"},
        {"name": 3, "pretty": "1100 watt"},
        {"pretty": "1100 watt"},
        "1100",
        None,
    ]
    assert parsed(entries) == ()


def test_they_are_in_the_order_of_power_and_say_whether_they_are_tuned() -> None:
    found = parsed(
        [
            {"name": "3350", "pretty": "3350 watt ~ 105 TH", "status": "untuned"},
            {"name": "1100", "pretty": "1100 watt ~ 53 TH", "status": "tuned"},
        ]
    )
    assert found == (
        Preset("1100", 1100, 53, True, "1100 watt ~ 53 TH"),
        Preset("3350", 3350, 105, False, "3350 watt ~ 105 TH"),
    )


def test_power_in_the_settings_of_the_tuning_comes_first() -> None:
    entry = {"name": "1100", "pretty": "1100 watt ~ 53 TH", "status": "tuned", "tune_settings": {"power": 1180}}
    assert parsed([entry])[0].power_w == 1180
    real = {**entry, "tune_settings": {"hashrate": 53000, "volt": 1300, "freq": 400, "chains": [], "modified": False}}
    assert parsed([real])[0].power_w == 1100, "there is no power there on a real one"


def test_one_without_a_work_rate_gets_that_of_its_neighbour() -> None:
    found = parsed([{"name": "1100", "pretty": "1100 watt ~ 55 TH"}, {"name": "2000"}])
    assert [preset.work for preset in found] == [55, 100]
    assert parsed([{"name": "3010W"}])[0].work == pytest.approx(3010 / TYPICAL_J_PER_TH)


def test_a_modified_power_supply_is_asked_for() -> None:
    entry = {"name": "4690", "pretty": "4690 watt ~ 124 TH", "modded_psu_required": True}
    assert parsed([entry]) == ()
    assert len(parsed([entry], has_modded_psu=True)) == 1
