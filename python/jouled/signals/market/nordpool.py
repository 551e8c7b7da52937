"""Nord Pool's data portal: day-ahead prices of Northern and Western Europe; no key.

https://dataportal-api.nordpoolgroup.com/api/DayAheadPrices?date=&market=DayAhead&deliveryArea=NL&currency=EUR:
an undocumented interface whose terms are not clear, so nothing uses it unless it is named. The date is that
of CET; 204 where it is not published yet.
"""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Self

from msgspec import Struct, field

from jouled.books.prices import Quality, Series
from jouled.http import AnswerError, Http
from jouled.signals.answers import decoded, excerpt, instant_of_text
from jouled.signals.market.provider import CET, Parameter, Request
from jouled.signals.market.slots import Origin, Point, series_of

NAME = "nordpool"
URL = "https://dataportal-api.nordpoolgroup.com"
MARKET = "DayAhead"
# What the portal calls them where it has a name of its own.
AREAS = {
    **{zone: zone for zone in ("AT", "BE", "BG", "DK1", "DK2", "EE", "FI", "FR", "LT", "LV", "NL", "PL")},
    **{zone: zone for zone in ("NO1", "NO2", "NO3", "NO4", "NO5", "SE1", "SE2", "SE3", "SE4")},
    "DE-LU": "GER",
}
CURRENCIES = ("EUR", "DKK", "NOK", "PLN", "SEK")
REVISION_MAX = 1_000_000


class _Entry(Struct, frozen=True, rename="camel"):
    delivery_start: str
    delivery_end: str
    entry_per_area: dict[str, Decimal | None]


class _State(Struct, frozen=True):
    state: str
    areas: list[str]


class _Answer(Struct, frozen=True, rename="camel"):
    delivery_date: str = field(name="deliveryDateCET")
    market: str
    currency: str
    multi_area_entries: list[_Entry]
    area_states: list[_State] = []
    version: int = 1


class NordPool:
    """One request a day of delivery."""

    name = NAME
    description = "day-ahead prices of Northern and Western Europe; no key; an undocumented interface, terms unclear"
    parameters: tuple[Parameter, ...] = (Parameter("currency", "What prices are given in.", "EUR", allowed=CURRENCIES),)
    zones: tuple[str, ...] = tuple(sorted(AREAS))
    timezone = CET
    published = time(12, 50)
    notice: str | None = "the terms of nordpool's data portal are not clear; ask Nord Pool before more than private use"

    def __init__(self, http: Http, zone: str, currency: str = "EUR", url: str | None = None) -> None:
        self._http = http
        self._zone = zone
        self._currency = currency
        self._url = url or URL

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:
        return cls(http, request.zone, request.parameters.get("currency", "EUR"), request.url)

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        params = {
            "date": delivery_day.isoformat(),
            "market": MARKET,
            "deliveryArea": AREAS[self._zone],
            "currency": self._currency,
        }
        answer = await self._http.get(f"{self._url}/api/DayAheadPrices", params=params)
        return parse(
            answer.body, Origin(NAME, self._zone, delivery_day, CET, now, answer.where, currency=self._currency)
        )


def parse(body: bytes, origin: Origin) -> Series:
    """Of one area; whatever is of others is left out."""
    answer = decoded(body, _Answer, origin.where)
    asked = (origin.delivery_day.isoformat(), MARKET, origin.currency)
    came = (answer.delivery_date, answer.market, answer.currency)
    for wanted, got in zip(asked, came, strict=True):
        if wanted != got:
            raise AnswerError(f"{origin.where}: the answer is of {excerpt(got)!r}, not {wanted!r}; none of it is used")
    if not 0 <= answer.version <= REVISION_MAX:
        raise AnswerError(f"{origin.where}: {excerpt(answer.version)} is no version; none of it is used")
    area = AREAS[origin.zone]
    points = (
        Point(
            instant_of_text(entry.delivery_start, origin.where),
            entry.entry_per_area.get(area),
            instant_of_text(entry.delivery_end, origin.where),
        )
        for entry in answer.multi_area_entries
    )
    return series_of(points, origin, body, revision=answer.version, quality=_quality(answer, area))


def _quality(answer: _Answer, area: str) -> Quality:
    """Final only where the portal says so and nothing else."""
    states = {state.state.lower() for state in answer.area_states if area in state.areas}
    return "final" if states == {"final"} else "preliminary"
