"""One run of a command between two readings of the meter, and what it used: pure but for `measure_once`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from jouled.cli.measure_cgroup import TransientCgroup
from jouled.cli.measure_child import Child, Survivor
from jouled.meter import Meter
from jouled.model import Reading, ZoneCount

GAUGE_PERIOD_S = 0.25
"""Power that is not counted must be read while it lasts."""
COUNTER_PERIOD_S = 30.0
"""The smallest counters go round in two minutes at full power."""


class ClassEnergy(Struct, frozen=True):
    """One zone class in one run, summed over sockets. None is unknown; `above_idle` also where it was
    not asked for.
    """

    joules: float | None
    """The part of the command and its children: by their share of all CPU time."""
    machine_joules: float | None
    """All that the zone spent meanwhile, whoever caused it."""
    above_idle_joules: float | None = None
    """What the machine spent beyond its idle power: it may be below 0 where idle was noisy."""


class Run(Struct, frozen=True):
    """What one run used."""

    seconds: float
    cpu_seconds: float
    cpu_by: str
    exit_code: int
    zones: dict[str, ClassEnergy]
    covers: tuple[str, ...]
    """The classes that together are the headline, and do not overlap."""
    still_running: tuple[Survivor, ...] = ()
    problems: tuple[str, ...] = ()

    def total(self, kind: str) -> float | None:
        """`joules`, `machine_joules` or `above_idle_joules` of the classes it covers."""
        parts = [getattr(self.zones[name], kind) for name in self.covers]
        known = [part for part in parts if part is not None]
        return sum(known) if parts and len(known) == len(parts) else None


class Outcome(NamedTuple):
    """A run, and what it means for those that were to follow."""

    run: Run
    ended_by: int | None
    exec_error: int | None


def measure_once(
    command: Sequence[str],
    meter: Meter,
    *,
    idle_w: Mapping[str, float] | None = None,
    stdout: int | None = None,
    pulse: Callable[[float, Reading | None], None] | None = None,
    may_make_cgroup: bool = True,
) -> Outcome:
    """Runs the command once. `pulse` is called a few times a second with the seconds so far."""
    cgroup = TransientCgroup.make(f"jouled-measure-{os.getpid()}") if may_make_cgroup else None
    try:
        child = Child(command, cgroup=cgroup, stdout=stdout)
        try:
            before = meter.read()
            read_period_s = COUNTER_PERIOD_S
            if meter.via == "sensors" and any(zone.kind == "gauge" for zone in before.zones):
                read_period_s = GAUGE_PERIOD_S
            last_read_s = 0.0

            def each(so_far_s: float) -> None:
                nonlocal last_read_s
                reading = None
                if pulse is not None or so_far_s - last_read_s >= read_period_s:
                    reading, last_read_s = meter.read(), so_far_s
                if pulse is not None:
                    pulse(so_far_s, reading)

            ended = child.run(each, GAUGE_PERIOD_S if pulse or read_period_s < 1 else 1.0)
            after = meter.read()
        finally:
            child.close()
    finally:
        if cgroup is not None:
            cgroup.remove()
    first, last = Edge(before, ended.start_ns), Edge(after, ended.end_ns)
    zones, problems = energies(first, last, ended.cpu_s, cpus=online_cpus(), idle_w=idle_w)
    run = Run(
        seconds=last.since_s(first),
        cpu_seconds=ended.cpu_s,
        cpu_by=ended.cpu_by,
        exit_code=ended.exit_code,
        zones=zones,
        covers=covers(zones),
        still_running=ended.survivors,
        problems=problems,
    )
    return Outcome(run, ended.ended_by, ended.exec_error)


class Edge(NamedTuple):
    """A reading, and the moment that it is to tell of."""

    reading: Reading
    at_ns: int

    def since_s(self, start: Edge) -> float:
        return (self.at_ns - start.at_ns) / 1e9

    def joules(self, zone: ZoneCount) -> float:
        """Reckoned to the moment itself, at the power it had: the daemon reads at its own time."""
        return zone.joules + (zone.watts or 0.0) * (self.at_ns - zone.at_ns) / 1e9


def measure_idle(
    meter: Meter,
    span_s: float,
    pause: Callable[[float], None] = time.sleep,
    now_ns: Callable[[], int] = time.monotonic_ns,
) -> dict[str, float]:
    """The machine's watts by zone class while nothing is started."""
    steps = max(1, round(span_s / GAUGE_PERIOD_S))
    first = last = Edge(meter.read(), now_ns())
    for _ in range(steps):
        pause(span_s / steps)
        last = Edge(meter.read(), now_ns())
    spent, _ = spent_j(first, last)
    elapsed_s = last.since_s(first)
    return {name: joules / elapsed_s for name, joules in spent.items() if joules is not None and elapsed_s > 0}


def spent_j(first: Edge, last: Edge) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Joules by zone class between two moments, summed over sockets, and why some are None."""
    problems = list(dict.fromkeys([*first.reading.problems, *last.reading.problems]))
    begun = {(zone.zone, zone.index): zone for zone in first.reading.zones}
    spent: dict[str, float | None] = {}
    for zone in last.reading.zones:
        before = begun.get((zone.zone, zone.index))
        if before is None or before.gaps != zone.gaps:
            spent[zone.zone] = None
            problems.append(f"zone {zone.zone}:{zone.index} could not be read throughout; see joulectl doctor")
            continue
        so_far = spent.get(zone.zone, 0.0)
        grown = max(0.0, last.joules(zone) - first.joules(before))
        spent[zone.zone] = None if so_far is None else so_far + grown
    return spent, tuple(problems)


def energies(
    first: Edge, last: Edge, cpu_s: float, *, cpus: int, idle_w: Mapping[str, float] | None
) -> tuple[dict[str, ClassEnergy], tuple[str, ...]]:
    """What was spent, and the command's part of it.

    By the ledger's policy `ratio`: active energy is what the busy CPUs are of all, and the command's is
    its part of the busy ones; so the machine's energy times its CPU time by that of all CPUs.
    """
    spent, problems = spent_j(first, last)
    seconds = last.since_s(first)
    share = min(1.0, cpu_s / (cpus * seconds)) if seconds > 0 else 0.0
    found = {}
    for name, joules in spent.items():
        above = None
        if joules is not None and idle_w is not None and name in idle_w:
            above = joules - idle_w[name] * seconds
        found[name] = ClassEnergy(None if joules is None else joules * share, joules, above)
    return found, problems


def covers(zones: Mapping[str, object]) -> tuple[str, ...]:
    """Package and dram, which do not overlap; else psys; else the first there is."""
    if "package" in zones:
        return ("package", "dram") if "dram" in zones else ("package",)
    return ("psys",) if "psys" in zones else tuple(zones)[:1]


def online_cpus() -> int:
    """The CPUs that are online, whichever of them this process may use."""
    return max(1, os.sysconf("SC_NPROCESSORS_ONLN"))
