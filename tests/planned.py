"""Markets, carbon and days for tests of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from jouled.balance.strategies import Point
from jouled.books.intensity import Slot as CarbonSlot
from jouled.books.prices import Series, Slot, day_bounds

BERLIN = "Europe/Berlin"
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    """`2026-03-01 12:00` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(
    day: date, prices: Sequence[object], volumes: Sequence[object] = (), length: timedelta = QUARTER
) -> list[Slot]:
    """From the day's first instant on; None is missing."""
    start, _ = day_bounds(day, BERLIN)
    made = []
    for index, price in enumerate(prices):
        volume = volumes[index] if index < len(volumes) else None
        first = start + index * length
        made.append(Slot(first, first + length, _decimal(price), _decimal(volume)))
    return made


def series(
    day: date,
    prices: Sequence[object],
    volumes: Sequence[object] = (),
    length: timedelta = QUARTER,
    product: str = "day-ahead",
) -> Series:
    made = tuple(slots(day, prices, volumes, length))
    return Series("mock", "DE-LU", product, day, BERLIN, "EUR", made, at("2026-01-01 00:00"), "0" * 64)


def quarters(day: date) -> int:
    start, end = day_bounds(day, BERLIN)
    return (end - start) // QUARTER


def points(values: Sequence[object], start: str = "2026-03-02 00:00", length: timedelta = HOUR) -> list[Point]:
    first = at(start)
    return [
        Point(first + index * length, first + (index + 1) * length, _decimal(value))
        for index, value in enumerate(values)
    ]


def grams(values: Sequence[int], start: datetime, length: timedelta = HOUR) -> tuple[CarbonSlot, ...]:
    return tuple(
        CarbonSlot(
            "DE",
            "average",
            start + index * length,
            start + (index + 1) * length,
            value * 1_000_000,
            "file",
            is_forecast=True,
            quality="good",
            fetched_at=start,
        )
        for index, value in enumerate(values)
    )


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
