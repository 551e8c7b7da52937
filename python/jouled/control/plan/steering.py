"""The loop of the plan: the slot that is now, its budget, and the cap that follows."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import trio

from jouled.balance.schedule import Budget
from jouled.balance.steps import Step, line_of
from jouled.balance.strategies import Range
from jouled.control.plan.planning import NO_RANGE, Planning
from jouled.errors import JouledError
from jouled.feed import Feed
from jouled.log import Once, log
from jouled.wire.caps import CapDraft, Lease

OWNER = "market"
# A cap outlives two looks that failed, and no more: what nobody renews is given back.
LOOKS_OF_A_LEASE = 3
# Between two looks at the clock, which may be set, and which goes on while the host sleeps.
LOOK_S = 5.0
# By so much two clocks differ that were never set.
STEP_S = 1.0
REASON_MAX = 256


class Caps(Protocol):
    """Who holds the leases."""

    async def hold(self, owner: str, draft: CapDraft) -> Lease: ...
    async def release(self, owner: str) -> bool: ...


@dataclass
class SteeringCounters:
    """What has happened since the start, and what holds; read by the metrics page."""

    # Caps that were asked for or given up because the budget had become another one.
    adjustments_total: int = 0
    looks_total: int = 0
    failures_total: int = 0
    budget: Budget | None = None
    range: Range | None = None
    applied_w: float | None = None


def ignore(_: Step) -> None:
    """There are no books to tell."""


class Steering:
    """`clock` tells the wall's time, by which the market goes; `news` wakes it, and `tell` hears of each step:
    it must not wait.
    """

    def __init__(
        self,
        planning: Planning,
        caps: Caps,
        clock: Callable[[], datetime],
        *,
        stabilisation_s: float,
        lease_max_s: float,
        news: Feed[Any] | None = None,
        tell: Callable[[Step], None] = ignore,
    ) -> None:
        self.counters = SteeringCounters()
        self._planning = planning
        self._caps = caps
        self._clock = clock
        self._stabilisation_s = stabilisation_s
        self.allow(lease_max_s)
        self._news: Feed[Any] = news or Feed()
        self._tell = tell
        self._once = Once()
        self._latest: Step | None = None

    def __repr__(self) -> str:
        return f"<Steering {self._planning!r} [{self.counters.adjustments_total} adjustments]>"

    def allow(self, lease_max_s: float) -> None:
        """The longest lease, which a reload can change: a longer one would be refused."""
        self._ttl_s = min(LOOKS_OF_A_LEASE * self._stabilisation_s, lease_max_s)
        self._period_s = min(self._stabilisation_s, self._ttl_s / LOOKS_OF_A_LEASE)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. The first budget is in force before it says that it has started, or was refused."""
        seen = self._news.published
        budget = await self.look()
        task_status.started()
        while True:
            await self._wait(budget, seen)
            seen = self._news.published
            budget = await self.look()

    async def look(self) -> Budget:
        """Once: what is allowed now is asked for."""
        now = self._clock()
        self.counters.looks_total += 1
        power = self._planning.range
        if power is None:
            self._once.warning(NO_RANGE)
        budget = self._planning.budget(now)
        step = await self._follow(Step(str(uuid.uuid4()), now, budget, None))
        self._note(step, power or self._planning.lowest)
        return budget

    async def _follow(self, step: Step) -> Step:
        """The lease of the budget, or none. Whatever is refused leaves what holds to its own end."""
        power_w = step.budget.power_w
        try:
            if power_w is None:
                await self._caps.release(OWNER)
                return step
            lease = await self._caps.hold(OWNER, CapDraft(power_w, self._ttl_s, step.budget.reason[:REASON_MAX]))
        except JouledError as error:
            self.counters.failures_total += 1
            return step._replace(problem=str(error))
        return step._replace(applied_w=lease.watts)

    def _note(self, step: Step, power: Range) -> None:
        before, self._latest = self._latest, step
        counters = self.counters
        counters.budget, counters.range, counters.applied_w = step.budget, power, step.applied_w
        is_new = before is None or (before.budget.power_w, before.problem) != (step.budget.power_w, step.problem)
        if step.problem is not None:
            if is_new:
                log.warning(f"the plan's cap is not in force: {step.problem}")
        elif before is None or (before.budget, before.applied_w) != (step.budget, step.applied_w):
            log.info(line_of(step.budget, power, step.applied_w, self._planning.timezone))
        if not is_new:
            return
        counters.adjustments_total += step.problem is None
        self._tell(step)

    async def _wait(self, budget: Budget, seen: int) -> None:
        """Until the next look: after the time between two, at the border of the slot, where something new is
        known, and where the clock was set or the host has slept.
        """
        end_s = trio.current_time() + self._period_s
        wall, own_s = self._clock(), trio.current_time()
        while (left_s := end_s - trio.current_time()) > 0 and self._news.published == seen:
            border_s = (budget.end - self._clock()).total_seconds()
            if border_s <= 0 or self._clock() < budget.start:
                return
            with trio.move_on_after(min(LOOK_S, left_s, border_s)):
                await self._news.changed()
            passed_s = (self._clock() - wall).total_seconds()
            if abs(passed_s - (trio.current_time() - own_s)) > STEP_S:
                return
