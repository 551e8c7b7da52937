"""What a block used: pure arithmetic on its two edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from jouled.measurement.tally import Edge, Point

Scope: TypeAlias = Literal["process", "thread", "machine"]

# A hardware counter is renewed about once a millisecond, without saying when: so much of a block's power
# may be missing, or too much, at each end.
COUNTER_RENEWAL_S = 0.001


@dataclass(frozen=True, slots=True)
class ZoneEnergy:
    """One zone in a block. Joules and watts of the scope; `machine_joules` are all of the zone's. What is
    not known is None.
    """

    zone: str
    index: str
    source: str
    joules: float | None
    watts: float | None
    active_joules: float | None
    machine_joules: float | None
    error_bound: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """What a block used; it does not change any more.

    - `joules`: of the scope. "process" (this process and its descendants) and "thread": their active
      energy, by their share of all CPU time; idle energy is nobody's. "machine": all of it.
    - `watts`: joules by `seconds`. `active_joules`: without idle energy. `machine_joules`: all of it, in
      every scope. `cpu_seconds`: CPU time of the scope.
    - `covers`: the zone classes in the sum. Package (which excludes memory) and dram where there is a package, else
      psys, else the first there is: never zones that overlap. `zones` has each of them by "class:index".
    - `error_bound`: how many joules `joules` can be wrong by, for the counters' grain and the moments of reading;
      None for gauges and models, which have no such bound.
    - `source`: "rapl", "hwmon", "battery", "estimate" (a model, no measurement) or "fake"; `via`: "sensors" or "daemon".
    - `problems`: why something is None. `time`: when it began, UTC seconds.
    """

    name: str
    scope: Scope
    source: str
    via: str
    time: float
    seconds: float
    cpu_seconds: float | None
    joules: float | None
    watts: float | None
    active_joules: float | None
    machine_joules: float | None
    error_bound: float | None
    covers: tuple[str, ...]
    zones: Mapping[str, ZoneEnergy]
    problems: tuple[str, ...]

    @property
    def is_estimate(self) -> bool:
        """Whether a model said it, not a sensor."""
        return self.source == "estimate"

    def asdict(self) -> dict[str, Any]:
        """As plain values, for JSON; the names as here, each zone a dictionary."""
        plain = asdict(self)
        return plain | {"covers": list(self.covers), "problems": list(self.problems)}

    def __str__(self) -> str:
        """`training: 12.3 J ± 0.1 J in 2.00 s (6.15 W), process, rapl`."""
        name = f"{self.name}: " if self.name else ""
        if self.joules is None or self.watts is None:
            reason = self.problems[0] if self.problems else "not measured"
            return f"{name}energy not known in {self.seconds:.3g} s: {reason}"
        bound = "" if self.error_bound is None else f" ± {self.error_bound:.2g} J"
        power = f"{self.watts:.3g} W"
        return f"{name}{self.joules:.4g} J{bound} in {self.seconds:.3g} s ({power}), {self.scope}, {self.origin}"

    @property
    def origin(self) -> str:
        """The source in words."""
        source = "estimate, not measured" if self.is_estimate else self.source
        return f"{source} via the daemon" if self.via == "daemon" else source


class Terms(NamedTuple):
    """What a result is made for."""

    name: str
    scope: Scope
    source: str
    via: str
    time: float
    resolution_j: float | None


def between(terms: Terms, start: Edge, end: Edge) -> Result:
    """The result of the block from `start` to `end`."""
    seconds = (end.at_ns - start.at_ns) / 1e9
    is_known = start.cpu_ns is not None and end.cpu_ns is not None
    cpu_seconds = max(0, end.cpu_ns - start.cpu_ns) / 1e9 if is_known else None  # type: ignore[operator]  # is_known
    problems = list(dict.fromkeys([*start.problems, *end.problems]))
    if not is_known and terms.scope == "thread":
        problems.append("the thread that began the block had ended before it; end it in the same thread")
    zones = {}
    for key in end.zones or start.zones:
        zones[key], problem = _zone(terms, start, end, key)
        if problem:
            problems.append(problem)
    covers = _covers(zones)
    covered = [zone for zone in zones.values() if zone.zone in covers]
    joules = _sum([zone.joules for zone in covered])
    if scope_clock_is_lost := terms.scope == "thread" and not is_known:
        joules = None
    return Result(
        name=terms.name,
        scope=terms.scope,
        source=terms.source,
        via=terms.via,
        time=terms.time,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        joules=joules,
        watts=joules / seconds if joules is not None and seconds > 0 else None,
        active_joules=None if scope_clock_is_lost else _sum([zone.active_joules for zone in covered]),
        machine_joules=_sum([zone.machine_joules for zone in covered]),
        error_bound=None if scope_clock_is_lost else _sum([zone.error_bound for zone in covered]),
        covers=covers,
        zones=zones,
        problems=tuple(problems),
    )


def _zone(terms: Terms, start: Edge, end: Edge, key: str) -> tuple[ZoneEnergy, str | None]:
    """One zone's energy, and why it is not known."""
    count = (end.zones.get(key) or start.zones[key]).counted
    seconds = (end.at_ns - start.at_ns) / 1e9
    first, last = start.zones.get(key), end.zones.get(key)
    unknown = ZoneEnergy(count.zone, count.index, count.source, None, None, None, None, None)
    if first is None or last is None:
        return unknown, f"zone {key} was not read at both ends of the block; see joulectl doctor"
    if first.counted.gaps != last.counted.gaps:
        return unknown, f"zone {key} could not be read, or its counter was reset, within the block; see joulectl doctor"
    machine = last.joules - first.joules
    active = last.credited - first.credited
    joules = machine if terms.scope == "machine" else active
    bound = _error_bound(terms, start, end, first, last)
    if bound is not None and terms.scope != "machine":
        bound *= _share(active, machine, start, end)
    energy = ZoneEnergy(
        count.zone,
        count.index,
        count.source,
        joules=joules,
        watts=joules / seconds if seconds > 0 else None,
        active_joules=active,
        machine_joules=machine,
        error_bound=bound,
    )
    return energy, None


def _error_bound(terms: Terms, start: Edge, end: Edge, first: Point, last: Point) -> float | None:
    """How wrong a counter's joules can be: its power for as long as its moments are not known."""
    if last.counted.kind != "counter":
        return None
    unsure_s = 0.0
    for edge, point in ((start, first), (end, last)):
        # The zones of one edge are read one after the other. The daemon's are reckoned ahead from when it read
        # them, at a power that may have changed altogether.
        read_s = (point.counted.spread_ns + abs(edge.at_ns - point.counted.at_ns)) / 1e9
        # At an edge it moved since the read before, which took as long.
        unsure_s += 2 * read_s if point.counted.is_edge else COUNTER_RENEWAL_S + read_s
    seconds = (end.at_ns - start.at_ns) / 1e9
    mean_w = (last.joules - first.joules) / seconds if seconds > 0 else 0.0
    power_w = max(mean_w, first.counted.watts or 0.0, last.counted.watts or 0.0)
    return power_w * unsure_s + (terms.resolution_j or 0.0)


def _share(active: float, machine: float, start: Edge, end: Edge) -> float:
    """The scope's part of the machine; by CPU time where the counter did not move in the block."""
    if machine > 0:
        return min(1.0, active / machine)
    if start.cpu_ns is None or end.cpu_ns is None or end.at_ns <= start.at_ns:
        return 1.0
    return min(1.0, (end.cpu_ns - start.cpu_ns) / (end.cpus * (end.at_ns - start.at_ns)))


def _covers(zones: Mapping[str, ZoneEnergy]) -> tuple[str, ...]:
    """The classes that together are what was used, and do not overlap."""
    classes = list(dict.fromkeys(zone.zone for zone in zones.values()))
    if "package" in classes:
        return ("package", "dram") if "dram" in classes else ("package",)
    if "psys" in classes:
        return ("psys",)
    return tuple(classes[:1])


def _sum(parts: list[float | None]) -> float | None:
    """None where there is nothing, or one part is not known."""
    if not parts or None in parts:
        return None
    return sum(part for part in parts if part is not None)
