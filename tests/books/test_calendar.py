"""Days and periods follow the site's clock, also where it jumps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.books import calendar
from jouled.books.calendar import PeriodKind

KINDS = get_args(PeriodKind)
BERLIN = ZoneInfo("Europe/Berlin")
# With jumps at midnight, at 00:01, of half an hour, over a whole day, and none at all.
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Havana",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Asia/Beirut",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "America/Asuncion",
        "Africa/Casablanca",
    )
]
instants = st.datetimes(datetime(2000, 1, 2), datetime(2037, 12, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


@given(instants, st.sampled_from(ZONES), st.sampled_from(KINDS))
def test_every_instant_is_in_exactly_one_period_and_the_next_begins_where_it_ends(
    at: datetime, zone: ZoneInfo, kind: PeriodKind
) -> None:
    period = calendar.period(kind, at, zone)

    assert period.start <= at < period.end
    assert calendar.period(kind, period.start, zone) == period
    assert calendar.period(kind, period.end, zone).start == period.end
    assert calendar.period(kind, period.start - timedelta(microseconds=1), zone).end == period.start


@given(instants, st.sampled_from(ZONES), st.sampled_from(KINDS))
def test_days_make_up_each_period_and_quarter_hours_each_day(at: datetime, zone: ZoneInfo, kind: PeriodKind) -> None:
    period = calendar.period(kind, at, zone)
    day = calendar.day(at, zone)

    assert calendar.day(period.start, zone).start == period.start
    assert calendar.day(period.end, zone).start == period.end
    assert calendar.quarter_hour(day.start) == day.start
    assert period.start <= day.start < day.end <= period.end


@given(instants, st.timedeltas(timedelta(0), timedelta(days=400)), st.sampled_from(ZONES))
def test_spans_cover_a_range_without_a_gap_or_an_overlap(at: datetime, length: timedelta, zone: ZoneInfo) -> None:
    spans = calendar.spans(at, at + length, zone)

    assert sum((span.end - span.start for span in spans), timedelta(0)) == length
    assert all(before.end == after.start for before, after in pairwise(spans))
    for span in spans:
        if span.resolution_s == calendar.DAY_S:
            assert calendar.day(span.start, zone).start == span.start
            assert calendar.day(span.end, zone).start == span.end
        elif span.resolution_s is not None:
            assert calendar.quarter_hour(span.start) == span.start
            assert calendar.quarter_hour(span.end) == span.end


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)])
def test_a_day_on_which_the_clock_jumps_is_an_hour_shorter_or_longer(day: date, hours: int) -> None:
    period = calendar.day(datetime(day.year, day.month, day.day, 12, tzinfo=BERLIN), BERLIN)

    assert period.end - period.start == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [
        ("daily", date(2026, 5, 31), date(2026, 6, 1)),
        ("weekly", date(2026, 5, 25), date(2026, 6, 1)),
        ("monthly", date(2026, 5, 1), date(2026, 6, 1)),
        ("quarterly", date(2026, 4, 1), date(2026, 7, 1)),
        ("yearly", date(2026, 1, 1), date(2027, 1, 1)),
    ],
)
def test_periods_begin_at_the_sites_own_midnight(kind: PeriodKind, start: date, end: date) -> None:
    period = calendar.period(kind, datetime(2026, 5, 31, 21, 59, tzinfo=UTC), BERLIN)

    assert (period.start.astimezone(BERLIN).date(), period.end.astimezone(BERLIN).date()) == (start, end)
    assert period.start.astimezone(BERLIN).hour == period.end.astimezone(BERLIN).hour == 0


def test_a_week_begins_on_monday() -> None:
    sunday = datetime(2026, 3, 8, 22, 59, tzinfo=UTC)

    assert calendar.period("weekly", sunday, BERLIN).start == datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert calendar.period("weekly", sunday + timedelta(minutes=1), BERLIN).start == datetime(
        2026, 3, 8, 23, tzinfo=UTC
    )


def test_a_day_that_was_left_out_by_the_calendar_holds_nothing() -> None:
    apia = ZoneInfo("Pacific/Apia")
    before = calendar.day(datetime(2011, 12, 30, 9, 59, tzinfo=UTC), apia)

    assert before.end == datetime(2011, 12, 30, 10, tzinfo=UTC)
    assert calendar.day_of(before.end, apia) == date(2011, 12, 31)
