"""What the records advise: each saving is calculated from them, or there is none and a reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from jouled.books.advice import Advice, Hour, Record, Terms, advised, hourly
from jouled.books.load import Bands
from plants import NOW

START = NOW.replace(hour=0)
TERMS = Terms(Decimal("0.30"), "EUR", 400e6, has_series=True)
SAVINGS = ("savings_kwh", "estimated_savings", "savings_gco2e")


def hours(kw: Sequence[float], grams: Sequence[int] | None = None) -> tuple[Hour, ...]:
    return tuple(
        Hour(START + timedelta(hours=n), watts * 1000, 3600.0, None if grams is None else grams[n] * 1_000_000)
        for n, watts in enumerate(kw)
    )


def record(**fields: Any) -> Record:
    values: dict[str, Any] = {
        "zone_id": "hall-1",
        "name": "Hall 1",
        "capacity_w": 100_000.0,
        "min_load_w": 0.0,
        "can_shed": False,
        "hours": hours([70.0]),
        "power_factor": None,
        "distortion_pct": None,
        "mean_utilization_pct": 70.0,
        "peak_utilization_pct": 75.0,
    }
    return Record(**{**values, **fields})


def only(terms: Terms = TERMS, **fields: Any) -> Advice:
    found = advised([record(**fields)], terms, Bands())
    assert len(found) == 1
    return found[0]


def savings(advice: Advice) -> tuple[object, object, object]:
    """Every one that is None has its reason."""
    found = (advice.savings_mj, advice.savings, advice.savings_ug)
    assert {name for name, value in zip(SAVINGS, found, strict=True) if value is None} == set(advice.unknown)
    assert all(advice.unknown.values())
    return found


def test_a_site_that_is_well_gets_no_advice() -> None:
    assert advised([record(power_factor=0.85, distortion_pct=5.0, peak_utilization_pct=85.0)], TERMS, Bands()) == []


def test_a_low_power_factor_says_how_much_to_compensate_and_invents_no_savings() -> None:
    advice = only(power_factor=0.8)
    assert (advice.title, advice.category, advice.priority) == ("Improve Power Factor", "power_quality", 2)
    # 70 kW x (0.75 - 0.3287)
    assert "29.49 kVAR" in advice.implementation
    assert savings(advice) == (None, None, None)


def test_harmonics_are_advised_on_from_the_mean_weighted_by_time() -> None:
    advice = only(distortion_pct=7.5)
    assert (advice.title, advice.category) == ("Reduce Harmonic Distortion", "power_quality")
    assert savings(advice) == (None, None, None)


def test_a_peak_says_what_lies_above_and_that_moving_it_saves_no_energy() -> None:
    advice = only(peak_utilization_pct=97.0, hours=hours([70.0, 95.0]))
    assert (advice.title, advice.category, advice.priority) == ("Implement Peak Shaving", "demand_management", 1)
    assert "12.000 kW to shave; 10.000 kWh" in advice.method
    assert savings(advice) == (0, None, None)


def test_clean_hours_save_what_the_series_says() -> None:
    """60 kW may move from 6 hours of 500 g to 6 of 100 g, where there is room for 40 kW."""
    grams = [500] * 6 + [300] * 12 + [100] * 6
    kw = [80.0] * 6 + [50.0] * 12 + [40.0] * 6
    moving = record(hours=hours(kw, grams), can_shed=True, min_load_w=20_000.0, mean_utilization_pct=55.0)
    (advice,) = [one for one in advised([moving], TERMS, Bands()) if one.rule == "off_peak"]
    assert (advice.title, advice.category, advice.priority) == ("Optimize Off-Peak Usage", "load_shifting", 3)
    assert savings(advice) == (0, Decimal(0), 6 * 40 * 400 * 1_000_000)
    assert "96000.0 gCO2e" in advice.method


def test_without_a_series_or_a_load_that_may_move_the_saving_is_unknown() -> None:
    advice = only(Terms(None, "EUR", None, has_series=False), mean_utilization_pct=40.0, can_shed=True)
    assert savings(advice) == (None, None, None)
    assert advice.unknown["savings_gco2e"] == "the site has no carbon series of these hours"
    advice = only(mean_utilization_pct=40.0)
    assert advice.unknown["savings_gco2e"] == "what may run at other hours is not known: no can_shed_load"


def test_an_even_series_saves_nothing_and_is_not_advised_on() -> None:
    flat = hours([50.0] * 24, [300] * 24)
    found = advised([record(hours=flat, can_shed=True, min_load_w=50_000.0)], TERMS, Bands())
    assert found == []


def test_a_base_load_costs_what_is_above_the_least_it_needs() -> None:
    """Of 48 hours at 50 or 60 kW 30 kW are needed: 20 kW x 48 h = 960 kWh."""
    advice = only(hours=hours([50.0, 60.0] * 24), min_load_w=30_000.0)
    assert (advice.category, advice.savings_mj) == ("base_load", 960 * 3_600_000_000)
    assert savings(advice)[1:] == (Decimal("288.000000"), 960 * 400_000_000)
    assert "(50.000 kW - min_load 30.000 kW) x 48.0 h = 960.000 kWh; x 0.30 EUR/kWh; x 400.0 gCO2e/kWh" in advice.method


def test_a_base_load_without_a_least_has_no_savings_but_the_way_to_them() -> None:
    advice = only(hours=hours([50.0, 60.0] * 24))
    assert savings(advice) == (None, None, None)
    assert "set min_load" in advice.unknown["savings_kwh"]


@pytest.mark.parametrize("kw", [[50.0] * 23, [10.0, 90.0] * 12])
def test_few_hours_or_a_low_base_are_no_base_load(kw: list[float]) -> None:
    assert advised([record(hours=hours(kw), min_load_w=1.0)], TERMS, Bands()) == []


def test_without_price_and_intensity_only_the_energy_is_known() -> None:
    advice = only(Terms(None, "EUR", None, has_series=False), hours=hours([50.0] * 24), min_load_w=30_000.0)
    assert savings(advice) == (480 * 3_600_000_000, None, None)


def test_the_most_urgent_comes_first_and_each_has_an_id_that_stays() -> None:
    both = record(power_factor=0.5, peak_utilization_pct=99.0)
    first = advised([both], TERMS, Bands())
    assert [advice.rule for advice in first] == ["peak_shaving", "power_factor"]
    again = advised([both._replace(power_factor=0.6, peak_utilization_pct=90.0)], TERMS, Bands())
    assert [advice.id_at("mill") for advice in first] == [advice.id_at("mill") for advice in again]
    assert len({advice.id_at(site) for advice in first for site in ("mill", "other")}) == 4


def test_the_intensity_of_an_hour_is_weighted_by_time_and_unknown_with_a_gap() -> None:
    quarter = timedelta(minutes=15)
    slots = [(START + n * quarter, START + (n + 1) * quarter, 100 * (n + 1)) for n in range(4)]
    slots.append((START + timedelta(hours=1), START + timedelta(hours=3), 700))
    slots.append((START + timedelta(hours=3), START + timedelta(hours=3, minutes=30), 900))
    starts = [START + timedelta(hours=n) for n in range(5)]
    assert hourly(slots, starts) == {starts[0]: 250, starts[1]: 700, starts[2]: 700}
