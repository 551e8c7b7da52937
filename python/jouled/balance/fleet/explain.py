"""Why a load got what it got: a sentence for each that changes, to be kept with the decision."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jouled.balance.fleet.words import OFF, Allotment, Load, Point, in_watts


class _Change(NamedTuple):
    load: Load
    before: Point
    after: Point

    @property
    def work_per_watt(self) -> float:
        """Weighted; infinite where only one of both changes."""
        power_w = self.after.power_w - self.before.power_w
        return self.load.weight * (self.after.work - self.before.work) / power_w if power_w else math.inf


def explain(loads: Sequence[Load], allotment: Allotment, *, unit: str = "TH/s") -> dict[str, str]:
    """By load that goes to another point than its current one, what that gives and why it was this one.

    `unit` is what the fleet's work is counted in. Loads whose current point is unknown, and those with a span, are
    left out. An allotment that is not of these loads explains nothing.
    """
    changes, kept = _sorted_out(loads, allotment)
    counts = Counter(load.priority for load in loads)
    # What those of the same priority that stay would have lost or gained per watt, had it been them.
    cheapest: dict[int, float] = {}
    dearest: dict[int, float] = {}
    for change in kept:
        priority = change.load.priority
        cheapest[priority] = min([cheapest.get(priority, math.inf), *_per_watt(change, is_down=True)])
        dearest[priority] = max([dearest.get(priority, 0.0), *_per_watt(change, is_down=False)])
    sentences: dict[str, str] = {}
    for change in changes:
        priority = change.load.priority
        text = _gives(change, unit)
        power_w = change.after.power_w - change.before.power_w
        if power_w < 0 and change.work_per_watt <= cheapest.get(priority, -math.inf):
            text += f": the least work per watt of {counts[priority]}"
        elif power_w > 0 and change.work_per_watt >= dearest.get(priority, math.inf):
            text += f": the most work per watt of {counts[priority]}"
        sentences[change.load.id] = f"{text}, at priority {priority}" if len(counts) > 1 else text
    return sentences


def _sorted_out(loads: Iterable[Load], allotment: Allotment) -> tuple[list[_Change], list[_Change]]:
    """What changes, and what stays as it is."""
    changes: list[_Change] = []
    kept: list[_Change] = []
    for load in loads:
        before = next((point for point in load.points if point.name == load.current), None)
        after = chosen.point if (chosen := allotment.chosen.get(load.id)) is not None else None
        if before is not None and after is not None:
            (kept if after.name == before.name else changes).append(_Change(load, before, after))
    return changes, kept


def _per_watt(kept: _Change, *, is_down: bool) -> list[float]:
    """What it would lose or gain per watt at each of its other points in that direction."""
    return [
        kept._replace(after=point).work_per_watt
        for point in kept.load.points
        if (point.power_w < kept.before.power_w if is_down else point.power_w > kept.before.power_w)
    ]


def _gives(change: _Change, unit: str) -> str:
    power_w = change.after.power_w - change.before.power_w
    work = change.after.work - change.before.work
    verb = "sheds" if power_w < 0 else "takes"
    if power_w == 0:
        return f"{'gains' if work >= 0 else 'loses'} {abs(work):.4g} {unit} at the same power"
    if work == 0:
        text = f"{verb} {in_watts(abs(power_w))} at the same work"
    elif (work < 0) == (power_w < 0):
        text = f"{verb} {in_watts(abs(power_w))} for {abs(work):.4g} {unit}"
    else:
        text = f"{verb} {in_watts(abs(power_w))} and {'gains' if work > 0 else 'loses'} {abs(work):.4g} {unit}"
    if change.after.name == OFF:
        return f"is switched off: {text}"
    return f"is switched on: {text}" if change.before.name == OFF else text
