"""Budgets: percent, status and when they will be used up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.books import budgets
from jouled.books.budgets import RANKS, Limits
from jouled.books.calendar import Period
from jouled.books.forecast import forecast

MARCH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
LIMITS = Limits(1000)


@pytest.mark.parametrize(
    ("used", "status"),
    [
        (0, "normal"),
        (799, "normal"),
        (800, "warning"),
        (949, "warning"),
        (950, "critical"),
        (999, "critical"),
        (1000, "exceeded"),
        (12_345, "exceeded"),
    ],
)
def test_a_threshold_is_passed_where_it_is_reached_and_all_of_it_is_exceeded(used: int, status: str) -> None:
    assert budgets.status_of(used, LIMITS) == status


def test_thresholds_are_the_budgets_own() -> None:
    assert budgets.status_of(600, Limits(1000, 50, 60)) == "critical"


def test_percent_are_multiplied_before_they_are_divided() -> None:
    assert budgets.used_pct(29, 100) == 29.0


def test_more_than_a_thousand_percent_is_a_number_like_others() -> None:
    assert budgets.used_pct(123_456, 1000) == 12_345.6


def test_a_budget_of_nothing_is_refused_instead_of_divided_by() -> None:
    assert "above 0" in (budgets.refused(Limits(0)) or "")


@pytest.mark.parametrize(("warning", "critical"), [(0, 95), (96, 95), (80, 101)])
def test_thresholds_out_of_order_are_refused(warning: float, critical: float) -> None:
    assert "not in order" in (budgets.refused(Limits(1, warning, critical)) or "")


@given(st.lists(st.integers(0, 400), max_size=30))
def test_within_a_period_each_threshold_is_crossed_once_at_most(parts: list[int]) -> None:
    told, used, crossings = "normal", 0, []
    for part in parts:
        used += part
        status = budgets.status_of(used, LIMITS)
        if budgets.is_crossing(told, status):
            crossings.append(status)
            told = status

    assert crossings == sorted(set(crossings), key=lambda status: RANKS[status])
    assert told == budgets.status_of(used, LIMITS)


def test_the_pace_of_the_period_says_when_a_budget_is_used_up() -> None:
    said = forecast(500, 1000, MARCH, MARCH.start + timedelta(days=10), None)

    assert said.exhausted_at == MARCH.start + timedelta(days=20)
    assert said.expected_ug == 1550
    assert said.reason is None


@pytest.mark.parametrize(
    ("used", "after", "reason"),
    [
        (0, timedelta(days=10), "nothing_used_yet"),
        (10, timedelta(days=10), "not_in_this_period"),
        (10, timedelta(hours=1), "period_has_just_begun"),
        (1000, timedelta(days=10), "already_exceeded"),
        (10, timedelta(days=40), "period_is_over"),
    ],
)
def test_where_there_is_no_instant_the_forecast_says_why(used: int, after: timedelta, reason: str) -> None:
    said = forecast(used, 1000, MARCH, MARCH.start + after, None)

    assert (said.exhausted_at, said.reason) == (None, reason)
