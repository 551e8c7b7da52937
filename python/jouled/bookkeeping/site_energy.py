"""Sums of a site's readings by quarter-hours and local days: written with the readings, read instead of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Label, case, func, select
from sqlalchemy.exc import DataError, IntegrityError

from jouled.books import calendar
from jouled.books.emissions import is_counted
from jouled.errors import InvalidError
from jouled.store.schema.readings import energy_readings, site_energy
from jouled.store.schema.sites import sites
from jouled.store.types import instant, microseconds

QUARTER_HOUR_US = 900_000_000
# A sum of sums goes beyond 64 bits where no cell does: it is added in two halves.
HALF = 1_000_000


class Key(NamedTuple):
    """Where a sum stands."""

    site_id: str
    resolution_s: int
    start_us: int
    energy_source: str
    direction: str


class Cell(NamedTuple):
    """What a quarter-hour or a day holds, or what is added to it."""

    energy_mj: int
    emission_ug: int
    readings: int
    estimated_readings: int


class Sum(NamedTuple):
    """Of one source and direction, over a range."""

    energy_source: str
    direction: str
    energy_mj: int
    emission_ug: int
    readings: int
    estimated_readings: int


_ADD = (
    f"INSERT INTO {site_energy.name} (site_id, resolution_s, start_at, energy_source, direction, energy_mj, emission_ug,"  # noqa: S608  (all of it is ours)
    " readings, estimated_readings) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (site_id, resolution_s, start_at, energy_source, direction) DO UPDATE SET "
    + ", ".join(f"{name} = {site_energy.name}.{name} + excluded.{name}" for name in Cell._fields)
)


def add(connection: Connection, quarter_hours: Mapping[Key, Cell], zones: Mapping[str, ZoneInfo]) -> dict[Key, Cell]:
    """Quarter-hours, and the days that they are part of. Returns the days. Raises InvalidError beyond 1.2 TWh."""
    if not quarter_hours:
        # Of readings of quality bad alone; a statement without rows is not one of none for either driver.
        return {}
    days = _days(quarter_hours, zones)
    rows = [(*key, *cell) for cells in (quarter_hours, days) for key, cell in sorted(cells.items())]
    statement = _ADD if connection.dialect.name == "sqlite" else _ADD.replace("?", "%s")
    try:
        connection.exec_driver_sql(statement, rows)
    except (IntegrityError, DataError, OverflowError):
        raise InvalidError(
            "the site's sum of a day would be above 1.2 TWh or a gigatonne; are the readings in another unit?"
        ) from None
    return days


def _days(quarter_hours: Mapping[Key, Cell], zones: Mapping[str, ZoneInfo]) -> dict[Key, Cell]:
    starts: dict[tuple[str, int], int] = {}
    days: dict[Key, Cell] = {}
    for key, cell in quarter_hours.items():
        place = key.site_id, key.start_us
        if place not in starts:
            starts[place] = microseconds(calendar.day(instant(key.start_us), zones[key.site_id]).start)
        day = key._replace(resolution_s=calendar.DAY_S, start_us=starts[place])
        before = days.get(day)
        days[day] = cell if before is None else Cell(*map(sum, zip(before, cell, strict=True)))
    return days


def kept() -> tuple[Label[Any], ...]:
    """What a site's sums begin with, as columns of a query of sites."""
    table = site_energy.c
    return tuple(
        select(func.min(table.start_at))
        .where(table.site_id == sites.c.id, table.resolution_s == resolution_s)
        .correlate(sites)
        .scalar_subquery()
        .label(name)
        for name, resolution_s in (("first_day", calendar.DAY_S), ("first_quarter_hour", calendar.QUARTER_HOUR_S))
    )


def sums(connection: Connection, site_id: str, start: datetime, end: datetime, zone: ZoneInfo) -> list[Sum]:
    """Exact over any half-open range, by source and direction, without a row where nothing was read."""
    total: dict[tuple[str, str], list[int]] = {}
    for span in calendar.spans(start, end, zone):
        for row in connection.execute(_of(span, site_id)):
            cell = total.setdefault((row.energy_source, row.direction), [0, 0, 0, 0])
            cell[0] += int(row.energy_high) * HALF + int(row.energy_low)
            cell[1] += int(row.emission_high) * HALF + int(row.emission_low)
            cell[2] += int(row.readings)
            cell[3] += int(row.estimated_readings)
    return [Sum(*names, *cell) for names, cell in sorted(total.items())]


def _of(span: calendar.Span, site_id: str) -> Any:
    if span.resolution_s is None:
        table: Any = energy_readings
        within = [table.c.at >= span.start, table.c.at < span.end, table.c.quality != "bad"]
        counts = (
            func.count().label("readings"),
            func.sum(case((table.c.quality == "estimated", 1), else_=0)).label("estimated_readings"),
        )
    else:
        table = site_energy
        within = [
            table.c.resolution_s == span.resolution_s,
            table.c.start_at >= span.start,
            table.c.start_at < span.end,
        ]
        counts = (
            func.sum(table.c.readings).label("readings"),
            func.sum(table.c.estimated_readings).label("estimated_readings"),
        )
    return (
        select(
            table.c.energy_source,
            table.c.direction,
            func.sum(table.c.energy_mj // HALF).label("energy_high"),
            func.sum(table.c.energy_mj % HALF).label("energy_low"),
            func.sum(table.c.emission_ug // HALF).label("emission_high"),
            func.sum(table.c.emission_ug % HALF).label("emission_low"),
            *counts,
        )
        .where(table.c.site_id == site_id, *within)
        .group_by(table.c.energy_source, table.c.direction)
    )


def counted_mj(rows: Iterable[Sum]) -> int:
    """The energy that the emission of the same range is of."""
    return sum(row.energy_mj for row in rows if is_counted(row.energy_source, row.direction, "good"))
