"""The circuits of a site: which of them carry too much, and what each still has for the loads that can be set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from jouled.balance.fleet.words import Circuit
from jouled.balance.site.inputs import Inputs
from jouled.balance.site.rules import Rules
from jouled.balance.site.standing import Standing
from jouled.balance.site.sums import Sums, summed


class Flow(NamedTuple):
    """What flows through a circuit that has a limit."""

    circuit: str
    limit_w: float
    sums: Sums

    def is_above(self, part: float) -> bool:
        return self.sums.load_w > self.limit_w * part


def flows_of(inputs: Inputs, standings: Sequence[Standing], rules: Rules) -> list[Flow]:
    """Of each circuit that has a limit, by its meter where it has one."""
    if all(circuit.limit_w is None for circuit in inputs.circuits):
        return []
    below: dict[str, list[Standing]] = {circuit.id: [] for circuit in inputs.circuits}
    parents = parents_of(inputs.circuits)
    for standing in standings:
        for name in way_up(standing, parents):
            below[name].append(standing)
    meters = {meter.circuit: meter for meter in inputs.meters}
    flows = []
    for circuit in inputs.circuits:
        if circuit.limit_w is not None:
            meter = meters.get(circuit.id)
            power_w, age_s = (None, None) if meter is None else (meter.power_w, meter.age_s)
            sums = summed(below[circuit.id], power_w, age_s, rules.stale_s)
            flows.append(Flow(circuit.id, circuit.limit_w, sums))
    return flows


def parents_of(circuits: Iterable[Circuit]) -> dict[str, str | None]:
    return {circuit.id: circuit.parent for circuit in circuits}


def way_up(standing: Standing, parents: Mapping[str, str | None]) -> list[str]:
    """The circuits that a load hangs on, from its own to the root. One that nobody describes is none."""
    way: list[str] = []
    at = standing.member.circuit
    while at is not None and at in parents and at not in way:
        way.append(at)
        at = parents[at]
    return way


def is_below(standing: Standing, names: Collection[str], parents: Mapping[str, str | None]) -> bool:
    return any(name in names for name in way_up(standing, parents))


def drawn_below(
    circuits: Sequence[Circuit], standings: Iterable[Standing], power_w: Callable[[Standing], float]
) -> dict[str, float]:
    """By circuit, the sum of what hangs on it or on a circuit below it."""
    sums = dict.fromkeys((circuit.id for circuit in circuits), 0.0)
    if sums:
        parents = parents_of(circuits)
        for standing in standings:
            for name in way_up(standing, parents):
                sums[name] += power_w(standing)
    return sums


def room_for(
    movable: Iterable[Standing], circuits: Sequence[Circuit], flows: Iterable[Flow], most_w: Mapping[str, float]
) -> list[Circuit]:
    """The circuits with what each has for `movable`: up to `most_w`, less what the others on it draw.

    One that `most_w` does not name asks nobody to draw less, and has nothing to give.
    """
    draws = drawn_below(circuits, movable, lambda standing: standing.now_w)
    limits: dict[str, float] = {}
    for flow in flows:
        name = flow.circuit
        if name in most_w:
            limits[name] = max(0.0, most_w[name] - (flow.sums.load_w - draws[name]))
        else:
            limits[name] = draws[name]
    return [
        circuit._replace(limit_w=limits.get(circuit.id), parent=circuit.parent if circuit.parent in draws else None)
        for circuit in circuits
    ]
