"""Electricity Maps: average intensity, the last day's and now's; with a plan that has it, also forecast.

https://api.electricitymaps.com/v3/carbon-intensity/{latest,history,forecast}?zone=, header `auth-token`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from jouled.books.intensity import Slot
from jouled.http import AnswerError, Http, MissingError, RejectedError
from jouled.signals.answers import decoded
from jouled.signals.carbon.fetched import Fetched, Source, gathered
from jouled.signals.carbon.slots import Origin, Point, slots_of

NAME = "electricity-maps"
URL = "https://api.electricitymaps.com"
GRANULARITIES = {"hourly": 60, "30_minutes": 30, "15_minutes": 15, "5_minutes": 5}


class _Value(Struct, frozen=True, rename="camel"):
    datetime: Annotated[datetime, Meta(tz=True)]
    carbon_intensity: Decimal | None = None
    zone: str | None = None
    emission_factor_type: str | None = None
    is_estimated: bool = False
    temporal_granularity: str | None = None


class _Answer(Struct, frozen=True, rename="camel"):
    zone: str
    history: list[_Value] | None = None
    data: list[_Value] | None = None
    forecast: list[_Value] | None = None
    temporal_granularity: str | None = None


class ElectricityMaps:
    """Needs a token; the free plan is for one zone and knows no forecast."""

    name = NAME

    def __init__(self, http: Http, source: Source) -> None:
        self._http = http
        self._source = source
        self._forecast_not_before: datetime | None = None

    async def fetch(self, zone: str, now: datetime) -> Fetched:
        return await gathered(
            lambda: self._part(zone, now, "history"),
            lambda: self._part(zone, now, "latest"),
            lambda: self._forecast(zone, now),
        )

    async def _forecast(self, zone: str, now: datetime) -> list[Slot]:
        """A plan without it answers so each time: it is asked for once a day."""
        if self._forecast_not_before is not None and now < self._forecast_not_before:
            return []
        try:
            return await self._part(zone, now, "forecast")
        except (RejectedError, MissingError):
            self._forecast_not_before = now + timedelta(days=1)
            raise

    async def _part(self, zone: str, now: datetime, part: str) -> list[Slot]:
        answer = await self._http.get(
            f"{self._source.url or URL}/v3/carbon-intensity/{part}",
            params={"zone": zone},
            headers={"auth-token": self._source.token or ""},
        )
        origin = Origin(zone, "average", NAME, now, answer.where)
        return parse_latest(answer.body, origin) if part == "latest" else parse(answer.body, origin)


def parse_latest(body: bytes, origin: Origin) -> list[Slot]:
    """One value, which says how long it lasts."""
    value = decoded(body, _Value, origin.where)
    _check_zone(value.zone, origin)
    return slots_of([_point(value, origin)], origin, body, resolution=_resolution(value.temporal_granularity, origin))


def parse(body: bytes, origin: Origin) -> list[Slot]:
    """History, a past range, or a forecast."""
    answer = decoded(body, _Answer, origin.where)
    _check_zone(answer.zone, origin)
    parts = [part for part in (answer.history, answer.data, answer.forecast) if part is not None]
    if len(parts) != 1:
        raise AnswerError(f"{origin.where}: neither history nor data nor forecast is in the answer")
    is_forecast = answer.forecast is not None
    points = [_point(value, origin)._replace(is_forecast=is_forecast) for value in parts[0]]
    resolution = _resolution(answer.temporal_granularity, origin) if answer.temporal_granularity else None
    return slots_of(points, origin, body, resolution=resolution)


def _point(value: _Value, origin: Origin) -> Point:
    # Direct emissions leave out what building and mining emit: half of a series must not be without.
    if value.emission_factor_type not in {None, "lifecycle"}:
        raise AnswerError(
            f"{origin.where}: {value.emission_factor_type!r} emissions came where lifecycle was asked for"
        )
    if value.zone not in {None, origin.zone}:
        _check_zone(value.zone, origin)
    return Point(value.datetime, value.carbon_intensity, quality="estimated" if value.is_estimated else "good")


def _check_zone(zone: str | None, origin: Origin) -> None:
    if zone != origin.zone:
        raise AnswerError(f"{origin.where}: the answer is of zone {zone!r}, not {origin.zone!r}; check carbon.zone")


def _resolution(granularity: str | None, origin: Origin) -> timedelta:
    minutes = GRANULARITIES.get(granularity or "hourly")
    if minutes is None:
        raise AnswerError(f"{origin.where}: granularity {granularity!r} is not known")
    return timedelta(minutes=minutes)
