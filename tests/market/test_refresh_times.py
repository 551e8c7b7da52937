from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouled.books.refresh_times import Progress, Rules, cron_at, next_at, out_of_rush, pause, wanted
from trading import BERLIN, series

RULES = Rules(time(12, 50), BERLIN)
MONDAY = date(2026, 5, 4)
TUESDAY = date(2026, 5, 5)


def berlin(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute, second), ZoneInfo(BERLIN)).astimezone(UTC)


def whole(day: date, at: datetime) -> Progress:
    return Progress(series(day, at=at), series(day + timedelta(days=1), at=at))


def test_at_the_start_today_is_wanted_and_tomorrow_only_once_it_is_out() -> None:
    assert wanted(berlin(MONDAY, 9), RULES, Progress()) == (MONDAY,)
    assert wanted(berlin(MONDAY, 12, 50), RULES, Progress()) == (MONDAY, TUESDAY)


def test_with_all_prices_there_the_next_look_is_after_midnight_and_not_at_it() -> None:
    now = berlin(MONDAY, 13, 5)
    assert next_at(now, RULES, whole(MONDAY, now), 0.0) == berlin(TUESDAY, 0, 5)


def test_after_midnight_the_days_prices_are_looked_at_once_more() -> None:
    fetched = berlin(MONDAY, 13, 5)
    today = Progress(series(TUESDAY, at=fetched))
    assert wanted(berlin(TUESDAY, 0, 4), RULES, today) == ()
    assert wanted(berlin(TUESDAY, 0, 5), RULES, today) == (TUESDAY,)
    looked = Progress(series(TUESDAY, at=berlin(TUESDAY, 0, 5)))
    assert wanted(berlin(TUESDAY, 0, 6), RULES, looked) == ()
    assert next_at(berlin(TUESDAY, 0, 6), RULES, looked, 0.0) == berlin(TUESDAY, 12, 50)


def test_at_local_midnight_the_day_is_the_auctions_and_not_that_of_utc() -> None:
    now = datetime(2026, 5, 4, 22, 6, tzinfo=UTC)  # 00:06 on Tuesday
    assert wanted(now, RULES, Progress()) == (TUESDAY,)


def test_tomorrow_is_asked_for_every_five_minutes_and_after_an_hour_more_rarely() -> None:
    pauses = [pause(tries, 0.5) for tries in range(1, 20)]
    assert pauses[:12] == [timedelta(minutes=5)] * 12
    assert pauses[12:] == [timedelta(minutes=minutes) for minutes in (10, 20, 40, 60, 60, 60, 60)]
    assert pause(3, 0.0) == timedelta(minutes=4)
    assert pause(10_000, 1.0) == timedelta(minutes=72)


def test_preliminary_prices_and_gaps_are_asked_for_again() -> None:
    now = berlin(MONDAY, 13)
    today = series(MONDAY, at=now)
    preliminary = series(TUESDAY, at=now, quality="preliminary")
    assert wanted(now, RULES, Progress(today, preliminary)) == (TUESDAY,)
    broken = series(TUESDAY, at=now)
    assert wanted(now, RULES, Progress(today, broken._replace(slots=broken.slots[:-1]))) == (TUESDAY,)
    assert wanted(now, RULES, Progress(today, series(TUESDAY, at=now, quality="estimated"))) == ()


@given(st.integers(0, 7200), st.floats(0, 0.999))
def test_nobody_is_asked_at_a_full_hour(second: int, jitter: float) -> None:
    at = datetime(2026, 5, 4, 11, tzinfo=UTC) + timedelta(seconds=second)
    moved = out_of_rush(at, jitter)
    assert 30 <= moved.timestamp() % 3600 <= 3570
    assert timedelta(0) <= moved - at <= timedelta(minutes=2)


@settings(max_examples=300)
@given(
    st.datetimes(datetime(2025, 9, 1), datetime(2027, 4, 30)),  # noqa: DTZ001  (made aware below)
    st.integers(0, 40),
    st.booleans(),
    st.floats(0, 0.999),
)
def test_the_next_time_is_always_later_and_never_further_than_a_day(
    at: datetime, tries: int, has_today: bool, jitter: float
) -> None:
    now = at.replace(tzinfo=UTC)
    today = now.astimezone(ZoneInfo(BERLIN)).date()
    progress = Progress(series(today, at=now) if has_today else None, None, tries)
    following = next_at(now, RULES._replace(cron="0 */6 * * *", site_timezone=BERLIN), progress, jitter)
    assert now < following <= now + timedelta(hours=6, minutes=3)


@pytest.mark.parametrize(
    ("now", "line", "expected"),
    [
        ("2026-05-04T10:00:00Z", "0 14 * * *", "2026-05-04T12:00:00Z"),
        # The hour that this day has not: right after it.
        ("2026-03-28T23:30:00Z", "30 2 * * *", "2026-03-29T01:00:00Z"),
        # The hour that this day has twice: once, and not again in its second pass.
        ("2026-10-24T23:30:00Z", "45 2 * * *", "2026-10-25T00:45:00Z"),
        ("2026-10-25T01:30:00Z", "45 2 * * *", "2026-10-26T01:45:00Z"),
        ("2026-10-25T00:50:00Z", "*/15 * * * *", "2026-10-25T01:00:00Z"),
        ("2026-12-31T23:59:00Z", "0 0 1 * *", "2027-01-31T23:00:00Z"),
    ],
)
def test_a_cron_line_names_instants_of_the_sites_time(now: str, line: str, expected: str) -> None:
    assert cron_at(datetime.fromisoformat(now), line, BERLIN) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("line", ["0 0 * *", "61 * * * *", "0 0 30 2 *", "", "a b c d e", "* * * * * *"])
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        cron_at(datetime(2026, 5, 4, tzinfo=UTC), line, BERLIN)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2025, 10, 26), date(2027, 3, 28)])
def test_on_days_of_23_and_25_hours_publication_and_look_are_at_their_local_times(day: date) -> None:
    now = berlin(day, 0, 6)
    today = Progress(series(day, at=now))
    assert next_at(now, RULES, today, 0.0) == berlin(day, 12, 50)
    evening = berlin(day, 20)
    assert next_at(evening, RULES, whole(day, evening), 0.0) == berlin(day + timedelta(days=1), 0, 5)


def test_a_publication_at_a_full_hour_is_asked_for_a_little_later() -> None:
    now = berlin(MONDAY, 10)
    today = Progress(series(MONDAY, at=now))
    at = next_at(now, RULES._replace(published=time(13)), today, 0.0)
    assert at == berlin(MONDAY, 13, 0, 30)
    # And the operator's cron of every hour too.
    assert next_at(now, RULES._replace(cron="0 * * * *", site_timezone=BERLIN), today, 0.0) == berlin(MONDAY, 11, 0, 30)
