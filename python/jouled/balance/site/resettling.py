"""After the hurry: what was switched off because that is quick is exchanged for what does more work for its power."""

from __future__ import annotations

from jouled.balance.site.circuits import room_for
from jouled.balance.site.inputs import Inputs
from jouled.balance.site.memory import BalanceState
from jouled.balance.site.planning import Planned, planned
from jouled.balance.site.rules import Rules
from jouled.balance.site.scene import Scene

# Of the work that is done, an exchange brings at least this part more.
GAIN = 0.01
# An emergency that passes by itself is not worth two more changes of each load.
CALM_DWELLS = 2.0


def is_time(state: BalanceState, scene: Scene, inputs: Inputs, rules: Rules) -> bool:
    """When all is calm again, and those that were switched off may be raised."""
    return (
        state.hurried_s is not None
        and scene.band == "hold"
        and not scene.held_because
        and scene.marks is not None
        and inputs.now_s - state.hurried_s >= max(CALM_DWELLS * rules.dwell_s, rules.raise_after_s)
        and not any(standing.pending is not None for standing in scene.standings)
    )


def resettles(scene: Scene, inputs: Inputs, rules: Rules) -> Planned:
    """What goes down to make room, where all in all that does more work. What goes up follows as any raise does."""
    movable = [standing for standing in scene.standings if standing.obstacle is None]
    if not movable or scene.slow_marks is None:
        return Planned((), True, "")
    draws_w = sum(standing.now_w for standing in movable)
    budget_w = scene.slow_marks.target_w - (scene.sums.load_w - draws_w)
    target = {flow.circuit: flow.limit_w * (1.0 - rules.reserve) for flow in scene.flows}
    circuits = room_for(movable, inputs.circuits, scene.flows, target)
    plan = planned("either", movable, budget_w, circuits, rules, strategy="marginal")
    gain = sum(change.gain for change in plan.changes)
    work = sum(standing.member.weight * standing.current.work for standing in movable if standing.current is not None)
    if not plan.is_feasible or gain <= GAIN * work:
        return Planned((), True, "")
    downs = tuple(change for change in plan.changes if change.saves_w > 0)
    return Planned(downs, True, "makes room for loads that do more work for their power")
