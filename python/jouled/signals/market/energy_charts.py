"""Energy-Charts: day-ahead prices of European bidding zones, by Fraunhofer ISE; no key.

https://api.energy-charts.info/price?bzn=DE-LU&start=2026-07-01&end=2026-07-01: times and prices beside each
other, 404 where the day is not published yet. Only some zones are free to use for everything.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Self

from msgspec import Struct

from jouled.books.prices import Series, day_bounds
from jouled.http import AnswerError, Http
from jouled.signals.answers import decoded, instant_of_unix
from jouled.signals.market.provider import CET, Parameter, Request
from jouled.signals.market.slots import Origin, Point, per_mwh, series_of, unit_of

NAME = "energy-charts"
URL = "https://api.energy-charts.info"
# CC BY 4.0; all others are for private and internal use only.
FREE = (
    *("AT", "BE", "CH", "CZ", "DE-LU", "DE-AT-LU", "DK1", "DK2", "FR", "HU", "IT-North", "NL", "NO2", "PL"),
    *("SE4", "SI"),
)
# The day that a date means there is the zone's own, which is not the auction's.
NOT_CET = ("BG", "EE", "FI", "GR", "LT", "LV", "PT", "RO")
PRIVATE = (
    *NOT_CET,
    *("ES", "HR", "IT-Calabria", "IT-Centre-North", "IT-Centre-South", "IT-SACOAC", "IT-SACODC", "IT-Sardinia"),
    *("IT-Sicily", "IT-South", "ME", "NO1", "NO2NSL", "NO3", "NO4", "NO5", "RS", "SE1", "SE2", "SE3", "SK"),
)


class _Answer(Struct, frozen=True):
    unix_seconds: list[int] | None
    price: list[Decimal | None] | None
    unit: str


class EnergyCharts:
    """One request a day of delivery."""

    name = NAME
    description = "day-ahead prices of Europe; no key; CC BY 4.0 for " + " ".join(FREE) + ", others for private use"
    parameters: tuple[Parameter, ...] = ()
    zones: tuple[str, ...] = tuple(sorted((*FREE, *PRIVATE)))
    timezone = CET
    published = time(12, 50)

    def __init__(self, http: Http, zone: str, url: str | None = None) -> None:
        self._http = http
        self._zone = zone
        self._url = url or URL

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:
        return cls(http, request.zone, request.url)

    @property
    def notice(self) -> str | None:
        if self._zone in FREE:
            return None
        return f"prices of {self._zone} from {NAME} are for private and internal use only"

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        params = {"bzn": self._zone, **range_of(self._zone, delivery_day)}
        answer = await self._http.get(f"{self._url}/price", params=params)
        return parse(answer.body, Origin(NAME, self._zone, delivery_day, CET, now, answer.where))


def range_of(zone: str, day: date) -> dict[str, str]:
    """The end is inclusive."""
    if zone not in NOT_CET:
        return {"start": day.isoformat(), "end": day.isoformat()}
    start, end = day_bounds(day, CET)
    return {"start": str(int(start.timestamp())), "end": str(int((end - timedelta(seconds=1)).timestamp()))}


def parse(body: bytes, origin: Origin) -> Series:
    answer = decoded(body, _Answer, origin.where)
    seconds, prices = answer.unix_seconds or [], answer.price or []
    if len(seconds) != len(prices):
        raise AnswerError(f"{origin.where}: {len(seconds)} times and {len(prices)} prices; none of it is used")
    currency, factor = unit_of(answer.unit, origin.where)
    points = (
        Point(instant_of_unix(at, origin.where), per_mwh(price, factor, origin.where))
        for at, price in zip(seconds, prices, strict=True)
    )
    return series_of(points, origin._replace(currency=currency), body)
