"""Where the bands of a site begin: what bounds its loads, and how close they are to it."""

from __future__ import annotations

import math
from typing import NamedTuple

from jouled.balance.site.rules import Rules
from jouled.balance.site.words import Limit

PLANT = "plant"


class Bound(NamedTuple):
    """One of those that hold the site."""

    source: str
    # What may flow in all, and what of it the loads do not have.
    hard_w: float
    other_w: float

    def at(self, part: float) -> float:
        """What the loads may draw at a part of it."""
        return max(0.0, self.hard_w * part - self.other_w)


class Marks(NamedTuple):
    """Of the loads together, in watts."""

    budget_w: float
    target_w: float
    reduce_w: float
    emergency_w: float
    # Below this they may be raised.
    raise_w: float
    limited_by: str


def bounds_of(supply_w: float | None, limits: tuple[Limit, ...], unmanaged_w: float) -> list[Bound]:
    """All that bounds the site. `supply_w` is what is taken for the plant's power; None is that there is none, or that nobody knows it."""
    bounds = []
    if supply_w is not None:
        bounds.append(Bound(PLANT, max(0.0, supply_w), unmanaged_w))
    bounds.extend(
        Bound(limit.source, max(0.0, limit.power_w), unmanaged_w if limit.is_of_all else 0.0) for limit in limits
    )
    return bounds


def marks_of(bounds: list[Bound], rules: Rules) -> Marks | None:
    """The lowest of each mark; None where nothing bounds."""
    if not bounds:
        return None
    target = 1.0 - rules.reserve
    tightest = min(bounds, key=lambda bound: bound.at(target))
    return Marks(
        budget_w=min(bound.at(1.0) for bound in bounds),
        target_w=tightest.at(target),
        reduce_w=_least(bounds, rules.place(rules.reduce)),
        emergency_w=_least(bounds, rules.place(rules.emergency)),
        raise_w=_least(bounds, target - rules.deadband),
        limited_by=tightest.source,
    )


def _least(bounds: list[Bound], part: float) -> float:
    return min(bound.at(part) for bound in bounds)


def filtered(last_w: float | None, now_w: float, since_s: float, ewma_s: float) -> float:
    """What the supply is over a longer time. After a gap it is believed no faster than without one."""
    if last_w is None or ewma_s <= 0:
        return now_w
    return last_w + (now_w - last_w) * (1.0 - math.exp(-max(0.0, since_s) / ewma_s))
