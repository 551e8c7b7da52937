"""The original's static day, a triangle with its top at noon; or rows of one's own that hold on every day."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Self

import trio

from jouled.books.prices import Series
from jouled.errors import ConfigError
from jouled.http import Http
from jouled.signals.market.csv_file import read, rows_of
from jouled.signals.market.mock import printed
from jouled.signals.market.provider import Parameter, Request
from jouled.signals.market.rows import QUARTER, points_of_rows, quarters
from jouled.signals.market.slots import Origin, Point, series_of

NAME = "static"


class Static:
    """The same every day, by the site's clock; nobody is asked."""

    name = NAME
    description = "the same volumes and prices every day by the site's clock, its own or those of a file; no key"
    parameters: tuple[Parameter, ...] = (
        Parameter("file", "A CSV of Period,Volume (MWh),Price (€/MWh) that holds on every day.", ""),
    )
    zones: tuple[str, ...] = ()
    published = time(0, 0)
    notice: str | None = None

    def __init__(self, zone: str, timezone: str, path: Path | None = None) -> None:
        self.timezone = timezone
        self._zone = zone
        self._path = path
        self._limiter = trio.CapacityLimiter(1)

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:  # noqa: ARG003  (the shape of all providers)
        file = request.parameters.get("file", "")
        if file and not file.startswith("/"):
            raise ConfigError(f"market.parameters {NAME}.file: {file!r} is no path; write /PATH")
        return cls(request.zone, request.timezone, Path(file) if file else None)

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        origin = Origin(NAME, self._zone, delivery_day, self.timezone, now, NAME)
        if self._path is None:
            points = [
                Point(at, price, at + QUARTER, volume)
                for at, hours in quarters(delivery_day, self.timezone)
                for volume, price in (values(int(hours)),)
            ]
            return series_of(points, origin, printed(points), quality="estimated")
        body = await trio.to_thread.run_sync(read, self._path, limiter=self._limiter, abandon_on_cancel=True)
        where = str(self._path)
        table = rows_of(body, where)
        origin = origin._replace(where=where, currency=table.currency)
        return series_of(points_of_rows(table.rows, delivery_day, self.timezone), origin, body, quality="estimated")


def values(hour: int) -> tuple[Decimal, Decimal]:
    """Volume in MWh and price in EUR/MWh of a local hour."""
    volume = 30 + 2 * (hour if hour <= 12 else 24 - hour)
    return Decimal(volume), Decimal(120 - volume)
