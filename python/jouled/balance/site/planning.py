"""Loads as they stand become the planner's question, and its answer becomes orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from jouled.balance.fleet.allot import Strategy, allot
from jouled.balance.fleet.words import OFF, Chosen, Circuit, Load, Point, Span
from jouled.balance.site.rules import Rules
from jouled.balance.site.standing import Standing, point_of
from jouled.balance.site.words import Order

# What the planner calls a load's place where that is none of its points.
ELSEWHERE = "(as it is)"
# A cap is not raised by less than this part of what a host can have.
SPAN_STEP = 0.02
Direction: TypeAlias = Literal["shed", "raise", "either"]
May: TypeAlias = Callable[[Standing, Point | None], bool]


class Change(NamedTuple):
    """What a load is to be set to."""

    standing: Standing
    # None for one with a span.
    point: Point | None
    power_w: float

    @property
    def saves_w(self) -> float:
        return self.standing.now_w - self.power_w

    @property
    def gain(self) -> float:
        """Of weighted work."""
        current = self.standing.current
        work = (self.point.work if self.point is not None else 0.0) - (current.work if current is not None else 0.0)
        return self.standing.member.weight * work


class Planned(NamedTuple):
    """What is to change, whether that is enough, and why not; or why nothing is to change."""

    changes: tuple[Change, ...]
    is_feasible: bool
    explanation: str


def planned(
    direction: Direction,
    standings: Sequence[Standing],
    budget_w: float,
    circuits: Sequence[Circuit],
    rules: Rules,
    *,
    strategy: Strategy | None = None,
    may: May = lambda _standing, _point: True,
) -> Planned:
    """Which of `standings` are to change, so that they draw no more than `budget_w` together, and no more than
    what each circuit has for them. Only points for which `may` says so, and only ones in this direction; its point
    is None for a load with a span. `strategy` instead of the rules' own.
    """
    known = {circuit.id for circuit in circuits}
    loads = [_load(direction, standing, known, rules, may) for standing in standings]
    if not loads:
        return Planned((), budget_w >= 0, "" if budget_w >= 0 else "there is no load that can be set now")
    strategy = strategy if strategy is not None else rules.strategy
    if strategy == "average-efficiency" and any(circuit.limit_w is not None for circuit in circuits):
        strategy = "marginal"  # The baseline knows no circuits, and would fill them beyond what they may carry.
    answer = allot(loads, budget_w, circuits, strategy=strategy)
    changes = [
        change
        for standing in standings
        if (change := _change(direction, standing, answer.chosen[standing.member.id])) is not None
    ]
    if direction == "raise" and strategy == "average-efficiency":
        changes = _fitting(changes, answer.power_w - budget_w)
    return Planned(tuple(changes), answer.is_feasible, "" if answer.is_feasible else answer.explanation)


def _fitting(changes: list[Change], over_w: float) -> list[Change]:
    """The baseline's last step leads above its target: what takes most for its work is left out until all fits."""
    kept = sorted(changes, key=lambda change: (-change.saves_w / max(change.gain, 1e-9), change.standing.member.id))
    while kept and over_w > 0:
        over_w += kept.pop().saves_w
    return kept


def _load(direction: Direction, standing: Standing, known: set[str], rules: Rules, may: May) -> Load:
    member = standing.member
    # One whose circuit nobody has described hangs on the site, and is only shed.
    circuit = member.circuit if member.circuit in known else None
    if member.span is not None:
        span = _span(direction, standing, member.span) if may(standing, None) else _held(standing)
        return Load(member.id, (), span, None, circuit, member.priority, member.weight)
    current = _here(standing)
    work = current.work if current is not None else _work_elsewhere(standing)
    here = Point(current.name if current is not None else ELSEWHERE, standing.now_w, work)
    points = [
        here,
        *[
            Point(point.name, _planned_w(direction, standing, point), point.work)
            for point in member.points
            if point.name != here.name and _is_in(direction, standing, current, point) and may(standing, point)
        ],
    ]
    cost = _change_cost(standing, points, rules)
    return Load(member.id, tuple(points), None, here.name, circuit, member.priority, member.weight, cost)


def _held(standing: Standing) -> Span:
    return Span(standing.now_w, standing.now_w)


def _span(direction: Direction, standing: Standing, span: Span) -> Span:
    now_w = standing.now_w
    low_w = now_w if direction == "raise" else min(span.floor_w, now_w)
    high_w = now_w if direction == "shed" else max(span.ceiling_w, now_w)
    return Span(low_w, high_w, span.need_w)


def _here(standing: Standing) -> Point | None:
    """Where it is; None too where another order is on its way, which this one would take the place of."""
    return standing.current if standing.pending is None else None


def _is_in(direction: Direction, standing: Standing, current: Point | None, point: Point) -> bool:
    if current is None:
        draws_w = standing.draws_w(point)
        if direction == "raise":
            return standing.is_outside and draws_w > standing.now_w
        return direction == "shed" and draws_w < standing.now_w
    if direction == "either":
        return True
    return point.power_w < current.power_w if direction == "shed" else point.power_w > current.power_w


def _planned_w(direction: Direction, standing: Standing, point: Point) -> float:
    """As it was learned; but down is never more than it draws now, and up never less."""
    draws_w, current = standing.draws_w(point), standing.current
    is_down = direction == "shed" or (current is not None and point.power_w < current.power_w)
    return min(draws_w, standing.now_w) if is_down else max(draws_w, standing.now_w)


def _work_elsewhere(standing: Standing) -> float:
    seen = standing.member.seen
    if standing.memory.point == OFF and standing.pending is None:
        return 0.0
    if seen is not None and seen.work is not None:
        return seen.work
    points = standing.member.points
    if standing.is_outside:  # As much as it could do with that power at one of its own.
        return max((point.work for point in points if standing.draws_w(point) <= standing.now_w), default=0.0)
    return max((point.work for point in points), default=0.0)


def _change_cost(standing: Standing, points: Iterable[Point], rules: Rules) -> float:
    """What the interruption loses, spread over how long a change is taken to last."""
    member = standing.member
    if member.timing.restart_s <= 0 or rules.lasting_s <= 0:
        return 0.0
    return member.weight * max(point.work for point in points) * min(member.timing.restart_s / rules.lasting_s, 1.0)


def _change(direction: Direction, standing: Standing, chosen: Chosen) -> Change | None:
    if standing.member.span is not None:
        return _cap(direction, standing, standing.member.span, chosen.power_w)
    current = _here(standing)
    if chosen.point is None or chosen.point.name == (current.name if current is not None else ELSEWHERE):
        return None
    point = point_of(standing.member, chosen.point.name)
    return Change(standing, point, chosen.point.power_w) if point is not None else None


def _cap(direction: Direction, standing: Standing, span: Span, power_w: float) -> Change | None:
    """In whole watts, so that the same wish is the same cap; a small raise is none."""
    cap_w = max(float(int(power_w + 1e-6)), span.floor_w)
    commanded_w = standing.memory.commanded_w
    if direction == "shed" and commanded_w is not None and cap_w >= commanded_w:
        # It draws more than the cap that it has: the same once more would change nothing.
        cap_w = max(float(int(commanded_w - max(0.0, standing.now_w - cap_w))), span.floor_w)
        if cap_w >= commanded_w:
            return None
    step_w = cap_w - standing.now_w
    is_raise = step_w > 0
    if (is_raise and direction == "shed") or (not is_raise and direction == "raise"):
        return None
    least_w = max(1.0, SPAN_STEP * span.ceiling_w) if is_raise else 1.0
    return Change(standing, None, cap_w) if abs(step_w) >= least_w else None


def ordered(
    direction: Literal["shed", "raise"], change: Change, at: datetime, cycles: int, *, is_urgent: bool, reason: str
) -> Order:
    standing = change.standing
    return Order(
        id=f"{at:%Y%m%dT%H%M%S}-{cycles}-{standing.member.id}",
        load=standing.member.id,
        kind=direction,
        point=change.point,
        power_w=change.power_w,
        before_point=standing.memory.point,
        before_w=standing.now_w,
        is_urgent=is_urgent,
        reason=reason,
    )


def is_quick(standing: Standing, point: Point | None, rules: Rules) -> bool:
    """Whether it would draw less within seconds."""
    timing = standing.member.timing
    if point is not None and point.name == OFF and timing.pause_s is not None:
        return timing.pause_s <= rules.quick_s
    return timing.dead_s + timing.settle_s <= rules.quick_s
