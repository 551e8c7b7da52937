"""What a reading emitted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.books.emissions import DEFAULT, MJ_PER_KWH, FactorBook, Factors, Rules, Series, Slot, emitted_ug
from jouled.books.intensity import Slot as Known

BOOK = FactorBook([DEFAULT])
KWH = 3_600_000_000


@pytest.mark.parametrize(
    ("source", "kg"),
    [
        ("coal", 0.95),
        ("natural_gas", 0.45),
        ("grid", 0.42),
        ("nuclear", 0.012),
        ("solar", 0.041),
        ("wind", 0.011),
        ("hydro", 0.024),
        ("battery", 0),
    ],
)
def test_the_built_in_factors_are_those_of_the_energy_service(source: str, kg: float) -> None:
    intensity = Rules(BOOK, source, "consume", None).at(0, "good")

    assert emitted_ug(KWH, intensity.ug_per_kwh) == round(kg * 1e9)


def test_a_battery_is_counted_where_it_was_charged_from() -> None:
    for direction in ("consume", "produce"):
        assert Rules(BOOK, "battery", direction, None).at(0, "good") == (0, "battery:at-source")


def test_what_is_fed_into_the_grid_is_not_this_sites() -> None:
    assert Rules(BOOK, "grid", "produce", None).at(0, "good").ug_per_kwh == 0


def test_a_bad_reading_is_not_counted() -> None:
    assert Rules(BOOK, "coal", "consume", None).at(0, "bad") == (0, "bad:not-counted")


def test_an_unknown_source_is_refused_instead_of_taken_for_the_grid() -> None:
    with pytest.raises(KeyError):
        Rules(BOOK, "peat", "consume", None)


def test_factors_are_those_that_held_at_the_readings_time() -> None:
    year = datetime(2026, 1, 1, tzinfo=UTC)
    book = FactorBook([Factors("de-2026", year, {**DEFAULT.ug_per_kwh, "grid": 350_000_000}), DEFAULT])
    at_us = int(year.timestamp()) * 1_000_000

    assert book.at(at_us - 1, "grid") == (420_000_000, "factors:default-1")
    assert book.at(at_us, "grid") == (350_000_000, "factors:de-2026")


def test_a_series_says_the_grids_intensity_where_it_has_it_and_the_factors_say_so_elsewhere() -> None:
    series = Series([Slot(100, 200, 250, "series:DE:average:energy-charts"), Slot(300, 400, 90, "later")])
    rules = Rules(BOOK, "grid", "consume", series)

    assert rules.at(199, "good") == (250, "series:DE:average:energy-charts")
    for at_us in (99, 200, 299, 400):
        assert rules.at(at_us, "good") == (420_000_000, "factors:default-1:no-series")


def test_a_series_is_the_grids_and_no_other_sources() -> None:
    rules = Rules(BOOK, "solar", "produce", Series([Slot(0, 1000, 250, "series")]))

    assert rules.at(5, "good").method == "factors:default-1"


@given(st.integers(0, 10**16), st.integers(0, 5 * 10**9))
def test_an_emission_is_the_nearest_microgram(energy_mj: int, ug_per_kwh: int) -> None:
    exact = Fraction(energy_mj * ug_per_kwh, MJ_PER_KWH)

    assert abs(emitted_ug(energy_mj, ug_per_kwh) - exact) <= Fraction(1, 2)


YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def known(minute: int, length: int, grams: int, *, is_forecast: bool = False) -> Known:
    start = YEAR + timedelta(minutes=minute)
    end = start + timedelta(minutes=length)
    return Known("DE", "average", start, end, grams * 1_000_000, "p", is_forecast, "good", YEAR)


def test_of_slots_that_overlap_the_one_that_knows_better_counts_and_not_the_latest() -> None:
    series = Series.of([known(0, 60, 300), known(15, 15, 200), known(30, 15, 900, is_forecast=True)])

    def grams_at(minute: int) -> int | None:
        slot = series.at(int(YEAR.timestamp() * 1e6) + minute * 60_000_000)
        return None if slot is None else slot.ug_per_kwh // 1_000_000

    # A forecast counts less than what was measured; after the quarter-hour its hour goes on.
    assert [grams_at(minute) for minute in (-1, 0, 15, 30, 45, 60)] == [None, 300, 200, 300, 300, None]
    assert Series.of([]).at(0) is None
