"""Where on the clock an interval lies: the minutes it covers, whatever the clock does meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jouled.books import calendar

MINUTE_US = 60_000_000
QUARTER_HOUR_US = 15 * MINUTE_US
DAY_US = 24 * 60 * MINUTE_US
MINUTE_S, QUARTER_HOUR_S, DAY_S = 60, 900, 86_400
RESOLUTIONS_S = (MINUTE_S, QUARTER_HOUR_S, DAY_S)

# Two clocks that are read one after the other, and slewed, differ by less; what is more is a step.
STEP_US = 500_000
# An interval this many times as long as usual is a gap: how its energy was spread in time is a guess.
GAP_INTERVALS = 3

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017  (`UTC` would read as a setting of ours)


class Piece(NamedTuple):
    """A part of an interval within one minute: UTC microseconds since 1970."""

    minute_us: int
    from_us: int
    to_us: int


class Interval(NamedTuple):
    """Between two scans, on the clock as it was at its end. `is_guess`: there was a gap, or the clock was set."""

    from_us: int
    to_us: int
    is_guess: bool

    def pieces(self) -> list[Piece]:
        """By minutes; one of no length where the interval has none."""
        pieces = []
        start = self.from_us
        while True:
            minute = start - start % MINUTE_US
            end = min(self.to_us, minute + MINUTE_US)
            pieces.append(Piece(minute, start, end))
            if end >= self.to_us:
                return pieces
            start = end

    def part_after(self, at_us: int) -> float:
        """How much of it lies after an instant within it, 0 to 1."""
        length = self.to_us - self.from_us
        return (self.to_us - at_us) / length if length else 0.0


def interval(before_us: int | None, end_us: int, span_us: int, usual_us: int) -> Interval:
    """The interval of `span_us` (by a clock that nobody sets) that ended at `end_us`.

    It begins where the last one ended, unless the wall clock was set, or the machine slept: then it is the
    time before its end in which was measured. What lies back more than a day is put on its last day.
    """
    if before_us is None:
        return Interval(end_us, end_us, is_guess=False)
    is_step = abs(end_us - before_us - span_us) > STEP_US or end_us < before_us
    start = end_us - span_us if is_step else before_us
    is_gap = span_us > GAP_INTERVALS * usual_us
    return Interval(max(start, end_us - DAY_US), end_us, is_guess=is_step or is_gap)


def quarter_hour_of(minute_us: int) -> int:
    """When its quarter-hour began. All zones of time are whole quarter-hours away from UTC."""
    return minute_us - minute_us % QUARTER_HOUR_US


def day_of(minute_us: int, zone: ZoneInfo) -> int:
    """When its day began by the calendar of `zone`."""
    return _us(calendar.day(_EPOCH + timedelta(microseconds=minute_us), zone).start)


def day_length_us(day_us: int, zone: ZoneInfo) -> int:
    """To the begin of the next day: 23 to 25 hours where the clock is changed for summer, less where the day
    did not begin with its date.
    """
    return _us(calendar.day(_EPOCH + timedelta(microseconds=day_us), zone).end) - day_us


def _us(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


class Calendar(NamedTuple):
    """Whose days they are: since when, and whose before that."""

    timezone: str
    since_us: int | None = None
    before: str | None = None

    def changed(self, timezone: str, minute_us: int) -> Calendar:
        """To another one, with the next quarter-hour: what is summed up already stays as it is."""
        if timezone == self.timezone:
            return self
        if self.since_us is not None and self.before is not None and minute_us < self.since_us:
            return Calendar(timezone, self.since_us, self.before)
        return Calendar(timezone, quarter_hour_of(minute_us) + QUARTER_HOUR_US, self.timezone)

    def day_of(self, minute_us: int) -> int:
        if self.since_us is None or self.before is None:
            return day_of(minute_us, ZoneInfo(self.timezone))
        if minute_us < self.since_us:
            return day_of(minute_us, ZoneInfo(self.before))
        return max(self.since_us, day_of(minute_us, ZoneInfo(self.timezone)))
