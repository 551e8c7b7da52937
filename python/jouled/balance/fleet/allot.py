"""The question and its answer: loads, a budget and circuits become an allotment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Literal, TypeAlias, cast

from jouled import _core
from jouled.balance.fleet.average_efficiency import TOLERANCE_W, step_by_average_efficiency
from jouled.balance.fleet.words import OFF, Allotment, Chosen, Circuit, FleetError, Load, Point, in_watts

# `marginal` is the planner; `exact` its oracle, for small fleets; `average-efficiency` the baseline: sorted by watts
# per work, one step of each load at a time, and never off.
Strategy: TypeAlias = Literal["marginal", "exact", "average-efficiency"]

# By load its point and its power; circuits that are too small, by place; whether it is the optimum.
_Answer: TypeAlias = tuple[list[Point | None], list[float], list[tuple[int, float, float]], bool]


def allot(
    loads: Sequence[Load], budget_w: float, circuits: Sequence[Circuit] = (), *, strategy: Strategy = "marginal"
) -> Allotment:
    """The most weighted work, less what changes cost, that the budget and each circuit allow.

    The least of every load (its point of least power, its floor) is set aside first. Then priorities are served one
    after another, the highest first: a lower one gets what a higher one leaves. Within a priority spans are filled
    evenly up to their need, then points are chosen by marginal work per watt, then spans get what is left. Loads stay
    where they are if that is worth as much. A load that does no work at any point gets its least.

    The same answer for the same question, in whatever order it is put. More budget never gives less work (weighted,
    less what changes cost) to the highest priority, nor to all where there is one. Never above the budget, nor above
    a circuit's limit, where that is possible at all: where it is not, the loads below that circuit have their least,
    and the others what they can have.

    `exact` is the optimum, as far as powers have a common step, where no circuit binds and the fleet is small enough;
    elsewhere it is `marginal`, and `method` says so. For `average-efficiency` see `step_by_average_efficiency`: it is
    one cycle of steps from the current points, and may end above the budget. It switches
    nothing off.

    Budgets may be negative or infinite. Raises FleetError for numbers that cannot be, two loads or circuits of one
    id, circuits that do not exist or that are their own parents.
    """
    if math.isnan(budget_w):
        raise FleetError("the budget is not a number: say how many watts there are")
    ids = [load.id for load in loads]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    if len(set(ids)) < len(ids):
        twice = next(ids[one] for one, other in pairwise(order) if ids[one] == ids[other])
        raise FleetError(f"there are two loads {twice}: each needs an id of its own")
    if strategy == "average-efficiency":
        return _step(loads, budget_w)
    by_place = sorted(circuits, key=itemgetter(0))
    places = {circuit.id: place for place, circuit in enumerate(by_place)}
    check_circuits(by_place)
    rows = [(-1 if each.parent is None else places[each.parent], each.limit_w) for each in by_place]
    try:
        answer = _core.allot(list[object](loads), order, budget_w, rows, places, is_exact=strategy == "exact")
    except ValueError as error:
        raise FleetError(str(error)) from None
    points, powers, crowded, is_exact = cast("_Answer", answer)
    # A point is what it was given as; making ten thousand of these one by one would take longer than choosing them.
    chosen = dict(zip(ids, map(Chosen._make, zip(points, powers, strict=True)), strict=True))
    return Allotment(
        chosen=chosen,
        power_w=math.fsum(powers),
        work=math.fsum(point[2] for point in points if point is not None),
        budget_w=budget_w,
        is_feasible=not crowded,
        explanation="; ".join(
            _crowding(loads, by_place, None if place < 0 else by_place[place].id, least_w, limit_w)
            for place, least_w, limit_w in crowded
        ),
        method="exact" if is_exact else "marginal",
    )


def check_circuits(circuits: Sequence[Circuit]) -> None:
    """Raises FleetError where they are no tree, or a limit cannot be."""
    parents = {circuit.id: circuit.parent for circuit in circuits}
    if len(parents) < len(circuits):
        ids = sorted(circuit.id for circuit in circuits)
        twice = next(one for one, other in pairwise(ids) if one == other)
        raise FleetError(f"there are two circuits {twice}: each needs an id of its own")
    for circuit in circuits:
        if circuit.limit_w is not None and not 0 <= circuit.limit_w < math.inf:
            raise FleetError(
                f"circuit {circuit.id} has a limit of {circuit.limit_w} W: it must be 0 or more, or left out"
            )
        way = [circuit.id]
        while (parent := parents[way[-1]]) is not None:
            if parent not in parents:
                raise FleetError(f"circuit {way[-1]} hangs on {parent}, which there is not: name an existing circuit")
            if parent in way:
                raise FleetError(
                    f"circuits go in a circle: {' in '.join([*way, parent])}: let one of them hang on none"
                )
            way.append(parent)


def _step(loads: Sequence[Load], budget_w: float) -> Allotment:
    """One cycle of the baseline. A load whose current point is unknown stays out of it, at its least."""
    # An emergency switches off, by whatever strategy; what that has switched off comes back by this one.
    steps = step_by_average_efficiency(loads, budget_w, may_switch_on=True)
    chosen: dict[str, Chosen] = {}
    for load in loads:
        if load.span is not None:
            chosen[load.id] = Chosen(None, load.span.floor_w)
            continue
        point = steps.get(load.id) or _current(load)
        chosen[load.id] = Chosen(point, point.power_w)
    power_w = math.fsum(each.power_w for each in chosen.values())
    over_w = power_w - budget_w
    is_feasible = over_w <= TOLERANCE_W
    return Allotment(
        chosen=chosen,
        power_w=power_w,
        work=math.fsum(each.point.work for each in chosen.values() if each.point is not None),
        budget_w=budget_w,
        is_feasible=is_feasible,
        explanation=""
        if is_feasible
        else f"one step of each load is not enough: {in_watts(power_w)} is {in_watts(over_w)} above the budget",
        method="average-efficiency",
    )


def _current(load: Load) -> Point:
    if not load.points:
        raise FleetError(f"load {load.id} must have either points or a span")
    here = next((point for point in load.points if point.name == load.current), None)
    return here or min(load.points, key=lambda point: (point.power_w, -point.work, point.name))


def _crowding(
    loads: Sequence[Load], circuits: Sequence[Circuit], circuit: str | None, least_w: float, limit_w: float
) -> str:
    """Why not even the least fits: by how much, where, and what of it cannot be switched off."""
    parents = {each.id: each.parent for each in circuits}

    def is_below(load: Load) -> bool:
        at = load.circuit
        while at is not None and at != circuit:
            at = parents[at]
        return at == circuit

    below = [load for load in loads if circuit is None or is_below(load)]
    fixed = sum(1 for load in below if not any(point.name == OFF for point in load.points))
    limit = f"the budget of {in_watts(limit_w)}" if circuit is None else f"the {in_watts(limit_w)} of circuit {circuit}"
    text = (
        f"the least of {len(below)} load{'s' * (len(below) != 1)} is {in_watts(least_w)}, "
        f"{in_watts(least_w - limit_w)} above {limit}"
    )
    return f"{text}; {fixed} of them cannot be switched off" if fixed else text
