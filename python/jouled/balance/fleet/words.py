"""Loads as a planner sees them, and its answer. Powers are in watts, work in the fleet's unit per second (TH/s)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jouled.errors import JouledError

# The name of the point at which a load does nothing, whatever its device calls that.
OFF = "off"


class FleetError(JouledError):
    """Loads or circuits are described as they cannot be."""


class Point(NamedTuple):
    """One way in which a load can run: a preset, a power target, or off."""

    name: str
    power_w: float
    work: float


class Span(NamedTuple):
    """A load that takes any power of a range, as a host under a power limit: 0 <= floor_w <= ceiling_w."""

    floor_w: float
    ceiling_w: float
    # What it would draw if nobody held it; None is unknown, and counts as all it can have.
    need_w: float | None = None


class Circuit(NamedTuple):
    """A part of the distribution, with what may flow through it; None is no limit of its own."""

    id: str
    limit_w: float | None
    parent: str | None = None


class Load(NamedTuple):
    """One that can be set: it has points or a span, never both. One with a single point cannot move."""

    id: str
    points: tuple[Point, ...] = ()
    span: Span | None = None
    # The name of the point at which it is, or is going to be; None is unknown.
    current: str | None = None
    circuit: str | None = None
    # A higher priority keeps its power for longer, whatever it costs.
    priority: int = 5
    # What a unit of its work counts beside others'.
    weight: float = 1.0
    # Weighted work per second that a change away from `current` costs, spread over the time until the next one.
    change_cost: float = 0.0


class Chosen(NamedTuple):
    """What a load is to be set to. `point` is None for one with a span."""

    point: Point | None
    power_w: float


class Allotment(NamedTuple):
    """What each load gets. Where not even the least of all fits, `is_feasible` is false, each has its least, and
    `explanation` says by how much it is too much, and where. Where that is below one circuit only, the loads below it
    have their least and the others what they can have.

    `power_w` and `work` are sums; `work` is not weighted. `method` is how it was found.
    """

    chosen: Mapping[str, Chosen]
    power_w: float
    work: float
    budget_w: float
    is_feasible: bool
    explanation: str
    method: str


def in_watts(power_w: float) -> str:
    """For people: 950 W, 12.5 kW, 1.25 MW."""
    for size, unit in ((1e6, "MW"), (1e3, "kW")):
        if abs(power_w) >= size:
            return f"{power_w / size:.4g} {unit}"
    return f"{power_w:.4g} W"
