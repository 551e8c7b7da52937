"""UK Carbon Intensity: average intensity of Great Britain, a day back and a day ahead, by half-hours; no key.

`GB` is all of it, `GB-3` a region by its number, `GB-RG41` the region of a postcode. Regions are forecast only.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from jouled.books.intensity import Slot
from jouled.errors import ConfigError
from jouled.http import AnswerError, Http
from jouled.signals.answers import decoded, instant_of_text
from jouled.signals.carbon.fetched import Fetched, Source, gathered
from jouled.signals.carbon.slots import Origin, Point, slots_of

NAME = "uk-carbon-intensity"
URL = "https://api.carbonintensity.org.uk"
REGION = re.compile(r"GB-([1-9]|1[0-8])", re.ASCII)
POSTCODE = re.compile(r"GB-([A-Z]{1,2}[0-9][0-9A-Z]?)", re.ASCII)


class _Intensity(Struct, frozen=True):
    forecast: Decimal | None = None
    actual: Decimal | None = None


class _Value(Struct, frozen=True, rename={"from_": "from"}):
    from_: str
    to: str
    intensity: _Intensity


class _National(Struct, frozen=True):
    data: list[_Value]


class _Region(Struct, frozen=True):
    regionid: int
    data: list[_Value]
    postcode: str | None = None


class _Regional(Struct, frozen=True):
    data: _Region


class UkCarbonIntensity:
    """One request: 24 hours back, 24 ahead."""

    name = NAME

    def __init__(self, http: Http, source: Source) -> None:
        self._http = http
        self._url = source.url or URL

    async def fetch(self, zone: str, now: datetime) -> Fetched:
        return await gathered(lambda: self._slots(zone, now))

    async def _slots(self, zone: str, now: datetime) -> list[Slot]:
        answer = await self._http.get(f"{self._url}{path_of(zone, now)}")
        return parse(answer.body, Origin(zone, "average", NAME, now, answer.where))


def check_zone(zone: str) -> None:
    if zone != "GB" and not REGION.fullmatch(zone) and not POSTCODE.fullmatch(zone):
        raise ConfigError(f"carbon.zone {zone!r} is none of {NAME}; write GB, GB-1 to GB-18, or GB-RG41 for a postcode")


def path_of(zone: str, now: datetime) -> str:
    """Raises ConfigError for what is no zone."""
    check_zone(zone)
    since = f"{now - timedelta(days=1):%Y-%m-%dT%H:%MZ}"
    if zone == "GB":
        return f"/intensity/{since}/fw48h"
    if match := REGION.fullmatch(zone):
        return f"/regional/intensity/{since}/fw48h/regionid/{match[1]}"
    return f"/regional/intensity/{since}/fw48h/postcode/{zone.removeprefix('GB-')}"


def parse(body: bytes, origin: Origin) -> list[Slot]:
    if origin.zone == "GB":
        return slots_of([_point(value, origin.where) for value in _national(body, origin)], origin, body)
    region = decoded(body, _Regional, origin.where).data
    number, code = REGION.fullmatch(origin.zone), POSTCODE.fullmatch(origin.zone)
    is_other_region = number is not None and region.regionid != int(number[1])
    is_other_code = code is not None and region.postcode not in {None, code[1]}
    if is_other_region or is_other_code:
        raise AnswerError(f"{origin.where}: the answer is of region {region.regionid}, not {origin.zone!r}")
    return slots_of([_point(value, origin.where) for value in region.data], origin, body)


def _national(body: bytes, origin: Origin) -> list[_Value]:
    return decoded(body, _National, origin.where).data


def _point(value: _Value, where: str) -> Point:
    start, end = instant_of_text(value.from_, where), instant_of_text(value.to, where)
    actual, forecast = value.intensity.actual, value.intensity.forecast
    return Point(start, forecast if actual is None else actual, end, is_forecast=actual is None)
