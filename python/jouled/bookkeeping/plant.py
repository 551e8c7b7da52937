"""The plant's readings: put in once, listed newest first."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select

from jouled.balance.site.supply import ACCEPTED, Reading
from jouled.bookkeeping.pages import cursor_of, place_of
from jouled.bookkeeping.upserts import upsert
from jouled.store.schema.plant import plant_readings
from jouled.wire.plant import PlantReading
from jouled.wire.problems import Page

TEXT_MAX = 512
# Of the sources, by their names: what a row holds is bounded whatever a feed sends.
SOURCES_MAX = 64
W_PER_KW = 1000.0
_TABLE = plant_readings.c


class Kept(NamedTuple):
    """A reading, and what was made of it."""

    plant: str
    recorded_at: datetime
    reading: Reading
    judgement: str
    problem: str | None
    stage: str
    supply_w: float | None
    is_first_of_minute: bool = False


def put(connection: Connection, kept: Kept) -> None:
    """The same again changes nothing."""
    reading = kept.reading
    statement = upsert(connection, plant_readings).values(
        plant=kept.plant[:128],
        recorded_at=kept.recorded_at,
        sourced_at=reading.sourced_at,
        collected_at=reading.collected_at,
        generation_w=finite(reading.generation_w),
        consumption_w=finite(reading.consumption_w),
        exported_w=finite(reading.exported_w),
        confidence=finite(reading.confidence),
        judgement=kept.judgement,
        problem=None if kept.problem is None else kept.problem[:TEXT_MAX],
        stage=kept.stage,
        supply_w=kept.supply_w,
        sources=[list(source) for source in reading.sources[:SOURCES_MAX] if finite(source[2]) is not None],
        is_first_of_minute=kept.is_first_of_minute,
    )
    connection.execute(statement.on_conflict_do_nothing(index_elements=["plant", "sourced_at", "judgement"]))


def listed(connection: Connection, *, plant: str, cursor: str | None, limit: int) -> Page[PlantReading]:
    """Newest first."""
    query = select(plant_readings).where(_TABLE.plant == plant[:128])
    if cursor is not None:
        query = query.where(_TABLE.seq < place_of(cursor, int))
    rows = connection.execute(query.order_by(_TABLE.seq.desc()).limit(limit + 1)).all()
    more = cursor_of(rows[limit - 1].seq) if len(rows) > limit else None
    found = tuple(shown(row.seq, _kept(row)) for row in rows[:limit])
    return Page(len(found), found, more)


def shown(number: int, kept: Kept) -> PlantReading:
    """In the words of the API."""
    reading = kept.reading
    generation_w, consumption_w = finite(reading.generation_w), finite(reading.consumption_w)
    available_w = None
    if generation_w is not None and consumption_w is not None:
        available_w = max(0.0, generation_w - consumption_w)
    return PlantReading(
        id=number,
        plant_id=kept.plant,
        total_generation=_kw(generation_w),
        total_container_consumption=_kw(consumption_w),
        available_power=_kw(available_w),
        generation_sources=_sources(reading, "generation"),
        consumption_sources=_sources(reading, "consumption"),
        recorded_at=kept.recorded_at,
        sourced_at=reading.sourced_at,
        collected_at=reading.collected_at,
        exported=_kw(finite(reading.exported_w)),
        confidence=finite(reading.confidence),
        accepted=kept.judgement == ACCEPTED,
        judgement=kept.judgement,
        problem=kept.problem,
        stage=kept.stage,
        supply_watts=kept.supply_w,
    )


def finite(value: float | None) -> float | None:
    """JSON and tables have no others."""
    return value if value is not None and math.isfinite(value) else None


def _sources(reading: Reading, side: str) -> dict[str, float]:
    return {name: round(power_w / W_PER_KW, 6) for of, name, power_w in reading.sources[:SOURCES_MAX] if of == side}


def _kw(power_w: float | None) -> float | None:
    return None if power_w is None else round(power_w / W_PER_KW, 6)


def _kept(row: Row[Any]) -> Kept:
    sources: Iterable[list[Any]] = row.sources
    reading = Reading(
        # What was no number is none either when it is read again.
        generation_w=math.nan if row.generation_w is None else row.generation_w,
        sourced_at=row.sourced_at,
        consumption_w=row.consumption_w,
        exported_w=row.exported_w,
        confidence=row.confidence,
        sources=tuple((str(side), str(name), float(power_w)) for side, name, power_w in sources),
        collected_at=row.collected_at,
    )
    return Kept(
        row.plant,
        row.recorded_at,
        reading,
        row.judgement,
        row.problem,
        row.stage,
        row.supply_w,
        row.is_first_of_minute,
    )
