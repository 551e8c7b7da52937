"""Energinet: average intensity of DK1 and DK2 by five minutes, measured and forecast; no key.

https://api.energidataservice.dk/dataset/{CO2Emis,CO2EmisProg}?filter={"PriceArea":["DK1"]}&start=
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, field

from jouled.books.intensity import Slot
from jouled.errors import ConfigError
from jouled.http import AnswerError, Http
from jouled.signals.answers import decoded, instant_of_text
from jouled.signals.carbon.fetched import Fetched, Source, gathered
from jouled.signals.carbon.slots import Origin, Point, slots_of

NAME = "energinet"
URL = "https://api.energidataservice.dk"
AREAS = ("DK1", "DK2")
# Three days of five minutes; of itself it gives a hundred.
ROWS_MAX = 900


class _Record(Struct, frozen=True):
    at: str = field(name="Minutes5UTC")
    area: str = field(name="PriceArea")
    g_per_kwh: Decimal | None = field(name="CO2Emission", default=None)


class _Answer(Struct, frozen=True):
    records: list[_Record]
    total: int | None = None


class Energinet:
    """Two datasets, one request each."""

    name = NAME

    def __init__(self, http: Http, source: Source) -> None:
        self._http = http
        self._url = source.url or URL

    async def fetch(self, zone: str, now: datetime) -> Fetched:
        return await gathered(
            lambda: self._part(zone, now, "CO2Emis", "now-P1D"), lambda: self._part(zone, now, "CO2EmisProg", "now")
        )

    async def _part(self, zone: str, now: datetime, dataset: str, start: str) -> list[Slot]:
        check_zone(zone)
        params = {"filter": json.dumps({"PriceArea": [zone]}), "start": start, "limit": str(ROWS_MAX)}
        answer = await self._http.get(f"{self._url}/dataset/{dataset}", params=params)
        origin = Origin(zone, "average", NAME, now, answer.where)
        return parse(answer.body, origin, is_forecast=dataset == "CO2EmisProg")


def check_zone(zone: str) -> None:
    if zone not in AREAS:
        raise ConfigError(f"carbon.zone {zone!r} is none of {NAME}; write {' or '.join(AREAS)}")


def parse(body: bytes, origin: Origin, *, is_forecast: bool) -> list[Slot]:
    answer = decoded(body, _Answer, origin.where)
    for record in answer.records:
        if record.area != origin.zone:
            raise AnswerError(f"{origin.where}: a record is of {record.area!r}, not {origin.zone!r}; none is used")
    points = [
        Point(instant_of_text(record.at, origin.where, is_utc=True), record.g_per_kwh, is_forecast=is_forecast)
        for record in answer.records
    ]
    return slots_of(points, origin, body)
