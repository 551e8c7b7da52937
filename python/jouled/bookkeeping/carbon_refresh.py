"""The task that asks a provider for carbon intensity, at the start and then again and again."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from functools import partial

import trio

from jouled.bookkeeping import intensity
from jouled.bookkeeping.whole import read_whole
from jouled.books.intensity import Slot
from jouled.config.books import Carbon
from jouled.errors import StoreError
from jouled.http import Http, SignalError
from jouled.log import Once, log
from jouled.restarts import keep_running
from jouled.signals.carbon.fetched import Fetched, Provider
from jouled.signals.carbon.provider import open_provider
from jouled.store import Store

# After a failure; doubled each time, up to the usual time between two requests.
PAUSE_S = 60.0
PAUSE_MAX_S = 86_400.0
# A file costs nothing to look at.
FILE_LOOK_S = 60.0
JITTER = 0.1
# Everybody asks at full hours; a provider that is asked by all at once answers none.
RUSH_S = 30.0


async def refresh(
    settings: Carbon,
    store: Store,
    clock: Callable[[], datetime],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until cancelled. Raises ConfigError at the start for settings that cannot be."""
    async with Http("carbon") as http:
        provider = open_provider(settings, http)
        task_status.started()
        await keep_running("carbon", Refresh(settings, store, provider, clock).run)


class Refresh:
    """Of the zone of the settings, or of those that the sites name."""

    def __init__(
        self,
        settings: Carbon,
        store: Store,
        provider: Provider,
        clock: Callable[[], datetime],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._store = store
        self._provider = provider
        self._clock = clock
        self._jitter = jitter
        self._once = Once()
        self._failures = 0
        # What is wrong with each zone, as it was said.
        self._said: dict[str, str] = {}
        self._stale: set[str] = set()

    def __repr__(self) -> str:
        return f"<Refresh {self._provider.name} [{self._failures} failures]>"

    async def run(self) -> None:
        while True:
            pause_s = await self.once()
            await trio.sleep(pause_s)

    async def once(self) -> float:
        """Asks for all zones. Returns the seconds until the next time."""
        try:
            zones = await self._zones()
        except StoreError:  # the store says so itself
            return PAUSE_S
        retry_after_s = 0.0
        failed = False
        for zone in zones:
            try:
                await self._refresh(zone)
            except StoreError:
                return PAUSE_S
            except SignalError as error:
                failed = True
                retry_after_s = max(retry_after_s, error.retry_after_s or 0.0)
                self._say(zone, str(error))
            await self._look_whether_stale(zone)
        self._failures = self._failures + 1 if failed else 0
        return max(self._pause_s(), min(retry_after_s, PAUSE_MAX_S))

    async def _zones(self) -> list[str]:
        kind = self._settings.kind
        if self._settings.zone is None:
            zones = await read_whole(self._store, partial(intensity.zones_of_sites, kind=kind))
            if not zones:
                self._once.warning("carbon.zone is not set and no site names a carbon_zone; set either")
            return zones
        zones = [self._settings.zone]
        others = await read_whole(self._store, partial(intensity.sites_of_other_kind, zones=zones, kind=kind))
        for site in others:
            self._once.warning(
                f"site {site} asks for the intensity that {self._provider.name} does not give;"
                f" set its carbon_kind to {kind}, or carbon.provider: until then it has emission factors"
            )
        return zones

    async def _refresh(self, zone: str) -> None:
        fetched: Fetched = await self._provider.fetch(zone, self._clock())
        for problem in fetched.problems:
            self._once.warning(f"carbon: {problem}")
        slots: list[Slot] = fetched.slots
        if slots:
            await self._store.commit(lambda connection: intensity.put(connection, slots, self._clock()))
        if self._said.pop(zone, None) is not None:
            log.info("carbon intensity comes again", zone=zone, provider=self._provider.name)

    def _say(self, zone: str, problem: str) -> None:
        if self._said.get(zone) != problem:
            self._said[zone] = problem
            log.warning(f"carbon: {problem}", zone=zone)

    async def _look_whether_stale(self, zone: str) -> None:
        kind = self._settings.kind
        try:
            row = await read_whole(self._store, lambda connection: intensity.at(connection, zone, kind, self._clock()))
        except StoreError:
            return
        if row is not None:
            self._stale.discard(zone)
        elif zone not in self._stale:
            self._stale.add(zone)
            log.warning("carbon intensity is not known now: emission factors stand in", zone=zone, kind=kind)

    def _pause_s(self) -> float:
        if self._failures:
            wait_s = min(PAUSE_S * 2.0 ** min(self._failures - 1, 20), max(self._settings.refresh_s, PAUSE_S))
            return wait_s * (0.5 + self._jitter())
        if self._provider.name == "file":
            return min(FILE_LOOK_S, self._settings.refresh_s)
        return pause_s(self._settings.refresh_s, self._clock(), self._jitter())


def pause_s(refresh_s: float, now: datetime, jitter: float) -> float:
    """With `jitter` of 0 to 1; never so that the next request is at a full hour."""
    wait_s = refresh_s * (1 - JITTER + 2 * JITTER * jitter)
    in_hour_s = (now.timestamp() + wait_s) % 3600
    if in_hour_s < RUSH_S:
        return wait_s + RUSH_S + RUSH_S * jitter
    if in_hour_s > 3600 - RUSH_S:
        return wait_s + 2 * RUSH_S + RUSH_S * jitter
    return wait_s
