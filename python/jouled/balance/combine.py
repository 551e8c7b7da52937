"""Several schedules as one: the lowest budget counts, and what nobody knows is for the policy to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Literal, TypeAlias

from jouled.balance.schedule import Budget, Schedule, Timeline
from jouled.balance.strategies import Range

# Never the highest budget: that would need the data that is missing.
Missing: TypeAlias = Literal["min", "none"]


def combine(
    schedules: Mapping[str, Schedule],
    start: datetime,
    end: datetime,
    *,
    power: Range,
    missing: Missing,
    edges: Iterable[datetime] = (),
) -> Schedule:
    """The whole range without a gap, cut wherever any of the schedules, or `edges`, has an edge.

    With `missing` = min a strategy that knows nothing makes the lowest budget; with none it is left out, and
    where none knows anything there is no limit. No budget is below the floor of `power`, or above its top.
    """
    cuts = {start, end, *edges}
    for schedule in schedules.values():
        cuts.update(edge for budget in schedule.budgets for edge in (budget.start, budget.end))
    looks = {name: Timeline(schedule.budgets) for name, schedule in schedules.items()}
    pieces = pairwise(sorted(cut for cut in cuts if start <= cut <= end))
    return Schedule(tuple(_combined(left, right, looks, power, missing) for left, right in pieces))


def _combined(
    start: datetime, end: datetime, looks: Mapping[str, Timeline[Budget]], power: Range, missing: Missing
) -> Budget:
    found = {name: look.at(start) for name, look in looks.items()}
    lacking = [name for name, budget in found.items() if budget is None]
    known = [(name, budget) for name, budget in found.items() if budget is not None]
    limited = sorted(
        ((name, budget.power_w, budget) for name, budget in known if budget.power_w is not None),
        key=lambda entry: entry[1],
    )
    inputs: dict[str, object] = {name: {"power_w": budget.power_w, **budget.inputs} for name, budget in known}
    if lacking:
        inputs["missing"] = lacking
    if lacking and missing == "min":
        reason = f"{', '.join(lacking)}: too little is known of this time, so the lowest budget"
        return Budget(start, end, power.min_w, reason, inputs)
    reasons = [budget.reason for _, _, budget in limited]
    reasons += [budget.reason for _, budget in known if budget.power_w is None]
    reasons += [f"{name}: too little is known of this time, so no limit" for name in lacking]
    reason = "; ".join(reasons) or "no strategy"
    if not limited:
        return Budget(start, end, None, reason, inputs)
    inputs["strategy"] = limited[0][0]
    return Budget(start, end, power.held(limited[0][1]), reason, inputs)
