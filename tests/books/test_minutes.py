"""Where intervals lie on the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.books.minutes import DAY_US, MINUTE_US, Calendar, day_length_us, day_of, interval, quarter_hour_of

HOUR_US = 60 * MINUTE_US
SECOND_US = 1_000_000


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * SECOND_US)


def test_an_interval_begins_where_the_last_one_ended() -> None:
    # The wall clock is read a little later than the one that says how long the interval was.
    found = interval(us("2026-03-01T12:00:01Z"), us("2026-03-01T12:00:02.004Z"), SECOND_US, SECOND_US)
    assert found == (us("2026-03-01T12:00:01Z"), us("2026-03-01T12:00:02.004Z"), False)


@pytest.mark.parametrize("set_by_s", [-7200, -10, 10, 28_800])
def test_where_the_clock_was_set_it_is_the_time_in_which_was_measured(set_by_s: int) -> None:
    end = us("2026-03-01T12:00:02Z") + set_by_s * SECOND_US
    found = interval(us("2026-03-01T12:00:01Z"), end, SECOND_US, SECOND_US)
    assert found == (end - SECOND_US, end, True)


def test_a_gap_is_a_guess() -> None:
    start = us("2026-03-01T12:00:01Z")
    assert not interval(start, start + 3 * SECOND_US, 3 * SECOND_US, SECOND_US).is_guess
    assert interval(start, start + 4 * SECOND_US, 4 * SECOND_US, SECOND_US).is_guess


def test_a_gap_of_a_week_is_put_on_its_last_day() -> None:
    start = us("2026-03-01T12:00:00Z")
    found = interval(start, start + 7 * DAY_US, 7 * DAY_US, SECOND_US)
    assert found.from_us == start + 6 * DAY_US
    assert len(found.pieces()) == 1440


@given(st.integers(0, 4 * HOUR_US), st.integers(0, 2 * HOUR_US))
def test_pieces_are_the_whole_interval_by_minutes(start: int, length: int) -> None:
    found = interval(start, start + length, length, HOUR_US)
    pieces = found.pieces()
    assert sum(piece.to_us - piece.from_us for piece in pieces) == length
    assert pieces[0].from_us == start
    assert pieces[-1].to_us == start + length
    for piece in pieces:
        assert piece.minute_us % MINUTE_US == 0
        assert piece.minute_us <= piece.from_us <= piece.to_us <= piece.minute_us + MINUTE_US
    assert len({piece.minute_us for piece in pieces}) == len(pieces)


@pytest.mark.parametrize(
    ("minute", "zone", "day", "hours"),
    [
        ("2026-03-01T00:30:00Z", "UTC", "2026-03-01T00:00:00Z", 24),
        ("2026-03-29T11:00:00Z", "Europe/Berlin", "2026-03-28T23:00:00Z", 23),
        ("2026-10-25T22:59:00Z", "Europe/Berlin", "2026-10-24T22:00:00Z", 25),
        ("2026-03-01T00:30:00Z", "America/New_York", "2026-02-28T05:00:00Z", 24),
        ("2026-03-01T20:00:00Z", "Asia/Kathmandu", "2026-03-01T18:15:00Z", 24),
        # Summer begins at midnight there: the day begins at one o'clock.
        ("2026-03-29T12:00:00Z", "Asia/Beirut", "2026-03-28T22:00:00Z", 23),
    ],
)
def test_a_day_is_one_of_the_calendar(minute: str, zone: str, day: str, hours: int) -> None:
    start = day_of(us(minute), ZoneInfo(zone))
    assert start == us(day)
    assert day_length_us(start, ZoneInfo(zone)) == hours * HOUR_US


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "America/Havana",
)


@given(
    st.integers(us("2020-01-01T00:00:00Z") // MINUTE_US, us("2030-01-01T00:00:00Z") // MINUTE_US),
    st.sampled_from(ZONES),
)
def test_each_minute_lies_in_one_quarter_hour_and_this_in_one_day(minute: int, name: str) -> None:
    zone = ZoneInfo(name)
    at = minute * MINUTE_US
    day = day_of(at, zone)
    assert day <= quarter_hour_of(at) <= at < day + day_length_us(day, zone)
    assert day % (15 * MINUTE_US) == 0
    assert day_of(quarter_hour_of(at), zone) == day
    first = datetime.fromtimestamp(day / SECOND_US, UTC).astimezone(zone)
    assert first.date() == datetime.fromtimestamp(at / SECOND_US, UTC).astimezone(zone).date()


def test_a_calendar_that_is_changed_holds_from_the_next_quarter_hour_on() -> None:
    first = Calendar("UTC")
    assert first.changed("UTC", us("2026-03-01T12:07:00Z")) == first
    second = first.changed("Europe/Berlin", us("2026-03-01T12:07:00Z"))
    assert second.day_of(us("2026-03-01T12:14:00Z")) == us("2026-03-01T00:00:00Z")
    # What is left of the day, then whole ones.
    assert second.day_of(us("2026-03-01T12:15:00Z")) == us("2026-03-01T12:15:00Z")
    assert second.day_of(us("2026-03-01T22:59:00Z")) == us("2026-03-01T12:15:00Z")
    assert second.day_of(us("2026-03-01T23:00:00Z")) == us("2026-03-01T23:00:00Z")
    # A second change of mind, before the first one holds.
    third = second.changed("Asia/Tokyo", us("2026-03-01T12:09:00Z"))
    assert third.day_of(us("2026-03-01T12:14:00Z")) == us("2026-03-01T00:00:00Z")
    assert third.day_of(us("2026-03-01T15:00:00Z")) == us("2026-03-01T15:00:00Z")


def test_a_day_that_did_not_begin_with_its_date_ends_with_it() -> None:
    assert day_length_us(us("2026-03-01T12:15:00Z"), ZoneInfo("Europe/Berlin")) == 43 * 15 * MINUTE_US
