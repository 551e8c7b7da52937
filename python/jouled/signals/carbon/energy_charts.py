"""Energy-Charts: average intensity of European countries, today's and forecast; no key.

https://api.energy-charts.info/co2eq?country=de: actual and forecast values beside each other, each null
where the other is known. Most countries' data is for private and internal use only.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from jouled.books.intensity import Slot
from jouled.errors import ConfigError
from jouled.http import AnswerError, Http
from jouled.signals.answers import decoded, instant_of_unix
from jouled.signals.carbon.fetched import Fetched, Source, gathered
from jouled.signals.carbon.slots import Origin, Point, slots_of

NAME = "energy-charts"
URL = "https://api.energy-charts.info"
COUNTRY = re.compile(r"[A-Za-z]{2}", re.ASCII)


class _Answer(Struct, frozen=True):
    unix_seconds: list[int] | None = None
    co2eq: list[Decimal | None] | None = None
    co2eq_forecast: list[Decimal | None] | None = None
    unit: str | None = None


class EnergyCharts:
    """One request for yesterday, today and tomorrow."""

    name = NAME

    def __init__(self, http: Http, source: Source) -> None:
        self._http = http
        self._url = source.url or URL

    async def fetch(self, zone: str, now: datetime) -> Fetched:
        return await gathered(lambda: self._slots(zone, now))

    async def _slots(self, zone: str, now: datetime) -> list[Slot]:
        check_zone(zone)
        day = timedelta(days=1)
        params = {"country": zone.lower(), "start": _unix(now - day), "end": _unix(now + day)}
        answer = await self._http.get(f"{self._url}/co2eq", params=params)
        return parse(answer.body, Origin(zone, "average", NAME, now, answer.where))


def check_zone(zone: str) -> None:
    if not COUNTRY.fullmatch(zone):
        raise ConfigError(f"carbon.zone {zone!r} is none of {NAME}; write a country as DE")


def parse(body: bytes, origin: Origin) -> list[Slot]:
    answer = decoded(body, _Answer, origin.where)
    # The answer names no unit as yet; should it begin to, another one must not be taken for this.
    unit = answer.unit
    if unit is not None and not unit.lower().replace(" ", "").startswith(("gco2eq/kwh", "gco2eqperkwh", "g/kwh")):
        raise AnswerError(f"{origin.where}: the unit is {unit!r}, not g/kWh; none of it is used")
    starts = [instant_of_unix(at, origin.where) for at in answer.unix_seconds or ()]
    actual, forecast = answer.co2eq, answer.co2eq_forecast
    if actual is None and forecast is None and starts:
        raise AnswerError(f"{origin.where}: neither co2eq nor co2eq_forecast is in the answer")
    none: list[Decimal | None] = [None] * len(starts)
    actual, forecast = none if actual is None else actual, none if forecast is None else forecast
    if not len(starts) == len(actual) == len(forecast):
        raise AnswerError(
            f"{origin.where}: {len(starts)} times, {len(actual)} values and {len(forecast)} forecasts; none is used"
        )
    points = [
        Point(start, guess if known is None else known, is_forecast=known is None)
        for start, known, guess in zip(starts, actual, forecast, strict=True)
    ]
    return slots_of(points, origin, body)


def _unix(at: datetime) -> str:
    return str(int(at.timestamp()))
