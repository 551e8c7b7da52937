"""The balancer at work: each cycle looks at all there is, decides, and sends what follows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio

from jouled.balance.site.cycle import Inputs, Outcome, cycle
from jouled.balance.site.memory import BalanceState
from jouled.balance.site.withdrawing import withdrawn
from jouled.balance.site.words import Applied, Happening, Member, Order, Supply
from jouled.config import Config
from jouled.config.balance import Balance
from jouled.control.site import shown
from jouled.control.site.acting import Hands
from jouled.control.site.counting import BalanceCounters
from jouled.control.site.deciding import Decisions
from jouled.control.site.facing import AloneInLead, Fleet, Lead, Plan, Plant
from jouled.control.site.following import FETCH_S, LEAD_S, adopt_orders, follow_settings
from jouled.control.site.keeping import Books
from jouled.control.site.leaving import leave
from jouled.control.site.limits import Limits, Unmanaged
from jouled.control.site.originals import Originals
from jouled.control.site.rules import rules_of
from jouled.control.site.wishes import Key, Wishes
from jouled.errors import InvalidError
from jouled.feed import Feed
from jouled.journal import JournalError
from jouled.log import log
from jouled.wire.balance import BalanceEvent, BalancePoint, BalanceSettings, BalanceStatus, Mode, Setting

if TYPE_CHECKING:  # a site without books imports none of them
    from jouled.store import Store

# At the start: a plant that does not answer keeps nobody waiting for longer.
FIRST_S = 10.0
# Between two cycles, whatever news there is.
GAP_S = 1.0
# The daemon's end waits so long.
END_S = 1.5
# A cycle that is late by more is no sign of life: a disk or a fleet that hangs does not delay it.
LATE_S = 30.0
# The latest minutes in memory, for a site without books.
POINTS_MAX = 1440
WHO_MAX = 256
NO_LOADS = "there is no load: name some in [[balance.load]], or set miners.subnets"
NONE_STEERED = "no load of this site can be steered; GET /api/v1/loads, or joulectl balance loads, says why"


def utc_now() -> datetime:
    return datetime.now(UTC)


class Balancer:
    """`run` is a source of the daemon, `tell_books` a sink, and `end` comes between their ends.

    `originals` are held alone by this daemon. `clock` is the wall's; Trio's counts time.
    """

    def __init__(
        self,
        config: Config,
        fleet: Fleet,
        originals: Originals,
        *,
        site: str,
        plant: Plant | None = None,
        store: Store | None = None,
        plan: Plan | None = None,
        lead: Lead | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.fleet = fleet
        self.plant = plant
        self.site = site
        self.counters = BalanceCounters()
        # A new status after each cycle, and each time that somebody has set something.
        self.changed: Feed[BalanceStatus] = Feed()
        # The last verdict of each of the latest minutes.
        self.points: dict[datetime, BalancePoint] = {}
        self.originals = originals
        self.limits = Limits(
            config.balance, site=config.node.site, store=store, plan=plan, plan_max_w=config.plan.max_w, clock=clock
        )
        self.wishes = Wishes(config.balance, originals.settings)
        self._config = config
        self._store = store
        self._lead: Lead = lead or AloneInLead()
        self._clock = clock
        self._books = Books(store, site)
        self.hands = Hands(fleet, originals, self._lead, clock, self._on_result)
        self.decisions = Decisions(self._on_decision, config.balance)
        self._unmanaged = Unmanaged()
        self._state = BalanceState()
        self._was_leader = False
        self._mode = self.wishes.mode
        self._latest: shown.Found | None = None
        self._began_s: float | None = None
        self._completed_s: float | None = None
        self._news = trio.Event()
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Balancer of {self.site} [{self.counters.cycles_total} cycles]>"

    # ---- the daemon's ----

    @property
    def is_live(self) -> bool:
        """Whether the latest cycle came to its end, and not long ago: what systemd's watchdog stands on."""
        if self._completed_s is None:  # it begins, or it never began
            return self._began_s is not None and trio.current_time() - self._began_s <= FIRST_S + LATE_S
        return trio.current_time() - self._completed_s <= 2 * self._config.balance.cycle_s + LATE_S

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Started once the first cycle is over. Whatever fails here ends the daemon."""
        self._began_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._lead.run)
            await nursery.start(self.hands.run)
            nursery.start_soon(follow_settings, self._store, self.site, self._take, lambda: self._settings.cycle_s)
            if not isinstance(self._lead, AloneInLead):
                nursery.start_soon(self._follow_lead)
                nursery.start_soon(adopt_orders, self._store, self.site, self.fleet, lambda: self._was_leader)
            async with trio.open_nursery() as first:
                first.start_soon(nursery.start, self.fleet.run)
                first.start_soon(nursery.start, self.limits.run)
                first.start_soon(self._await_plant)
            if self.plant is not None:
                nursery.start_soon(self._follow_plant)
            await self._go_on(task_status)

    async def tell_books(self) -> None:
        """Until the end, and a little longer where the store is away."""
        await self._books.run()

    async def end(self) -> None:
        """Leaves the loads as `balance.on_exit` says, within some time, and waits for nobody."""
        self._is_over = True
        try:
            with trio.CancelScope(shield=True), trio.move_on_after(END_S):
                await leave(self.fleet, self.originals, self._settings.on_exit, self._lead, self._clock)
        finally:
            await self._lead.give_up()
            await self.fleet.aclose()
            self.decisions.abandon(self._clock(), "the daemon ended before it was seen what came of it")
            self._books.close()
            self.changed.close()
            self.originals.close()

    def apply(self, config: Config) -> None:
        """What a reload can change."""
        self._config = config
        self.wishes.settings = config.balance
        self.limits.settings = config.balance
        self.decisions.settings = config.balance
        self.kick()

    # ---- what others may ask for ----

    def status(self) -> BalanceStatus:
        """What the latest cycle found. Any task may ask; it waits for nothing. Threads take `changed.latest`."""
        members = () if self._latest is None else self._latest.members
        return shown.status_of(
            self._latest,
            None if self.plant is None else self.plant.latest,
            self.wishes,
            self._lead,
            pending=shown.pending_shown(self._state.pending, trio.current_time(), self._clock()),
            proposed=len(self.decisions.proposed),
            problems=self._problems(members),
        )

    def settings(self) -> BalanceSettings:
        """What holds now, and what of it was set while the daemon ran."""
        return BalanceSettings(
            safety_margin_percent=self.wishes.reserve_pct,
            mode=self.wishes.mode,
            limit_watts=self.wishes.limit_w,
            contract_watts=self._settings.limit_w,
            strategy=self._settings.strategy,
            cycle_seconds=self._settings.cycle_s,
            on_exit=self._settings.on_exit,
            changed=self.wishes.changed,
        )

    async def pause(self, who: str, why: str = "") -> BalanceStatus:
        """Nothing is raised any more, until it is resumed. Sheds go on: safety is not paused."""
        await self._set("pause", "paused", who, why)
        return self.status()

    async def resume(self, who: str) -> BalanceStatus:
        await self._set("pause", None, who)
        return self.status()

    async def set_reserve(self, percent: float | None, who: str, why: str = "") -> BalanceSettings:
        """None is the file's again. Raises InvalidError."""
        if percent is not None and not 0 <= percent <= 50:
            raise InvalidError("safety_margin_percent must be from 0 to 50")
        return await self._set("reserve", percent, who, why)

    async def set_limit(self, watts: float | None, who: str, why: str = "") -> BalanceSettings:
        """The operator's cap; None takes it back. Raises InvalidError."""
        if watts is not None and not (math.isfinite(watts) and watts >= 0):
            raise InvalidError("a limit must be 0 W or more; null is none")
        return await self._set("limit", watts, who, why)

    async def set_mode(self, mode: Mode | None, who: str, why: str = "") -> BalanceSettings:
        """None is the file's again. What waits for somebody's word is dropped. Raises InvalidError."""
        if mode not in (None, "auto", "ask", "observe"):
            raise InvalidError("mode must be auto, ask or observe")
        settings = await self._set("mode", mode, who, why)
        self._look_at_mode(self._clock())
        return settings

    async def approve(self, decision_id: str, who: str) -> BalanceEvent:
        """It is done at once if the next cycle still calls for it. Raises NotFoundError, ConflictError."""
        event = self.decisions.approve(decision_id, who[:WHO_MAX], self._clock())
        self.kick()
        return event

    async def reject(self, decision_id: str, who: str) -> BalanceEvent:
        """It is not done, nor proposed again for balance.rejected. Raises NotFoundError, ConflictError."""
        event = self.decisions.reject(decision_id, who[:WHO_MAX], self._clock())
        self._publish()
        return event

    def proposed(self) -> tuple[BalanceEvent, ...]:
        """Decisions that wait for somebody."""
        return self.decisions.proposed

    def events(self, load: str | None = None, limit: int = 100) -> tuple[BalanceEvent, ...]:
        """The latest decisions of this life of the daemon, newest first; the books have all of them."""
        found = (event for event in reversed(self.decisions.recent.values()) if load in (None, event.miner_id))
        return tuple(event for event, _ in zip(found, range(limit), strict=False))

    def kick(self) -> None:
        """The next cycle does not wait for its time."""
        self._news.set()

    # ---- the loop ----

    @property
    def _settings(self) -> Balance:
        return self._config.balance

    async def _go_on(self, task_status: trio.TaskStatus[None]) -> None:
        is_first = True
        while True:
            began_s = trio.current_time()
            self._news = trio.Event()
            self._cycle()
            if is_first:
                task_status.started()
                is_first = False
            cycle_s = self._settings.cycle_s
            await trio.sleep(min(GAP_S, cycle_s / 2))
            with trio.move_on_at(began_s + cycle_s):
                await self._news.wait()

    def _cycle(self) -> None:
        """One of them, with nothing in between: what it looks at is of one instant."""
        began_s = time.perf_counter()
        now_s, at = trio.current_time(), self._clock()
        self._look_who_leads(at)
        members = self.fleet.members(now_s)
        supply = None if self.plant is None else self.plant.supply(now_s)
        inputs = self._inputs(now_s, at, supply, members)
        before = self._state
        outcome = cycle(before, inputs, rules_of(self._settings, self.wishes.reserve_pct))
        self._look_at_mode(at)
        orders, kept_back = self._keepable(outcome.orders)
        sent, withheld = self.decisions.sort(
            orders,
            outcome.verdict,
            None if supply is None else supply.power_w,
            self.wishes.mode,
            may_act=self._was_leader and not self._is_over,
        )
        self._state = withdrawn(before, outcome.state, (*withheld, *kept_back))
        self.decisions.look(self._state, {one.id: one for one in members}, at)
        self.hands.send(sent)
        if self._was_leader:
            self._tend(members)
        self._latest = shown.Found(outcome.verdict, supply, members, inputs.unmanaged_w)
        self._note(outcome, supply, at)
        self._completed_s = trio.current_time()
        self.counters.took(time.perf_counter() - began_s)
        self._publish()

    def _look_at_mode(self, at: datetime) -> None:
        """Whoever has set it: an operator here or elsewhere, or the file. What waits for a word is of the one before."""
        mode, self._mode = self._mode, self.wishes.mode
        if self._mode != mode:
            self.decisions.drop_open(at, f"the mode is {self._mode} now")

    def _keepable(self, orders: tuple[Order, ...]) -> tuple[tuple[Order, ...], tuple[Order, ...]]:
        """Those that may be sent, and those that wait until the disk takes what they need to be given back."""
        if self.hands.disk_problem is None or self.wishes.mode == "observe":
            return orders, ()
        urgent = tuple(order for order in orders if order.is_urgent)
        return urgent, tuple(order for order in orders if not order.is_urgent)

    def _inputs(self, now_s: float, at: datetime, supply: Supply | None, members: tuple[Member, ...]) -> Inputs:
        managed_w = shown.measured_w(members, is_managed=True)
        if managed_w is not None:
            self._unmanaged.drew(now_s, at, managed_w)
        metered_w, metered_age_s = self.limits.meter(now_s)
        return Inputs(
            now_s=now_s,
            at=at,
            supply=supply,
            members=members,
            limits=self.limits.look(at, self.wishes.limit_w),
            circuits=self.limits.known(members),
            metered_w=metered_w,
            metered_age_s=metered_age_s,
            unmanaged_w=self._unmanaged_w(),
            applied=self.hands.take_results(),
            is_paused=self.wishes.paused is not None,
        )

    def _unmanaged_w(self) -> float:
        told = self._settings.consumption
        if told == "ignore" or self.plant is None:
            return self._settings.unmanaged_w
        found = self._unmanaged.estimate(self.plant.latest, includes_managed=told == "all")
        return self._settings.unmanaged_w if found is None else found

    def _look_who_leads(self, at: datetime) -> None:
        is_leader = self._lead.is_leader
        if is_leader == self._was_leader:
            return
        self._was_leader = is_leader
        if is_leader:
            # The loads are as another has left them: what this one once knew of them is old.
            self._state = BalanceState()
            # Not before: until then another one's records are its own.
            self._books.begin(at, self.originals.loads)
            for setting in self.wishes.all:  # they may be in this one's journal alone, if the store was away
                self._books.setting(setting)
            log.info("balance: this daemon leads the site", site=self.site, mode=self.wishes.mode)
        else:
            self.hands.stop()
            self.decisions.abandon(at, "another daemon leads this site by now")
            log.warning("balance: this daemon no longer leads the site, and sends nothing", site=self.site)

    def _tend(self, members: tuple[Member, ...]) -> None:
        """Originals before anything is urgent, and leases before they end."""
        if self.wishes.mode == "observe":
            return
        self.hands.read_ahead([one.id for one in members if one.unmanaged is None and one.seen is not None])
        self.hands.renew([one.id for one in members if one.unmanaged is None])

    def _note(self, outcome: Outcome, supply: Supply | None, at: datetime) -> None:
        for happening in outcome.happenings:
            self._happened(happening, at)
        point = shown.point_of(outcome.verdict, supply, self.wishes.mode, len(self._state.pending))
        self.points[point.at] = point
        while len(self.points) > POINTS_MAX:
            del self.points[next(iter(self.points))]
        if self._was_leader:
            self._books.verdict(point)

    def _happened(self, happening: Happening, at: datetime) -> None:
        self.counters.happenings_total[happening.kind] += 1
        if not self._was_leader:  # whoever leads tells it
            return
        say = {"info": log.info, "warning": log.warning, "critical": log.error}[happening.severity]
        say(f"balance: {happening.note}", what=happening.kind, load=happening.source)
        self._books.happening(happening, at)

    def _on_result(self, result: Applied) -> None:
        self.decisions.applied(result, self._clock())
        if result.problem is None:
            return
        log.warning(f"balance: {result.order.load} was not set: {result.problem}")
        if result.order.kind == "shed" and result.is_sent:
            self.kick()  # others take it over

    def _on_decision(self, event: BalanceEvent) -> None:
        self.counters.changes_total[event.kind, event.status] += 1
        self._books.decision(event)
        if event.status in ("executing", "proposed"):
            log.info(shown.line_of(event), load=event.miner_id)

    async def _await_plant(self) -> None:
        if self.plant is None:
            return
        with trio.move_on_after(FIRST_S):
            while not self.plant.changed.published:
                await self.plant.changed.changed()

    async def _follow_lead(self) -> None:
        """Whoever wins acts at once; whoever loses breaks off at once what is under way."""
        while True:
            await trio.sleep(LEAD_S)
            if self._lead.is_leader != self._was_leader:
                if self._was_leader:
                    self.hands.stop()
                self.kick()

    async def _follow_plant(self) -> None:
        assert self.plant is not None  # noqa: S101  (whoever calls has looked)
        async for _ in self.plant.changed.subscribe():
            self.kick()

    # ---- what operators have set ----

    async def _set(self, key: Key, value: str | float | None, who: str, why: str = "") -> BalanceSettings:
        at = self.wishes.next_at(key, self._clock())
        setting = Setting(key, value, who[:WHO_MAX], why[:WHO_MAX], at)
        self.wishes.take(setting)
        self._books.setting(setting)
        self.originals.keep_settings(self.wishes.all)
        said = "as in the file" if value is None else value
        log.info(f"balance: {key} is {said} now", by=setting.who, **({"why": setting.why} if setting.why else {}))
        self.kick()
        try:
            with trio.move_on_after(FETCH_S):
                await self.originals.save()
        except JournalError as error:
            log.warning(f"balance: {key} holds until the daemon ends: {error}")
        return self.settings()

    def _take(self, found: Iterable[Setting]) -> None:
        news = [setting for setting in found if self.wishes.take(setting)]
        if news:
            self.originals.keep_settings(self.wishes.all)
            self.kick()

    def _publish(self) -> None:
        if not self.changed.is_closed:
            self.changed.publish(self.status())

    def _problems(self, members: tuple[Member, ...]) -> tuple[str, ...]:
        found = [problem for problem in (self.limits.problem, self.hands.disk_problem) if problem is not None]
        found += self.fleet.problems
        if self._latest is not None and not any(member.unmanaged is None for member in members):
            found.append(NONE_STEERED if members else NO_LOADS)
        return tuple(found)
