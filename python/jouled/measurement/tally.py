"""The running sums that all blocks on one meter share.

Each edge of any block closes an interval: its energy is credited to this process tree, and to threads
with a block of their own, by their CPU time over what all CPUs had (the ledger's policy `ratio`).
A block is the difference of two sums, so nested, overlapping and threaded blocks add up.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jouled._core import thread_cpu_ns, tree_cpu_ns
from jouled.meter import Guard, Meter
from jouled.model import Reading, ZoneCount

# Two clock ticks: what the kernel may book later than it was spent, on each CPU.
LATE_NS = 20_000_000
CPUS_FOR_NS = 1_000_000_000

# A counter is read so often while blocks are open that it cannot pass its end twice unseen (65 kJ at
# 280 W is 234 s), and a gauge often enough to follow the power.
COUNTER_PERIOD_S = 30.0
GAUGE_PERIOD_S = 0.25

MACHINE = -1
PROCESS = 0


class Point(NamedTuple):
    """One zone at an edge: its counter reckoned to the edge, and what the block's consumer was credited."""

    counted: ZoneCount
    joules: float
    credited: float


class Edge(NamedTuple):
    """Where a block begins or ends. `cpu_ns` is its consumer's clock; None where it had ended."""

    at_ns: int
    cpu_ns: int | None
    cpus: int
    zones: Mapping[str, Point]
    problems: Sequence[str]


class Consumer:
    """Somebody whose share is kept: this process tree, one thread, or all that the machine works."""

    def __init__(self, clock_ns: Callable[[], int | None]) -> None:
        self.clock_ns = clock_ns
        self.cpu_ns: int | None = None  # until the first edge
        self.late_ns = 0
        self.joules: dict[str, float] = {}

    def share(self, capacity_ns: int, cpus: int) -> float:
        """Its part, 0 to 1, of the CPU time since it was asked last. What is more than all is late news of
        the interval before, and counts in the next one.
        """
        before_ns, now_ns = self.cpu_ns, self.clock_ns()
        if now_ns is None:
            return 0.0
        self.cpu_ns = now_ns
        if before_ns is None:
            return 0.0
        spent_ns = max(0, now_ns - before_ns) + self.late_ns
        counted_ns = min(spent_ns, capacity_ns)
        self.late_ns = min(spent_ns - counted_ns, LATE_NS * cpus)
        return counted_ns / capacity_ns

    def credit(self, energies: Mapping[str, float], capacity_ns: int, cpus: int) -> None:
        share = self.share(capacity_ns, cpus)
        if share:
            for key, joules in energies.items():
                self.joules[key] = self.joules.get(key, 0.0) + joules * share


class Tally:
    """The sums of one meter. All of it happens under one lock, so that intervals do not overlap."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.guard = Guard(rank=1)
        self.keeper = Keeper(self)
        self._at_ns: int | None = None
        self._joules: dict[str, float] = {}
        self._gaps: dict[str, int] = {}
        self._busy_ns: int | None = None
        self._process = Consumer(tree_cpu_ns)
        # Held by their blocks: one that is dropped without its end takes its consumer along.
        self._others: weakref.WeakValueDictionary[int, Consumer] = weakref.WeakValueDictionary()
        self._cpus = 1
        self._cpus_until_ns = 0
        _tallies.add(self)

    def consumer(self, who: int) -> Consumer:
        """The process, a thread by its native id, or the machine; the caller keeps it."""
        if who == PROCESS:
            return self._process
        with self.guard.lock:
            consumer = self._others.get(who)
            if consumer is None:
                consumer = Consumer((lambda: self._busy_ns) if who == MACHINE else (lambda: thread_cpu_ns(who)))
                self._others[who] = consumer
            return consumer

    def edge(self, consumer: Consumer, edge_s: float | None = None) -> Edge:
        """Reads everything and closes the interval."""
        with self.guard.lock:
            reading = self.meter.read(with_load=MACHINE in self._others, edge_s=edge_s)
            at_ns = self._moment_ns(reading)
            cpus = self._online_cpus(at_ns)
            if reading.busy_s is not None:
                self._busy_ns = round(reading.busy_s * 1e9)
            counts = keyed(reading.zones)
            # A daemon that did not answer: the interval goes on.
            if counts:
                self._close(counts, at_ns, cpus)
            sums, credited = self._joules, consumer.joules
            points = {key: Point(count, sums[key], credited.get(key, 0.0)) for key, count in counts.items()}
            return Edge(at_ns, consumer.clock_ns(), cpus, points, reading.problems)

    def forget_interval(self) -> None:
        """The next edge begins anew: after a fork the clocks are another process's."""
        self._process.cpu_ns = None
        self._process.late_ns = 0
        self._others.clear()

    def _moment_ns(self, reading: Reading) -> int:
        """When the counters were read: a thread may be put aside for milliseconds between that and the next
        look at the clock. The daemon's may have been read long before, and are reckoned to now.
        """
        if self.meter.via == "daemon" or not reading.zones:
            return time.monotonic_ns()
        # A zone that failed still says when it was read last.
        return max(reading.at_ns, *(count.at_ns for count in reading.zones))

    def _close(self, counts: Mapping[str, ZoneCount], at_ns: int, cpus: int) -> None:
        energies = {key: self._advance(key, count, at_ns) for key, count in counts.items()}
        capacity_ns = 0 if self._at_ns is None else cpus * (at_ns - self._at_ns)
        self._at_ns = at_ns
        for consumer in (self._process, *self._others.values()):
            if capacity_ns:
                consumer.credit(energies, capacity_ns, cpus)
            else:
                consumer.cpu_ns = consumer.clock_ns()

    def _advance(self, key: str, count: ZoneCount, at_ns: int) -> float:
        """The zone's energy since the last edge."""
        joules = count.joules
        if self.meter.via == "daemon" and count.watts is not None:
            joules += count.watts * (at_ns - count.at_ns) / 1e9
        before = self._joules.get(key)
        is_known = before is not None and self._gaps[key] == count.gaps
        if before is not None and is_known:
            # What was reckoned ahead at a power that has fallen since is not taken back.
            joules = max(joules, before)
        self._joules[key] = joules
        self._gaps[key] = count.gaps
        return joules - before if before is not None and is_known else 0.0

    def _online_cpus(self, now_ns: int) -> int:
        if now_ns >= self._cpus_until_ns:
            self._cpus = max(1, os.sysconf("SC_NPROCESSORS_ONLN"))
            self._cpus_until_ns = now_ns + CPUS_FOR_NS
        return self._cpus


def keyed(counts: Sequence[ZoneCount]) -> dict[str, ZoneCount]:
    """Zones by `class:index`, which is unique within one meter."""
    return {f"{count.zone}:{count.index}": count for count in counts}


class Holder:
    """An open block: the tally is kept awake for it, and it begins anew in a forked child."""

    def begin_anew(self) -> None:
        raise NotImplementedError


class Keeper:
    """Closes intervals in a thread while blocks are open; it ends when there are none."""

    def __init__(self, tally: Tally) -> None:
        self._tally = weakref.proxy(tally)
        self.open: weakref.WeakSet[Holder] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._period_s = 0.0
        self._is_paused = False

    def hold(self, block: Holder, edge: Edge) -> None:
        """Keeps awake for `block`, if what `edge` read needs it: a model and a daemon do not."""
        self.open.add(block)
        if self._thread is None and self._tally.meter.via == "sensors":
            kinds = {point.counted.kind for point in edge.zones.values()}
            if kinds & {"counter", "gauge"}:
                self._start(GAUGE_PERIOD_S if "gauge" in kinds else COUNTER_PERIOD_S)

    def release(self, block: Holder) -> None:
        self.open.discard(block)

    def pause(self) -> None:
        """Ends the thread, if there is one, so that a fork finds none."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
            self._is_paused |= thread is not None
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def resume(self) -> None:
        if self._is_paused and self.open:
            self._start(self._period_s)

    def begin_anew(self) -> None:
        """In a forked child: no thread came along."""
        self._lock = threading.Lock()
        self._thread = None

    def _start(self, period_s: float) -> None:
        with self._lock:
            if self._thread is None:
                self._stop, self._period_s, self._is_paused = threading.Event(), period_s, False
                self._thread = threading.Thread(
                    target=self._run, args=(period_s, self._stop), name="jouled-tally", daemon=True
                )
                self._thread.start()

    def _run(self, period_s: float, stop: threading.Event) -> None:
        while not stop.wait(period_s):
            with self._lock:
                if not self.open:
                    if not stop.is_set():
                        self._thread = None
                    return
            try:
                self._tally.edge(self._tally.consumer(PROCESS))
            except ReferenceError:  # nobody has the meter any more
                return


_tallies: weakref.WeakSet[Tally] = weakref.WeakSet()


def _before_fork() -> None:
    for tally in list(_tallies):
        tally.keeper.pause()


def _after_fork_in_parent() -> None:
    for tally in list(_tallies):
        tally.keeper.resume()


def _after_fork_in_child() -> None:
    for tally in list(_tallies):
        tally.keeper.begin_anew()
        tally.forget_interval()
        for block in list(tally.keeper.open):
            block.begin_anew()
        tally.keeper.resume()


# Registered after the locks' own: before a fork the last one registered runs first, so that a keeper has
# ended before its lock is taken; in the child the locks are new before anything is read.
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

_opening = Guard(rank=0)


def tally_of(meter: Meter) -> Tally:
    """The sums of this meter; there is one of each, and it lives as long as the meter."""
    if meter.tally is None:
        with _opening.lock:
            if meter.tally is None:
                meter.tally = Tally(meter)
    assert isinstance(meter.tally, Tally)  # noqa: S101  (nobody else sets it)
    return meter.tally
