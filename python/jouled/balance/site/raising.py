"""Up, slowly: only what has rested, within the bounds per hour, and no faster than the ramp."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jouled.balance.site.circuits import room_for
from jouled.balance.site.inflight import HOUR_S
from jouled.balance.site.inputs import Inputs
from jouled.balance.site.memory import BalanceState
from jouled.balance.site.planning import SPAN_STEP, Change, Planned, planned
from jouled.balance.site.rules import Rules
from jouled.balance.site.scene import Scene
from jouled.balance.site.standing import Standing

# Sums of powers are no exact numbers.
ROUNDING_W = 1.0
# How long a raise lasts while the next one is already to be expected.
CLIMB_DWELLS = 1.0


def raises(state: BalanceState, scene: Scene, inputs: Inputs, rules: Rules) -> Planned:
    """What goes up to the target, after everything in flight at the larger of both powers.

    Where a step is larger than the dead band, what the loads or the supply swing by would make it come and go for
    ever: such a fleet gets only what was free all the time of a whole window.
    """
    left = _changes_left(scene.standings, inputs.now_s, rules)
    if left <= 0:
        return Planned((), True, "enough was changed within this hour")
    known = {None, *(circuit.id for circuit in inputs.circuits)}
    movable = [
        each
        for each in scene.standings
        # Nobody knows what a circuit may carry that is not described.
        if each.member.circuit in known and _has_rested(each, inputs.now_s, rules) and _tops_w(each) > 0
    ]
    if not movable:
        return Planned(
            (),
            True,
            "no load can be raised now: each was changed a short while ago (balance.dwell), is at its most, or cannot be set",
        )
    room_w = min(_room_w(scene, movable, inputs.now_s, rules), _ramp_w(state, movable, inputs.now_s, rules))
    if room_w <= 0:
        return Planned((), True, "each step is larger than the dead band, and it has to be free for longer")
    if math.isinf(room_w):  # Nothing bounds the site but its circuits.
        room_w = sum(_tops_w(each) for each in movable) + ROUNDING_W
    draws_w = sum(each.now_w for each in movable)
    circuits = room_for(movable, inputs.circuits, scene.flows, _circuits_w(scene, movable, inputs.now_s, rules))
    if _is_climbing(scene):
        # It is going to be raised again soon: rather few loads now, and each to where it can stay.
        rules = rules._replace(lasting_s=min(rules.lasting_s, CLIMB_DWELLS * rules.dwell_s))
    plan = planned("raise", movable, draws_w + room_w, circuits, rules)
    best = sorted(plan.changes, key=_worth)[:left]
    return Planned(tuple(best), True, "" if best else "no load has a step that fits and pays")


def _has_rested(standing: Standing, now_s: float, rules: Rules) -> bool:
    memory = standing.memory
    if standing.obstacle is not None:
        return False
    if memory.changed_s is not None and now_s - memory.changed_s < rules.dwell_s:
        return False
    return changes_within(memory.changes, now_s) < rules.load_changes_per_hour


def changes_within(changes: Sequence[float], now_s: float) -> int:
    return sum(at_s > now_s - HOUR_S for at_s in changes) if changes else 0


def _changes_left(standings: Sequence[Standing], now_s: float, rules: Rules) -> int:
    most = rules.changes_per_hour if rules.changes_per_hour is not None else max(12, 2 * len(standings))
    done = sum(changes_within(each.memory.changes, now_s) + (each.pending is not None) for each in standings)
    return most - done


def _tops_w(standing: Standing) -> float:
    """How much more it could draw."""
    member, current = standing.member, standing.current
    if member.span is not None:
        more_w = member.span.ceiling_w - standing.now_w
        return more_w if more_w >= SPAN_STEP * member.span.ceiling_w else 0.0
    top = max(member.points, key=lambda point: point.power_w)
    if current is None:
        return max(0.0, standing.draws_w(top) - standing.now_w) if standing.is_outside else 0.0
    return max(1.0, standing.draws_w(top) - standing.now_w) if top.power_w > current.power_w else 0.0


def _step_w(standing: Standing) -> float:
    """Its smallest step up; a load with a span has steps of any size."""
    current = standing.current
    if current is None:
        ups = [standing.draws_w(point) for point in standing.member.points if standing.is_outside]
        ups = [up_w for up_w in ups if up_w > standing.now_w]
    else:
        ups = [standing.draws_w(point) for point in standing.member.points if point.power_w > current.power_w]
    return max(0.0, min(ups, default=0.0) - standing.now_w)


def _room_w(scene: Scene, movable: Sequence[Standing], now_s: float, rules: Rules) -> float:
    if scene.slow_marks is None or scene.window is None:
        return scene.headroom_w
    deadband_w = scene.slow_marks.target_w - scene.slow_marks.raise_w
    if max(_step_w(each) for each in movable) <= deadband_w:
        return scene.headroom_w
    since_s, least_w = scene.window
    return least_w if now_s - since_s >= rules.raise_after_s else 0.0


def _is_climbing(scene: Scene) -> bool:
    """What raises go by is still on its way up to what the supply is."""
    marks, slow = scene.marks, scene.slow_marks
    return marks is not None and slow is not None and slow.target_w < marks.raise_w


def _circuits_w(scene: Scene, movable: Sequence[Standing], now_s: float, rules: Rules) -> dict[str, float]:
    """Up to where each circuit may be filled: only those that have been low for long enough."""
    coarse_w = max(_step_w(each) for each in movable)
    return {
        flow.circuit: flow.limit_w
        * (1.0 - rules.reserve - (rules.deadband if coarse_w > flow.limit_w * rules.deadband else 0.0))
        for flow in scene.flows
        if now_s - scene.low_circuits.get(flow.circuit, math.inf) >= rules.raise_after_s
    }


def _ramp_w(state: BalanceState, movable: Sequence[Standing], now_s: float, rules: Rules) -> float:
    """What may be added now. What was not raised adds up, so that the smallest step of each fits at some time."""
    if rules.ramp_w_per_min is None:
        return math.inf
    per_s = rules.ramp_w_per_min / 60.0
    most_w = max([per_s * rules.raise_after_s, *(_step_w(each) for each in movable)])
    since_s = rules.raise_after_s if state.raised_s is None else now_s - state.raised_s
    return min(per_s * since_s, most_w)


def _worth(change: Change) -> tuple[int, float, str]:
    """Higher priority first, then the most work for its power, then by name."""
    standing = change.standing
    added_w = max(change.power_w - standing.now_w, 1e-9)
    return -standing.member.priority, -change.gain / added_w, standing.member.id
