"""Reads what nodes recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select

from jouled.bookkeeping.pages import PLACE_MAX, cursor_of, place_of
from jouled.books.minutes import DAY_S, MINUTE_S, QUARTER_HOUR_S, day_length_us
from jouled.errors import InvalidError
from jouled.store.schema.measured import nodes, workload_energy, workloads, zone_energy, zones
from jouled.store.types import instant, microseconds
from jouled.wire.problems import Page
from jouled.wire.records import Resolution, WorkloadRecord, ZoneRecord, ZoneTotal

RESOLUTIONS_S: dict[Resolution, int] = {"minute": MINUTE_S, "quarter-hour": QUARTER_HOUR_S, "day": DAY_S}
# What one question may span, and what it spans if it does not say: some tens of thousands of periods of each row.
LONGEST: dict[Resolution, timedelta] = {
    "minute": timedelta(days=31),
    "quarter-hour": timedelta(days=366),
    "day": timedelta(days=36_525),
}
USUAL: dict[Resolution, timedelta] = {
    "minute": timedelta(hours=1),
    "quarter-hour": timedelta(days=1),
    "day": timedelta(days=30),
}
# Workloads looked at in one statement.
_SOME = 500
# A day's record begins before the first minute of a workload in it.
_DAY = timedelta(days=1, hours=1)


class Range(NamedTuple):
    """Records that begin at `start` or later, and before `end`."""

    resolution: Resolution
    start: datetime
    end: datetime

    @property
    def resolution_s(self) -> int:
        return RESOLUTIONS_S[self.resolution]


def range_of(resolution: Resolution, start: datetime | None, end: datetime | None, now: datetime) -> Range:
    """Raises InvalidError for one that is empty or too long."""
    end = end or now
    try:
        start = start or end - USUAL[resolution]
    except OverflowError:
        raise InvalidError(f"to {end.isoformat()} is before all records") from None
    if start >= end:
        raise InvalidError(f"from {start.isoformat()} is not before to {end.isoformat()}; swap them")
    if end - start > LONGEST[resolution]:
        raise InvalidError(
            f"{(end - start).days} days of {resolution} records are too much for one question: at most "
            f"{LONGEST[resolution].days} days; ask for a part, or a coarser resolution"
        )
    return Range(resolution, start, end)


def zone_records(
    connection: Connection, within: Range, *, node: str | None, zone: str | None, cursor: str | None, limit: int
) -> Page[ZoneRecord]:
    """By zone, then by time."""
    query = (
        select(zone_energy, zones.c.node, zones.c.zone, zones.c.zone_index, zones.c.source)
        .join(zones, zones.c.id == zone_energy.c.zone_id)
        .where(*_within(zone_energy, within))
        .order_by(zone_energy.c.zone_id, zone_energy.c.start_at)
        .limit(limit + 1)
    )
    if node is not None:
        query = query.where(zones.c.node == node)
    if zone is not None:
        query = query.where(zones.c.zone == zone)
    if cursor is not None:
        zone_id, start = _place(cursor, *place_of(cursor, tuple[int, int]))
        later = or_(zone_energy.c.zone_id > zone_id, zone_energy.c.start_at > start)
        query = query.where(zone_energy.c.zone_id >= zone_id, later)
    rows = connection.execute(query).all()
    lengths = _Lengths(connection, within)
    items = tuple(_zone_record(row, lengths.of(row.node, row.start_at)) for row in rows[:limit])
    if len(rows) <= limit:
        return Page(len(items), items)
    last = rows[limit - 1]
    return Page(len(items), items, cursor_of((last.zone_id, microseconds(last.start_at))))


def _within(table: Any, within: Range) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.resolution_s == within.resolution_s,
        table.c.start_at >= within.start,
        table.c.start_at < within.end,
    )


def _place(cursor: str, row_id: int, start_us: int) -> tuple[int, datetime]:
    """Raises InvalidError for what no page gave out."""
    try:
        start = instant(start_us)
    except OverflowError:
        start = None
    if start is None or not 0 <= row_id < PLACE_MAX:
        raise InvalidError(f"cursor {cursor[:64]!r} is none; leave it out to begin anew")
    return row_id, start


class _Lengths:
    """How long periods are: days are those of each node's calendar."""

    def __init__(self, connection: Connection, within: Range) -> None:
        self._length_us = within.resolution_s * 1_000_000
        self._zones = {}
        if within.resolution == "day":
            for row in connection.execute(select(nodes.c.name, nodes.c.timezone)):
                self._zones[row.name] = ZoneInfo(row.timezone)

    def of(self, node: str, start: datetime) -> int:
        zone = self._zones.get(node)
        return self._length_us if zone is None else day_length_us(microseconds(start), zone)


def _zone_record(row: Row[Any], length_us: int) -> ZoneRecord:
    return ZoneRecord(
        node=row.node,
        zone=row.zone,
        index=row.zone_index,
        source=row.source,
        start=row.start_at,
        energy_joules=row.energy_mj / 1000,
        idle_joules=row.idle_mj / 1000,
        watts=_watts(row.energy_mj, row.covered_us),
        covered_seconds=row.covered_us / 1e6,
        coverage_ratio=_ratio(row.covered_us, length_us),
        quality=row.quality,
    )


def _watts(energy_mj: int, covered_us: int) -> float | None:
    return round(energy_mj * 1000 / covered_us, 6) if covered_us else None


def _ratio(covered_us: int, length_us: int) -> float:
    """A clock that was set back has measured the same minute twice."""
    return min(1.0, round(covered_us / length_us, 6))


class Wanted(NamedTuple):
    """Which workloads: of one level, and of one name and node where these are given."""

    level: str
    name: str | None
    node: str | None
    zone: str | None


def workload_records(
    connection: Connection, within: Range, wanted: Wanted, *, cursor: str | None, limit: int
) -> Page[WorkloadRecord]:
    """By workload, then by time and zone class."""
    after = None
    if cursor is not None:
        row_id, start_us, zone = place_of(cursor, tuple[int, int, str])
        after = (*_place(cursor, row_id, start_us), zone.replace("\0", ""))
    rows: list[tuple[Row[Any], Row[Any]]] = []
    for some in _workloads(connection, within, wanted, 0 if after is None else after[0]):
        by_id = {workload.id: workload for workload in some}
        found = _energy(connection, within, wanted, list(by_id), after=after, limit=limit + 1 - len(rows))
        rows += [(by_id[row.workload_id], row) for row in found]
        if len(rows) > limit:
            break
    shown = rows[:limit]
    covered = _Coverage(connection, within, shown)
    items = tuple(_workload_record(workload, row, covered) for workload, row in shown)
    if len(rows) <= limit:
        return Page(len(items), items)
    last = shown[-1][1]
    return Page(len(items), items, cursor_of((last.workload_id, microseconds(last.start_at), last.zone)))


def _workloads(connection: Connection, within: Range, wanted: Wanted, first_id: int) -> Iterator[Sequence[Row[Any]]]:
    """Those that were seen then, from an id on."""
    latest_first = _later(within.end, _DAY)
    query = (
        select(workloads)
        .where(workloads.c.level == wanted.level, workloads.c.last_at >= within.start)
        .where(workloads.c.first_at < latest_first)
        .order_by(workloads.c.id)
        .limit(_SOME)
    )
    if wanted.name is not None:
        query = query.where(workloads.c.name == wanted.name)
    if wanted.node is not None:
        query = query.where(workloads.c.node == wanted.node)
    while True:
        some = connection.execute(query.where(workloads.c.id >= first_id)).all()
        yield some
        if len(some) < _SOME:
            return
        first_id = some[-1].id + 1


def _later(at: datetime, by: timedelta) -> datetime:
    try:
        return at + by
    except OverflowError:
        return at


def _energy(
    connection: Connection,
    within: Range,
    wanted: Wanted,
    ids: list[int],
    *,
    after: tuple[int, datetime, str] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    if not ids:
        return ()
    energy = workload_energy.c
    query = (
        select(workload_energy)
        .where(energy.workload_id.in_(ids), *_within(workload_energy, within))
        .order_by(energy.workload_id, energy.start_at, energy.zone)
        .limit(limit)
    )
    if wanted.zone is not None:
        query = query.where(energy.zone == wanted.zone)
    if after is not None:
        workload_id, start, zone = after
        same_time = (energy.start_at == start) & (energy.zone > zone)
        query = query.where(or_(energy.workload_id > workload_id, energy.start_at > start, same_time))
    return connection.execute(query).all()


class _Coverage:
    """How much of each period the zones of a class were measured, at the nodes of some records."""

    def __init__(self, connection: Connection, within: Range, rows: Sequence[tuple[Row[Any], Row[Any]]]) -> None:
        self._lengths = _Lengths(connection, within)
        self._covered_us: dict[tuple[str, str, datetime], int] = {}
        if not rows:
            return
        starts = [row.start_at for _, row in rows]
        query = (
            select(zones.c.node, zones.c.zone, zone_energy.c.start_at, func.max(zone_energy.c.covered_us))
            .join(zones, zones.c.id == zone_energy.c.zone_id)
            .where(zones.c.node.in_({workload.node for workload, _ in rows}))
            .where(zones.c.zone.in_({row.zone for _, row in rows}))
            .where(zone_energy.c.resolution_s == within.resolution_s)
            .where(zone_energy.c.start_at.between(min(starts), max(starts)))
            .group_by(zones.c.node, zones.c.zone, zone_energy.c.start_at)
        )
        for node, zone, start, covered_us in connection.execute(query):
            self._covered_us[node, zone, start] = covered_us

    def of(self, node: str, zone: str, start: datetime) -> tuple[int, float]:
        covered_us = self._covered_us.get((node, zone, start), 0)
        return covered_us, _ratio(covered_us, self._lengths.of(node, start))


def _workload_record(workload: Row[Any], row: Row[Any], coverage: _Coverage) -> WorkloadRecord:
    covered_us, ratio = coverage.of(workload.node, row.zone, row.start_at)
    return WorkloadRecord(
        node=workload.node,
        level=workload.level,
        name=workload.name,
        reason=workload.reason,
        labels=workload.labels,
        zone=row.zone,
        start=row.start_at,
        energy_joules=row.energy_mj / 1000,
        cpu_seconds=row.cpu_us / 1e6,
        watts=_watts(row.energy_mj, covered_us),
        coverage_ratio=ratio,
        quality=row.quality,
    )


def zone_totals(connection: Connection, *, node: str | None, cursor: str | None, limit: int) -> Page[ZoneTotal]:
    """By the order in which the zones came."""
    query = select(zones).order_by(zones.c.id).limit(limit + 1)
    if node is not None:
        query = query.where(zones.c.node == node)
    if cursor is not None:
        query = query.where(zones.c.id > place_of(cursor, int))
    rows = connection.execute(query).all()
    items = tuple(_total(row) for row in rows[:limit])
    return Page(len(items), items, cursor_of(rows[limit - 1].id) if len(rows) > limit else None)


def _total(row: Row[Any]) -> ZoneTotal:
    return ZoneTotal(
        node=row.node,
        zone=row.zone,
        index=row.zone_index,
        source=row.source,
        since=row.since_at,
        energy_joules=row.total_mj / 1000,
    )
