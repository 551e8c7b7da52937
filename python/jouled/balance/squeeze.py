"""CPU time taken from slices of low priority, so that the node comes down before a power limit is touched.

A power limit slows all work alike; a quota slows the work that can wait. Three bands, as in Facebook's Dynamo
(ISCA 2016), keep it from swinging: it acts above the upper one, down to a target below; it gives back only
below the lower one, slowly, and never beyond the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

Order: TypeAlias = Literal["first", "proportional"]

# Of the headroom, given back at one time: it halves each time, so it ends at the target and not above.
RAISE_GAIN = 0.5
# Where a slice draws too little to know what a CPU more would cost, it grows by this at one time.
RAISE_STEP = 0.25
RAISE_STEP_MIN_CPUS = 0.05
# Quotas are whole milliseconds of the usual period of 100 ms; smaller changes are none.
STEP_CPUS = 0.01


class Bands(NamedTuple):
    """As parts of the budget."""

    high: float = 0.99
    target: float = 0.95
    low: float = 0.90


class SliceDraw(NamedTuple):
    """A slice as it is now."""

    slice: str
    # As measured; None where it is not.
    power_w: float | None
    busy_cpus: float | None
    # What it may use now, by us; None is not squeezed.
    quota_cpus: float | None = None
    # What it may use by itself: its own limit from before; None is all that the node has.
    own_cpus: float | None = None

    @property
    def watts_per_cpu(self) -> float | None:
        """What one CPU of it draws; None where it is too idle to tell, or was not measured."""
        if self.power_w is None or self.busy_cpus is None or self.busy_cpus < STEP_CPUS or self.power_w <= 0:
            return None
        return self.power_w / self.busy_cpus


class Squeezed(NamedTuple):
    """The quota of each slice in CPUs, None for its own limit back; and what is left to be done by power limits."""

    quotas: Mapping[str, float | None]
    remaining_w: float = 0.0

    @property
    def is_idle(self) -> bool:
        """No slice is squeezed."""
        return all(quota is None for quota in self.quotas.values())


def needed(power_w: float, budget_w: float, bands: Bands = Bands()) -> float:  # noqa: B008  (it cannot be changed)
    """By how many watts the node must come down; negative is how many it may go up; 0 is to hold."""
    if power_w > bands.high * budget_w or power_w < bands.low * budget_w:
        return power_w - bands.target * budget_w
    return 0.0


def squeeze(
    needed_w: float, slices: Sequence[SliceDraw], *, floor_cpus: float, cpus: float, order: Order = "first"
) -> Squeezed:
    """New quotas. With `first` the first slice named is squeezed to its floor before the next is touched, and
    with `proportional` all alike, by what each can give.

    `floor_cpus` is what each keeps, `cpus` what the node has. Coming down is at once and in full; going up is
    by half of the headroom, the slice that was squeezed last first. Whoever calls lifts power limits before
    asking for a raise, and waits until the last change shows in the measured power.
    """
    if needed_w > 0:
        return _lowered(needed_w, slices, floor_cpus, order)
    if needed_w < 0:
        return _raised(-needed_w, slices, cpus)
    return Squeezed({one.slice: one.quota_cpus for one in slices})


def _lowered(needed_w: float, slices: Sequence[SliceDraw], floor_cpus: float, order: Order) -> Squeezed:
    quotas = {one.slice: one.quota_cpus for one in slices}
    gives = {one.slice: _can_give(one, floor_cpus) for one in slices}
    total_w = math.fsum(gives.values())
    rest_w = needed_w
    for one in slices:
        if order == "first":
            taken_w = min(rest_w, gives[one.slice])
        else:
            taken_w = gives[one.slice] * min(1.0, needed_w / total_w) if total_w > 0 else 0.0
        rest_w -= taken_w
        each_w = one.watts_per_cpu
        if taken_w <= 0 or each_w is None or one.busy_cpus is None:
            continue
        quota = floor_cpus if taken_w >= gives[one.slice] else max(one.busy_cpus - taken_w / each_w, floor_cpus)
        # Coming down never gives: a slice that uses less than it may keeps what it has.
        quotas[one.slice] = min(limit for limit in (quota, one.quota_cpus, one.own_cpus) if limit is not None)
    return Squeezed(quotas, max(0.0, needed_w - total_w))


def _can_give(one: SliceDraw, floor_cpus: float) -> float:
    each_w = one.watts_per_cpu
    if each_w is None or one.busy_cpus is None:
        return 0.0
    return max(0.0, one.busy_cpus - floor_cpus) * each_w


def _raised(headroom_w: float, slices: Sequence[SliceDraw], cpus: float) -> Squeezed:
    quotas = {one.slice: one.quota_cpus for one in slices}
    rest_w = headroom_w * RAISE_GAIN
    for one in reversed(slices):
        if one.quota_cpus is None or rest_w <= 0:
            continue
        each_w = one.watts_per_cpu
        step = max(RAISE_STEP_MIN_CPUS, one.quota_cpus * RAISE_STEP)
        if each_w is not None:
            step = min(step, rest_w / each_w)
            rest_w -= step * each_w
        else:
            # It could draw anything: the others wait until it shows what it does with that.
            rest_w = 0.0
        own = cpus if one.own_cpus is None else one.own_cpus
        quota = one.quota_cpus + step
        quotas[one.slice] = None if quota > own - STEP_CPUS else quota
    return Squeezed(quotas)
