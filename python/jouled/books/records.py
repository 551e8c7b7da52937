"""Records of minutes: differences of the ledger's counters, so that a snapshot that was missed loses nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from jouled.model import Snapshot, Workload, Zone, ZoneKey

Quality: TypeAlias = Literal["good", "estimated", "suspect"]
RowKey: TypeAlias = tuple[str, ...]

# Rows of a level that are looked at, of which the top is recorded; the others are in `other`. A host of
# ten thousand busy processes must not cost more than one of three thousand.
ROWS_MAX = 3000
# Of those, what can have drawn power in one interval: only their counters lie between two scans.
DRAWING_MAX = 1000

IDLE, OTHER = "idle", "other"
_RANKS: Mapping[str, int] = {"good": 0, "estimated": 1, "suspect": 2}


def worst(qualities: Iterable[Quality]) -> Quality:
    return max(qualities, key=lambda quality: _RANKS[quality], default="good")


@dataclass(slots=True)
class ZoneCount:
    """A zone's counters at a scan, and how much they grew in the interval before it. `troubles` are
    reads that failed, and resets.
    """

    joules: float
    idle_joules: float
    grown: float
    idle_grown: float
    troubles: int


@dataclass(slots=True)
class RowCount:
    """A row's counters at a scan; `grown` by class in the interval before it, empty where they did not."""

    labels: Mapping[str, str]
    joules: Mapping[str, float]
    grown: Mapping[str, float]
    cpu_s: float
    created_s: float


@dataclass(slots=True)
class LevelCount:
    """The rows of a level by their labels' values, and its residuals by reason; `other` is what they leave."""

    rows: dict[RowKey, RowCount]
    residuals: dict[RowKey, RowCount]


@dataclass(slots=True)
class Counts:
    """All that one snapshot has counted."""

    wall_s: float
    zones: dict[ZoneKey, ZoneCount]
    levels: dict[str, LevelCount]


class Mark(NamedTuple):
    """The counters at an instant between two scans: those of the later one, less the part of their last
    growth that lies after it.
    """

    counts: Counts
    after: float = 0.0


def count(snapshot: Snapshot, before: Snapshot | None, before_counts: Counts | None, *, with_rows: bool) -> Counts:
    """`before` is the last snapshot; `before_counts` is needed where others between the two were missed."""
    stats = snapshot.scan
    was = {(zone.zone, zone.index, zone.source): zone for zone in before.zones()} if before is not None else {}
    zones = {}
    for zone in snapshot.zones():
        key = (zone.zone, zone.index, zone.source)
        troubles = stats.zone_read_errors_total.get(key, 0) + stats.zone_resets_total.get(key, 0)
        zones[key] = _zone(zone, was.get(key), troubles)
    counts = Counts(snapshot.wall_s, zones, {})
    for level in snapshot.levels:
        counts.levels[level] = _level(snapshot, level, with_rows=with_rows)
    if before_counts is not None:
        _grow_since(before_counts, counts)
    return counts


def _zone(zone: Zone, was: Zone | None, troubles: int) -> ZoneCount:
    # A zone that is new has grown from nothing.
    joules, idle = (was.joules, was.idle_joules) if was is not None else (0.0, 0.0)
    return ZoneCount(zone.joules, zone.idle_joules, zone.joules - joules, zone.idle_joules - idle, troubles)


def _level(snapshot: Snapshot, level: str, *, with_rows: bool) -> LevelCount:
    span_s = snapshot.interval_s or 0.0
    rows: dict[RowKey, RowCount] = {}
    if with_rows:
        for row in snapshot.workloads(level, "watts", DRAWING_MAX):
            counted = _row(row, row.watts, span_s)
            rows[tuple(counted.labels.values())] = counted
        for row in snapshot.workloads(level, "joules", ROWS_MAX):
            labels = row.labels
            key = tuple(labels.values())
            if key not in rows:
                rows[key] = RowCount(labels, row.joules, {}, row.cpu_s, row.created_s)
    residuals = [_row(row, row.watts, span_s) for row in snapshot.residuals(level)]
    named: dict[RowKey, RowCount] = {(row.labels["reason"],): row for row in residuals if row.labels["reason"] != OTHER}
    return LevelCount(rows, named)


def _row(row: Workload, watts: Mapping[str, float], span_s: float) -> RowCount:
    grown = {zone: power_w * span_s for zone, power_w in watts.items() if power_w > 0}
    return RowCount(row.labels, row.joules, grown, row.cpu_s, row.created_s)


def _grow_since(before: Counts, after: Counts) -> None:
    """Snapshots between the two were missed: watts are of the last interval only."""
    for name, level in after.levels.items():
        was = before.levels.get(name, LevelCount({}, {}))
        for rows, old_rows in ((level.rows, was.rows), (level.residuals, was.residuals)):
            for key, row in rows.items():
                old = old_rows.get(key)
                if old is not None and old.created_s == row.created_s:
                    row.grown = {zone: joules - old.joules.get(zone, 0.0) for zone, joules in row.joules.items()}
                elif row.created_s >= before.wall_s:
                    row.grown = dict(row.joules)


@dataclass(slots=True)
class ZoneShare:
    """A zone's part of a record."""

    energy_mj: int
    idle_mj: int
    quality: Quality


@dataclass(slots=True)
class RowShare:
    """A row's part: `reason` names a residual. Energy by zone class."""

    level: str
    labels: Mapping[str, str]
    reason: str | None
    energy_mj: dict[str, int]
    cpu_us: int


@dataclass(slots=True)
class Part:
    """What was measured within one minute without a break: a minute has more than one part where the
    daemon was restarted in it, or the clock was set. For each level and zone class the rows add up to the zones.
    """

    minute_us: int
    covered_us: dict[ZoneKey, int]
    zones: dict[ZoneKey, ZoneShare]
    rows: list[RowShare] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not any(self.covered_us.values()) and not any(share.energy_mj for share in self.zones.values())

    def of_class(self, zone: str) -> tuple[int, Quality]:
        """How long the zones of a class were measured, and how well, microseconds."""
        keys = [key for key in self.zones if key[0] == zone]
        return max((self.covered_us.get(key, 0) for key in keys), default=0), worst(
            self.zones[key].quality for key in keys
        )


def _mj(joules: float) -> int:
    return round(joules * 1000)


def part(begin: Mark, end: Mark, minute_us: int, covered_us: dict[ZoneKey, int], *, top: int, is_guess: bool) -> Part:
    """The difference of two marks. Rounding telescopes: no minute's remainder is lost, or drifts."""
    zones = {key: _zone_share(key, begin, end, is_guess=is_guess) for key in end.counts.zones}
    active: dict[str, int] = {}
    idle: dict[str, int] = {}
    for (zone, _, _), share in zones.items():
        active[zone] = active.get(zone, 0) + share.energy_mj - share.idle_mj
        idle[zone] = idle.get(zone, 0) + share.idle_mj
    rows = []
    for level in end.counts.levels:
        rows.append(RowShare(level, {"level": level, "reason": IDLE}, IDLE, dict(idle), 0))
        rows += _level_shares(begin, end, level, active, top)
    return Part(minute_us, covered_us, zones, [row for row in rows if any(row.energy_mj.values())])


def _zone_share(key: ZoneKey, begin: Mark, end: Mark, *, is_guess: bool) -> ZoneShare:
    new, old = end.counts.zones[key], begin.counts.zones.get(key)
    energy, idle = _mj(new.joules - new.grown * end.after), _mj(new.idle_joules - new.idle_grown * end.after)
    troubles = new.troubles
    if old is not None:
        energy -= _mj(old.joules - old.grown * begin.after)
        idle -= _mj(old.idle_joules - old.idle_grown * begin.after)
        troubles -= old.troubles
    quality: Quality = "estimated" if is_guess or key[2] == "estimate" else "good"
    energy = max(0, energy)
    return ZoneShare(energy, min(max(0, idle), energy), "suspect" if troubles > 0 else quality)


def _level_shares(begin: Mark, end: Mark, level: str, active: Mapping[str, int], top: int) -> list[RowShare]:
    new = end.counts.levels[level]
    old = begin.counts.levels.get(level, LevelCount({}, {}))
    named = []
    for (reason,), row in new.residuals.items():
        energy = _row_mj(row, old.residuals.get((reason,)), begin, end)
        cpu_us = _cpu_us(row, old.residuals.get((reason,)))
        named.append(RowShare(level, row.labels, reason, energy or {}, cpu_us))
    shares = []
    hidden_us = 0
    for key, row in new.rows.items():
        was = old.rows.get(key)
        if was is not None and was.cpu_s == row.cpu_s and was.created_s == row.created_s and not was.grown:
            continue  # asleep all the time, as most are
        found = _row_mj(row, was, begin, end)
        if found is not None:
            shares.append(RowShare(level, row.labels, None, found, _cpu_us(row, was)))
    if level == "process":
        shares = _by_program(shares)
    shares.sort(key=lambda share: sum(share.energy_mj.values()), reverse=True)
    hidden_us = sum(share.cpu_us for share in shares[top:])
    named += shares[:top]
    return [*named, _other(level, named, active, hidden_us)]


def _by_program(shares: Sequence[RowShare]) -> list[RowShare]:
    """A pid says nothing once its process has ended, and each would be a row of the books for ever:
    processes that differ in nothing else are one.
    """
    programs: dict[tuple[str, ...], RowShare] = {}
    for share in shares:
        labels = {name: value for name, value in share.labels.items() if name != "pid"}
        key = tuple(labels.values())
        program = programs.get(key)
        if program is None:
            programs[key] = RowShare(share.level, labels, None, share.energy_mj, share.cpu_us)
            continue
        for zone, energy_mj in share.energy_mj.items():
            program.energy_mj[zone] = program.energy_mj.get(zone, 0) + energy_mj
        program.cpu_us += share.cpu_us
    return list(programs.values())


def _row_mj(row: RowCount, was: RowCount | None, begin: Mark, end: Mark) -> dict[str, int] | None:
    """None where it is not known what the row had counted when the minute began: it was not on the page
    then, though it had been before. Its part is in `other`, once.
    """
    if was is not None and was.created_s != row.created_s:
        was = None
    if was is None and row.created_s < begin.counts.wall_s:
        # One that came in the very interval of the mark is among the mark's rows.
        return None
    found = {}
    for zone, joules in row.joules.items():
        energy = _mj(joules - row.grown.get(zone, 0.0) * end.after)
        if was is not None:
            energy -= _mj(was.joules.get(zone, 0.0) - was.grown.get(zone, 0.0) * begin.after)
        found[zone] = max(0, energy)
    return found


def _cpu_us(row: RowCount, was: RowCount | None) -> int:
    """Up to the scan after the mark: how a row's CPU time lay within one interval is not known."""
    old_s = was.cpu_s if was is not None and was.created_s == row.created_s else 0.0
    return max(0, round(row.cpu_s * 1e6) - round(old_s * 1e6))


def _other(level: str, named: Sequence[RowShare], active: Mapping[str, int], cpu_us: int) -> RowShare:
    """What is left of each class: rows outside the top, rows that left the page, and what rounding left."""
    left = {}
    for zone, energy in active.items():
        rest = energy - sum(row.energy_mj.get(zone, 0) for row in named)
        if rest < 0:
            _take_back(-rest, zone, named)
            rest = 0
        left[zone] = rest
    return RowShare(level, {"level": level, "reason": OTHER}, OTHER, left, cpu_us)


def _take_back(excess_mj: int, zone: str, named: Sequence[RowShare]) -> None:
    """Rounding gave out more than there is: the largest rows feel it least."""
    for row in sorted(named, key=lambda row: row.energy_mj.get(zone, 0), reverse=True):
        taken = min(excess_mj, row.energy_mj.get(zone, 0))
        if taken:
            row.energy_mj[zone] -= taken
            excess_mj -= taken
        if not excess_mj:
            return


def headline(classes: Iterable[str]) -> tuple[str, ...]:
    """The classes that together are what a machine draws and do not overlap: psys is all of it, where it
    is there; else package, with dram where that is metered; else the first.
    """
    known = list(dict.fromkeys(classes))
    if "psys" in known:
        return ("psys",)
    if "package" in known:
        return ("package", "dram") if "dram" in known else ("package",)
    return tuple(known[:1])
