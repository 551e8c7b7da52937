"""Rows of period, volume and price, as the original kept them: labels of local time become instants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jouled.books.prices import day_bounds
from jouled.http import AnswerError
from jouled.signals.answers import excerpt
from jouled.signals.market.slots import Point

LABEL = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)\s*[-\u2013]\s*([01]?\d|2[0-4]):([0-5]\d)", re.ASCII)
# Thousands may be separated, as `1,234.5`; a comma anywhere else makes no number.
NUMBER = re.compile(r"[-+]?(\d{1,3}(,\d{3})+|\d{1,12})(\.\d{1,12})?", re.ASCII)
# How tables say that there is none.
MISSING = ("", "-", "\u2013", "\u2014", "n/a", "null")
DAY = timedelta(days=1)
QUARTER = timedelta(minutes=15)
LENGTH_MAX = timedelta(hours=1)


class Row(NamedTuple):
    """One line; the values of one MWh and of the whole period. `where` names the line."""

    period: str
    volume_mwh: Decimal | None
    price: Decimal | None
    where: str


def points_of_rows(rows: Iterable[Row], day: date, timezone: str) -> Iterator[Point]:
    """In whatever order they are. Where the clock is set back the first of two equal labels is the earlier one.

    A label that the day does not have, because the clock was set forward, is left out. Raises AnswerError.
    """
    zone = ZoneInfo(timezone)
    seen: dict[timedelta, list[Row]] = {}
    for row in rows:
        start, end = _period(row)
        before = seen.setdefault(start, [])
        if _is_twice(day, start, zone) and len(before) < 2:
            fold = len(before)
        elif not before or before[-1][:3] == row[:3]:
            fold = 0
        else:
            raise AnswerError(f"{row.where}: {row.period} is there already and says otherwise; give each period once")
        before.append(row)
        if _is_there(day, start, zone):
            yield _point(row, _instant(day, start, zone, fold), _instant(day, end, zone, fold), end - start)


def number(text: str, where: str) -> Decimal | None:
    """None where there is none; `-0.5`, `1,234.5`. Raises AnswerError."""
    stripped = text.strip().replace("\u2212", "-")
    if stripped.lower() in MISSING:
        return None
    if not NUMBER.fullmatch(stripped):
        raise AnswerError(f"{where}: {excerpt(text)!r} is no number; write it as -1234.5")
    return Decimal(stripped.replace(",", ""))


def label(start: datetime, end: datetime, timezone: str) -> str:
    """`14:30-14:45`, in local time; the day's last one ends at 24:00."""
    local = start.astimezone(ZoneInfo(timezone))
    since = timedelta(hours=local.hour, minutes=local.minute)
    return f"{_clock(since)}-{_clock(since + (end - start))}"


def quarters(day: date, timezone: str) -> Iterator[tuple[datetime, float]]:
    """Each quarter-hour of the day, 92, 96 or 100, with its local hour as a number: 14.5 for 14:30."""
    zone = ZoneInfo(timezone)
    at, end = day_bounds(day, timezone)
    while at < end:
        local = at.astimezone(zone)
        yield at, local.hour + local.minute / 60
        at += QUARTER


def _period(row: Row) -> tuple[timedelta, timedelta]:
    """Since local midnight, by the clock on the wall."""
    match = LABEL.fullmatch(row.period.strip()[:40])
    if match is None:
        raise AnswerError(f"{row.where}: {excerpt(row.period)!r} is no period; write it as 14:30-14:45")
    hour, minute, end_hour, end_minute = map(int, match.groups())
    start = timedelta(hours=hour, minutes=minute)
    end = timedelta(hours=end_hour, minutes=end_minute)
    if end == timedelta(0):
        end = DAY  # others write the last one 23:45-00:00
    if not start < end <= DAY:
        raise AnswerError(f"{row.where}: {excerpt(row.period)!r} ends before it begins; write it as 23:45-24:00")
    return start, end


def _point(row: Row, start: datetime, end: datetime, length: timedelta) -> Point:
    """Across a change of the clock the label's own length or its end may be right: the shorter one is."""
    end = min(end, start + length)
    if not timedelta(0) < end - start <= LENGTH_MAX:
        raise AnswerError(f"{row.where}: {excerpt(row.period)!r} is no period of at most an hour; write 14:30-14:45")
    return Point(start, row.price, end, row.volume_mwh)


def _local(day: date, since: timedelta, zone: ZoneInfo, fold: int) -> datetime:
    return datetime.combine(day, time()).__add__(since).replace(tzinfo=zone, fold=fold)


def _instant(day: date, since: timedelta, zone: ZoneInfo, fold: int) -> datetime:
    return _local(day, since, zone, fold).astimezone(UTC)


def _is_twice(day: date, since: timedelta, zone: ZoneInfo) -> bool:
    return _instant(day, since, zone, 1) > _instant(day, since, zone, 0)


def _is_there(day: date, since: timedelta, zone: ZoneInfo) -> bool:
    wall = _local(day, since, zone, 0)
    return wall.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None)


def _clock(since: timedelta) -> str:
    minutes = since // timedelta(minutes=1)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
