"""Windows of the week hold where the clock on the wall says so, on days of every length."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.books.windows import cut
from jouled.config.windows import window_of, windowed
from planned import BERLIN, at


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN))


@pytest.mark.parametrize(
    ("text", "when", "holds"),
    [
        ("", "2026-03-04 12:00", True),
        ("Mon-Fri 17:00-20:00", "2026-03-04 17:00", True),
        ("Mon-Fri 17:00-20:00", "2026-03-04 19:59", True),
        ("Mon-Fri 17:00-20:00", "2026-03-04 20:00", False),
        ("mon-fri 17:00-20:00", "2026-03-07 18:00", False),
        ("Fri-Mon", "2026-03-08 00:00", True),
        ("Fri-Mon", "2026-03-10 00:00", False),
        ("Sat,Sun", "2026-03-08 23:59", True),
        ("Oct-Mar", "2026-03-31 23:59", True),
        ("Oct-Mar", "2026-04-01 00:00", False),
        ("20:00-24:00", "2026-04-01 23:59", True),
        # Over midnight, of the day on which it began.
        ("Fri 22:00-06:00", "2026-03-06 23:00", True),
        ("Fri 22:00-06:00", "2026-03-07 05:59", True),
        ("Fri 22:00-06:00", "2026-03-06 05:00", False),
        ("Fri 22:00-06:00", "2026-03-07 22:00", False),
        ("Mar 22:00-06:00", "2026-04-01 01:00", True),
    ],
)
def test_a_window_holds_at_its_times(text: str, when: str, *, holds: bool) -> None:
    assert window_of(text).holds(local(when)) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Mon-Fry", "'Mon-Fry' is no part of a week; write days as Mon-Fri or Sat,Sun, times as 17:00-20:00"),
        ("17:00", "is no part of a week"),
        ("25:00-26:00", "'25:00-26:00' is no time of a day; write 00:00 to 24:00"),
        ("24:00-06:00", "is no time of a day"),
        ("10:60-11:00", "is no time of a day"),
        ("10:00-10:00", "'10:00-10:00' is empty; write 00:00-24:00 for the whole day"),
        ("Mon Tue", "'Tue' is the second of its kind; give the days once"),
        ("Jan 10:00-11:00 12:00-13:00", "give the time once"),
    ],
)
def test_a_window_that_is_none_says_how_to_write_one(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"write|give") as raised:
        window_of(text)
    assert said in str(raised.value)


def test_a_value_without_a_window_holds_always() -> None:
    assert windowed("0.08", "0.12") == (window_of(""), "0.08")
    with pytest.raises(ValueError, match=r"has no value; write Mon-Fri 17:00-20:00 = 0\.12"):
        windowed("Mon-Fri =", "0.12")


WINDOWS = [window_of(text) for text in ("Mon-Fri 17:00-20:00", "22:00-06:00", "Sun", "02:30-03:30", "Oct-Mar")]
CHANGES = ["2026-03-28 18:00", "2026-10-24 18:00", "2025-12-31 10:00", "2026-06-01 00:00"]


@given(
    st.sampled_from(CHANGES),
    st.integers(0, 40),
    st.integers(1, 80),
    st.sampled_from([BERLIN, "Europe/London", "Asia/Kathmandu"]),
)
def test_in_no_piece_does_a_window_begin_or_end(start: str, shift: int, length: int, timezone: str) -> None:
    first = at(start) + shift * timedelta(minutes=37)
    last = first + length * timedelta(minutes=41)
    zone = ZoneInfo(timezone)
    pieces = list(cut(first, last, WINDOWS, timezone))
    assert [piece.start for piece in pieces] == [first, *(piece.end for piece in pieces[:-1])]
    assert pieces[-1].end == last
    for piece in pieces:
        minute = piece.start
        held = [window.holds(minute.astimezone(zone)) for window in WINDOWS]
        while minute < piece.end:
            assert [window.holds(minute.astimezone(zone)) for window in WINDOWS] == held
            minute += timedelta(minutes=1)
