"""Strategies are bounded, monotone, the same in any order, and right on days of every length."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.balance.cheapest_hours import Need, cheapest_hours
from jouled.balance.schedule import Budget
from jouled.balance.strategies import (
    Range,
    StaticCap,
    Threshold,
    price_threshold,
    rank,
    rank_of_next_day,
    static,
    volume_proportional,
)
from jouled.config.plan import cap_of
from planned import BERLIN, HOUR, QUARTER, at, points, quarters, slots

D = Decimal
POWER = Range(10.0, 50.0)
DAY = date(2026, 3, 4)
# Steps of a cent; neighbours that differ by less are not told apart by rounding.
PRICES = st.lists(st.none() | st.decimals(-500, 4000, places=2), min_size=1, max_size=30)


def watts(budgets: tuple[Budget, ...]) -> list[float | None]:
    return [budget.power_w for budget in budgets]


# ---- volume-proportional ----


def test_the_rule_of_three_of_the_original() -> None:
    # 14:30 of powercap's manual: source=32769231 with max=50000000, in whole microwatts.
    found = volume_proportional([slots(DAY, [], [])], POWER, reference="max", reference_w=50.0)
    assert found.budgets == ()
    found = volume_proportional([slots(DAY, [1, 1], ["85.2", "130"])], POWER, reference="max", reference_w=50.0)
    assert watts(found.budgets) == [32.769231, 50.0]
    assert found.budgets[0].inputs["source_w"] == 32.769231


def test_the_average_of_the_day_is_another_reference() -> None:
    day = slots(DAY, [1] * 3, [30, 60, 90])
    assert watts(volume_proportional([day], POWER, reference="max", reference_w=45.0).budgets) == [15.0, 30.0, 45.0]
    assert watts(volume_proportional([day], POWER, reference="average", reference_w=30.0).budgets) == [15.0, 30.0, 45.0]
    # More than the average may be more than there is.
    assert watts(volume_proportional([day], POWER, reference="average", reference_w=45.0).budgets) == [22.5, 45.0, 50.0]


def test_a_volume_of_zero_is_a_value_and_a_missing_one_is_missing() -> None:
    day = slots(DAY, [1] * 4, [0, None, 100, 50])
    found = volume_proportional([day], POWER, reference="max", reference_w=50.0)
    assert [(budget.start, budget.power_w) for budget in found.budgets] == [
        (day[0].start, 10.0),
        (day[2].start, 50.0),
        (day[3].start, 25.0),
    ]
    nothing = volume_proportional([slots(DAY, [1], [0])], POWER, reference="average", reference_w=50.0)
    assert watts(nothing.budgets) == [10.0]


def test_volumes_of_slots_of_different_lengths_compare_by_the_hour() -> None:
    hour, quarter = slots(DAY, [1], [100], length=HOUR), slots(DAY, [1] * 8, [None] * 4 + [25] * 4)[4:]
    found = volume_proportional([[*hour, *quarter]], POWER, reference="max", reference_w=40.0)
    assert watts(found.budgets) == [40.0] * 5


# ---- ranks ----


@given(PRICES)
def test_a_rank_is_bounded_and_monotone_and_equal_prices_share(prices: list[Decimal | None]) -> None:
    group = points(prices)
    found = rank("price-rank", "per MWh", [group], POWER).budgets
    known = [point for point in group if point.value is not None]
    assert [budget.start for budget in found] == [point.start for point in known]
    by_price = sorted(zip((point.value for point in known), watts(found), strict=True))
    for (price, power_w), (other, other_w) in pairwise(by_price):
        assert power_w is not None
        assert other_w is not None
        assert POWER.min_w <= other_w <= power_w <= POWER.max_w
        assert (price == other) == (power_w == other_w)
    if len({price for price, _ in by_price}) > 1:
        assert by_price[0][1] == POWER.max_w
        assert by_price[-1][1] == POWER.min_w


@given(PRICES, st.randoms(use_true_random=False))
def test_a_rank_is_the_same_in_any_order(prices: list[Decimal | None], order: random.Random) -> None:
    group = points(prices)
    mixed = list(group)
    order.shuffle(mixed)
    found = rank("price-rank", "per MWh", [group], POWER).budgets
    assert sorted(rank("price-rank", "per MWh", [mixed], POWER).budgets) == sorted(found)


def test_where_all_prices_are_equal_nothing_is_gained_by_waiting() -> None:
    assert watts(rank("price-rank", "", [points([7] * 5)], POWER).budgets) == [50.0] * 5
    assert watts(rank("price-rank", "", [points([-7])], POWER).budgets) == [50.0]


def test_an_hour_ranks_as_its_four_quarters_do() -> None:
    hourly = rank("price-rank", "", [points([3, 1, 2])], POWER).budgets
    quarterly = rank("price-rank", "", [points([3] * 4 + [1] * 4 + [2] * 4, length=QUARTER)], POWER).budgets
    assert watts(hourly) == [10.0, 50.0, 30.0]
    assert watts(quarterly) == [power_w for power_w in watts(hourly) for _ in range(4)]
    assert hourly[2].reason == "price-rank: 2  is rank 2 of 3"


def test_the_next_24_hours_go_over_midnight() -> None:
    values = [10] * 12 + [20] * 12 + [5] * 12 + [30] * 12
    found = rank_of_next_day("price-rank", "", points(values), POWER).budgets
    # At noon of the first day the night after it is cheaper.
    assert found[0].power_w == 50.0
    assert found[12].power_w == 10.0
    assert found[24].power_w == 50.0


def test_of_the_last_hours_that_are_known_one_is_not_the_cheapest_for_want_of_others() -> None:
    found = rank_of_next_day("price-rank", "", points(range(24)), POWER).budgets
    assert found[23].power_w == 10.0
    assert found[23].inputs["of"] == 24


# ---- price-threshold ----


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (Threshold(below=D(0)), [50, 50, 10, 10, 10]),
        (Threshold(above=D(0)), [50, 10, 10, 10, 10]),
        (Threshold(above=D(40)), [50, 50, 50, 10, 10]),
        (Threshold(below=D(0), above=D(40)), [50, 50, 30, 10, 10]),
        (Threshold(limit=D(40)), [50, 50, 50, 50, 10]),
        (Threshold(below=D(0), above=D(120), limit=D(20)), [50, 50, 43.3333333, 10, 10]),
        (Threshold(below=D(-100)), [10, 10, 10, 10, 10]),
        (Threshold(below=D(-100), is_open_when_negative=True), [50, 10, 10, 10, 10]),
    ],
)
def test_thresholds_may_be_zero_or_less(threshold: Threshold, expected: list[float]) -> None:
    found = price_threshold(points([-20, 0, 20, 40, 80, None]), POWER, threshold)
    assert watts(found.budgets) == pytest.approx(expected)


@given(PRICES, st.decimals(-100, 100, places=1), st.decimals("0.1", 100, places=1))
def test_a_higher_price_never_has_more_power(prices: list[Decimal | None], below: Decimal, more: Decimal) -> None:
    threshold = Threshold(below, below + more, below + more / 2, is_open_when_negative=True)
    found = price_threshold(points(sorted(price for price in prices if price is not None)), POWER, threshold).budgets
    for budget, dearer in pairwise(found):
        assert budget.power_w is not None
        assert dearer.power_w is not None
        assert 10 <= dearer.power_w <= budget.power_w <= 50


# ---- cheapest-hours ----


def taken(prices: Sequence[object], need: Need, start: str = "2026-03-02 06:00") -> list[int]:
    found = cheapest_hours(points(prices, start), POWER, need, BERLIN).budgets
    return [index for index, budget in enumerate(found) if budget.power_w == 50.0]


SEVEN = time(7)  # 06:00 UTC


def test_the_cheapest_hours_before_the_deadline_and_the_later_ones_of_equals() -> None:
    prices = [5, 1, 3, 1, 3, 9] + [20] * 18
    assert taken(prices, Need(100.0, SEVEN)) == [1, 3]
    assert taken(prices, Need(101.0, SEVEN)) == [1, 3, 4]
    assert taken(prices, Need(150.0, SEVEN)) == [1, 3, 4]


def test_at_one_go() -> None:
    prices = [5, 1, 3, 1, 3, 9, 2, 2] + [20] * 16
    assert taken(prices, Need(100.0, SEVEN, is_continuous=True)) == [6, 7]
    assert taken(prices, Need(150.0, SEVEN, is_continuous=True)) == [1, 2, 3]


def test_each_deadline_has_its_own_hours() -> None:
    prices = [*range(24), *range(24)]
    assert taken(prices, Need(100.0, SEVEN)) == [0, 1, 24, 25]
    # Midnight there is 23:00 UTC of the winter.
    assert taken(prices, Need(50.0, time(0)), start="2026-03-02 00:00") == [0, 24, 47]


def test_what_cannot_be_done_says_what_was_given_up() -> None:
    def reasons(prices: Sequence[object], need: Need) -> set[str]:
        found = cheapest_hours(points(prices, "2026-03-02 06:00"), POWER, need, BERLIN).budgets
        return {budget.reason.partition("; ")[2] for budget in found}

    whole = [1] * 24
    assert reasons(whole, Need(24 * 50.0, SEVEN)) == {""}
    assert reasons(whole, Need(25 * 50.0, SEVEN)) == {"25 h do not fit before the deadline: the energy was relaxed"}
    assert reasons([1] * 5, Need(300.0, SEVEN)) == {
        "prices of 5 h only are known before the deadline: the price was relaxed"
    }
    assert taken([1] * 5, Need(300.0, SEVEN)) == [0, 1, 2, 3, 4]
    holes: Sequence[object] = [3, 1, None] * 8
    assert reasons(holes, Need(150.0, SEVEN, is_continuous=True)) == {
        "no 3 h at one go are known: continuous was relaxed"
    }


@given(st.lists(st.integers(-50, 50), min_size=24, max_size=24), st.floats(1, 1200))
def test_the_energy_is_had_and_costs_least(prices: list[int], energy_wh: float) -> None:
    chosen = taken(list(prices), Need(energy_wh, SEVEN))
    assert 50.0 * (len(chosen) - 1) < energy_wh <= 50.0 * len(chosen) * (1 + 1e-9)
    assert sum(prices[index] for index in chosen) == sum(sorted(prices)[: len(chosen)])


@given(st.lists(st.integers(-50, 50), min_size=48, max_size=48), st.floats(1, 1200))
def test_hours_that_became_known_later_never_choose_what_is_over(prices: list[int], energy_wh: float) -> None:
    # What was left out while it was now must not be counted on afterwards.
    need = Need(energy_wh, SEVEN)
    early = taken(list(prices[:17]), need)
    late = taken(list(prices[:24]), need)
    if energy_wh <= 50.0 * 17:
        assert {index for index in late if index < 17} <= set(early)


# ---- static ----


def test_power_by_the_clock() -> None:
    caps = [StaticCap(*cap_of(text)) for text in ("Mon-Fri 17:00-20:00 = 40W", "18:00-19:00 = 20W", "Sat = 5W")]
    found = static(caps, at("2026-03-06 12:00"), at("2026-03-08 12:00"), POWER, BERLIN)
    limited = [(f"{b.start:%a %H:%M}", f"{b.end:%H:%M}", b.power_w) for b in found.budgets if b.power_w is not None]
    assert limited == [
        ("Fri 16:00", "17:00", 40.0),
        ("Fri 17:00", "18:00", 20.0),
        ("Fri 18:00", "19:00", 40.0),
        # Never below the floor; cut at every time that is named.
        ("Fri 23:00", "16:00", 10.0),
        ("Sat 16:00", "17:00", 10.0),
        ("Sat 17:00", "18:00", 10.0),
        ("Sat 18:00", "19:00", 10.0),
        ("Sat 19:00", "23:00", 10.0),
    ]


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2026, 3, 4)])
def test_days_of_92_100_and_96_quarters_have_a_budget_for_each(day: date) -> None:
    number = quarters(day)
    found = volume_proportional(
        [slots(day, [1] * number, range(1, number + 1))], POWER, reference="max", reference_w=50
    )
    assert len(found.budgets) == number
    assert found.budgets[-1].end - found.budgets[0].start == number * QUARTER
    assert found.budgets[-1].power_w == 50.0
    assert all(one.end == other.start for one, other in zip(found.budgets, found.budgets[1:], strict=False))
    assert found.budgets[0].end - found.budgets[0].start == timedelta(minutes=15)
