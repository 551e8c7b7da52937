"""One cycle of the balancer: what is seen becomes orders, and the state for the next cycle."""

from __future__ import annotations

import math
from typing import NamedTuple

from jouled.balance.fleet.words import OFF
from jouled.balance.site.inflight import due_s, recorded
from jouled.balance.site.inputs import Inputs, Metered
from jouled.balance.site.memory import BalanceState
from jouled.balance.site.moment import Moment
from jouled.balance.site.planning import Planned, ordered
from jouled.balance.site.raising import raises
from jouled.balance.site.resettling import is_time, resettles
from jouled.balance.site.rules import Rules
from jouled.balance.site.scene import Scene, scene_of
from jouled.balance.site.shedding import sheds
from jouled.balance.site.soundness import sound
from jouled.balance.site.telling import SITE, changes_of
from jouled.balance.site.words import Happening, Order, Pending, Stage, Verdict

__all__ = ["BalanceState", "Inputs", "Metered", "Outcome", "Rules", "cycle"]


# In one reason.
CIRCUITS_TOLD = 3


# So many cycles without a load that can be set are said.
WITHOUT_CYCLES = 2
# For so many the plant is heard of before that is said: a feed that flaps would fill the log.
FRESH_CYCLES = 4


class Outcome(NamedTuple):
    """`orders` are to be sent now, urgent ones all at once."""

    state: BalanceState
    verdict: Verdict
    orders: tuple[Order, ...]
    happenings: tuple[Happening, ...]


class Decided(NamedTuple):
    """What is to be done in this cycle."""

    plan: Planned
    orders: tuple[Order, ...] = ()
    # The exchange after an emergency was thought over.
    has_resettled: bool = False


def cycle(state: BalanceState, inputs: Inputs, rules: Rules) -> Outcome:
    """Pure and deterministic: the same state, inputs and rules give the same outcome, order ids included.

    Its caller sends the orders, and tells in the next cycle's `applied` what came of each: that it was taken, why
    it was not, or that it was not sent at all. Whether a load did it is seen in what the load says of itself.
    """
    moment = Moment(inputs.now_s, rules, [])
    inputs, unsound = sound(inputs)
    for problem in unsound:
        if problem not in state.unsound:
            moment.tell("circuits_wrong", "warning", SITE, problem)
    scene = scene_of(state, inputs, moment)
    decided = _decided(state, scene, inputs, rules)
    verdict = _verdict(scene, decided.plan, inputs)
    after = _after(state, scene, decided, inputs, rules)._replace(unsound=unsound)
    told = (*moment.happenings, *changes_of(state, after, verdict, inputs.supply))
    return Outcome(after, verdict, decided.orders, told)


def _decided(state: BalanceState, scene: Scene, inputs: Inputs, rules: Rules) -> Decided:
    at, number = inputs.at, state.cycles
    if scene.band in {"emergency", "reduce"}:
        plan = sheds(scene, inputs, rules)
        is_urgent = scene.band == "emergency"
        why = _too_much(scene, rules)
        orders = [ordered("shed", each, at, number, is_urgent=is_urgent, reason=why) for each in plan.changes]
        return Decided(plan, tuple(orders))
    if scene.band == "raise":
        plan = raises(state, scene, inputs, rules)
        why = _room(scene)
        orders = [ordered("raise", each, at, number, is_urgent=False, reason=why) for each in plan.changes]
        return Decided(plan, tuple(orders))
    if is_time(state, scene, inputs, rules):
        plan = resettles(scene, inputs, rules)
        orders = [ordered("shed", each, at, number, is_urgent=False, reason=plan.explanation) for each in plan.changes]
        return Decided(plan, tuple(orders), has_resettled=True)
    return Decided(Planned((), True, scene.held_because))


def _too_much(scene: Scene, rules: Rules) -> str:
    """What carries too much, in words."""
    marks, load_w = scene.marks, scene.sums.load_w
    reasons = []
    if marks is not None and load_w > marks.reduce_w:
        reasons.append(f"{load_w:.0f} W of the {marks.budget_w:.0f} W that {marks.limited_by} allows")
    over = [flow for flow in scene.flows if flow.is_above(rules.place(rules.reduce))]
    reasons += [
        f"{flow.sums.load_w:.0f} W of the {flow.limit_w:.0f} W that circuit {flow.circuit} may carry"
        for flow in over[:CIRCUITS_TOLD]
    ]
    return f"{scene.band}: " + ("; ".join(reasons) or "the feed is lost, and the site runs on batteries")


def _room(scene: Scene) -> str:
    marks = scene.slow_marks
    if marks is None:
        return "its circuits have room"
    return f"raise: {scene.sums.load_w:.0f} W, and {marks.limited_by} has room up to {marks.target_w:.0f} W"


def _verdict(scene: Scene, plan: Planned, inputs: Inputs) -> Verdict:
    marks, sums = scene.marks, scene.sums
    limited_by = "nothing"
    if marks is not None:
        limited_by = marks.limited_by
    elif scene.flows:
        limited_by = "circuits"
    return Verdict(
        at=inputs.at,
        band=scene.band,
        budget_w=marks.budget_w if marks is not None else None,
        limited_by=limited_by,
        target_w=marks.target_w if marks is not None else None,
        load_w=sums.load_w,
        measured_w=sums.measured_w,
        commanded_w=sums.commanded_w,
        unmanaged_w=inputs.unmanaged_w,
        stage=inputs.supply.stage if inputs.supply is not None else None,
        is_saturated=not plan.is_feasible,
        explanation=plan.explanation,
    )


def _after(state: BalanceState, scene: Scene, decided: Decided, inputs: Inputs, rules: Rules) -> BalanceState:
    standings, now_s = scene.standings, inputs.now_s
    loads = {standing.member.id: standing.memory for standing in standings}
    pending = {standing.member.id: standing.pending for standing in standings if standing.pending is not None}
    for change, order in zip(decided.plan.changes, decided.orders, strict=True):
        earlier = pending.get(order.load)
        if earlier is not None:  # It was sent all the same.
            loads[order.load] = recorded(loads[order.load], earlier)
            earlier = earlier._replace(earlier=None)
        pending[order.load] = Pending(order, now_s, due_s(change.standing.member, order, now_s, rules), earlier)
    without_s = _without_actuator_s(state, scene, now_s)
    stage = inputs.supply.stage if inputs.supply is not None else None
    window = None if decided.orders else scene.window
    if window is not None and now_s - window[0] >= rules.raise_after_s:
        window = None
    return BalanceState(
        pending=pending,
        cycles=state.cycles + 1,
        loads=loads,
        cycled_s=now_s,
        filtered_w=scene.filtered_w,
        low_since_s=scene.low_since_s,
        low_circuits=scene.low_circuits,
        raised_s=now_s if any(order.kind == "raise" for order in decided.orders) else state.raised_s,
        window=window,
        band=scene.band,
        stage=stage,
        stage_since_s=now_s if stage != state.stage else state.stage_since_s,
        told_stage=_told_stage(state, stage, now_s, rules),
        is_saturated=not decided.plan.is_feasible,
        without_actuator_s=without_s,
        # At the start, and while a fleet is searched, that passes by itself.
        is_without_actuator=without_s is not None and now_s - without_s >= WITHOUT_CYCLES * rules.cycle_s,
        hurried_s=_hurried_s(state, decided, now_s),
    )


def _without_actuator_s(state: BalanceState, scene: Scene, now_s: float) -> float | None:
    """Since when none of the loads that have spoken can be set."""
    was_seen = any(standing.memory.observed_s > -math.inf for standing in scene.standings)
    if not was_seen or any(each.obstacle is None or each.pending is not None for each in scene.standings):
        return None
    return now_s if state.without_actuator_s is None else state.without_actuator_s


def _told_stage(state: BalanceState, stage: Stage | None, now_s: float, rules: Rules) -> Stage | None:
    """What is said of the plant: trouble at once, that it is over once it stays so."""
    if stage is None or state.told_stage in {None, stage} or stage != "fresh":
        return stage
    is_settled = state.stage == "fresh" and now_s - state.stage_since_s >= FRESH_CYCLES * rules.cycle_s
    return stage if is_settled else state.told_stage


def _hurried_s(state: BalanceState, decided: Decided, now_s: float) -> float | None:
    if any(order.is_urgent and order.point is not None and order.point.name == OFF for order in decided.orders):
        return now_s
    return None if decided.has_resettled else state.hurried_s
