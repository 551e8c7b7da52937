"""What a cycle decides on: how each load stands, what they draw together, and in which band that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from jouled.balance.site.circuits import Flow, flows_of
from jouled.balance.site.inflight import taken
from jouled.balance.site.inputs import Inputs
from jouled.balance.site.looking import look
from jouled.balance.site.marks import Marks, bounds_of, filtered, marks_of
from jouled.balance.site.memory import BalanceState
from jouled.balance.site.moment import Moment
from jouled.balance.site.standing import Standing
from jouled.balance.site.sums import Sums, summed
from jouled.balance.site.words import Band

# After so many cycles without one, what has lasted until then is counted from anew.
GAP_CYCLES = 4.0


class Scene(NamedTuple):
    """Of one cycle. Powers are in watts."""

    standings: list[Standing]
    sums: Sums
    flows: list[Flow]
    # None where nothing bounds the site as a whole.
    marks: Marks | None
    # As `marks`, by what the supply is over a longer time where that is less.
    slow_marks: Marks | None
    band: Band
    # Why nothing is raised, whatever the band; empty where it may be.
    held_because: str
    filtered_w: float | None
    low_since_s: float | None
    # Circuits that have been low, and since when.
    low_circuits: Mapping[str, float]
    # Since when, and the least headroom since then.
    window: tuple[float, float] | None

    @property
    def headroom_w(self) -> float:
        """Below the target that raises aim at."""
        return math.inf if self.slow_marks is None else self.slow_marks.target_w - self.sums.load_w


def scene_of(state: BalanceState, inputs: Inputs, moment: Moment) -> Scene:
    """Everything that is seen, with what it means; nothing is decided yet."""
    rules = moment.rules
    members = {member.id: member for member in inputs.members}
    pending, loads = taken(state.pending, state.loads, inputs.applied, members, moment)
    standings = [look(member, loads.get(name), pending.get(name), moment) for name, member in members.items()]
    sums = summed(standings, inputs.metered_w, inputs.metered_age_s, rules.stale_s)
    flows = flows_of(inputs, standings, rules)
    filtered_w = _filtered(state, inputs, moment)
    supply_w = inputs.supply.power_w if inputs.supply is not None else None
    slow_w = supply_w if supply_w is None or filtered_w is None else min(supply_w, filtered_w)
    marks = marks_of(bounds_of(supply_w, inputs.limits, inputs.unmanaged_w), rules)
    slow_marks = marks_of(bounds_of(slow_w, inputs.limits, inputs.unmanaged_w), rules)
    scene = Scene(
        standings=standings,
        sums=sums,
        flows=flows,
        marks=marks,
        slow_marks=slow_marks,
        band="hold",
        held_because=_held_because(inputs, sums, is_bound=marks is not None or bool(flows)),
        filtered_w=filtered_w,
        low_since_s=None,
        low_circuits={},
        window=None,
    )
    return _banded(scene, state, inputs, moment)


def _filtered(state: BalanceState, inputs: Inputs, moment: Moment) -> float | None:
    """What the supply is over a longer time. Only what is fresh goes into it, and a gap is no time."""
    supply = inputs.supply
    if supply is None or supply.stage != "fresh" or supply.power_w is None or not math.isfinite(supply.power_w):
        return state.filtered_w
    since_s = 0.0 if state.cycled_s is None else inputs.now_s - state.cycled_s
    since_s = min(since_s, GAP_CYCLES * moment.rules.cycle_s)
    return filtered(state.filtered_w, supply.power_w, since_s, moment.rules.ewma_s)


def _held_because(inputs: Inputs, sums: Sums, *, is_bound: bool) -> str:
    supply = inputs.supply
    if inputs.is_paused:
        return "paused: nothing is raised"
    if supply is not None and supply.power_w is None:
        return "nothing is known of the plant yet: nothing is raised"
    if supply is not None and supply.stage != "fresh":
        return f"the plant's feed is {supply.stage}: nothing is raised"
    if sums.is_meter_stale:
        return "the meter of the loads is out of date: they count with the worst, and nothing is raised"
    if not is_bound:
        return "nothing bounds the site: there is neither a plant nor a limit"
    return ""


def _banded(scene: Scene, state: BalanceState, inputs: Inputs, moment: Moment) -> Scene:
    """The band, and how long it has been so low that loads may be raised."""
    rules = moment.rules
    shed_band = _shed_band(scene, state, inputs, moment)
    if shed_band is not None:
        return scene._replace(band=shed_band)
    if scene.held_because:
        is_unknown = inputs.supply is not None and inputs.supply.power_w is None
        return scene._replace(band="no-data" if is_unknown else "hold")
    now_s = inputs.now_s
    has_gap = state.cycled_s is None or not 0.0 <= now_s - state.cycled_s <= GAP_CYCLES * rules.cycle_s
    low = 1.0 - rules.reserve - rules.deadband
    low_circuits = {
        flow.circuit: now_s if has_gap else state.low_circuits.get(flow.circuit, now_s)
        for flow in scene.flows
        if not flow.is_above(low) and not flow.sums.is_meter_stale
    }
    scene = scene._replace(low_circuits=low_circuits)
    if scene.slow_marks is not None and not scene.sums.load_w < scene.slow_marks.raise_w:
        return scene
    low_since_s = now_s if state.low_since_s is None or has_gap else state.low_since_s
    window = (now_s, scene.headroom_w)
    if state.window is not None and not has_gap:
        window = (state.window[0], min(state.window[1], scene.headroom_w))
    band: Band = "raise" if now_s - low_since_s >= rules.raise_after_s else "hold"
    return scene._replace(band=band, low_since_s=low_since_s, window=window)


def _shed_band(scene: Scene, state: BalanceState, inputs: Inputs, moment: Moment) -> Band | None:
    rules, marks, load_w = moment.rules, scene.marks, scene.sums.load_w
    supply = inputs.supply
    reduce, emergency = rules.place(rules.reduce), rules.place(rules.emergency)
    is_much = (marks is not None and load_w > marks.reduce_w) or any(flow.is_above(reduce) for flow in scene.flows)
    is_too_much = (marks is not None and load_w > marks.emergency_w) or any(
        flow.is_above(emergency) for flow in scene.flows
    )
    # The feed is lost, and the batteries carry the site: each minute counts.
    is_blind = supply is not None and supply.is_on_battery and supply.stage != "fresh"
    # Once it is an emergency, it is one until all that was too much is gone.
    if is_too_much or is_blind or (is_much and state.band == "emergency"):
        return "emergency"
    return "reduce" if is_much else None
