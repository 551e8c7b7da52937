"""Several schedules are one: never above the lowest, never below the floor, never the highest for want of data."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.balance.combine import Missing, combine
from jouled.balance.planner import Rules, Signals, rows, schedule
from jouled.balance.schedule import Budget, Schedule
from jouled.balance.strategies import Range, rank
from jouled.books.prices import day_bounds
from jouled.books.tariff import Tariff
from planned import BERLIN, HOUR, QUARTER, at, grams, points, quarters, series

POWER = Range(10.0, 50.0)
START = at("2026-03-02 00:00")
END = at("2026-03-02 04:00")


def of(*budgets: tuple[float, float, float | None]) -> Schedule:
    return Schedule(tuple(Budget(START + a * HOUR, START + b * HOUR, w, f"{w} W") for a, b, w in budgets))


def test_the_lowest_counts_at_every_edge() -> None:
    hourly = of((0, 1, 40.0), (1, 2, 20.0), (2, 4, 30.0))
    quarterly = of((0, 0.25, 50.0), (0.25, 1.5, 25.0), (1.5, 4, None))
    found = combine({"hourly": hourly, "quarterly": quarterly}, START, END, power=POWER, missing="min")
    assert [(b.start - START, b.power_w) for b in found.budgets] == [
        (timedelta(0), 40.0),
        (timedelta(minutes=15), 25.0),
        (timedelta(hours=1), 20.0),
        (timedelta(hours=1.5), 20.0),
        (timedelta(hours=2), 30.0),
    ]
    assert found.budgets[1].reason == "25.0 W; 40.0 W"
    assert found.budgets[1].inputs["strategy"] == "quarterly"
    assert found.budgets[4].reason == "30.0 W; None W"


@pytest.mark.parametrize(("missing", "expected"), [("min", [20.0, 10.0, 10.0]), ("none", [20.0, 45.0, None])])
def test_missing_data_mean_the_policy(missing: str, expected: list[float | None]) -> None:
    known, short = of((0, 2, 45.0)), of((0, 1, 20.0))
    found = combine(
        {"known": known, "short": short}, START, END, power=POWER, missing="none" if missing == "none" else "min"
    )
    assert [budget.power_w for budget in found.budgets] == expected
    assert "short: too little is known of this time" in found.budgets[1].reason or missing == "min"
    assert found.budgets[2].inputs["missing"] == ["known", "short"]


def test_no_limit_is_not_missing() -> None:
    found = combine({"static": of((0, 4, None))}, START, END, power=POWER, missing="min")
    assert [budget.power_w for budget in found.budgets] == [None]


def test_without_any_data_all_of_the_range_has_the_lowest_budget() -> None:
    found = combine({"price-rank": Schedule(())}, START, END, power=POWER, missing="min")
    assert [(b.start, b.end, b.power_w) for b in found.budgets] == [(START, END, 10.0)]


BUDGETS = st.lists(st.tuples(st.integers(0, 15), st.integers(1, 6), st.none() | st.floats(0, 100)), max_size=8)


@given(BUDGETS, BUDGETS, st.sampled_from(["min", "none"]))
def test_there_is_no_gap_and_all_is_within_the_range(
    one: list[tuple[int, int, float | None]], other: list[tuple[int, int, float | None]], missing: str
) -> None:
    def made(parts: list[tuple[int, int, float | None]]) -> Schedule:
        end, budgets = START, []
        for gap, length, power_w in parts:
            start = end + gap * QUARTER
            end = start + length * QUARTER
            budgets.append(Budget(start, end, power_w, ""))
        return Schedule(tuple(budgets))

    schedules = {"one": made(one), "other": made(other)}
    policy: Missing = "none" if missing == "none" else "min"
    found = combine(schedules, START, END, power=POWER, missing=policy).budgets
    assert (found[0].start, found[-1].end) == (START, END)
    assert all(before.end == after.start for before, after in pairwise(found))
    for budget in found:
        known = [schedule.at(budget.start) for schedule in schedules.values()]
        limits = [b.power_w for b in known if b is not None and b.power_w is not None]
        if None in known and policy == "min":
            assert budget.power_w == POWER.min_w
        elif not limits:
            assert budget.power_w is None
        else:
            assert budget.power_w == POWER.held(min(limits))


# ---- the whole plan ----


def rules(*strategies: str) -> Rules:
    return Rules(strategies, Tariff(BERLIN))


def test_price_and_carbon_of_different_slots_make_one_plan() -> None:
    day = date(2026, 3, 4)
    start, end = day_bounds(day, BERLIN)
    signals = Signals((series(day, range(96)),), grams(range(24, 0, -1), start))
    found = rows(rules("price-rank", "carbon-rank"), signals, start, end, POWER)
    assert len(found) == 96
    assert (found[0].power_w, found[-1].power_w) == (10.0, 10.0)
    assert (found[0].market_per_mwh, found[0].g_per_kwh) == (Decimal(0), Decimal(24))
    assert found[0].currency == "EUR"
    assert found[0].reason == "carbon-rank: 24 g/kWh is rank 24 of 24; price-rank: 0 per MWh is rank 1 of 96"
    assert max(row.power_w or 0 for row in found) < 50.0


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2025, 10, 26), date(2026, 7, 1)])
def test_the_last_quarter_of_every_day_has_its_own_budget(day: date) -> None:
    number = quarters(day)
    start, end = day_bounds(day, BERLIN)
    signals = Signals((series(day, [1] * number, range(number)),))
    found = schedule(rules("volume-proportional"), signals, start, end + HOUR, POWER).budgets
    assert len(found) == number + 1
    assert (found[number - 1].end, found[number - 1].power_w) == (end, 50.0)
    # Of tomorrow nothing is known.
    assert (found[number].start, found[number].power_w) == (end, 10.0)


def test_carbon_of_five_minutes_is_planned_by_quarter_hours() -> None:
    start = at("2026-03-02 00:00")
    signals = Signals((), grams(list(range(36)), start, timedelta(minutes=5)))
    found = rows(rules("carbon-rank"), signals, start, start + 3 * HOUR, POWER)
    assert [row.g_per_kwh for row in found] == [Decimal(3 * index + 1) for index in range(12)]


def test_a_slot_that_goes_over_midnight_is_cut_there() -> None:
    start = at("2026-03-02 22:00")
    signals = Signals((), grams([5] * 5 + [6] * 5, start - 12 * HOUR, 3 * HOUR))
    found = schedule(rules("carbon-rank"), signals, start, start + 6 * HOUR, POWER).budgets
    assert [budget.start.hour for budget in found] == [22, 23, 1]


def test_a_plan_does_not_depend_on_where_it_is_cut() -> None:
    group = points([4, 2, 9])
    whole = {"price-rank": rank("price-rank", "", [group], POWER)}
    start, end = group[0].start, group[-1].end
    cut = combine(whole, start, end, power=POWER, missing="min", edges=[start + index * QUARTER for index in range(12)])
    plain = combine(whole, start, end, power=POWER, missing="min")
    assert len(cut.budgets) == 12
    for budget in cut.budgets:
        found = plain.at(budget.start)
        assert found is not None
        assert found.power_w == budget.power_w
