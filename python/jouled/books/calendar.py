"""Days and periods of a site's own calendar, as instants: days of 23 and 25 hours are days.

All are half-open, and each begins where the one before it ends. A day begins at its local midnight; where
the clock shows midnight twice, at the first; where it never does, when the clock jumps over it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

PeriodKind = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]

QUARTER_HOUR = timedelta(minutes=15)
QUARTER_HOUR_S = 900
DAY_S = 86_400
ONE_DAY = timedelta(days=1)
# What the books can hold, with room for a day on both sides in every calendar.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)


class Period(NamedTuple):
    """Half-open, in UTC."""

    start: datetime
    end: datetime


class Span(NamedTuple):
    """A part of a range that sums of one resolution cover exactly; None are the records themselves."""

    resolution_s: int | None
    start: datetime
    end: datetime


def outside(at: datetime) -> str | None:
    """Why the books cannot hold an instant."""
    if EARLIEST <= at <= LATEST:
        return None
    return f"{at.isoformat()} is outside of the books; write a time from 1970 to 9000"


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a local day begins."""
    return datetime.combine(day, time(0), zone).astimezone(UTC)


def day_of(at: datetime, zone: ZoneInfo) -> date:
    """The local day that an instant belongs to. Clocks that are put back over midnight do not repeat a day."""
    day = at.astimezone(zone).date()
    while at >= midnight(day + ONE_DAY, zone):
        day += ONE_DAY
    while at < midnight(day, zone):
        day -= ONE_DAY
    return day


def day(at: datetime, zone: ZoneInfo) -> Period:
    which = day_of(at, zone)
    return Period(midnight(which, zone), midnight(which + ONE_DAY, zone))


def period(kind: PeriodKind, at: datetime, zone: ZoneInfo) -> Period:
    """The period of a kind that an instant belongs to. Weeks begin on Monday, as ISO 8601 has it."""
    first = _first_day(kind, day_of(at, zone))
    return Period(midnight(first, zone), midnight(_next_first_day(kind, first), zone))


def _first_day(kind: PeriodKind, which: date) -> date:
    if kind == "daily":
        return which
    if kind == "weekly":
        return which - timedelta(days=which.weekday())
    if kind == "monthly":
        return which.replace(day=1)
    if kind == "quarterly":
        return date(which.year, (which.month - 1) // 3 * 3 + 1, 1)
    return date(which.year, 1, 1)


def _next_first_day(kind: PeriodKind, first: date) -> date:
    if kind == "daily":
        return first + ONE_DAY
    if kind == "weekly":
        return first + timedelta(days=7)
    months = {"monthly": 1, "quarterly": 3, "yearly": 12}[kind]
    years, month = divmod(first.month - 1 + months, 12)
    return date(first.year + years, month + 1, 1)


def quarter_hour(at: datetime) -> datetime:
    """The beginning of its quarter-hour, which is the same in all zones of today."""
    return at.astimezone(UTC).replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


def spans(start: datetime, end: datetime, zone: ZoneInfo) -> list[Span]:
    """A range as the fewest sums: whole days, the quarter-hours around them, and records at its ends."""
    quarters = (quarter_hour_from(start), quarter_hour(end))
    if quarters[0] >= quarters[1]:
        return [Span(None, start, end)] if start < end else []
    days = (_midnight_from(quarters[0], zone), midnight(day_of(quarters[1], zone), zone))
    if days[0] >= days[1]:
        days = (quarters[1], quarters[1])
    parts = [
        Span(None, start, quarters[0]),
        Span(QUARTER_HOUR_S, quarters[0], days[0]),
        Span(DAY_S, days[0], days[1]),
        Span(QUARTER_HOUR_S, days[1], quarters[1]),
        Span(None, quarters[1], end),
    ]
    return [part for part in parts if part.start < part.end]


def quarter_hour_from(at: datetime) -> datetime:
    """The beginning of the first one that lies after it as a whole."""
    before = quarter_hour(at)
    return before if before == at else before + QUARTER_HOUR


def _midnight_from(at: datetime, zone: ZoneInfo) -> datetime:
    whole = day(at, zone)
    return whole.start if whole.start == at else whole.end
