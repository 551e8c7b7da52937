"""What the market says, as the daemon knows it: asked in time, from the first provider that answers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import date, datetime, timedelta
from functools import partial

import trio

from jouled.bookkeeping import market as books
from jouled.books import refresh_times
from jouled.books.prices import Series, Slot, day_of
from jouled.books.refresh_times import Progress, Rules
from jouled.config.market import Market as Settings
from jouled.control.market.asking import Asking
from jouled.control.market.known import Fresh, Known, Origin
from jouled.control.market.outage import STORE_S, Condition, Outage
from jouled.errors import StoreError
from jouled.feed import Feed
from jouled.http import Http
from jouled.log import log
from jouled.restarts import keep_running
from jouled.signals.market.provider import Provider
from jouled.store import Store

__all__ = ["Fresh", "Market", "Origin"]

# Between two looks at the clock, which may be set, and which goes on while the host sleeps.
LOOK_S = 30.0
# By so much two clocks differ that were never set.
STEP_S = 5.0
# A publication that is late is no failure yet: the next provider is not asked meanwhile.
LATE = timedelta(hours=1)
# Days of a store that is away: the newest are kept for it.
UNSAVED_MAX = 20


class Market:
    """The series of today and tomorrow, and the task that keeps them so.

    `providers` is the chain, the first one first, and at least one; `http` is theirs, and closed at the end.
    Without a store it knows what it has fetched itself.
    """

    def __init__(
        self,
        settings: Settings,
        providers: Sequence[Provider],
        *,
        store: Store | None,
        clock: Callable[[], datetime],
        http: Http | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        # Whoever plans waits here: each time that there is something new, when it came.
        self.fetched: Feed[datetime] = Feed()
        self.settings = settings
        self.chain = tuple(Asking(provider, index, clock) for index, provider in enumerate(providers))
        self.refreshes = 0
        # When providers are asked again; None while they are.
        self.next_at: datetime | None = None
        self.clock = clock
        self._store = store
        self._http = http
        self._jitter = jitter
        self._known = Known(settings.keep_s)
        self._outage = Outage(settings.zone, store, clock)
        self._failing = {
            asking.name: Condition(store, clock, begins="market_failed", ends="market_answered", about=asking.name)
            for asking in self.chain
        }
        self._tries = 0
        self._cron_at: datetime | None = None
        self._wakes = trio.Event()
        self._is_asked_for = False
        self._is_loaded = False
        self._unsaved: dict[tuple[date, str, str], Series] = {}

    def __repr__(self) -> str:
        names = " ".join(asking.name for asking in self.chain)
        return f"<Market {names} [{len(self._known)} series, {self.refreshes} refreshes]>"

    @property
    def rules(self) -> Rules:
        first = self.chain[0].provider
        return Rules(first.published, first.timezone, self.settings.refresh, self.settings.timezone)

    @property
    def fetches(self) -> Counter[tuple[str, str]]:
        """How often each provider was asked, by how that went."""
        return Counter(
            {(asking.name, result): count for asking in self.chain for result, count in asking.results.items()}
        )

    def known(self, now: datetime, since: datetime | None = None) -> tuple[Fresh, ...]:
        """What is known of today and tomorrow, in order of time: one series of each delivery day and product.

        None that is over: yesterday's prices are not today's. Whoever plans what began before midnight asks
        for those that were not over at `since`, which stand for their own day all the same.
        """
        return self._known.at(now, since)

    def slot(self, now: datetime) -> tuple[Slot, Fresh] | None:
        """What holds now, and of which series it is. None where neither a price nor a volume is known."""
        for fresh in self.known(now):
            slot = fresh.series.at(now)
            if slot is not None and (slot.price is not None or slot.volume_mwh is not None):
                return slot, fresh
        return None

    async def series(self, day: date) -> tuple[Series, ...]:
        """What is known of a delivery day: in memory, else in the store."""
        held = self._known.of_day(day, self.clock())
        if held:
            return tuple(fresh.series for fresh in held)
        kept = await self._kept(day) or []
        # Of each product the one of him who comes first in the chain.
        first = {series.product: series for series in reversed(kept)}
        return tuple(first[product] for product in sorted(first))

    def refresh_now(self) -> None:
        """Ask for all of it once more, whatever was planned."""
        self._is_asked_for = True
        self._wakes.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Started once what an earlier daemon left in the store has been looked at."""
        async with AsyncExitStack() as at_end:
            if self._http is not None:
                await at_end.enter_async_context(self._http)
            await self._load()
            task_status.started()
            await keep_running("market", self._keep_fresh, jitter=self._jitter)

    async def _keep_fresh(self) -> None:
        self._is_asked_for = True
        while True:
            is_due = self._cron_at is not None and self.clock() >= self._cron_at
            is_all, self._is_asked_for = is_due or self._is_asked_for, False
            await self.refresh(is_all=is_all)
            await self._wait()

    async def refresh(self, *, is_all: bool) -> None:
        """Asks once, for the days that are wanted or for all that are out."""
        now, rules = self.clock(), self.rules
        self.next_at = None
        self.refreshes += 1
        today = day_of(now, rules.timezone)
        progress = Progress() if is_all else self._progress(now)
        late_at = refresh_times.at_local(today, rules.published, rules.timezone) + LATE
        for day in refresh_times.wanted(now, rules, progress):
            await self._ask(day, is_late=day == today or now >= late_at)
        now = self.clock()
        self._tries = self._tries + 1 if refresh_times.wanted(now, rules, self._progress(now)) else 0
        self._known.drop_before(now)
        await self._look()

    async def _ask(self, day: date, *, is_late: bool) -> None:
        """One after the other, until one has all of it. What is whole is not asked of the next one."""
        for asking in self.chain:
            if asking.alone_s:
                continue
            # Thresholds and charges are numbers of one currency: that of whoever comes first.
            currency = next((one.currency for one in self.chain[: asking.index] if one.currency), None)
            series, is_missing = await asking.ask(day, self.settings.zone, currency)
            if series is not None:
                await self._take(asking.index, series)
            is_early = is_missing and not is_late
            if is_early or refresh_times.has_all(self._known.fetched_of(day)):
                return

    async def _take(self, index: int, series: Series) -> None:
        """First for those who plan, then for the store."""
        now = self.clock()
        series = self._known.put(series, index)
        self.fetched.publish(now)
        log.debug("market prices", provider=series.provider, day=str(series.delivery_day), revision=series.revision)
        if self._store is None:
            return
        self._unsaved[series.delivery_day, series.provider, series.product] = series
        if len(self._unsaved) > UNSAVED_MAX:
            del self._unsaved[next(iter(self._unsaved))]
        await self._save()

    async def _save(self) -> None:
        """What the store has not yet; where it is away, what comes later is tried with it."""
        while self._store is not None and self._unsaved:
            key, series = next(iter(self._unsaved.items()))
            # Once submitted it is done, whether or not it is waited for.
            with trio.move_on_after(STORE_S):
                try:
                    kept = await self._store.commit(partial(books.put, series=series, now=self.clock()))
                except StoreError:  # which the store says itself
                    return
                self._known.number(series, kept.revision)
            del self._unsaved[key]

    async def _load(self) -> None:
        """What an earlier daemon has left of today and tomorrow, and of yesterday, where a plan may have begun."""
        now = self.clock()
        today = day_of(now, self.rules.timezone)
        names = [asking.name for asking in self.chain]
        before = self.known(now)
        for day in (today - timedelta(days=1), today, today + timedelta(days=1)):
            kept = await self._kept(day)
            if kept is None:
                return
            for series in kept:
                asking = self.chain[names.index(series.provider)]
                asking.currency = asking.currency or series.currency
                self._known.put(series, asking.index, is_persisted=True)
        self._is_loaded = True
        if self.known(now) != before:
            self.fetched.publish(now)

    async def _kept(self, day: date) -> list[Series] | None:
        """In the order of the chain. None where the store is away."""
        if self._store is None:
            return []
        names = [asking.name for asking in self.chain]
        zone = self.settings.zone
        with trio.move_on_after(STORE_S):
            try:
                found = await self._store.fetch(lambda connection: books.of_day(connection, zone, day, names))
            except StoreError:
                return None
            return sorted(found, key=lambda series: names.index(series.provider))
        return None

    async def _wait(self) -> None:
        """Until the next refresh. Where the clock was set, or the host has slept, that is thought over."""
        self._plan()
        wall, own_s = self.clock(), trio.current_time()
        while self.next_at is not None and (left_s := (self.next_at - self.clock()).total_seconds()) > 0:
            with trio.move_on_after(min(LOOK_S, left_s)):
                await self._wakes.wait()
                break
            passed_s = (self.clock() - wall).total_seconds()
            if abs(passed_s - (trio.current_time() - own_s)) > STEP_S:
                self._tries = 0
                if self.clock() >= self.next_at:
                    break
                self._plan()
                wall, own_s = self.clock(), trio.current_time()
            await self._look()
        self._wakes = trio.Event()

    def _plan(self) -> None:
        now = self.clock()
        at = refresh_times.next_at(now, self.rules, self._progress(now), self._jitter())
        if self.rules.cron is not None:
            self._cron_at = refresh_times.cron_at(now, self.rules.cron, self.rules.site_timezone)
        # Who is left alone cannot be asked; where all of them are, there is nobody to ask.
        alone_s = min(asking.alone_s for asking in self.chain)
        self.next_at = max(at, now + timedelta(seconds=alone_s))

    def _progress(self, now: datetime) -> Progress:
        today = day_of(now, self.rules.timezone)
        tomorrow = today + timedelta(days=1)
        return Progress(self._known.fetched_of(today), self._known.fetched_of(tomorrow), self._tries)

    async def _look(self) -> None:
        if not self._is_loaded:
            await self._load()
        await self._save()
        for asking in self.chain:
            note = f"{asking.name} answers again"
            if is_failing := asking.failures > 0:
                note = asking.problem or f"{asking.name} fails"
            await self._failing[asking.name].look(note, is_so=is_failing)
        is_known = self.slot(self.clock()) is not None
        problem = next((asking.problem for asking in self.chain if asking.problem), None)
        await self._outage.look(is_known=is_known, problem=problem)
