"""SMARD of the Bundesnetzagentur: day-ahead prices of Germany and its neighbours; no key; CC BY 4.0.

https://www.smard.de/app/chart_data/4169/DE-LU/index_quarterhour.json names weekly files by the milliseconds of
their beginnings; each holds pairs of milliseconds and price, null where it is not known yet.
"""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Self

from msgspec import Struct

from jouled.books.prices import Series, day_bounds
from jouled.http import Http, MissingError
from jouled.signals.answers import decoded, instant_of_unix_ms
from jouled.signals.market.provider import CET, Parameter, Request
from jouled.signals.market.slots import Origin, Point, series_of

NAME = "smard"
URL = "https://www.smard.de"
FILTERS = {"AT": 4170, "BE": 4996, "CH": 259, "DE-LU": 4169, "FR": 254, "NL": 256}
RESOLUTIONS = ("quarterhour", "hour")
# Weeks do not end where days do everywhere, and a new one begins with nulls.
WEEKS = 2


class _Index(Struct, frozen=True):
    timestamps: list[int]


class _Week(Struct, frozen=True):
    series: list[tuple[int, Decimal | None]]


class Smard:
    """An index and the last two weekly files that began before the day's end."""

    name = NAME
    description = "day-ahead prices of DE-LU and its neighbours; no key; CC BY 4.0, Bundesnetzagentur | SMARD.de"
    parameters: tuple[Parameter, ...] = (
        Parameter("resolution", "The length of slots.", "quarterhour", allowed=RESOLUTIONS),
    )
    zones: tuple[str, ...] = tuple(FILTERS)
    timezone = CET
    published = time(13, 0)
    notice: str | None = None

    def __init__(self, http: Http, zone: str, resolution: str = "quarterhour", url: str | None = None) -> None:
        self._http = http
        self._zone = zone
        self._resolution = resolution
        self._url = url or URL

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:
        return cls(http, request.zone, request.parameters.get("resolution", "quarterhour"), request.url)

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        number = FILTERS[self._zone]
        folder = f"{self._url}/app/chart_data/{number}/{self._zone}"
        index = await self._http.get(f"{folder}/index_{self._resolution}.json")
        origin = Origin(NAME, self._zone, delivery_day, CET, now, index.where)
        bodies: list[bytes] = []
        missing: MissingError | None = None
        for week in weeks(index.body, origin):
            try:
                answer = await self._http.get(f"{folder}/{number}_{self._zone}_{self._resolution}_{week}.json")
            except MissingError as error:  # the index may be ahead of its files
                missing = error
            else:
                origin = origin._replace(where=answer.where)
                bodies.append(answer.body)
        if missing is not None and not bodies:
            raise missing
        return parse(bodies, origin)


def weeks(body: bytes, origin: Origin) -> list[int]:
    """The milliseconds of the files that may hold the day. Raises MissingError where there are none."""
    stamps = decoded(body, _Index, origin.where).timestamps
    start, end = day_bounds(origin.delivery_day, origin.timezone)
    begun = sorted({stamp for stamp in stamps if instant_of_unix_ms(stamp, origin.where) < end})
    if not begun:
        raise MissingError(f"{origin.where}: no file reaches back to {start:%Y-%m-%d}; ask for a later day")
    return begun[-WEEKS:]


def parse(bodies: list[bytes], origin: Origin) -> Series:
    points = (
        Point(instant_of_unix_ms(at, origin.where), price)
        for body in bodies
        for at, price in decoded(body, _Week, origin.where).series
    )
    return series_of(points, origin, *bodies)
