"""What a report is of: its range, its coverage, its peak and its cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from jouled.books.emissions import MJ_PER_KWH
from jouled.errors import InvalidError

# Quarter-hours are kept for five years: beyond, a part of the range would silently be missing.
RANGE_MAX = timedelta(days=5 * 366)
LENGTHS = {
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=30),
    "quarterly": timedelta(days=91),
    "annual": timedelta(days=365),
    "custom": timedelta(days=7),
}
MICRO = Decimal("0.000001")
# A price is per kWh of consumption; this many of the quarter-hours of the hours that were read make them a series.
FILLED_RATIO = 0.9
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class Asked(NamedTuple):
    """A half-open range in UTC, and what it is called."""

    report_type: str
    start: datetime
    end: datetime


def asked(report_type: str | None, start: datetime | None, end: datetime | None, now: datetime) -> Asked:
    """What is left out: it ends now, and is as long as its type says, or a week. Raises InvalidError."""
    kind = report_type or ("weekly" if start is None else "custom")
    until = now if end is None else end
    if not EARLIEST <= until <= LATEST or not EARLIEST <= (start or until) <= LATEST:
        raise InvalidError("start_time or end_time is in a century without records")
    since = until - LENGTHS[kind] if start is None else start
    if since >= until:
        raise InvalidError(f"start_time {since.isoformat()} is not before end_time {until.isoformat()}")
    if until - since > RANGE_MAX:
        raise InvalidError(f"the range is longer than {RANGE_MAX.days} days, for which records are kept; ask for less")
    return Asked(kind, since.astimezone(UTC), until.astimezone(UTC))


def hours_between(start: datetime, end: datetime) -> int:
    """Hours of the clock that the range touches."""
    first = start.replace(minute=0, second=0, microsecond=0)
    return max(0, -((first - end) // timedelta(hours=1)))


def coverage(hours_read: int, start: datetime, end: datetime, now: datetime) -> float | None:
    """The part of the hours, as far as they have begun, in which there is a reading. None where none has begun."""
    hours = hours_between(start, min(end, now))
    return min(1.0, hours_read / hours) if hours else None


def is_quarter_hourly(quarters_read: int, hours_read: int) -> bool:
    """Whether a quarter-hour's energy is its own: of meters read every hour it is that of four."""
    return quarters_read >= FILLED_RATIO * 4 * hours_read if hours_read > 1 else quarters_read >= 4 * hours_read


def cost(consumption_mj: int, price_per_kwh: Decimal) -> Decimal:
    return (Decimal(consumption_mj) * price_per_kwh / MJ_PER_KWH).quantize(MICRO)
