"""The strategy cheapest-hours: energy that is needed before a deadline, taken when it costs least.

After evcc's planner: of equal prices the later ones, so that what may still change is left open. Where
it cannot be done the reason says which of the operator's wishes was given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jouled.balance.schedule import Budget, Schedule
from jouled.balance.strategies import MICROSECOND, Point, Range
from jouled.config.windows import ONE_DAY

NAME = "cheapest-hours"
HOUR = timedelta(hours=1)


class Need(NamedTuple):
    """So much energy in each day that ends at the local time `deadline`; `is_continuous`: at one go."""

    energy_wh: float
    deadline: time
    is_continuous: bool = False


class Chosen(NamedTuple):
    """The slots that are taken."""

    points: frozenset[Point]
    # What could not be had, and what is done instead; None where all is as it was wanted.
    relaxed: str | None = None


def cheapest_hours(points: Sequence[Point], power: Range, need: Need, timezone: str) -> Schedule:
    """The highest budget in the slots that are taken, the lowest in the others.

    The energy counted is that of the highest budget in the slots that are taken, which are whole. `points`
    are prices in order of time, without overlap.
    """
    known = [point for point in points if point.value is not None]
    if not known:
        return Schedule(())
    needed = timedelta(hours=need.energy_wh / power.max_w)
    made: list[Budget] = []
    for start, end in pairwise(_deadlines(known[0].start, known[-1].end, need.deadline, timezone)):
        within = [point for piece in known if (point := _clipped(piece, start, end)) is not None]
        chosen = choose(within, needed, end - start, is_continuous=need.is_continuous)
        by = f"{need.deadline:%H:%M}"
        made += [_budget(point, chosen, power, needed, by) for point in within]
    return Schedule(tuple(made))


def choose(points: Sequence[Point], needed: timedelta, window: timedelta, *, is_continuous: bool) -> Chosen:
    """Which of these, all of one window of the given length, with their prices known, are taken."""
    known = sum((point.length for point in points), timedelta(0))
    if needed > window:
        return Chosen(frozenset(points), f"{_hours(needed)} do not fit before the deadline: the energy was relaxed")
    if needed > known:
        return Chosen(
            frozenset(points), f"prices of {_hours(known)} only are known before the deadline: the price was relaxed"
        )
    if is_continuous:
        found = _continuous(points, needed)
        if found is not None:
            return Chosen(found)
        return Chosen(_cheapest(points, needed), f"no {_hours(needed)} at one go are known: continuous was relaxed")
    return Chosen(_cheapest(points, needed))


def _cheapest(points: Sequence[Point], needed: timedelta) -> frozenset[Point]:
    taken: set[Point] = set()
    got = timedelta(0)
    for point in sorted(points, key=lambda point: (_price(point), -point.start.timestamp())):
        if got >= needed:
            break
        taken.add(point)
        got += point.length
    return frozenset(taken)


def _continuous(points: Sequence[Point], needed: timedelta) -> frozenset[Point] | None:
    """The cheapest run of neighbours that is long enough; the last one of those that cost the same."""
    best: tuple[Decimal, int, int] | None = None
    for first in range(len(points)):
        cost, left, last = Decimal(0), needed, first
        while left > timedelta(0):
            if last == len(points) or (last > first and points[last - 1].end != points[last].start):
                break
            taken = min(left, points[last].length)
            cost += _price(points[last]) * Decimal(taken // MICROSECOND)
            left -= taken
            last += 1
        if left <= timedelta(0) and (best is None or cost <= best[0]):
            best = (cost, first, last)
    return None if best is None else frozenset(points[best[1] : best[2]])


def _budget(point: Point, chosen: Chosen, power: Range, needed: timedelta, by: str) -> Budget:
    is_taken = point in chosen.points
    words = "is among" if is_taken else "is not among"
    reason = f"{NAME}: {float(_price(point)):.10g} per MWh {words} the cheapest {_hours(needed)} before {by}"
    if chosen.relaxed is not None:
        reason += f"; {chosen.relaxed}"
    inputs = {"price": float(_price(point)), "needed_h": needed / HOUR, "is_taken": is_taken}
    return Budget(point.start, point.end, power.max_w if is_taken else power.min_w, reason, inputs)


def _deadlines(start: datetime, end: datetime, deadline: time, timezone: str) -> list[datetime]:
    """Those around the range, from the last one before it to the first one after it."""
    zone = ZoneInfo(timezone)
    day = start.astimezone(zone).date() - ONE_DAY
    found: list[datetime] = []
    while not found or found[-1] < end:
        at = datetime.combine(day, deadline, zone).astimezone(start.tzinfo)
        if at <= start:
            found = []
        found.append(at)
        day += ONE_DAY
    return found


def _clipped(point: Point, start: datetime, end: datetime) -> Point | None:
    first, last = max(point.start, start), min(point.end, end)
    return Point(first, last, point.value) if first < last else None


def _price(point: Point) -> Decimal:
    assert point.value is not None  # noqa: S101  (whoever calls has left those out)
    return point.value


def _hours(length: timedelta) -> str:
    return f"{length / HOUR:.3g} h"
