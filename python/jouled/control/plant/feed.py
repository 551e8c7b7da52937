"""The plant that feeds this site, as the daemon knows it: asked in time, judged, kept."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import trio

from jouled.balance.site.supply import (
    ACCEPTED,
    REJECTIONS,
    REPEATED,
    Reading,
    SupplyRules,
    SupplyState,
    judged,
    slept,
    supply_of,
)
from jouled.balance.site.words import Supply
from jouled.control.caps.asleep import slept_s
from jouled.control.plant.outage import PlantOutage
from jouled.errors import one_line
from jouled.feed import Feed
from jouled.http import SignalError
from jouled.log import log
from jouled.restarts import keep_running
from jouled.signals.plant.protocol import DEADLINE_S, PlantSource

if TYPE_CHECKING:  # a site without books imports none of them
    from jouled.control.plant.books import PlantBooks
    from jouled.store import Store

# A server that hangs must not be all that is asked: while one question waits, the next one is put.
UNDER_WAY_MAX = 3
# Of what was read, in memory: four hours at the poll that is set.
HISTORY_MAX = 1000
# Whoever asks to be left alone is, for no longer than this: safety waits for the plant.
ALONE_MAX_S = 60.0
# The deadlines of the sources are theirs; this one is for those that forget theirs.
PATIENCE_S = 2 * DEADLINE_S
# At the end, for its source and for what waits for the store: loads that are given back after it wait so long.
GOODBYE_S = 0.5


class Judged(NamedTuple):
    """One poll and what came of it; `reading` is None where there was no answer."""

    # Counts from 1 on in this life of the daemon.
    number: int
    at: datetime
    reading: Reading | None
    # As jouled.balance.site.supply has them: accepted, repeated, unanswered, or why it was rejected.
    judgement: str
    problem: str | None
    # What was believed just then.
    supply: Supply

    @property
    def is_accepted(self) -> bool:
        return self.judgement == ACCEPTED

    @property
    def is_rejected(self) -> bool:
        return self.judgement in REJECTIONS


class PlantFeed:
    """Polls the plant, and keeps what it says. `run` is a source of the daemon.

    `name` is the plant's, in events and on pages. `clock` is the wall clock; timers go by Trio's, which nobody sets,
    and `asleep` says how long the host has slept, while Trio's clock stood still.
    """

    def __init__(
        self,
        source: PlantSource,
        rules: SupplyRules,
        *,
        name: str,
        clock: Callable[[], datetime],
        store: Store | None = None,
        asleep: Callable[[], float] = slept_s,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.source = source
        self.rules = rules
        self.name = name
        self.clock = clock
        # Whoever acts on the plant waits here: each poll, when it was judged.
        self.changed: Feed[Judged] = Feed()
        # How polls went: ok, repeated, rejected, or the kind of the trouble.
        self.results: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.history: deque[Judged] = deque(maxlen=HISTORY_MAX)
        self.unanswered_in_a_row = 0
        self._state = SupplyState()
        self._asleep = asleep
        self._asleep_s = asleep()
        self._jitter = jitter
        self._clock_of_trio: trio.abc.Clock | None = None
        self._numbers = count(1)
        # Of the question whose answer was judged last: what an earlier one answers later is no news.
        self._judged_question = 0
        self._under_way = 0
        self._alone_until_s: float | None = None
        self._outage = PlantOutage(name, store, clock)
        self._books = None if store is None else _open_books(store, name)

    def __repr__(self) -> str:
        return f"<PlantFeed {self.name} [{sum(self.results.values())} polls]>"

    @property
    def latest(self) -> Reading | None:
        """The latest that was believed."""
        return self._state.last

    @property
    def last(self) -> Judged | None:
        """The latest poll, whatever came of it."""
        return self.changed.latest

    @property
    def state(self) -> SupplyState:
        return self._state

    def supply(self, now_s: float | None = None) -> Supply:
        """What holds now, by Trio's clock (default: its now). From any thread."""
        return supply_of(self._aged(), self.rules, self._clock_s() if now_s is None else now_s)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Started at once: a plant that does not answer keeps nobody waiting."""
        self._clock_of_trio = trio.lowlevel.current_clock()
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                if self._books is not None:
                    nursery.start_soon(self._books.run)
                nursery.start_soon(self._keep_polling)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S):
                await self.source.aclose()
            if self._books is not None:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + GOODBYE_S):
                    await self._books.end()

    async def _keep_polling(self) -> None:
        await keep_running("plant", self._poll_on, pause_max_s=self.rules.poll_s, jitter=self._jitter)

    async def poll(self) -> None:
        """One question and what comes of it. Raises nothing, whatever the source does."""
        question = next(self._numbers)
        reading, result, problem = await self._asked()
        if question < self._judged_question:
            return
        self._judged_question = question
        self._take(question, reading, result, problem)

    async def _poll_on(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell)
            due_s = trio.current_time()
            while True:
                if self._under_way < UNDER_WAY_MAX and not self._is_left_alone():
                    self._under_way += 1
                    nursery.start_soon(self._poll_once)
                due_s = max(due_s + self.rules.poll_s, trio.current_time())
                await trio.sleep_until(due_s)

    async def _poll_once(self) -> None:
        try:
            await self.poll()
        finally:
            self._under_way -= 1

    async def _tell(self) -> None:
        """Apart from the polls: events wait for a store, the plant waits for none."""
        async for one in self.changed.subscribe():
            await self._outage.look(self._state, one.supply, self.unanswered_in_a_row)

    async def _asked(self) -> tuple[Reading | None, str, str | None]:
        try:
            with trio.fail_after(PATIENCE_S):
                return await self.source.fetch(self.clock()), "ok", None
        except SignalError as error:
            if error.retry_after_s:
                self._alone_until_s = trio.current_time() + min(error.retry_after_s, ALONE_MAX_S)
            kind = type(error).__name__.removesuffix("Error").lower()
            # Those that we reject are others.
            return None, "refused" if kind == "rejected" else kind, str(error)
        except trio.TooSlowError:
            return None, "unreachable", f"{self.source.where}: no answer within {PATIENCE_S:g} s; it is asked again"
        except Exception as error:  # noqa: BLE001  (whatever the feed has sent: the loop goes on)
            log.error("plant: a defect in reading its answer", exc_info=error)
            words = f"{type(error).__name__} {one_line(str(error))[:200]}"
            return None, "defect", f"{self.source.where}: {words}; a defect of jouled"

    def _take(self, number: int, reading: Reading | None, result: str, problem: str | None) -> None:
        now, now_s = self.clock(), self._clock_s()
        aged, self._asleep_s = self._aged(), max(self._asleep_s, self._asleep())
        self._state = state = judged(aged, reading, problem, self.rules, now, now_s)
        judgement = state.judgement or ""
        self.unanswered_in_a_row = self.unanswered_in_a_row + 1 if reading is None else 0
        if judgement in REJECTIONS:
            self.rejected[judgement] += 1
            result = "rejected"
        self.results["repeated" if judgement == REPEATED else result] += 1
        supply = supply_of(state, self.rules, now_s)
        one = Judged(number, now, reading, judgement, state.problem, supply)
        if reading is not None and judgement != REPEATED:
            self.history.append(one)
            if self._books is not None:
                self._books.keep(one)
        with suppress(trio.ClosedResourceError):  # the daemon ends
            self.changed.publish(one)

    def _is_left_alone(self) -> bool:
        return self._alone_until_s is not None and trio.current_time() < self._alone_until_s

    def _aged(self) -> SupplyState:
        """While the host sleeps the plant goes on: what is known grows older than Trio's clock says."""
        asleep_s = self._asleep() - self._asleep_s
        # The two clocks are read one after the other.
        return slept(self._state, asleep_s) if asleep_s > 1.0 else self._state

    def _clock_s(self) -> float:
        """Trio's, which whoever renders a page in a thread cannot ask for."""
        if self._clock_of_trio is None:
            self._clock_of_trio = trio.lowlevel.current_clock()
        return self._clock_of_trio.current_time()


def _open_books(store: Store, name: str) -> PlantBooks:
    from jouled.control.plant.books import PlantBooks as OpenBooks

    return OpenBooks(store, name)
