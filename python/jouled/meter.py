"""Reads energy counters: the sensors of this host, the daemon that may read them, or an estimate.

Every reading says its source and the way it came. Counters are joules since the meter was opened and
never fall; power is in watts, instants are nanoseconds of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal, TypeAlias

from jouled import _core
from jouled.errors import ConfigError, JouledError, UnsupportedError
from jouled.model import Reading, ZoneCount

Via: TypeAlias = Literal["sensors", "daemon"]

SENSORS = ("rapl", "hwmon", "battery")
DAEMON = "daemon"
WORDS = ("auto", *SENSORS, DAEMON, "estimate", "fake")
# An edge of a block must not wait longer for a daemon that hangs.
DAEMON_TIMEOUT_S = 2.0
# How long a fork waits for a read that is under way.
FORK_WAIT_S = 1.0

# How the daemon's zones are read there, by their source.
KINDS = {"hwmon": "gauge", "battery": "gauge", "estimate": "model"}


class Guard:
    """A lock that a fork finds free: it is taken before, and in the child it is a new one.

    `is_broken` in a child whose parent could not get hold of it: what it guards may be half changed.
    """

    def __init__(self, rank: int) -> None:
        self.lock = threading.RLock()
        self.rank = rank  # locks are taken in this order, as the code that nests them does
        self.is_taken = False
        self.is_broken = False
        _guards.add(self)


_guards: weakref.WeakSet[Guard] = weakref.WeakSet()


def _take_guards() -> None:
    for guard in sorted(_guards, key=lambda guard: guard.rank):
        guard.is_taken = guard.lock.acquire(timeout=FORK_WAIT_S)


def _free_guards() -> None:
    for guard in list(_guards):
        if guard.is_taken:
            guard.is_taken = False
            guard.lock.release()


def _renew_guards() -> None:
    for guard in list(_guards):
        guard.lock = threading.RLock()
        guard.is_broken = not guard.is_taken
        guard.is_taken = False


os.register_at_fork(before=_take_guards, after_in_parent=_free_guards, after_in_child=_renew_guards)


class Sensors:
    """Counters that this process reads itself; an estimate is one of them."""

    via: Via = "sensors"
    resolution_j: float | None = None

    def __init__(self, open_core: Callable[[], _core.Meter]) -> None:
        self._open = open_core
        self._core = open_core()
        self._guard = Guard(rank=2)
        self.source = self._core.source
        self.notices = tuple(self._core.notices())

    def read(self, with_load: bool, edge_s: float | None) -> Reading:
        with self._guard.lock:
            if self._guard.is_broken:  # forked in the middle of a read: its own lock may never be freed
                self._core = self._open()
                self._guard.is_broken = False
            return self._core.read(with_load=with_load, edge_s=edge_s)


@dataclass(frozen=True, slots=True)
class DaemonCount:
    """A ZoneCount that came from the daemon."""

    zone: str
    index: str
    source: str
    path: str
    kind: str
    joules: float
    at_ns: int
    spread_ns: int
    watts: float | None
    gaps: int
    is_edge: bool


@dataclass(frozen=True, slots=True)
class DaemonReading:
    """A Reading that came from the daemon."""

    at_ns: int
    zones: Sequence[ZoneCount]
    busy_s: float | None
    capacity_s: float | None
    problems: Sequence[str]


class Daemon:
    """Counters that the daemon reads for those who may not. Every read is a connection of its own."""

    via: Via = "daemon"

    def __init__(self, url: str | None) -> None:
        from jouled.client import Client

        self._client = Client(url or os.environ.get("JOULED_URL") or None, timeout_s=DAEMON_TIMEOUT_S)
        first = self._client.counters()
        self.source = first.source
        self.resolution_j = first.resolution_joules
        self.notices: tuple[str, ...] = ()
        self._opened_s = first.opened_seconds
        self._restarts = 0
        self._load: _core.Meter | None = None

    def read(self, with_load: bool, edge_s: float | None) -> Reading:  # noqa: ARG002  (its counters are not ours to watch)
        load = self._read_load() if with_load else None
        busy_s, capacity_s = (load.busy_s, load.capacity_s) if load else (None, None)
        try:
            counters = self._client.counters()
        except JouledError as error:
            return DaemonReading(0, (), busy_s, capacity_s, (str(error),))
        if counters.opened_seconds != self._opened_s:
            # A daemon that was started again counts from 0: what was spent meanwhile is not known.
            self._opened_s = counters.opened_seconds
            self._restarts += 1
        zones = [self._count(zone) for zone in counters.zones]
        at_ns = max((zone.at_ns for zone in zones), default=0)
        return DaemonReading(at_ns, zones, busy_s, capacity_s, ())

    def _count(self, zone: Any) -> DaemonCount:
        return DaemonCount(
            zone=zone.zone,
            index=zone.index,
            source=zone.source,
            path="",
            kind=KINDS.get(zone.source, "counter"),
            joules=zone.joules_total,
            at_ns=round(zone.monotonic_seconds * 1e9),
            spread_ns=0,
            watts=zone.watts,
            # A restart is a gap too, beyond all that the daemon counts by itself.
            gaps=zone.gaps + (self._restarts << 32),
            is_edge=False,
        )

    def _read_load(self) -> Reading:
        # The load is this host's own, and everybody may read it; the zones beside it are not looked at.
        if self._load is None:
            self._load = _core.Meter(meters=["fake"])
        return self._load.read(with_load=True)


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone of this host: a hardware energy counter, or what stands in for one."""

    zone: str
    index: str
    source: str
    kind: str
    path: str


class Meter:
    """The energy counters that this process can have.

    `meters` are tried in their order: "rapl", "hwmon", "battery" (sensors of this host), "daemon", "estimate" (a
    model by CPU load), "fake"; "auto", the default (or what $JOULED_METERS says), is all but the last, in
    this order. `zones` keeps zones of these classes. `url` names the daemon (by default $JOULED_URL,
    its socket, its port); alone it means that daemon only. Estimates are watts per CPU (or what
    $JOULED_ESTIMATE_IDLE and _MAX_W say); fake zones are written "package:0=40W". May be shared by threads, and lives on in a fork.

    Raises UnsupportedError where none works (each says why), ValueError for a word that is none.
    """

    def __init__(
        self,
        *,
        meters: Sequence[str] | None = None,
        zones: Sequence[str] | None = None,
        url: str | None = None,
        procfs: str = "/proc",
        sysfs: str = "/sys",
        estimate_idle_w: float | None = None,
        estimate_max_w: float | None = None,
        fake_zones: Sequence[str] | None = None,
        fake_seed: int = 0,
    ) -> None:
        self._classes = frozenset(zones) if zones else None

        def open_core(words: Sequence[str]) -> _core.Meter:
            return _core.Meter(
                procfs=procfs,
                sysfs=sysfs,
                meters=list(words),
                zones=list(zones) if zones else None,
                estimate_idle_w=_figure_w("JOULED_ESTIMATE_IDLE", estimate_idle_w),
                estimate_max_w=_figure_w("JOULED_ESTIMATE_MAX", estimate_max_w),
                fake_zones=list(fake_zones) if fake_zones else None,
                fake_seed=fake_seed,
            )

        is_here = (procfs, sysfs) == ("/proc", "/sys")
        words = _expanded([DAEMON] if url and meters is None else _words(meters), is_here=is_here)
        self._backend = _open(words, open_core, url)
        self.tally: object = None  # what blocks on this meter have in common (measurement/tally.py)

    def __repr__(self) -> str:
        return f"<Meter {self.source} via {self.via}>"

    @property
    def source(self) -> str:
        """Where the numbers come from: "rapl", "hwmon", "battery", "estimate" (no measurement) or "fake"."""
        return self._backend.source

    @property
    def via(self) -> Via:
        """Who reads them: this process ("sensors") or the daemon ("daemon")."""
        return self._backend.via

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should be told once: an estimate's warning, counters that may not be read."""
        return self._backend.notices

    @property
    def resolution_j(self) -> float | None:
        """The smallest step in joules that the daemon shows this reader; None where nothing is held back."""
        return self._backend.resolution_j

    def read(self, *, with_load: bool = False, edge_s: float | None = None) -> Reading:
        """Joules of every zone now. With `with_load` also how busy the machine was; with `edge_s` it waits
        so many seconds at most until the package's counter moves.

        A zone that could not be read has one gap more, and a line in `problems`; nothing is raised.
        """
        reading = self._backend.read(with_load, edge_s)
        if self._classes is not None and self.via == "daemon":
            assert isinstance(reading, DaemonReading)  # noqa: S101  (made above)
            return replace(reading, zones=[zone for zone in reading.zones if zone.zone in self._classes])
        return reading

    def zones(self) -> tuple[Zone, ...]:
        """The zones that are there."""
        counts = self.read().zones
        return tuple(Zone(count.zone, count.index, count.source, count.kind, count.path) for count in counts)


def _words(meters: Sequence[str] | None) -> Sequence[str]:
    if meters is not None:
        return meters
    text = os.environ.get("JOULED_METERS", "").replace(" ", "")
    words = text.split(",") if text else ["auto"]
    for word in words:
        if word not in WORDS:
            raise ConfigError(f"$JOULED_METERS={text!r}: {word!r} is no meter; use one of {', '.join(WORDS)}")
    return words


def _figure_w(variable: str, value_w: float | None) -> float | None:
    """The argument, else what the environment says, by the daemon's own names."""
    text = os.environ.get(variable)
    if value_w is not None or not text:
        return value_w
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"${variable}={text!r}: not a number; give the watts of one CPU") from None


def _expanded(words: Sequence[str], *, is_here: bool) -> Iterator[str]:
    for word in words or ["auto"]:
        if word != "auto":
            yield word
            continue
        yield from SENSORS
        if is_here:  # a daemon measures this host, not a captured one
            yield DAEMON
        yield "estimate"


def _open(words: Iterator[str], open_core: Callable[[Sequence[str]], _core.Meter], url: str | None) -> Sensors | Daemon:
    """The first that works; where counters are there that may not be read, what comes after says so."""
    refusals: list[JouledError] = []
    for is_daemon, group in groupby(words, lambda word: word == DAEMON):
        names = tuple(group)
        try:
            backend = Daemon(url) if is_daemon else Sensors(lambda names=names: open_core(names))  # type: ignore[misc]
        except JouledError as error:
            refusals.append(error)
            continue
        backend.notices += tuple(str(error) for error in refusals if "permission denied" in str(error))
        return backend
    raise UnsupportedError("; ".join(str(error) for error in refusals))


_default: Meter | None = None
_default_guard = Guard(rank=0)


def default() -> Meter:
    """The meter of this process, opened when it is first needed."""
    global _default  # noqa: PLW0603  (one for the whole process is what it is for)
    if _default is None:
        with _default_guard.lock:
            if _default is None:
                _default = Meter()
    return _default


def use(meter: Meter | None) -> None:
    """Makes `meter` the meter of this process; None opens it anew when it is next needed."""
    global _default  # noqa: PLW0603  (as above)
    with _default_guard.lock:
        _default = meter


def zones() -> tuple[Zone, ...]:
    """The zones of this host that this process can have, by class, index and source.

    >>> [zone.zone for zone in jouled.zones()]
    ['package', 'dram']
    """
    return default().zones()
