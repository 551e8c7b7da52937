"""Loads and miners as the API shows them: from what the fleet knows, and where there is none here, from the store."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import trio
from sqlalchemy import Connection

from jouled.bookkeeping import fleet as books
from jouled.bookkeeping.fleet import MinerRow, ModelRow, StatusRow
from jouled.wire.fleet import (
    LoadPoint,
    LoadShown,
    LoadSpan,
    MinerShown,
    MinerStatus,
    ModelShown,
    PresetPower,
)

if TYPE_CHECKING:  # a daemon that balances nothing imports none of it
    from jouled.control.fleet.fleet import Fleet
    from jouled.control.fleet.roster import Roster
    from jouled.control.fleet.watched import Watched
    from jouled.store import Store

PRIORITY = 5


class FleetShown:
    """What the routes need: the fleet, where this daemon has one."""

    def __init__(self, fleet: Fleet | None = None) -> None:
        self.fleet = fleet

    def __repr__(self) -> str:
        return f"<FleetShown {self.fleet!r}>"

    @property
    def roster(self) -> Roster | None:
        return None if self.fleet is None else self.fleet.roster

    def watched(self, mac: str) -> Watched | None:
        return None if self.fleet is None else self.fleet.of(mac)

    def loads(self) -> list[LoadShown]:
        """By id."""
        if self.fleet is None:
            return []
        now_s = trio.current_time()
        return [load_shown(watched, now_s) for watched in self.fleet.watched]

    async def rows(self, store: Store) -> tuple[list[ModelRow], list[MinerRow]]:
        """Of this daemon's memory where it knows miners; else the store's. Raises StoreError."""
        if self.roster is not None:
            return list(self.roster.models.rows), list(self.roster.rows)

        def read(connection: Connection) -> tuple[list[ModelRow], list[MinerRow]]:
            return books.models(connection), books.all_miners(connection)

        return await store.fetch(read)

    def model(self, row: ModelRow) -> ModelShown:
        bounds = None if self.fleet is None else self.fleet.models.bounds(row.name)
        return ModelShown(
            row.name,
            row.alias,
            row.max_preset if bounds is None else bounds.max_preset,
            row.min_preset if bounds is None else bounds.min_preset,
            tuple(preset[0] for preset in row.presets),
            tuple(PresetPower(*preset) for preset in row.presets),
            row.created_at,
            row.updated_at,
        )

    def miner(self, row: MinerRow, model: ModelRow | None, now: datetime) -> MinerShown:
        """`now` is when its latest status was taken that many seconds ago."""
        watched = self.watched(row.id)
        document = row.description or {}
        status, online, reason = None, None, None
        priority, circuit = row.priority, row.circuit
        if watched is not None:
            reason = watched.allowed.unmanaged
            priority = watched.priority if priority is None else priority
            circuit = circuit or watched.circuit
            if watched.seen is not None:
                online = watched.seen.state != "away"
                status = _status(watched, now)
        return MinerShown(
            row.id,
            row.address,
            online,
            row.is_enabled,
            row.is_enabled,
            row.is_locked,
            PRIORITY if priority is None else priority,
            circuit,
            row.min_preset,
            row.max_preset,
            reason,
            row.family,
            document.get("firmware"),
            None if model is None else self.model(model),
            tuple(_preset(preset) for preset in document.get("presets", ())),
            status,
            row.created_at,
            row.updated_at,
        )


def preset_names(row: MinerRow) -> list[str]:
    return [str(preset["name"]) for preset in (row.description or {}).get("presets", ())]


def status_shown(row: StatusRow) -> MinerStatus:
    return MinerStatus(str(row.seq), row.state, row.preset, row.work_ths, row.power_w, row.power_w, row.note, row.at)


def load_shown(watched: Watched, now_s: float) -> LoadShown:
    member, seen, description = watched.member(now_s), watched.seen, watched.description
    span = member.span
    return LoadShown(
        member.id,
        member.name,
        member.kind,
        "unknown" if seen is None else seen.state,
        None if seen is None else seen.point,
        None if seen is None else seen.cap_w,
        None if seen is None else seen.power_w,
        None if seen is None else seen.work,
        member.worst_w,
        None if seen is None else max(0.0, now_s - seen.at_s),
        member.unmanaged is None,
        member.unmanaged,
        member.circuit,
        member.priority,
        tuple(LoadPoint(point.name, point.power_w, point.work) for point in member.points),
        None if span is None else LoadSpan(span.floor_w, span.ceiling_w, span.need_w),
        None if description is None else description.model,
        None if description is None else description.firmware,
        None if description is None else description.address,
        None if seen is None else seen.note,
        watched.problem,
        () if description is None else description.notes,
    )


def _status(watched: Watched, now: datetime) -> MinerStatus | None:
    seen = watched.seen
    if seen is None:
        return None
    age_s = max(0.0, trio.current_time() - seen.at_s)
    at = now - timedelta(seconds=age_s)
    return MinerStatus(watched.id, seen.state, seen.point, seen.work, seen.power_w, seen.power_w, seen.note, at)


def _preset(document: dict[str, Any]) -> PresetPower:
    return PresetPower(
        str(document["name"]), float(document["power_w"]), float(document["work"]), bool(document.get("is_tuned", True))
    )
