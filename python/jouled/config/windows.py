"""Windows of the week, as operators write them: `Mon-Fri 17:00-20:00`, in the site's own time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from jouled.config.units import shown

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CLOCK = re.compile(r"(\d{2}):(\d{2})-(\d{2}):(\d{2})", re.ASCII)
DAY_MINUTES = 24 * 60
TEXT_MAX = 200
ONE_DAY = timedelta(days=1)


class Window(NamedTuple):
    """Minutes of the local day, on certain days of the week and in certain months, counted from 0.

    One that ends before it begins goes on over midnight, and belongs to the day on which it began.
    """

    begin_minute: int = 0
    end_minute: int = DAY_MINUTES
    weekdays: frozenset[int] = frozenset(range(7))
    months: frozenset[int] = frozenset(range(12))

    def holds(self, local: datetime) -> bool:
        """At this local time."""
        minute = local.hour * 60 + local.minute
        if self.begin_minute < self.end_minute:
            return self.begin_minute <= minute < self.end_minute and self._is_on(local.date())
        if minute >= self.begin_minute:
            return self._is_on(local.date())
        return minute < self.end_minute and self._is_on(local.date() - ONE_DAY)

    def _is_on(self, day: date) -> bool:
        return day.weekday() in self.weekdays and day.month - 1 in self.months


def window_of(text: str) -> Window:
    """Of `[MONTHS] [DAYS] [HH:MM-HH:MM]`, each part once; what is left out holds always. Raises ValueError."""
    found: dict[str, frozenset[int] | tuple[int, int]] = {}
    for word in text.split():
        kind, value = _part(word)
        if kind in found:
            raise ValueError(f"{shown(word)} is the second of its kind; give {kind} once")
        found[kind] = value
    window = Window()
    for kind, value in found.items():
        if isinstance(value, tuple):
            window = window._replace(begin_minute=value[0], end_minute=value[1])
        elif kind == "the days":
            window = window._replace(weekdays=value)
        else:
            window = window._replace(months=value)
    return window


def windowed(text: str, example: str) -> tuple[Window, str]:
    """Of `WINDOW = VALUE`, or `VALUE` alone for always: the window, and the value as it stands there.

    Raises ValueError, whose text has `example` for a value.
    """
    if len(text) > TEXT_MAX:
        raise ValueError(f"{shown(text)} is longer than {TEXT_MAX} characters; write it shorter")
    when, mark, value = text.rpartition("=")
    if not value.strip():
        raise ValueError(f"{shown(text)} has no value; write Mon-Fri 17:00-20:00 = {example}")
    return window_of(when if mark else ""), value.strip()


def _part(word: str) -> tuple[str, frozenset[int] | tuple[int, int]]:
    clock = CLOCK.fullmatch(word)
    if clock is not None:
        return "the time", _minutes(word, *(int(part) for part in clock.groups()))
    for kind, names in (("the days", DAYS), ("the months", MONTHS)):
        numbers = _numbers(word, names)
        if numbers is not None:
            return kind, numbers
    raise ValueError(
        f"{shown(word)} is no part of a week; write days as Mon-Fri or Sat,Sun, times as 17:00-20:00, months as Oct-Mar"
    )


def _minutes(word: str, hour: int, minute: int, end_hour: int, end_minute: int) -> tuple[int, int]:
    begin, end = hour * 60 + minute, end_hour * 60 + end_minute
    if minute > 59 or end_minute > 59 or begin >= DAY_MINUTES or end > DAY_MINUTES:
        raise ValueError(f"{word!r} is no time of a day; write 00:00 to 24:00")
    if begin == end:
        raise ValueError(f"{word!r} is empty; write 00:00-24:00 for the whole day")
    return begin, end


def _numbers(word: str, names: Sequence[str]) -> frozenset[int] | None:
    """`Mon-Wed,Sat`; a range may go over the end: `Oct-Mar`. None where the word is of none of them."""
    known = {name.casefold(): number for number, name in enumerate(names)}
    numbers: set[int] = set()
    for part in word.casefold().split(","):
        first, mark, last = part.partition("-")
        if first not in known or (mark and last not in known):
            return None
        begin, end = known[first], known[last if mark else first]
        numbers.update(range(begin, end + 1) if begin <= end else (*range(begin, len(names)), *range(end + 1)))
    return frozenset(numbers)
