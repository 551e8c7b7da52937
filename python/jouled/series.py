"""Power over time: a sampler of this host's meter, and the ledger's snapshots."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from jouled import meter as meters
from jouled import offload, wire
from jouled.errors import JouledError, ScanError, UnsupportedError
from jouled.model import Reading, ZoneCount

# Counters are renewed each millisecond: finer samples would be their grain.
SHORTEST_PERIOD_S = 0.01
SAMPLES_MAX = 100_000
# The first interval of a scanner of our own is short, so that the first snapshot comes soon.
FIRST_INTERVAL_S = 0.5
ROWS_MAX = 5000


class Sample(NamedTuple):
    """Mean power between two readings. `time` is when it ended, UTC seconds; `watts` by "class:index",
    None where it is not known.
    """

    time: float
    seconds: float
    watts: Mapping[str, float | None]


class Sampler:
    """Samples power in a thread, from `start()` or `with` to `stop()`.

    A sample each `period_s` seconds (0.01 s at least); the last `samples_max` are kept, and `dropped`
    says how many went. `meter` is the process's own by default. A forked child does not go on sampling.

    >>> with jouled.Sampler(period_s=0.1) as sampler:
    ...     work()
    >>> sampler.samples[-1].watts
    {'package:0': 41.3, 'dram:0': 4.9}
    """

    def __init__(
        self, period_s: float = 0.1, *, meter: meters.Meter | None = None, samples_max: int = SAMPLES_MAX
    ) -> None:
        if not period_s >= SHORTEST_PERIOD_S:
            raise ValueError(
                f"period_s {period_s!r} is too short; counters have a grain, take {SHORTEST_PERIOD_S} or more"
            )
        if samples_max < 1:
            raise ValueError(f"samples_max {samples_max!r} keeps nothing; take 1 or more")
        self.period_s = period_s
        self.dropped = 0
        self._meter = meter
        self._samples: deque[Sample] = deque(maxlen=samples_max)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._problems: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Sampler [{len(self._samples)} samples, {self.period_s:g} s]>"

    def start(self) -> Self:
        """Begins, or goes on; returns itself."""
        if self._thread is None:
            self._meter = self._meter or meters.default()
            self._stop = threading.Event()
            first = self._meter.read()
            self._thread = threading.Thread(
                target=self._run, args=(self._meter, first, self._stop), name="jouled-sampler", daemon=True
            )
            self._thread.start()
        return self

    def stop(self) -> tuple[Sample, ...]:
        """Ends it with a last, shorter sample; returns all of them."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join()
        return self.samples

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The samples so far, oldest first."""
        return tuple(self._samples)

    @property
    def source(self) -> str:
        """Where it comes from: "rapl", "hwmon", "battery", "estimate" (a model, no measurement) or "fake"."""
        return (self._meter or meters.default()).source

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong, each once."""
        return tuple(self._problems)

    def _run(self, meter: meters.Meter, before: Reading, stop: threading.Event) -> None:
        due_s = time.monotonic()
        is_last = False
        while not is_last:
            # A sample that came late does not hurry the next ones.
            due_s = max(due_s + self.period_s, time.monotonic())
            is_last = stop.wait(max(0.0, due_s - time.monotonic()))
            now = meter.read()
            for problem in list(now.problems)[:100]:
                self._problems.setdefault(problem)
            if now.zones and before.zones:
                self.dropped += len(self._samples) == self._samples.maxlen
                self._samples.append(_sample(before, now, time.time()))
            before = now if now.zones else before


def _sample(before: Reading, now: Reading, time_s: float) -> Sample:
    first = {(count.zone, count.index): count for count in before.zones}
    watts = {f"{count.zone}:{count.index}": _watts(first.get((count.zone, count.index)), count) for count in now.zones}
    return Sample(time_s, (now.at_ns - before.at_ns) / 1e9, watts)


def _watts(before: ZoneCount | None, now: ZoneCount) -> float | None:
    if before is None or before.gaps != now.gaps:
        return None
    span_s = (now.at_ns - before.at_ns) / 1e9
    return (now.joules - before.joules) / span_s if span_s > 0 else now.watts


class _Scans:
    """Snapshots by a scanner of our own."""

    def __init__(self, meters_wanted: Sequence[str], interval_s: float, levels: Sequence[str] | None) -> None:
        from jouled._core import Scanner

        self._scanner = Scanner(meters=list(meters_wanted), levels=None if levels is None else list(levels))
        self._interval_s = interval_s
        self._scanner.tick()
        self._due_s = time.monotonic() + min(FIRST_INTERVAL_S, interval_s)

    def wait_s(self) -> float:
        return max(0.0, self._due_s - time.monotonic())

    def take(self) -> wire.Snapshot:
        import platform

        from jouled._core import VERSION
        from jouled.rows import Host, Selection, snapshot_of

        self._due_s = max(self._due_s + self._interval_s, time.monotonic())
        host = Host(VERSION, platform.node(), self._scanner.source)
        return snapshot_of(host, self._scanner.tick(), Selection(None, "watts", ROWS_MAX))

    def close(self) -> None:
        """There is nothing to give back."""


class _Stream:
    """Snapshots as the daemon sends them."""

    def __init__(self, url: str | None, interval_s: float, levels: Sequence[str] | None) -> None:
        import os

        from jouled.client import Client

        client = Client(url or os.environ.get("JOULED_URL") or None, timeout_s=max(10.0, 3 * interval_s))
        client.readiness()  # refused here, not at the first snapshot
        self._events = client.stream(levels, interval_s=interval_s)

    def wait_s(self) -> float:
        return 0.0

    def take(self) -> wire.Snapshot:
        return next(self._events)

    def close(self) -> None:
        close = getattr(self._events, "close", None)
        if close is not None:
            close()


class Snapshots:
    """An endless iterator, and asynchronous iterator, of wire.Snapshot; see `snapshots`."""

    def __init__(self, source: _Scans | _Stream) -> None:
        self._source = source

    def __iter__(self) -> Iterator[wire.Snapshot]:
        return self

    def __next__(self) -> wire.Snapshot:
        time.sleep(self._source.wait_s())
        return self._source.take()

    def __aiter__(self) -> Snapshots:
        return self

    async def __anext__(self) -> wire.Snapshot:
        await offload.sleep(self._source.wait_s())
        return await offload.in_thread(self._source.take)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, where there is one."""
        self._source.close()


def snapshots(interval: float = 1.0, *, levels: Sequence[str] | None = None, url: str | None = None) -> Snapshots:
    """Snapshots of this host's whole ledger each `interval` seconds, without end: zones, workloads and
    residuals of `levels` (all by default) in watts over the interval and joules since each row began.

    Reads the sensors where this process may, else the daemon (`url`, $JOULED_URL or the usual places),
    else estimates; each snapshot says its `source`. For `for`, `async for` in Trio or asyncio, and `with`.

    Raises ValueError for an interval that is none; while iterating ScanError where /proc cannot be
    read, DaemonError where the daemon has gone.
    """
    if not 0.01 <= interval <= 3600:
        raise ValueError(f"interval {interval!r} is not between 0.01 and 3600 seconds")
    if url is not None:
        return Snapshots(_Stream(url, interval, levels))
    refusals: list[JouledError] = []
    try:
        return Snapshots(_Scans(meters.SENSORS, interval, levels))
    except (UnsupportedError, ScanError) as error:
        refusals.append(error)
    try:
        return Snapshots(_Stream(None, interval, levels))
    except JouledError as error:
        refusals.append(error)
    return Snapshots(_Scans(["estimate"], interval, levels))
