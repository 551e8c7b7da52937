"""PowerHive's aggregator: one reading of a plant, with its sources, each with its time and whether it could be read.

Its fields are called `_mw` whatever they hold: what they are in is for the settings to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import httpx2
from msgspec import Struct, field

from jouled.balance.site.supply import Reading
from jouled.http import AnswerError
from jouled.signals.answers import decoded, excerpt, instant_of_text
from jouled.signals.plant.asked import Asked, refuse
from jouled.signals.plant.protocol import NAME_CHARS_MAX, SOURCES_MAX, WATTS, Secrets

SUCCESS = "success"
# By so much its sources may differ from when it says that it read them.
SKEW = timedelta(seconds=60)
# By more than that its own total is another one than the sum of its sources.
TOTAL_SLACK = 0.02


class _Source(Struct, frozen=True):
    source_timestamp: str | None = None
    status: str | None = None
    value_mw: float | None = None


class _Totals(Struct, frozen=True):
    generation_mw: float | None = None
    consumption_mw: float | None = None
    exported_mw: float | None = None


class _Trust(Struct, frozen=True):
    confidence_score: float | None = None
    status: str | None = None
    summary: str | None = None


class _Reading(Struct, frozen=True):
    id: int | str | None = None
    plant_id: str | None = None
    collection_timestamp: str | None = None
    generation: dict[str, _Source] = field(default_factory=dict)
    consumption: dict[str, _Source] | None = None
    totals: _Totals | None = None
    trust: _Trust | None = None


class _Answer(Struct, frozen=True):
    reading: _Reading


class _Side(NamedTuple):
    """Generation or consumption: what could be read of it, in the feed's numbers, and what was left out."""

    values: dict[str, float]
    times: tuple[datetime, ...]
    left_out: tuple[str, ...]


class Aggregator:
    """Asks `GET {url}?plant_id=ID` with the bearer key."""

    def __init__(
        self,
        url: str,
        plant: str,
        unit: str,
        secrets: Secrets,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.where = f"{url} plant {plant}"
        self._plant = plant
        self._unit = unit
        self._asked = Asked(url, secrets, transport=transport)

    def __repr__(self) -> str:
        return f"<Aggregator {self.where}>"

    async def fetch(self, now: datetime) -> Reading:  # noqa: ARG002  (its times are its own)
        body, where = await self._asked.body({"plant_id": self._plant})
        return parse(body, where, plant=self._plant, unit=self._unit)

    async def aclose(self) -> None:
        await self._asked.aclose()


def parse(body: bytes, where: str, *, plant: str | None, unit: str) -> Reading:
    """In watts. Raises AnswerError."""
    said = decoded(body, _Answer, where).reading
    if plant is not None and said.plant_id not in {None, plant}:
        refuse(where, f"it is of plant {excerpt(said.plant_id)!r}, not of {plant!r}")
    generation = _side(said.generation, where)
    consumption = _side(said.consumption or {}, where)
    totals, scale = said.totals or _Totals(), WATTS[unit]
    generation_mw, notes = _generation(generation, totals, where)
    collected_at = None if said.collection_timestamp is None else instant_of_text(said.collection_timestamp, where)
    sourced_at, skew = _oldest((*generation.times, *consumption.times), collected_at, where)
    exported = totals.exported_mw
    used = {"generation": generation, "consumption": consumption}
    consumed = _consumption(said, consumption, totals)
    return Reading(
        generation_w=generation_mw * scale,
        sourced_at=sourced_at,
        consumption_w=None if consumed is None else consumed * scale,
        exported_w=None if exported is None else exported * scale,
        confidence=None if said.trust is None else said.trust.confidence_score,
        id=None if said.id is None else str(said.id)[:NAME_CHARS_MAX],
        sources=tuple((side, name, value * scale) for side, one in used.items() for name, value in one.values.items()),
        collected_at=collected_at,
        notes=(*notes, *generation.left_out, *consumption.left_out, *skew),
    )


def _side(sources: Mapping[str, _Source], where: str) -> _Side:
    """Those that could be read. One without a value or a time could not, whatever its status says."""
    if len(sources) > SOURCES_MAX:
        refuse(where, f"{len(sources)} sources are more than {SOURCES_MAX}")
    values: dict[str, float] = {}
    times: list[datetime] = []
    left_out: list[str] = []
    for key, source in sources.items():
        name = excerpt(key, NAME_CHARS_MAX)
        if source.status != SUCCESS:
            left_out.append(f"{name} is left out: its status is {excerpt(source.status)}")
        elif source.value_mw is None:
            left_out.append(f"{name} is left out: it has no value")
        elif source.source_timestamp is None:
            left_out.append(f"{name} is left out: nobody knows from when it is")
        else:
            times.append(instant_of_text(source.source_timestamp, where))
            values[name] = source.value_mw
    return _Side(values, tuple(times), tuple(left_out))


def _generation(side: _Side, totals: _Totals, where: str) -> tuple[float, tuple[str, ...]]:
    """The sum of its sources; where its own total is lower, that. Without any source it is not known."""
    if not side.values:
        if side.left_out:
            refuse(where, f"none of its sources of generation can be used: {'; '.join(side.left_out[:3])}")
        if totals.generation_mw is None:
            refuse(where, "it tells no generation")
        return totals.generation_mw, ()
    total = sum(side.values.values())
    if side.left_out or totals.generation_mw is None:
        return total, ()
    if abs(total - totals.generation_mw) <= TOTAL_SLACK * max(abs(total), abs(totals.generation_mw)):
        return total, ()
    note = f"its sources give {total:g} together and its total says {totals.generation_mw:g}: the lower one counts"
    return min(total, totals.generation_mw), (note,)


def _consumption(said: _Reading, side: _Side, totals: _Totals) -> float | None:
    """Of what draws from the same supply the higher one counts: a source that is left out may be in the total."""
    told = [totals.consumption_mw] if totals.consumption_mw is not None else []
    if side.values or (said.consumption is not None and not side.left_out and not told):
        told.append(sum(side.values.values()))
    return max(told, default=None)


def _oldest(times: tuple[datetime, ...], collected_at: datetime | None, where: str) -> tuple[datetime, tuple[str, ...]]:
    """The oldest of all, and what is odd about them. When it was fetched is no time of it."""
    known = times if collected_at is None else (*times, collected_at)
    if not known:
        raise AnswerError(f"{where}: nobody knows from when it is; nothing of it is used")
    oldest = min(known)
    if collected_at is not None and times and max(abs(collected_at - at) for at in times) > SKEW:
        apart_s = max(abs((collected_at - at).total_seconds()) for at in times)
        return oldest, (f"its sources are up to {apart_s:.0f} s apart from its collection: the oldest time counts",)
    return oldest, ()
