from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from jouled.books.intensity import Mean, Slot, mean, pieces

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def slot(first: int, last: int, value: int, *, is_forecast: bool = False, quality: str = "good") -> Slot:
    """From one minute up to another."""
    return Slot("DE", "average", START + first * MINUTE, START + last * MINUTE, value, "x", is_forecast, quality, START)  # type: ignore[arg-type]


def cut(slots: list[Slot], first: int, last: int) -> list[tuple[int, int, int]]:
    return [
        ((piece.start - START) // MINUTE, (piece.end - START) // MINUTE, piece.slot.ug_per_kwh)
        for piece in pieces(slots, START + first * MINUTE, START + last * MINUTE)
    ]


def test_what_was_measured_counts_before_a_forecast_also_where_that_is_finer() -> None:
    assert cut([slot(0, 60, 1), slot(15, 30, 2, is_forecast=True)], 0, 60) == [(0, 15, 1), (15, 30, 1), (30, 60, 1)]


def test_a_quarter_hour_knows_better_than_the_hour_around_it() -> None:
    assert cut([slot(0, 60, 1), slot(15, 30, 2)], 0, 60) == [(0, 15, 1), (15, 30, 2), (30, 60, 1)]


def test_a_range_is_cut_at_its_ends_and_a_gap_stays_one() -> None:
    assert cut([slot(0, 10, 1), slot(20, 30, 2)], 5, 25) == [(5, 10, 1), (20, 25, 2)]


def test_a_mean_is_weighted_by_time_and_says_how_much_is_known() -> None:
    slots = [slot(0, 15, 100), slot(15, 30, 400, is_forecast=True), slot(30, 45, 400, quality="estimated")]
    assert mean(slots, START, START + 60 * MINUTE) == Mean(300, 0.75, 0.25, 0.25)


def test_nothing_known_has_no_mean() -> None:
    assert mean([], START, START + MINUTE) is None
    assert mean([slot(0, 10, 1)], START, START) is None
    assert mean([slot(0, 10, 1)], START + 10 * MINUTE, START + 20 * MINUTE) is None


SLOTS = some.builds(
    lambda first, length, value, is_forecast: slot(first, first + length, value, is_forecast=is_forecast),
    some.integers(0, 60),
    some.integers(1, 30),
    some.integers(0, 1_000_000),
    some.booleans(),
)


@given(some.lists(SLOTS, max_size=12))
def test_each_minute_has_the_slot_that_counts_most(slots: list[Slot]) -> None:
    found = cut(slots, 0, 90)
    for minute in range(90):
        at = START + minute * MINUTE
        there = [one for one in slots if one.start <= at < one.end]
        value = next((value for first, last, value in found if first <= minute < last), None)
        if not there:
            assert value is None
        else:
            best = min((one.is_forecast, START - one.start) for one in there)
            assert value in {one.ug_per_kwh for one in there if (one.is_forecast, START - one.start) == best}


@given(some.lists(SLOTS, max_size=12))
def test_a_mean_lies_between_its_slots(slots: list[Slot]) -> None:
    found = mean(slots, START, START + 90 * MINUTE)
    if found is not None:
        values = [one.ug_per_kwh for one in slots]
        assert min(values) <= found.ug_per_kwh <= max(values)
        assert 0 < found.coverage_ratio <= 1
        assert (
            found.forecast_ratio
            <= found.coverage_ratio
            == pytest.approx(sum(b - a for a, b, _ in cut(slots, 0, 90)) / 90)
        )
