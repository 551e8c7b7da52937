"""Logged powers of the past: as they came while these are kept, then as means of minutes and longer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from jouled.bookkeeping.meter_energy import closed_until_us
from jouled.bookkeeping.meters import absent
from jouled.books.calendar import outside
from jouled.books.meters import DAY_S, MINUTE_S, QUARTER_HOUR_S
from jouled.errors import InvalidError
from jouled.store.schema.meters import meter_energy, meters, power_readings
from jouled.store.types import instant
from jouled.wire.devices import History, HistoryEntry

# Two days of a reading a second; more is asked for in parts, or with a resolution.
ENTRIES_MAX = 200_000
RESOLUTIONS_S = {"minute": MINUTE_S, "quarter-hour": QUARTER_HOUR_S, "day": DAY_S}


def history(
    connection: Connection,
    meter_id: str,
    start: datetime,
    end: datetime,
    *,
    resolution: str | None = None,
    limit: int = ENTRIES_MAX,
) -> History:
    """Oldest first. Without a resolution, readings; of a time whose readings are gone, minutes."""
    if connection.execute(select(meters.c.id).where(meters.c.id == meter_id)).one_or_none() is None:
        raise absent(meter_id)
    for at in (start, end):
        if (problem := outside(at)) is not None:
            raise InvalidError(problem)
    if start >= end:
        raise InvalidError("start_time must be before end_time")
    if resolution is not None:
        found = _periods(connection, _of(meter_id, RESOLUTIONS_S[resolution], start, end), limit)
    else:
        found = _readings(connection, meter_id, start, end, limit)
    if len(found) > limit:
        raise InvalidError(f"more than {limit} rows; ask for a shorter time, or with a resolution")
    return History(meter_id, start, end, len(found), tuple(found))


def _readings(connection: Connection, meter_id: str, start: datetime, end: datetime, limit: int) -> list[HistoryEntry]:
    closed_us = closed_until_us(connection, meter_id)
    old = []
    if closed_us is not None and start < instant(closed_us):
        raw_from = instant(closed_us)
        old = _periods(connection, _of(meter_id, MINUTE_S, start, min(end, raw_from)), limit)
    query = (
        select(power_readings)
        .where(power_readings.c.meter_id == meter_id, power_readings.c.at >= start, power_readings.c.at < end)
        .order_by(power_readings.c.at)
        .limit(limit + 1)
    )
    return [*old, *(_reading(row) for row in connection.execute(query))]


def _periods(connection: Connection, which: Select[Any], limit: int) -> list[HistoryEntry]:
    query = which.add_columns(meter_energy).order_by(meter_energy.c.start_at).limit(limit + 1)
    return [_period(row) for row in connection.execute(query)]


def _of(meter_id: str, resolution_s: int, start: datetime, end: datetime) -> Select[Any]:
    """Also the period in which `start` lies."""
    return select().where(
        meter_energy.c.meter_id == meter_id,
        meter_energy.c.resolution_s == resolution_s,
        meter_energy.c.start_at > start - timedelta(seconds=resolution_s),
        meter_energy.c.start_at < end,
    )


def total(connection: Connection, meter_id: str, start: datetime, end: datetime, resolution_s: int) -> Row[Any]:
    """Of the periods within a time, at its beginning of one."""
    cell = meter_energy.c
    query = _of(meter_id, resolution_s, start, end).add_columns(
        func.coalesce(func.sum(cell.energy_mj), 0).label("energy_mj"),
        func.coalesce(func.sum(cell.returned_mj), 0).label("returned_mj"),
        func.coalesce(func.sum(cell.covered_us), 0).label("covered_us"),
        func.coalesce(func.sum(cell.readings), 0).label("readings"),
        func.max(cell.power_max_w).label("power_max_w"),
        func.min(cell.charge_min_pct).label("charge_min_pct"),
    )
    return connection.execute(query).one()


def plain_mean_w(connection: Connection, meter_id: str, start: datetime, end: datetime) -> float | None:
    """For the readings that cover no time yet."""
    query = select(func.avg(power_readings.c.power_w)).where(
        power_readings.c.meter_id == meter_id, power_readings.c.at >= start, power_readings.c.at <= end
    )
    found = connection.execute(query).scalar()
    return None if found is None else float(found)


def _reading(row: Row[Any]) -> HistoryEntry:
    return HistoryEntry(
        meter_id=row.meter_id,
        timestamp=row.at,
        resolution_seconds=0,
        wattage=row.power_w,
        max_wattage=row.power_w,
        min_wattage=row.power_w,
        charge_pct=row.charge_pct,
        voltage=row.voltage_v,
        current_draw=row.current_a,
    )


def _period(row: Row[Any]) -> HistoryEntry:
    net_mj = row.energy_mj - row.returned_mj
    return HistoryEntry(
        meter_id=row.meter_id,
        timestamp=row.start_at,
        resolution_seconds=row.resolution_s,
        wattage=net_mj * 1000 / row.covered_us if row.covered_us else None,
        max_wattage=row.power_max_w,
        min_wattage=row.power_min_w,
        charge_pct=row.charge_min_pct,
        coverage_ratio=row.covered_us / (row.resolution_s * 1_000_000),
    )
