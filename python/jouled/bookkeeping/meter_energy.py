"""The energy of logged powers, by minute, quarter-hour and day (all of UTC), kept as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, or_, select

from jouled.bookkeeping.upserts import upsert
from jouled.books.meters import GAP_MAX_US, MINUTE_US, RESOLUTIONS_S, Point, Power, Share, changes
from jouled.store.schema.meters import meter_energy, power_readings
from jouled.store.types import instant, microseconds


@dataclass
class _Cell:
    share: Share = field(default_factory=Share)
    readings: int = 0
    power_max_w: float | None = None
    power_min_w: float | None = None
    charge_min_pct: float | None = None

    def take(self, power: Power) -> None:
        self.readings += 1
        if power.power_w is not None:
            self.power_max_w = power.power_w if self.power_max_w is None else max(self.power_max_w, power.power_w)
            self.power_min_w = power.power_w if self.power_min_w is None else min(self.power_min_w, power.power_w)
        if power.charge_pct is not None:
            low = self.charge_min_pct
            self.charge_min_pct = power.charge_pct if low is None else min(low, power.charge_pct)


def add(connection: Connection, meter_id: str, powers: Sequence[Power]) -> None:
    """Before they are inserted; in order of time. The same sums come out in whatever order they come."""
    cells: dict[tuple[int, int], _Cell] = {}

    def all_of(at_us: int) -> Iterator[_Cell]:
        for resolution_s in RESOLUTIONS_S:
            yield cells.setdefault((resolution_s, at_us - at_us % (resolution_s * 1_000_000)), _Cell())

    for cluster in _clusters([power for power in powers if power.power_w is not None]):
        for minute_us, share in _changes(connection, meter_id, cluster).items():
            for cell in all_of(minute_us):
                cell.share = cell.share.plus(share)
    for power in powers:
        for cell in all_of(microseconds(power.at)):
            cell.take(power)
    _write(connection, meter_id, cells)


def _clusters(powers: Sequence[Power]) -> Iterator[list[Power]]:
    """Parts that share no neighbour, so that a batch of two distant days reads not all between them."""
    cluster: list[Power] = []
    for power in powers:
        if cluster and microseconds(power.at) - microseconds(cluster[-1].at) > 2 * GAP_MAX_US:
            yield cluster
            cluster = []
        cluster.append(power)
    if cluster:
        yield cluster


def _changes(connection: Connection, meter_id: str, cluster: Sequence[Power]) -> dict[int, Share]:
    new = [Point(microseconds(power.at), power.power_w or 0.0) for power in cluster]
    query = select(power_readings.c.at, power_readings.c.power_w).where(
        power_readings.c.meter_id == meter_id,
        power_readings.c.at >= instant(new[0].at_us - GAP_MAX_US),
        power_readings.c.at <= instant(new[-1].at_us + GAP_MAX_US),
        power_readings.c.power_w.is_not(None),
    )
    rows = connection.execute(query.order_by(power_readings.c.at)).all()
    before = [Point(microseconds(row.at), row.power_w) for row in rows]
    return changes(before, sorted([*before, *new]))


def closed_until_us(connection: Connection, meter_id: str) -> int | None:
    """Before this, readings have been removed and only their sums are there: None where nothing is removed."""
    raw = (
        select(power_readings.c.at).where(power_readings.c.meter_id == meter_id).order_by(power_readings.c.at).limit(1)
    )
    oldest = connection.execute(raw).scalar()
    # Days stay for ever, minutes do not.
    query = select(meter_energy.c.start_at).where(meter_energy.c.meter_id == meter_id)
    for resolution_s in RESOLUTIONS_S:
        of = query.where(meter_energy.c.resolution_s == resolution_s).order_by(meter_energy.c.start_at)
        first = connection.execute(of.limit(1)).scalar()
        if first is None:
            continue
        if oldest is None:
            last = connection.execute(query.order_by(meter_energy.c.start_at.desc()).limit(1)).scalar()
            return microseconds(last or first) + MINUTE_US
        length_us = resolution_s * 1_000_000
        if microseconds(first) < microseconds(oldest) // length_us * length_us:
            return microseconds(oldest)
    return None


def _write(connection: Connection, meter_id: str, cells: dict[tuple[int, int], _Cell]) -> None:
    insert = upsert(connection, meter_energy)
    new, old = insert.excluded, meter_energy.c
    statement = insert.on_conflict_do_update(
        index_elements=["meter_id", "resolution_s", "start_at"],
        set_={
            **{name: old[name] + new[name] for name in ("energy_mj", "returned_mj", "covered_us", "readings")},
            "power_max_w": _beyond(old.power_max_w, new.power_max_w, new.power_max_w > old.power_max_w),
            "power_min_w": _beyond(old.power_min_w, new.power_min_w, new.power_min_w < old.power_min_w),
            "charge_min_pct": _beyond(old.charge_min_pct, new.charge_min_pct, new.charge_min_pct < old.charge_min_pct),
        },
    )
    rows = [
        {
            "meter_id": meter_id,
            "resolution_s": resolution_s,
            "start_at": instant(start_us),
            **cell.share._asdict(),
            "readings": cell.readings,
            "power_max_w": cell.power_max_w,
            "power_min_w": cell.power_min_w,
            "charge_min_pct": cell.charge_min_pct,
        }
        for (resolution_s, start_us), cell in sorted(cells.items())
    ]
    if rows:
        connection.execute(statement, rows)


def _beyond(old: ColumnElement[Any], new: ColumnElement[Any], is_beyond: ColumnElement[bool]) -> ColumnElement[Any]:
    return case((or_(old.is_(None), is_beyond), new), else_=old)
