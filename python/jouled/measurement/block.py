"""`measure`: the energy of a block of code."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, get_args

from jouled import meter as meters
from jouled import offload
from jouled.errors import JouledError
from jouled.measurement.result import Result, Scope, Terms, ZoneEnergy, between
from jouled.measurement.tally import MACHINE, PROCESS, Consumer, Edge, Holder, Tally, tally_of

# How long an aligned end waits for the counter to move; it does so about each millisecond.
EDGE_WAIT_S = 0.005
LAPS_MAX = 100_000
SCOPES = get_args(Scope)

T = TypeVar("T")


class MeasureError(JouledError):
    """A measurement was used in a way that it cannot be; the message says how."""


def measure(
    name: str = "", *, scope: Scope = "process", edge: bool = False, meter: meters.Meter | None = None
) -> Measurement:
    """The energy of a block: `with jouled.measure("load") as m:`, `async with`, or `.start()` and `.stop()`.

    `scope` is "process" (this process and all its descendants), "thread" (the one that begins the
    block) or "machine". With `edge` both ends wait for the counter to move, 5 ms at most, which makes the
    error of a short block smaller and the block up to a millisecond longer. `meter` is the process's own by default.

    Blocks may be nested, overlap, and run in many threads and tasks: their sums agree. In a forked
    child the block goes on from the fork. An exception ends the block and passes on.

    Raises ValueError for a scope that is none, and where it is entered UnsupportedError on a host where
    not even an estimate works.
    """
    return Measurement(name, scope, edge, meter)


class Measurement(Holder):
    """A block that is measured: live inside, frozen after its end. Its attributes are those of Result."""

    def __init__(self, name: str, scope: Scope, edge: bool, meter: meters.Meter | None) -> None:
        if scope not in SCOPES:
            raise ValueError(f"scope {scope!r} is not known; use one of {', '.join(SCOPES)}")
        self._name = name
        self._scope = scope
        self._edge_s = EDGE_WAIT_S if edge else None
        self._meter = meter
        self._tally: Tally | None = None
        self._consumer: Consumer | None = None
        self._native_id: int | None = None
        self._begun: Edge | None = None
        self._began_s = 0.0
        self._mark: tuple[Edge, float] | None = None
        self._ended: Edge | None = None
        self._result: Result | None = None
        self._laps: list[Result] = []

    # ---- beginning and end ----

    def start(self) -> Self:
        """Begins it, where a `with` does not fit; returns itself. Raises MeasureError the second time."""
        if self._begun is not None:
            raise MeasureError(f"measurement {self._name!r} was begun before; make a new one with measure()")
        self._tally = tally_of(self._meter or meters.default())
        self._begin(self._tally)
        return self

    def stop(self) -> Result:
        """Ends it; a second time changes nothing."""
        self._end()
        return self.result

    def _end(self) -> None:
        tally, _ = self._running()
        if self._ended is None:
            assert self._consumer is not None  # noqa: S101  (set with the beginning)
            self._ended = tally.edge(self._consumer, self._edge_s)
            tally.keeper.release(self)
            self._consumer = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()  # what it used is reckoned when somebody asks

    async def __aenter__(self) -> Self:
        self._native_id = threading.get_native_id()  # of the task, not of the thread that asks the daemon
        return await _aside(self.start, self._meter)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _aside(self._end, self._meter)

    def _begin(self, tally: Tally) -> None:
        who = {"process": PROCESS, "machine": MACHINE}.get(self._scope)
        self._consumer = tally.consumer(self._native_id or threading.get_native_id() if who is None else who)
        self._began_s = time.time()
        self._begun = tally.edge(self._consumer, self._edge_s)
        self._mark = (self._begun, self._began_s)
        tally.keeper.hold(self, self._begun)

    def begin_anew(self) -> None:
        """In a forked child it measures from the fork on; what it was in the parent goes on there."""
        if self._tally is not None and self._ended is None:
            self._laps.clear()
            self._native_id = None
            self._begin(self._tally)

    def _running(self) -> tuple[Tally, Edge]:
        if self._tally is None or self._begun is None:
            raise MeasureError(f"measurement {self._name!r} was not begun; use it in a with, or call start()")
        return self._tally, self._begun

    # ---- what it used ----

    @property
    def result(self) -> Result:
        """All of it: so far, or of the whole block once it has ended."""
        if self._result is not None:
            return self._result
        tally, begun = self._running()
        if self._ended is not None:
            self._result = between(self._terms(tally, self._name, self._began_s), begun, self._ended)
            return self._result
        return between(self._terms(tally, self._name, self._began_s), begun, self._now(tally))

    def lap(self, name: str) -> Result:
        """What was used since the last lap, or the beginning. Laps and the rest add up to the block."""
        tally, _ = self._running()
        if self._ended is not None or self._mark is None:
            raise MeasureError(f"measurement {self._name!r} has ended; take laps inside of it")
        if len(self._laps) >= LAPS_MAX:
            raise MeasureError(
                f"measurement {self._name!r} has {LAPS_MAX} laps; use one measure() for each from here on"
            )
        since, since_s = self._mark
        now_s, now = time.time(), self._now(tally)
        result = between(self._terms(tally, name, since_s), since, now)
        self._mark = (now, now_s)
        self._laps.append(result)
        return result

    @property
    def laps(self) -> tuple[Result, ...]:
        """The laps so far."""
        return tuple(self._laps)

    def _now(self, tally: Tally) -> Edge:
        assert self._consumer is not None  # noqa: S101  (it runs)
        return tally.edge(self._consumer)

    def _terms(self, tally: Tally, name: str, time_s: float) -> Terms:
        meter = tally.meter
        return Terms(name, self._scope, meter.source, meter.via, time_s, meter.resolution_j)

    def __repr__(self) -> str:
        if self._begun is None:
            return f"<Measurement {self._name!r}: not begun>"
        return f"<Measurement {self.result}{'' if self._ended else ', so far'}>"

    def __str__(self) -> str:
        return str(self.result)

    def asdict(self) -> dict[str, Any]:
        """As plain values; see Result."""
        return self.result.asdict()

    @property
    def has_ended(self) -> bool:
        return self._ended is not None

    @property
    def name(self) -> str:
        return self._name

    @property
    def scope(self) -> Scope:
        return self._scope

    @property
    def source(self) -> str:
        """Where it comes from: "rapl", "hwmon", "battery", "estimate" (a model, no measurement) or "fake"."""
        return self._running()[0].meter.source

    @property
    def via(self) -> str:
        """Who reads: this process ("sensors") or the "daemon"."""
        return self._running()[0].meter.via

    @property
    def is_estimate(self) -> bool:
        """Whether a model says it, not a sensor."""
        return self.source == "estimate"

    @property
    def joules(self) -> float | None:
        """Joules of the scope; None where they are not known, and `problems` says why."""
        return self.result.joules

    @property
    def watts(self) -> float | None:
        """Mean watts of the scope."""
        return self.result.watts

    @property
    def seconds(self) -> float:
        return self.result.seconds

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time of the scope, in seconds."""
        return self.result.cpu_seconds

    @property
    def active_joules(self) -> float | None:
        """Joules of the scope without idle energy."""
        return self.result.active_joules

    @property
    def machine_joules(self) -> float | None:
        """All joules of the machine in the block."""
        return self.result.machine_joules

    @property
    def error_bound(self) -> float | None:
        """How many joules `joules` can be wrong by; None for gauges and models."""
        return self.result.error_bound

    @property
    def covers(self) -> tuple[str, ...]:
        """The zone classes in the sum."""
        return self.result.covers

    @property
    def zones(self) -> Mapping[str, ZoneEnergy]:
        """Each zone by "class:index"."""
        return self.result.zones

    @property
    def problems(self) -> tuple[str, ...]:
        """Why something is None."""
        return self.result.problems


async def _aside(step: Callable[[], T], meter: meters.Meter | None) -> T:
    """Runs one end of a block. Reading sensors takes microseconds, asking the daemon may take
    milliseconds: that waits in a thread, whatever the event loop; the end also where the task is cancelled.
    """
    if (meter or meters.default()).via == "daemon":
        return await offload.to_its_end(step)
    return step()
