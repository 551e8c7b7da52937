"""Ranges of time cut at the edges of windows of the week, on days of 23, 24 and 25 hours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jouled.config.windows import ONE_DAY, Window

# Clocks are put forward and back at quarter-hours, in all zones of today.
QUARTER_HOUR = timedelta(minutes=15)


class Piece(NamedTuple):
    """From `start` up to, and without, `end`."""

    start: datetime
    end: datetime


def cut(start: datetime, end: datetime, windows: Iterable[Window], timezone: str) -> Iterator[Piece]:
    """The range in pieces, in each of which each window either holds or does not."""
    for left, right in pairwise([start, *edges(start, end, windows, timezone), end]):
        yield Piece(left, right)


def edges(start: datetime, end: datetime, windows: Iterable[Window], timezone: str) -> list[datetime]:
    """The instants inside the range at which a window may begin or end to hold, in order."""
    zone = ZoneInfo(timezone)
    # Days and months of a window change at midnight.
    minutes = {minute for window in windows for minute in (window.begin_minute, window.end_minute)} | {0}
    found = {*_clock_instants(start, end, minutes, zone), *_clock_changes(start, end, zone)}
    return sorted(at for at in found if start < at < end)


def local_midnights(start: datetime, end: datetime, timezone: str) -> list[datetime]:
    """Those inside the range, without its ends."""
    return [at for at in _clock_instants(start, end, {0}, ZoneInfo(timezone)) if start < at < end]


def _clock_instants(start: datetime, end: datetime, minutes: Iterable[int], zone: ZoneInfo) -> Iterator[datetime]:
    """When clocks show these minutes of the day: twice where they are put back."""
    day, last = start.astimezone(zone).date() - ONE_DAY, end.astimezone(zone).date() + ONE_DAY
    wanted = sorted(minutes)
    while day <= last:
        for minute in wanted:
            local = datetime.combine(day, time(), zone) + timedelta(minutes=minute)
            for fold in (0, 1):
                yield local.replace(fold=fold).astimezone(UTC)
        day += ONE_DAY


def _clock_changes(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    at = start.replace(minute=start.minute // 15 * 15, second=0, microsecond=0)
    before = at.astimezone(zone).utcoffset()
    while at < end:
        at += QUARTER_HOUR
        offset = at.astimezone(zone).utcoffset()
        if offset != before:
            yield at
        before = offset
