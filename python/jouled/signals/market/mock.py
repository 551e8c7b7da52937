"""The original's mock: a day made of three waves, the same every day; for trying things out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Self

from jouled.books.prices import Series
from jouled.http import Http
from jouled.signals.market.provider import Parameter, Request
from jouled.signals.market.rows import QUARTER, quarters
from jouled.signals.market.slots import Origin, Point, series_of

NAME = "mock"


class Mock:
    """Quarter-hours of the site's day, by formula; nobody is asked."""

    name = NAME
    description = "made-up volumes and prices, the same every day by the site's clock; for tests; no key"
    parameters: tuple[Parameter, ...] = ()
    zones: tuple[str, ...] = ()
    published = time(0, 0)
    notice: str | None = "mock prices are made up; they are of no market"

    def __init__(self, zone: str, timezone: str) -> None:
        self.timezone = timezone
        self._zone = zone

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:  # noqa: ARG003  (the shape of all providers)
        return cls(request.zone, request.timezone)

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        origin = Origin(NAME, self._zone, delivery_day, self.timezone, now, NAME)
        points = [
            Point(at, price, at + QUARTER, volume)
            for at, hours in quarters(delivery_day, self.timezone)
            for volume, price in (values(hours),)
        ]
        return series_of(points, origin, printed(points), quality="estimated")


def values(hours: float) -> tuple[Decimal, Decimal]:
    """Volume in MWh and price in EUR/MWh at a local time; 14.5 is 14:30."""
    base = 70 + 30 * math.sin((hours - 6) * math.pi / 12)
    noise = 10 * math.sin(hours * math.pi / 3)
    volume = max(20.0, base + noise)
    price = max(10.0, 120 - (volume - 50) * 0.8 + 20 * math.sin(hours * math.pi / 2))
    return _rounded(volume, 1), _rounded(price, 2)


def printed(points: list[Point]) -> bytes:
    """What stands for the body of an answer where none came: equal values have an equal hash."""
    return "\n".join(_lines(points)).encode()


def _lines(points: list[Point]) -> Iterator[str]:
    for point in points:
        yield f"{point.start:%Y-%m-%dT%H:%MZ},{point.volume_mwh},{point.price}"


def _rounded(value: float, digits: int) -> Decimal:
    """Half away from zero; what comes here is above it."""
    return Decimal(math.floor(value * 10**digits + 0.5)).scaleb(-digits)
