"""The zones' counters, read when somebody asks: by a meter of their own, so that no tick is disturbed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeVar

import trio

from jouled import wire
from jouled.config import Access
from jouled.errors import JouledError
from jouled.feed import Feed
from jouled.model import Reading, Snapshot, ZoneCount, ZoneKey
from jouled.rows import DECIMALS
from jouled.web.request import RefusedError

T = TypeVar("T")

# Once somebody has asked, the counters are followed: a counter may go round in some minutes, and
# whoever asks again then must find all of the energy between. A sensor of power is summed up, so more often.
FOLLOW_S = 30.0
FOLLOW_POWER_S = 1.0
POWER_SOURCES = frozenset({"hwmon", "battery"})
# A sensor that answers later than that, or never.
READ_S = 5.0


class Meter(Protocol):
    """Reads the zones; one call at a time, in whichever thread."""

    @property
    def source(self) -> str: ...
    def read(self) -> Reading: ...


class _Taken(NamedTuple):
    at_s: float
    reading: Reading


class Counters:
    """Opened when it is first asked. Those who may not read finely get a reading of before, where the
    last one made for them is not old enough yet.
    """

    def __init__(self, open_meter: Callable[[], Meter], feed: Feed[Snapshot], access: Access) -> None:
        self.access = access
        self.reads_total = 0
        self._open_meter = open_meter
        self._feed = feed
        self._meter: Meter | None = None
        self._opened_s = 0.0
        self._is_open = trio.Event()
        self._coarse: _Taken | None = None
        self._lock = trio.Lock()
        # Not that of the scans: a sensor that is slow for one is waited for by one.
        self._limiter = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<Counters [{self.reads_total} reads]>"

    async def get(self, *, is_coarse: bool) -> wire.Counters:
        """Raises RefusedError where the counters cannot be read, or not in time."""
        with trio.move_on_after(READ_S):
            async with self._lock:
                return await self._get(is_coarse=is_coarse)
        raise RefusedError(503, f"the counters were not read within {READ_S:g} s; see the log")

    async def follow(self) -> None:
        """Reads once in a while, from the first question on, until cancelled."""
        await self._is_open.wait()
        assert self._meter is not None  # noqa: S101  (it is what was waited for)
        every_s = FOLLOW_POWER_S if self._meter.source in POWER_SOURCES else FOLLOW_S
        while True:
            await trio.sleep(every_s)
            async with self._lock:
                try:
                    await self._read()
                except RefusedError:
                    continue  # whoever asks next hears of it

    async def _get(self, *, is_coarse: bool) -> wire.Counters:
        meter = await self._opened()
        if not is_coarse:
            reading = await self._read()
            return wire.Counters(meter.source, self._opened_s, None, None, tuple(_fine(zone) for zone in reading.zones))
        now_s = trio.current_time()
        if self._coarse is None or now_s - self._coarse.at_s >= 1 / self.access.rate_hz:
            self._coarse = _Taken(now_s, await self._read())
        watts = _tick_watts(self._feed.latest, self.access.resolution_j)
        zones = tuple(_coarse(zone, self.access.resolution_j, watts) for zone in self._coarse.reading.zones)
        return wire.Counters(meter.source, self._opened_s, self.access.rate_hz, self.access.resolution_j, zones)

    async def _opened(self) -> Meter:
        if self._meter is None:
            self._meter = await self._in_thread(self._open_meter)
            self._opened_s = time.monotonic()
            self._is_open.set()
        return self._meter

    async def _read(self) -> Reading:
        meter = await self._opened()
        self.reads_total += 1
        return await self._in_thread(meter.read)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        try:
            return await trio.to_thread.run_sync(call, limiter=self._limiter, abandon_on_cancel=True)
        except (JouledError, OSError) as error:
            raise RefusedError(503, f"the counters cannot be read: {error}") from error


def _fine(zone: ZoneCount) -> wire.ZoneCount:
    return _count(zone, zone.joules, zone.watts)


def _coarse(zone: ZoneCount, resolution_j: float, watts: Mapping[ZoneKey, float]) -> wire.ZoneCount:
    """Power is that of the last tick: the meter's own may be of a moment that others have asked for."""
    joules = rounded_down(zone.joules, resolution_j) if resolution_j > 0 else zone.joules
    return _count(zone, joules, watts.get((zone.zone, zone.index, zone.source)))


def _count(zone: ZoneCount, joules: float, watts: float | None) -> wire.ZoneCount:
    return wire.ZoneCount(
        zone=zone.zone,
        index=zone.index,
        source=zone.source,
        joules_total=round(joules, DECIMALS),
        monotonic_seconds=zone.at_ns / 1e9,
        watts=None if watts is None else round(watts, DECIMALS),
        gaps=zone.gaps,
    )


def rounded_down(joules: float, step_j: float) -> float:
    """To whole steps. As the core does: 0.3 and not 0.30000000000000004."""
    per_joule = round(1 / step_j)
    if abs(per_joule * step_j - 1) < 1e-9:
        return math.floor(joules * per_joule) / per_joule
    return math.floor(joules / step_j) * step_j


def _tick_watts(snapshot: Snapshot | None, resolution_j: float) -> dict[ZoneKey, float]:
    """Power of the last interval, by zone, in whole steps of energy over that interval."""
    if snapshot is None or not snapshot.interval_s:
        return {}
    step_w = resolution_j / snapshot.interval_s
    return {
        (zone.zone, zone.index, zone.source): round(zone.watts / step_w) * step_w if step_w > 0 else zone.watts
        for zone in snapshot.zones()
        if zone.watts is not None
    }
