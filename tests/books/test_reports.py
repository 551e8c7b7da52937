"""What a report is of, as far as it is pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from jouled.books import reports as rules
from jouled.errors import InvalidError
from plants import NOW


def test_a_report_of_nothing_else_is_of_the_last_week() -> None:
    assert rules.asked(None, None, None, NOW) == ("weekly", NOW - timedelta(days=7), NOW)


@pytest.mark.parametrize(
    ("kind", "days"), [("daily", 1), ("weekly", 7), ("monthly", 30), ("quarterly", 91), ("annual", 365), ("custom", 7)]
)
def test_a_type_says_how_long_it_is(kind: str, days: int) -> None:
    assert rules.asked(kind, None, None, NOW) == (kind, NOW - timedelta(days=days), NOW)


def test_any_range_may_be_asked_for_up_to_what_is_kept() -> None:
    start = NOW - timedelta(days=1829, microseconds=7)
    assert rules.asked(None, start, None, NOW) == ("custom", start, NOW)
    for since, until in ((NOW - timedelta(days=1831), NOW), (NOW, NOW), (NOW, NOW - timedelta(days=1))):
        with pytest.raises(InvalidError):
            rules.asked(None, since, until, NOW)
    with pytest.raises(InvalidError, match="century"):
        rules.asked("annual", None, datetime(1, 1, 2, tzinfo=UTC) + timedelta(days=366), NOW)


def test_coverage_is_of_the_hours_that_have_begun() -> None:
    hour = timedelta(hours=1)
    assert rules.coverage(12, NOW - 24 * hour, NOW, NOW) == 0.5
    assert rules.coverage(12, NOW - 12 * hour, NOW + 12 * hour, NOW) == 1.0
    assert rules.coverage(0, NOW + hour, NOW + 2 * hour, NOW) is None
    assert rules.hours_between(NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)) == 2


def test_meters_read_every_hour_are_not_quarter_hourly() -> None:
    assert not rules.is_quarter_hourly(24, 24)
    assert rules.is_quarter_hourly(95, 24)
    assert rules.is_quarter_hourly(4, 1)
    assert not rules.is_quarter_hourly(3, 1)


def test_cost_is_exact() -> None:
    """0.1 + 0.2 in binary is not 0.3."""
    assert rules.cost(3 * 3_600_000_000, Decimal("0.1")) == Decimal("0.300000")
    assert rules.cost(10**18, Decimal("0.333333")) == Decimal("92592500.000000")
