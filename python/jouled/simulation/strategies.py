"""Who balances a simulated site: jouled's own rules, as the daemon runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from jouled.balance.fleet.words import OFF
from jouled.balance.site.cycle import BalanceState, Inputs, Rules, cycle
from jouled.balance.site.supply import SupplyRules, SupplyState, judged, supply_of
from jouled.balance.site.words import Applied, Limit, Member, Observation, Order, Supply, Timing, Verdict
from jouled.simulation.device import Device
from jouled.simulation.plant import Heard


class Seen(NamedTuple):
    """What a strategy gets to see in one cycle."""

    now_s: float
    observations: Mapping[str, Observation]
    limits: tuple[Limit, ...]
    unmanaged_w: float


class Wish(NamedTuple):
    """One load is to be set to one of its points, and why."""

    load: str
    point: str
    reason: str


class Aim(NamedTuple):
    """What a strategy aims at now, for the plots."""

    target_w: float | None
    band: str
    is_saturated: bool = False


class Strategy(Protocol):
    """Is told each poll of the plant, and asked for changes each `cycle_s`."""

    cycle_s: float
    poll_s: float

    def hear(self, heard: Heard, now_s: float) -> None: ...

    def decide(self, seen: Seen) -> Sequence[Wish]: ...

    def told(self, wish: Wish, now_s: float, problem: str | None) -> None:
        """What came of it: None is that the load took it."""
        ...

    @property
    def aim(self) -> Aim: ...


class Ours:
    """The rules of jouled.balance, as the daemon runs them."""

    def __init__(
        self,
        devices: Sequence[Device],
        rules: Rules,
        supply_rules: SupplyRules,
        start: datetime,
        *,
        has_off: bool = True,
        priorities: Mapping[str, int] | None = None,
        fixed: frozenset[str] = frozenset(),
    ) -> None:
        self.cycle_s = rules.cycle_s
        self.poll_s = supply_rules.poll_s
        self._rules = rules
        self._supply_rules = supply_rules
        self._start = start
        priorities = priorities or {}
        self._known = [
            Known(_member(device, has_off and device.id not in fixed, priorities.get(device.id, 5)))
            for device in devices
        ]
        self._state = BalanceState()
        self._supply = SupplyState()
        self._applied: list[Applied] = []
        self._orders: dict[str, Order] = {}
        self.verdict: Verdict | None = None

    def __repr__(self) -> str:
        return f"<Ours {self._rules.strategy} {self._rules.reserve:g}>"

    @property
    def aim(self) -> Aim:
        if self.verdict is None:
            return Aim(None, "no-data")
        return Aim(self.verdict.target_w, self.verdict.band, self.verdict.is_saturated)

    def hear(self, heard: Heard, now_s: float) -> None:
        at = self._start + timedelta(seconds=now_s)
        self._supply = judged(self._supply, heard.reading, heard.problem, self._supply_rules, at, now_s)

    def decide(self, seen: Seen) -> list[Wish]:
        inputs = Inputs(
            now_s=seen.now_s,
            at=self._start + timedelta(seconds=seen.now_s),
            supply=self._judged_supply(seen.now_s),
            members=self._seen_members(seen.observations),
            limits=seen.limits,
            unmanaged_w=seen.unmanaged_w,
            applied=tuple(self._applied),
        )
        self._applied.clear()
        outcome = cycle(self._state, inputs, self._rules)
        self._state, self.verdict = outcome.state, outcome.verdict
        self._orders = {order.load: order for order in outcome.orders}
        return [
            Wish(order.load, order.point.name, f"{_why(order, outcome.verdict)}: {order.reason}")
            for order in outcome.orders
            if order.point is not None
        ]

    def told(self, wish: Wish, now_s: float, problem: str | None) -> None:
        self._applied.append(Applied(self._orders[wish.load], now_s, problem))

    def _judged_supply(self, now_s: float) -> Supply:
        return supply_of(self._supply, self._supply_rules, now_s)

    def _seen_members(self, observations: Mapping[str, Observation]) -> tuple[Member, ...]:
        return tuple(known.member(observations[known.id]) for known in self._known)


def _why(order: Order, verdict: Verdict) -> str:
    """The band, or that it is put back to what is more useful at the same power."""
    return "restore" if order.kind == "restore" or verdict.band == "hold" else verdict.band


def _member(device: Device, can_be_off: bool, priority: int) -> Member:
    model = device.model
    timing = Timing(
        dead_s=model.dead_s,
        settle_s=model.restart_s + model.ramp_s,
        pause_s=model.pause_s,
        # While it ramps half of the work is lost.
        restart_s=model.restart_s + model.ramp_s / 2,
    )
    points = (*model.points, device.off) if can_be_off else model.points
    worst_w = max(point.power_w for point in model.points)
    return Member(device.id, device.id, model.name, timing, points, priority=priority, worst_w=worst_w)


class Known:
    """A load as the fleet of the daemon knows it: with what it drew at most at the preset where it was last seen."""

    def __init__(self, member: Member) -> None:
        self.id = member.id
        self._member = member
        self._peaks_w = {point.name: point.power_w for point in member.points}
        self._most_w = max(self._peaks_w.values())
        self._point: str | None = None

    def __repr__(self) -> str:
        return f"<Known {self.id} at {self._point}>"

    def member(self, seen: Observation) -> Member:
        """As _replace, which takes thrice as long."""
        member = self._member
        return Member(
            member.id,
            member.name,
            member.kind,
            member.timing,
            member.points,
            priority=member.priority,
            seen=seen,
            worst_w=self._worst_w(seen),
        )

    def _worst_w(self, seen: Observation) -> float:
        point = seen.point
        if point is not None:
            self._point = point
            if seen.power_w is not None and seen.power_w > self._peaks_w.get(point, 0.0):
                self._peaks_w[point] = seen.power_w
        if self._point is None or self._point == OFF:
            return self._most_w  # nobody knows at which preset it would begin anew
        return self._peaks_w[self._point]
