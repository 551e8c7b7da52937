"""What bounds the site besides its plant: contract, operator, plan, circuits; and what its own meter shows."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import trio

from jouled.balance.fleet.words import Circuit
from jouled.balance.site.supply import Reading
from jouled.balance.site.words import Limit, Member
from jouled.config.balance import Balance
from jouled.control.site.facing import Plan
from jouled.errors import StoreError
from jouled.log import Once, log

if TYPE_CHECKING:  # a site without books imports none of them
    from jouled.store import Store

CIRCUITS_S = 60.0
CARBON_S = 60.0
# A store that is away is no reason to wait, nor to forget.
FETCH_S = 5.0
# Between what a feed says was drawn and what loads said that they drew.
SKEW_S = 30.0
DRAWN_S = 180.0
UNMANAGED_OF_LATE = 3


class Metered(NamedTuple):
    """The latest reading of the meter of the managed loads, and when it was taken by Trio's clock."""

    power_w: float
    taken_s: float


class Limits:
    """`look` says what holds now and never waits; `run` keeps what is in the books at hand."""

    def __init__(
        self,
        settings: Balance,
        *,
        site: str | None,
        store: Store | None,
        plan: Plan | None,
        plan_max_w: float | None = None,
        clock: Callable[[], datetime],
    ) -> None:
        self.settings = settings
        self.circuits: tuple[Circuit, ...] = ()
        self.metered: Metered | None = None
        # Why what was asked of the books is not known.
        self.problem: str | None = None
        self._site = site
        self._store = store
        self._plan = plan
        self._plan_max_w = plan_max_w
        self._clock = clock
        self._once = Once()

    def __repr__(self) -> str:
        return f"<Limits [{len(self.circuits)} circuits]>"

    def look(self, at: datetime, operator_w: float | None) -> tuple[Limit, ...]:
        """All of them; the lowest counts."""
        found = []
        if self.settings.limit_w is not None:
            found.append(Limit("contract", self.settings.limit_w, "balance.limit"))
        if operator_w is not None:
            found.append(Limit("operator", operator_w, "the operator's cap", is_of_all=False))
        if self._plan is not None and self.settings.follow_plan:
            budget = self._plan.budget(at)
            most_w = self._plan_max_w
            if budget.power_w is not None:
                found.append(Limit("plan", budget.power_w, budget.reason))
            elif most_w is not None:  # an hour without a budget is none without a bound
                found.append(Limit("plan", most_w, f"plan.max; {budget.reason}"))
        return tuple(found)

    def meter(self, now_s: float) -> tuple[float | None, float | None]:
        """What the meter of the managed loads shows, and how old that is. One that was never read is old."""
        if self.settings.meter is None:
            return None, None
        if self.metered is None:
            return None, math.inf
        return self.metered.power_w, max(0.0, now_s - self.metered.taken_s)

    def known(self, members: Sequence[Member]) -> tuple[Circuit, ...]:
        """Those of the books. A load on a circuit that they do not have is not raised, which is said."""
        ids = {circuit.id for circuit in self.circuits}
        for member in members:
            if member.circuit is not None and member.circuit not in ids:
                self._once.warning(
                    f"load {member.name}: circuit {member.circuit!r} is none of this site's books; "
                    "create it: until then the load is not raised, and no limit of it is kept"
                )
        return self.circuits

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Started once the books were asked, or have not answered for some seconds."""
        await self._look_at_circuits()
        await self._look_at_meter()
        await self._look_at_carbon()
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, CIRCUITS_S, self._look_at_circuits)
            nursery.start_soon(self._follow, CARBON_S, self._look_at_carbon)
            nursery.start_soon(self._follow, min(5.0, self.settings.cycle_s), self._look_at_meter)

    async def _follow(self, period_s: float, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await trio.sleep(period_s)
            await look()

    async def _look_at_carbon(self) -> None:
        """Forecasts of the plan, which has nobody else to look at them where it caps no host."""
        if self._plan is not None:
            await self._plan.look_at_carbon(self._clock())

    async def _look_at_circuits(self) -> None:
        store, site = self._store, self._site
        if store is None or site is None:
            return
        from jouled.bookkeeping import balance as books

        with trio.move_on_after(FETCH_S):
            try:
                found = await store.fetch(lambda connection: books.circuits_of(connection, site))
            except StoreError as error:
                self.problem = f"circuits are as they were known before: {error}"
                return
            if self.problem is not None:
                log.info("circuits are known again", circuits=len(found))
            self.circuits, self.problem = found, None

    async def _look_at_meter(self) -> None:
        store, meter = self._store, self.settings.meter
        if store is None or meter is None:
            return
        from jouled.bookkeeping import balance as books

        with trio.move_on_after(FETCH_S):
            try:
                found = await store.fetch(lambda connection: books.metered(connection, meter))
            except StoreError:
                return
            if found is None:
                self._once.warning(f"balance.meter: there is no meter {meter!r} with a power reading; create it")
                return
            power_w, taken_at = found
            # A reading of the future is as old as the clock is wrong.
            age_s = abs((self._clock() - taken_at).total_seconds())
            taken_s = trio.current_time() - age_s
            # The same reading does not grow younger where the wall clock is set back.
            if self.metered is None or taken_s > self.metered.taken_s or power_w != self.metered.power_w:
                self.metered = Metered(power_w, taken_s)


class Unmanaged:
    """What draws from the plant and cannot be steered, from a feed that tells what all together draw.

    Loads that have just been shed are in such a figure for a while: it is compared with the most that they drew
    about the time of the reading, and the largest of the latest few estimates counts.
    """

    def __init__(self) -> None:
        self._drawn: deque[tuple[float, datetime, float]] = deque()
        self._estimates: deque[float] = deque(maxlen=UNMANAGED_OF_LATE)
        self._of: datetime | None = None

    def __repr__(self) -> str:
        return f"<Unmanaged {max(self._estimates, default=0.0):.0f} W>"

    def drew(self, now_s: float, at: datetime, power_w: float) -> None:
        """What the managed loads draw now."""
        self._drawn.append((now_s, at, power_w))
        while self._drawn and now_s - self._drawn[0][0] > DRAWN_S:
            self._drawn.popleft()

    def estimate(self, reading: Reading | None, *, includes_managed: bool) -> float | None:
        """None where no feed has told it yet."""
        if reading is not None and reading.consumption_w is not None and reading.sourced_at != self._of:
            self._of = reading.sourced_at
            managed_w = self._about(reading.sourced_at) if includes_managed else 0.0
            if managed_w is not None:
                self._estimates.append(max(0.0, reading.consumption_w - managed_w))
        return max(self._estimates, default=None)

    def _about(self, at: datetime) -> float | None:
        near = [watts for _, seen, watts in self._drawn if abs((seen - at).total_seconds()) <= SKEW_S]
        return max(near, default=None)
