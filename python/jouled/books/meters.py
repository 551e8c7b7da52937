"""Meters: what they may say, the energy of their powers over time, and their part of a budget check."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, get_args

from jouled.wire.devices import Direction, Kind, PowerDraft

KINDS: tuple[Kind, ...] = get_args(Kind)
# Beyond these no meter of a host or a site says the truth: megavolts, mega-amperes, a gigawatt.
VOLTAGE_MAX_V = 1e6
CURRENT_MAX_A = 1e6
POWER_MAX_W = 1e9
# A clock that is ahead by more is wrong, and its readings would hide all that follow.
FUTURE_MAX = timedelta(minutes=5)

# Between two readings that are further apart nobody knows what flowed: that time is not covered.
GAP_MAX_US = 300 * 1_000_000
MINUTE_US = 60 * 1_000_000
MINUTE_S, QUARTER_HOUR_S, DAY_S = 60, 900, 86_400
RESOLUTIONS_S = (MINUTE_S, QUARTER_HOUR_S, DAY_S)


def direction_of(kind: Kind) -> Direction:
    """Where it is not said: only the mains are consumed from."""
    return "consume" if kind == "main" else "produce"


def source_of(kind: Kind) -> str:
    """What a meter's energy is made of, where it is not said: a generator is reckoned as the grid."""
    return kind if kind in {"solar", "battery"} else "grid"


class Power(NamedTuple):
    """A draft that was found right: rounded, clamped, with its time."""

    at: datetime
    voltage_v: float | None
    current_a: float | None
    power_w: float | None
    charge_pct: float | None


def fault_of(draft: PowerDraft, at: datetime, now: datetime) -> str | None:
    """Why it cannot be logged."""
    bounds = (
        ("voltage", draft.voltage, VOLTAGE_MAX_V),
        ("current", draft.current, CURRENT_MAX_A),
        ("wattage", draft.wattage, POWER_MAX_W),
        ("charge_pct", draft.charge_pct, math.inf),
    )
    for name, value, most in bounds:
        if value is not None and not (math.isfinite(value) and abs(value) <= most):
            return f"{name} {value} cannot be; it must be a number from -{most:g} to {most:g}"
    if at > now + FUTURE_MAX:
        return f"timestamp {at.isoformat()} lies in the future; set the clock, or leave it out"
    has_power = draft.wattage is not None or (draft.voltage is not None and draft.current is not None)
    if not has_power and draft.charge_pct is None and draft.status is None:
        return "nothing to log; give voltage and current, wattage, charge_pct or status"
    power_w = power_of(draft)
    return f"{power_w:g} W cannot be; it must be within {POWER_MAX_W:g} W" if abs(power_w or 0) > POWER_MAX_W else None


def power_of(draft: PowerDraft) -> float | None:
    """In W, to four places."""
    if draft.wattage is not None:
        return round(draft.wattage, 4)
    if draft.voltage is None or draft.current is None:
        return None
    return round(draft.voltage * draft.current, 4)


def clamped(charge_pct: float | None) -> float | None:
    return None if charge_pct is None else min(100.0, max(0.0, charge_pct))


class Point(NamedTuple):
    """A power at an instant (microseconds since 1970)."""

    at_us: int
    power_w: float


class Share(NamedTuple):
    """What one minute has of the time between two readings; energy of positive and negative power apart."""

    energy_mj: int = 0
    returned_mj: int = 0
    covered_us: int = 0

    def plus(self, other: Share, sign: int = 1) -> Share:
        return Share(*(mine + sign * theirs for mine, theirs in zip(self, other, strict=True)))


def shares(points: Sequence[Point]) -> dict[int, Share]:
    """By the minute's beginning in microseconds. Points are in order of time.

    Power goes in a straight line from one reading to the next (trapezoids). Each pair of neighbours gives
    whole millijoules to each minute, so that the sums are the same in whatever order readings came.
    """
    found: dict[int, Share] = {}
    for first, second in pairwise(points):
        if 0 < second.at_us - first.at_us <= GAP_MAX_US:
            for minute_us, share in _between(first, second):
                found[minute_us] = found.get(minute_us, Share()).plus(share)
    return found


def changes(before: Sequence[Point], after: Sequence[Point]) -> dict[int, Share]:
    """What is to be added to each minute where readings came in between."""
    changed = shares(after)
    for minute_us, share in shares(before).items():
        changed[minute_us] = changed.get(minute_us, Share()).plus(share, -1)
    return {minute_us: share for minute_us, share in changed.items() if any(share)}


def _between(first: Point, second: Point) -> Iterable[tuple[int, Share]]:
    slope = (second.power_w - first.power_w) / (second.at_us - first.at_us)
    at_us, end_us = first.at_us, second.at_us
    while at_us < end_us:
        minute_us = at_us - at_us % MINUTE_US
        until_us = min(end_us, minute_us + MINUTE_US)
        from_w = first.power_w + slope * (at_us - first.at_us)
        to_w = first.power_w + slope * (until_us - first.at_us)
        gained, returned = _areas(from_w, to_w, until_us - at_us)
        yield minute_us, Share(round(gained / 1000), round(returned / 1000), until_us - at_us)
        at_us = until_us


def _areas(from_w: float, to_w: float, length_us: int) -> tuple[float, float]:
    """Above and below zero, in µJ."""
    if from_w * to_w >= 0:
        area = abs(from_w + to_w) / 2 * length_us
        return (area, 0.0) if from_w + to_w >= 0 else (0.0, area)
    crossing = from_w / (from_w - to_w)
    first, second = abs(from_w) / 2 * crossing * length_us, abs(to_w) / 2 * (1 - crossing) * length_us
    return (first, second) if from_w > 0 else (second, first)


class Part(NamedTuple):
    """A meter's part of its device, in W now. `gives_w` is a battery's: positive where it gives."""

    kind: Kind
    direction: Direction
    power_w: float | None
    gives_w: float | None
    is_on_battery: bool


class Balance(NamedTuple):
    """W; load and production are never added."""

    load_w: float
    production_w: float
    charging_w: float


def balance(parts: Iterable[Part]) -> Balance:
    """A device's load is what its mains and its batteries give; a UPS on mains passes on what a main meter
    has counted already, if there is one.
    """
    parts = list(parts)
    has_main = any(part.kind == "main" for part in parts)
    load_w = production_w = charging_w = 0.0
    for part in parts:
        power_w = part.power_w or 0.0
        if part.kind in {"solar", "generation"}:
            production_w += max(0.0, power_w if part.direction == "produce" else -power_w)
        elif part.kind == "main":
            load_w += max(0.0, power_w if part.direction == "consume" else -power_w)
        elif part.kind == "ups":
            load_w += abs(power_w) if part.is_on_battery or not has_main else 0.0
        else:
            load_w += max(0.0, part.gives_w or 0.0)
            charging_w += max(0.0, -(part.gives_w or 0.0))
    return Balance(load_w, production_w, charging_w)
