"""The loads of a site: each is asked in its turn, at once with the others, and none waits for a dead one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import trio

from jouled.balance.site.words import Member, Observation
from jouled.bookkeeping.executing import utc_now
from jouled.config import Config
from jouled.config.balance import BalancedLoad
from jouled.control.fleet.models import Models
from jouled.control.fleet.standing import Standing
from jouled.control.fleet.watched import Kept, Watched
from jouled.errors import JouledError, one_line
from jouled.feed import Feed
from jouled.loads.actuator import Actuator
from jouled.log import log

if TYPE_CHECKING:  # a fleet without miners imports nothing of them
    from jouled.control.fleet.roster import Roster

# Loads of one site: each is asked every some seconds, and is a row of the cycle.
LOADS_MAX = 10_000
# At the start it is waited for the first answers, but not for the dead.
FIRST_S = 5.0
# The wall clock has gone on by so much more than Trio's: the host has slept, or the clock was set.
STEP_S = 5.0
LOOK_S = 5.0
CLOSE_S = 2.0


class Polling(NamedTuple):
    """How loads are asked. Times in seconds."""

    poll_s: float = 15.0
    # After an order, and after no answer, where it is to be known soon.
    soon_s: float = 3.0
    # Of one call: each has its own.
    deadline_s: float = 10.0
    describe_s: float = 600.0
    # At once; those that did not answer last wait for each other only.
    together: int = 512
    troubled_together: int = 32


class Fleet:
    """Who is there, what they say, and what they may be set to. It gives no orders.

    `run` asks; after it has ended the actuators still work, for what is given back, until `aclose`. All of it
    belongs to Trio's thread.
    """

    def __init__(
        self,
        actuators: Sequence[Actuator] = (),
        *,
        config: Config | None = None,
        models: Models | None = None,
        polling: Polling | None = None,
        clock: Callable[[], datetime] = utc_now,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        # Published whenever a load comes, goes, or does something else; never for a mere measurement.
        self.changed: Feed[int] = Feed()
        self.config = config or Config()
        self.models = models or Models(self.config.miners.model)
        # Who keeps the miners among them, where they are looked for.
        self.roster: Roster | None = None
        self.clock = clock
        # How asking went: ok, failed, late, defect.
        self.polls: Counter[str] = Counter()
        self._polling = polling or Polling(poll_s=self.config.balance.poll_s)
        self._jitter = jitter
        self._settings = {load.name: load for load in self.config.balance.load}
        self._watched: dict[str, Watched] = {}
        self._order: tuple[Watched, ...] = ()
        self._nursery: trio.Nursery | None = None
        self._healthy = trio.CapacityLimiter(self._polling.together)
        self._troubled = trio.CapacityLimiter(self._polling.troubled_together)
        for actuator in actuators:
            self.add(actuator)

    def __repr__(self) -> str:
        away = sum(watched.is_away for watched in self._order)
        return f"<Fleet of {len(self._order)} loads [{away} away]>"

    def __len__(self) -> int:
        return len(self._order)

    @property
    def watched(self) -> tuple[Watched, ...]:
        """In the order of their ids."""
        return self._order

    @property
    def problems(self) -> tuple[str, ...]:
        """Miners that answered the latest search and could not be taken: nobody knows what they draw; loads that are
        away, and why. One of each kind with how many more there are.
        """
        refused = {} if self.roster is None else self.roster.discovery.refused
        unknown = [
            f"miner at {address}: {words}; it is neither steered nor counted" for address, words in refused.items()
        ]
        away = [
            f"{watched.id} is away: {watched.problem}{watched.uncounted}"
            for watched in self._order
            if watched.is_away and watched.problem
        ]
        found = []
        for lines in (sorted(unknown), away):
            more = f" (and {len(lines) - 1} more, which the log names)" if len(lines) > 1 else ""
            found += [line + more for line in lines[:1]]
        return tuple(found)

    def of(self, load_id: str) -> Watched | None:
        return self._watched.get(load_id)

    def members(self, now_s: float) -> tuple[Member, ...]:
        """All of them, those that are away and those that may not be steered too; in the order of their ids."""
        return tuple(watched.member(now_s) for watched in self._order)

    def actuator(self, load_id: str) -> Actuator | None:
        """What sets it. None for one that is not there (any more)."""
        watched = self._watched.get(load_id)
        return None if watched is None else watched.actuator

    def worst_w(self, now_s: float) -> float:
        """What all of them draw at most while nobody knows."""
        return sum(watched.worst_w(now_s) or 0.0 for watched in self._order)

    async def look(self, load_id: str) -> Observation | None:
        """Ask it now, whatever its turn is: after an order. Its last known state where it does not answer; None for
        one that is not there. Ends within the deadline of two calls.
        """
        watched = self._watched.get(load_id)
        if watched is None:
            return None
        await self._measure(watched)
        return watched.seen

    def hurry(self, load_id: str, for_s: float) -> None:
        """It was told something: it is asked more often for so long."""
        watched = self._watched.get(load_id)
        if watched is not None:
            watched.hurried_until_s = trio.current_time() + for_s
            watched.wake()

    def add(
        self,
        actuator: Actuator,
        standing: Standing | None = None,
        kept: Kept | None = None,
        settings: BalancedLoad | None = None,
    ) -> Watched:
        """A load more; one with the id of another takes its place, and what is known of that stays known.

        `settings` is its table, where it is not known by its name. Raises JouledError where there are too many.
        """
        before = self._watched.get(actuator.id)
        if before is not None:
            before.actuator = actuator
            before.described_s = None
            before.wake()
            return before
        if len(self._watched) >= LOADS_MAX:
            raise JouledError(f"load {actuator.id}: this site has {LOADS_MAX} loads already; balance it from another")
        settings = settings or self._settings.get(actuator.id)
        watched = Watched(
            actuator,
            standing or Standing(),
            may_tune=self.config.miners.may_tune,
            priority=5 if settings is None else settings.priority,
            circuit=None if settings is None else settings.circuit,
            kept=kept or Kept(),
            most_w=None if settings is None else settings.max_w,
        )
        watched.rule(watched.standing, self.models.bounds(watched.model))
        self._watched[actuator.id] = watched
        self._sort()
        self._begin(watched)
        return watched

    def forget(self, load_id: str) -> Watched | None:
        """It is not there any more, by its operator's word: nothing counts for it from now on."""
        watched = self._watched.pop(load_id, None)
        if watched is not None:
            self._sort()
            watched.wake()
        return watched

    def rule(self, watched: Watched, standing: Standing) -> None:
        """What the operator says of it, and of its model, from now on."""
        if watched.rule(standing, self.models.bounds(watched.model)):
            self._publish()

    def rule_all(self) -> None:
        """A model has other bounds."""
        for watched in self._order:
            self.rule(watched, watched.standing)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Started once each load was asked once, or has not answered for some seconds."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                if self.roster is not None:
                    await nursery.start(self.roster.run)
                for watched in self._order:
                    self._begin(watched)
                with trio.move_on_after(FIRST_S):
                    for watched in self._order:
                        await watched.was_asked()
                task_status.started()
                await self._look_at_the_clock()
            finally:
                self._nursery = None

    async def aclose(self) -> None:
        """After the last order. A device that hangs does not hold up the end."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_S):
            async with trio.open_nursery() as nursery:
                for watched in self._order:
                    nursery.start_soon(_close, watched.actuator)
            if self.roster is not None:
                await self.roster.aclose()

    def _begin(self, watched: Watched) -> None:
        if self._nursery is not None and not watched.is_watched:
            watched.is_watched = True
            self._nursery.start_soon(self._watch, watched)

    async def _watch(self, watched: Watched) -> None:
        # Not all of them in the same instant, also after a start.
        await trio.sleep(self._jitter() * min(1.0, self._polling.poll_s / 10))
        while self._watched.get(watched.id) is watched:
            wakes = watched.wakes
            await self._measure(watched)
            await self._describe(watched)
            with trio.move_on_after(self._pause_s(watched)):
                await wakes.wait()
        await _close(watched.actuator)

    def _pause_s(self, watched: Watched) -> float:
        polling = self._polling
        is_doubtful = watched.failures > 0 and not watched.is_away
        is_hurried = is_doubtful or trio.current_time() < watched.hurried_until_s
        pause_s = min(polling.soon_s, polling.poll_s) if is_hurried else polling.poll_s
        return pause_s * (0.9 + 0.2 * self._jitter())

    async def _measure(self, watched: Watched) -> None:
        async with self._troubled if watched.failures else self._healthy, watched.one_at_a_time:
            problem, seen = "", None
            result = "ok"
            try:
                with trio.fail_after(self._polling.deadline_s):
                    seen = await watched.actuator.measure()
            except trio.TooSlowError:
                result, problem = "late", f"no answer within {self._polling.deadline_s:g} s"
            except JouledError as error:
                result, problem = "failed", str(error)
            except Exception as error:  # noqa: BLE001  (a driver's defect is its load's trouble, and nobody else's)
                result, problem = "defect", _defect(watched, error)
            if seen is not None and seen.state == "away":
                result, problem = "failed", seen.note or "no answer"
            self.polls[result] += 1
            now_s = trio.current_time()
            if seen is None or seen.state == "away":
                is_news = watched.unanswered(problem, now_s)
                if is_news:
                    log.warning(f"load {watched.name} is away: {watched.problem}", load=watched.id)
            else:
                was_away = watched.is_away
                is_news = watched.observed(seen, now_s)
                if was_away:
                    log.info(f"load {watched.name} is back", load=watched.id)
                    watched.described_s = None
        if is_news:
            self._publish()

    async def _describe(self, watched: Watched) -> None:
        """What it is changes seldom: at first sight, after it was away, and every while, as presets are tuned."""
        age_s = None if watched.described_s is None else trio.current_time() - watched.described_s
        # What a host would draw is another figure each time.
        every_s = 0.0 if watched.has_span else self._polling.describe_s
        if watched.failures or (age_s is not None and age_s < every_s):
            return
        async with self._healthy, watched.one_at_a_time:
            try:
                with trio.fail_after(2 * self._polling.deadline_s):
                    description = await watched.actuator.describe()
            except trio.TooSlowError:
                watched.problem = "it did not say in time what it is"
            except JouledError as error:
                watched.problem = one_line(str(error))
            except Exception as error:  # noqa: BLE001  (as above)
                watched.problem = _defect(watched, error)
            else:
                if watched.described(description, trio.current_time()):
                    watched.rule(watched.standing, self.models.bounds(watched.model))
                    self._publish()

    async def _look_at_the_clock(self) -> None:
        """Trio's clock stands still while the host sleeps, and what was seen before would look fresh."""
        wall, own_s = self.clock(), trio.current_time()
        while True:
            await trio.sleep(LOOK_S)
            ahead_s = (self.clock() - wall).total_seconds() - (trio.current_time() - own_s)
            wall, own_s = self.clock(), trio.current_time()
            if ahead_s > STEP_S:
                for watched in self._order:
                    watched.aged(ahead_s)
                    watched.wake()

    def _sort(self) -> None:
        self._order = tuple(self._watched[load_id] for load_id in sorted(self._watched))
        self._publish()

    def _publish(self) -> None:
        self.changed.publish(self.changed.published + 1)


def _defect(watched: Watched, error: Exception) -> str:
    words = f"{type(error).__name__} {one_line(str(error))}; a defect of the driver of {watched.actuator.kind}"
    if watched.problem != words:
        log.error(f"load {watched.name}: {words}", exc_info=error)
    return words


async def _close(actuator: Actuator) -> None:
    with suppress(Exception):
        await actuator.aclose()
