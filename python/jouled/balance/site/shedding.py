"""Down, at once and in full: what is shed, and what is preferred when it has to be quick."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from jouled.balance.fleet.words import OFF, Circuit, Point
from jouled.balance.site.circuits import drawn_below, is_below, parents_of, room_for, way_up
from jouled.balance.site.inflight import shed_again_s
from jouled.balance.site.inputs import Inputs
from jouled.balance.site.planning import Planned, is_quick, planned
from jouled.balance.site.rules import Rules
from jouled.balance.site.scene import Scene
from jouled.balance.site.standing import DISOBEYED, Standing
from jouled.balance.site.sums import saving_w

# Of the reasons why loads cannot be set, the most frequent ones are told.
REASONS_TOLD = 3
# Less than this above a target is rounding.
TOLERATED_W = 0.5
ON_ITS_WAY = "what was ordered is on its way"


def sheds(scene: Scene, inputs: Inputs, rules: Rules) -> Planned:
    """What has to go down so that site and circuits come to their targets, after what is in flight already.

    In an emergency only changes that are to be seen within seconds count as in flight, and quick ones are taken
    while those are enough. Neither dwell nor bounds per hour hold a shed back.
    """
    is_urgent = scene.band == "emergency"
    by_s = inputs.now_s + rules.quick_s + 2 * rules.cycle_s if is_urgent else math.inf

    def saved(standing: Standing) -> float:
        return saving_w(standing, by_s)

    after_w = scene.sums.load_w - sum(saved(standing) for standing in scene.standings)
    parents = parents_of(inputs.circuits)
    saved_below = drawn_below(inputs.circuits, scene.standings, saved)
    target = 1.0 - rules.reserve
    hurt = {
        flow.circuit: flow.limit_w * target + saved_below[flow.circuit]
        for flow in scene.flows
        if flow.is_above(rules.place(rules.reduce))
        and flow.sums.load_w - saved_below[flow.circuit] > flow.limit_w * target
    }
    is_site_hurt = scene.marks is not None and after_w > scene.marks.target_w
    if not hurt and not is_site_hurt:
        return Planned((), True, ON_ITS_WAY)
    now_s = inputs.now_s
    movable = [each for each in scene.standings if may_shed(each, rules, now_s, by_s, is_urgent=is_urgent)]
    if not is_site_hurt:
        movable = [each for each in movable if is_below(each, hurt, parents)]
    draws_w = sum(each.now_w for each in movable)
    budget_w = draws_w
    if scene.marks is not None and is_site_hurt:
        budget_w = scene.marks.target_w - (after_w - draws_w)
    circuits = room_for(movable, inputs.circuits, scene.flows, hurt)
    if is_urgent:
        plan = _quick_first(movable, budget_w, circuits, rules)
    else:
        plan = planned("shed", movable, budget_w, circuits, rules)
    below = drawn_below(inputs.circuits, [change.standing for change in plan.changes], lambda _standing: 0.0)
    for change in plan.changes:
        for name in way_up(change.standing, parents):
            below[name] += change.saves_w
    full = [
        flow.circuit
        for flow in scene.flows
        if flow.circuit in hurt and flow.sums.load_w - below[flow.circuit] > hurt[flow.circuit] + TOLERATED_W
    ]
    return _judged(plan, scene, full, rules)


def may_shed(standing: Standing, rules: Rules, now_s: float, by_s: float, *, is_urgent: bool) -> bool:
    """Whether it can be told to draw less now."""
    if standing.obstacle is None:
        return True
    if standing.obstacle == DISOBEYED:
        return now_s >= shed_again_s(standing.memory, rules)
    pending, seen = standing.pending, standing.member.seen
    if not is_urgent or pending is None or seen is None or not standing.is_fresh:
        return False
    # In an emergency one that is on its way up, or slowly down, is switched off instead, while it runs.
    is_moving = pending.order.kind == "raise" or pending.expected_by_s > by_s
    return (
        is_moving
        and seen.state == "running"
        and standing.member.unmanaged is None
        and any(point.name == OFF and is_quick(standing, point, rules) for point in standing.member.points)
    )


def _quick_first(movable: Sequence[Standing], budget_w: float, circuits: Sequence[Circuit], rules: Rules) -> Planned:
    """Only quick changes; and where they are not enough, any of those loads that have no quick one.

    It is always the planner that does this: the baseline's one step a cycle would be too late.
    """

    def quick(standing: Standing, point: Point | None) -> bool:
        if standing.pending is not None and (point is None or point.name != OFF):
            return False
        return is_quick(standing, point, rules)

    has_quick = {each.member.id for each in movable if any(quick(each, point) for point in each.member.points)}

    def any_way(standing: Standing, point: Point | None) -> bool:
        return quick(standing, point) if standing.member.id in has_quick else standing.pending is None

    first = planned("shed", movable, budget_w, circuits, rules, may=quick, strategy="marginal")
    if first.is_feasible:
        return first
    return planned("shed", movable, budget_w, circuits, rules, may=any_way, strategy="marginal")


def _judged(plan: Planned, scene: Scene, full: Sequence[str], rules: Rules) -> Planned:
    """Whether that is enough, after all that is in flight; where not, which loads cannot help, and why."""
    left_w = scene.sums.expected_w - sum(change.saves_w for change in plan.changes)
    is_site_full = scene.marks is not None and left_w > scene.marks.target_w + TOLERATED_W
    # The baseline has more steps in its next cycles.
    has_more = rules.strategy == "average-efficiency" and bool(plan.changes)
    if has_more or not (full or is_site_full):
        return plan._replace(is_feasible=True, explanation="" if plan.changes else ON_ITS_WAY)
    parts = [plan.explanation] if plan.explanation else []
    if full:
        parts.append("above their limits stay " + ", ".join(full[:REASONS_TOLD]))
    reasons = Counter(each.obstacle for each in scene.standings if each.obstacle is not None)
    if reasons:
        told = ", ".join(f"{count} x {why}" for why, count in reasons.most_common(REASONS_TOLD))
        parts.append(f"loads that cannot be set now: {told}")
    return plan._replace(is_feasible=False, explanation="; ".join(parts) or "all loads are at their least")
