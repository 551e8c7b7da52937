"""A snapshot as what goes over the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jouled import wire
from jouled.model import Snapshot, Workload, Zone

# Microjoules, microwatts and microseconds, as on the metrics page: finer than any sensor.
DECIMALS = 6


class Host(NamedTuple):
    """What stays the same as long as the daemon runs."""

    version: str
    hostname: str
    source: str


class Selection(NamedTuple):
    """Which rows were asked for; `levels` None for all that are computed, `limit` for each level."""

    levels: tuple[str, ...] | None
    sort: str
    limit: int


def snapshot_of(host: Host, snapshot: Snapshot, selection: Selection) -> wire.Snapshot:
    levels = snapshot.levels if selection.levels is None else selection.levels
    return wire.Snapshot(
        version=host.version,
        hostname=host.hostname,
        source=host.source,
        sequence=snapshot.sequence,
        time_seconds=round(snapshot.wall_s, DECIMALS),
        interval_seconds=_rounded(snapshot.interval_s),
        cpu_busy_ratio=_rounded(snapshot.busy_ratio),
        processes=snapshot.scan.processes,
        cgroups=snapshot.scan.cgroups,
        zones=zones_of(snapshot),
        levels={level: level_of(snapshot, level, selection) for level in levels},
    )


def zones_of(snapshot: Snapshot) -> tuple[wire.Zone, ...]:
    return tuple(map(_zone, snapshot.zones()))


def level_of(snapshot: Snapshot, level: str, selection: Selection) -> wire.Level:
    rows = snapshot.workloads(level, selection.sort, selection.limit)
    omitted = snapshot.count(level) - len(rows) if len(rows) >= selection.limit else 0
    return wire.Level(
        level=level, workloads=_workloads(rows), residuals=_workloads(snapshot.residuals(level)), omitted=omitted
    )


def _zone(zone: Zone) -> wire.Zone:
    return wire.Zone(
        zone=zone.zone,
        index=zone.index,
        source=zone.source,
        path=zone.path,
        joules_total=round(zone.joules, DECIMALS),
        active_joules_total=round(zone.active_joules, DECIMALS),
        idle_joules_total=round(zone.idle_joules, DECIMALS),
        watts=_rounded(zone.watts),
        active_watts=_rounded(zone.active_watts),
        idle_watts=_rounded(zone.idle_watts),
        created_seconds=round(zone.created_s, DECIMALS),
    )


def _workloads(rows: Sequence[Workload]) -> tuple[wire.Workload, ...]:
    return tuple(
        wire.Workload(
            labels=dict(row.labels),
            joules_total=_all_rounded(row.joules),
            watts=_all_rounded(row.watts),
            cpu_seconds_total=round(row.cpu_s, DECIMALS),
            state="running" if row.is_live else "terminated",
            created_seconds=round(row.created_s, DECIMALS),
        )
        for row in rows
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def _all_rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, DECIMALS) for name, value in values.items()}
