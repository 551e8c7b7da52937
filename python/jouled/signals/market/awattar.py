"""aWATTar: hourly day-ahead prices of Germany and Austria; no key.

https://api.awattar.de/v1/marketdata?start=&end= in milliseconds. Still hours, where the auction has quarters.
"""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Self

from msgspec import Struct

from jouled.books.prices import Series, day_bounds
from jouled.http import AnswerError, Http
from jouled.signals.answers import decoded, instant_of_unix_ms
from jouled.signals.market.provider import CET, Parameter, Request
from jouled.signals.market.slots import Origin, Point, per_mwh, series_of, unit_of

NAME = "awattar"
URLS = {"AT": "https://api.awattar.at", "DE-LU": "https://api.awattar.de"}


class _Value(Struct, frozen=True):
    start_timestamp: int
    end_timestamp: int
    marketprice: Decimal | None
    unit: str


class _Answer(Struct, frozen=True):
    data: list[_Value]


class Awattar:
    """One request a day of delivery; about a hundred a day are welcome."""

    name = NAME
    description = "hourly day-ahead prices of AT and DE-LU; no key; fair use, about 100 requests a day"
    parameters: tuple[Parameter, ...] = ()
    zones: tuple[str, ...] = tuple(URLS)
    timezone = CET
    published = time(14, 0)
    notice: str | None = None

    def __init__(self, http: Http, zone: str, url: str | None = None) -> None:
        self._http = http
        self._zone = zone
        self._url = url or URLS[zone]

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:
        return cls(http, request.zone, request.url)

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        start, end = day_bounds(delivery_day, CET)
        params = {"start": _unix_ms(start), "end": _unix_ms(end)}
        answer = await self._http.get(f"{self._url}/v1/marketdata", params=params)
        return parse(answer.body, Origin(NAME, self._zone, delivery_day, CET, now, answer.where))


def parse(body: bytes, origin: Origin) -> Series:
    values = decoded(body, _Answer, origin.where).data
    units = sorted({value.unit for value in values})
    if len(units) > 1:
        raise AnswerError(f"{origin.where}: {len(units)} units in one answer; none of it is used")
    currency, factor = unit_of(units[0] if units else "EUR/MWh", origin.where)
    points = (
        Point(
            instant_of_unix_ms(value.start_timestamp, origin.where),
            per_mwh(value.marketprice, factor, origin.where),
            instant_of_unix_ms(value.end_timestamp, origin.where),
        )
        for value in values
    )
    return series_of(points, origin._replace(currency=currency), body)


def _unix_ms(at: datetime) -> str:
    return str(int(at.timestamp()) * 1000)
