"""Batteries: which way they flow, how full they are, what of that is news, and how long they last.

Powers are in W and positive where the battery gives; charges are in percent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import IntEnum
from typing import Literal, NamedTuple

from jouled.wire.devices import Direction, EventType, Kind, State, Status

Flow = Literal["charging", "discharging", "full", "idle", "unknown"]

BATTERIES: tuple[Kind, ...] = ("battery", "ups")
# A state is left only so far beyond its threshold, in points of charge: gauges tremble by one.
HYSTERESIS_PCT = 2.0
# A flow begins above a thousandth of the capacity an hour (0.05 W where that is not known), and ends below a
# quarter of it: sensors show some milliamperes where nothing flows.
FLOW_PER_HOUR = 1 / 1000
FLOW_LEAST_W = 0.05
FLOW_ENDS = 1 / 4
# Falling power is believed slowly and rising at once, so that a runtime is never too long for a moment's sake.
SMOOTHING_S = 120.0
SMOOTHING_LEAST = 0.3
# A last word older than this says nothing of now.
STALE_S = 900.0


class Thresholds(NamedTuple):
    """Of one device, in percent of charge."""

    low: float = 20.0
    critical: float = 5.0
    full: float = 95.0
    shutdown: float = 3.0

    def fault(self) -> str | None:
        """Why they cannot be so."""
        if not 0 <= self.critical <= self.low < self.full <= 100:
            return "thresholds must be 0 <= critical_threshold <= low_threshold < full_threshold <= 100"
        if not 0 <= self.shutdown <= self.low:
            return "shutdown_threshold must be from 0 to low_threshold"
        return None


def flow_of(direction: Direction, power_w: float | None, status: Status | None, capacity_wh: float | None) -> Flow:
    """By its status where that is known, else by the sign of its power and the meter's direction."""
    if status is not None:
        return status
    if power_w is None:
        return "unknown"
    if abs(power_w) < flow_least_w(capacity_wh):
        return "idle"
    return "discharging" if (power_w > 0) == (direction == "produce") else "charging"


def steady_flow(
    flow: Flow, before: Flow, power_w: float | None, capacity_wh: float | None, direction: Direction
) -> Flow:
    """A flow that goes on weakly goes on: it ends only well below where it began."""
    if flow != "idle" or before not in {"charging", "discharging"} or not power_w:
        return flow
    is_same = flow_of(direction, math.copysign(math.inf, power_w), None, None) == before
    return before if is_same and abs(power_w) >= flow_least_w(capacity_wh) * FLOW_ENDS else flow


def flow_least_w(capacity_wh: float | None) -> float:
    return FLOW_LEAST_W if capacity_wh is None else capacity_wh * FLOW_PER_HOUR


def signed_w(direction: Direction, power_w: float | None, status: Status | None) -> float | None:
    """The power with the sign that its status says: many drivers report a magnitude."""
    if power_w is None or status not in {"charging", "discharging"}:
        return power_w
    is_positive = (status == "discharging") == (direction == "produce")
    return abs(power_w) if is_positive else -abs(power_w)


def state_of(
    kind: Kind,
    *,
    power_w: float | None,
    charge_pct: float | None,
    flow: Flow,
    limits: Thresholds,
    before: State = "unknown",
    says_low: bool = False,
) -> State:
    """What a meter is in. How low a charge is weighs more than where it goes."""
    if kind not in BATTERIES:
        if power_w is None:
            return "unknown"
        return "charging" if kind == "solar" and power_w > 0 else "normal"
    found = None if charge_pct is None else _level_of(charge_pct, limits, before)
    if found == "critical" or (says_low and flow == "discharging"):
        return "critical"
    if found == "low" or says_low:
        return "low"
    if found == "full" and flow != "discharging":
        return "full"
    return "normal" if flow == "idle" or (flow == "unknown" and charge_pct is not None) else flow


def _level_of(charge_pct: float, limits: Thresholds, before: State) -> State | None:
    """None between low and full."""
    if charge_pct <= limits.critical + (HYSTERESIS_PCT if before == "critical" else 0):
        return "critical"
    if charge_pct <= limits.low + (HYSTERESIS_PCT if before in {"low", "critical"} else 0):
        return "low"
    return "full" if charge_pct >= limits.full - (HYSTERESIS_PCT if before == "full" else 0) else None


class Stage(IntEnum):
    """How far a battery's discharge has gone; each is one alert, and only the gravest is open."""

    CALM = 0
    DISCHARGING = 1
    LOW = 2
    CRITICAL = 3
    SHUTDOWN = 4


ALARMS: dict[Stage, tuple[EventType, Literal["info", "warning", "critical"]]] = {
    Stage.DISCHARGING: ("discharge", "info"),
    Stage.LOW: ("discharge", "warning"),
    Stage.CRITICAL: ("low_battery", "critical"),
    Stage.SHUTDOWN: ("shutdown", "critical"),
}


def stage_of(
    charge_pct: float | None, flow: Flow, state: State, limits: Thresholds, before: Stage = Stage.CALM
) -> Stage:
    margin = HYSTERESIS_PCT if before == Stage.SHUTDOWN else 0
    # At 0 there is nothing to shut down for a threshold of 0: it means never.
    if charge_pct is not None and limits.shutdown > 0 and charge_pct <= limits.shutdown + margin and flow != "charging":
        return Stage.SHUTDOWN
    if state == "critical":
        return Stage.CRITICAL
    if state == "low":
        return Stage.LOW
    return Stage.DISCHARGING if flow == "discharging" else Stage.CALM


class News(NamedTuple):
    """What a reading changed: the alarm that begins, and whether one ends well."""

    alarm: Stage | None
    ended: Stage | None
    is_restored: bool
    has_begun_charging: bool


def news(kind: Kind, before: Stage, after: Stage, *, flow_before: Flow, flow: Flow, state: State) -> News:
    """A stage that is graver than the last one is said; one that is less grave ends it.

    Restored is a battery that is not low any more, and a UPS that is on mains again. What a full battery
    takes now and then to stay so is no beginning.
    """
    is_back = kind == "ups" and flow_before == "discharging" and flow != "discharging" and after < Stage.LOW
    return News(
        alarm=after if after > before else None,
        ended=before if before not in {after, Stage.CALM} else None,
        is_restored=is_back or (before >= Stage.LOW > after),
        has_begun_charging=flow == "charging" and flow_before not in {"charging", "full"} and state != "full",
    )


def smooth_w(before_w: float | None, gives_w: float | None, elapsed_s: float) -> float | None:
    """The power a battery gives (negative: takes), rising at once, falling slowly; a turn is believed at once."""
    if before_w is None or gives_w is None or before_w * gives_w <= 0 or gives_w >= before_w:
        return gives_w
    weight = max(SMOOTHING_LEAST, 1 - math.exp(-max(elapsed_s, 0) / SMOOTHING_S))
    return before_w + weight * (gives_w - before_w)


class Battery(NamedTuple):
    """What a runtime is made of. `gives_w` is smoothed."""

    capacity_wh: float | None
    charge_pct: float | None
    gives_w: float | None
    # Of a UPS that is not on battery: its power comes from the mains.
    is_on_mains: bool
    age_s: float | None


class Lasting(NamedTuple):
    """Hours are None where they are not known; then `reason` says why."""

    hours: float | None
    hours_to_shutdown: float | None
    reason: str | None
    stored_wh: float | None
    gives_w: float | None


def lasting(batteries: Iterable[Battery], shutdown_pct: float) -> Lasting:
    """How long all batteries together last at their net flow: what charges one comes from the others."""
    batteries = list(batteries)
    if not batteries:
        return Lasting(None, None, "it has no battery", None, None)
    known = [cell for cell in batteries if cell.capacity_wh is not None and cell.charge_pct is not None]
    stored_wh = sum(_stored_wh(cell) for cell in known) if known else None
    heard = [cell for cell in batteries if cell.gives_w is not None]
    gives_w = sum(0.0 if cell.is_on_mains else cell.gives_w or 0.0 for cell in heard) if heard else None
    if any(cell.age_s is not None and cell.age_s > STALE_S for cell in batteries):
        return Lasting(None, None, f"a battery was not heard of for {STALE_S / 60:g} minutes", stored_wh, gives_w)
    if stored_wh is None:
        return Lasting(None, None, "no battery's capacity and charge are both known", None, gives_w)
    if gives_w is None:
        return Lasting(None, None, "no battery's power is known", stored_wh, None)
    if gives_w <= 0:
        why = "its batteries are on mains" if all(cell.is_on_mains for cell in batteries) else "its batteries "
        why += "" if "mains" in why else ("charge" if gives_w < 0 else "give no power")
        return Lasting(None, None, why, stored_wh, gives_w)
    reserve_wh = sum((cell.capacity_wh or 0) * shutdown_pct / 100 for cell in known)
    return Lasting(stored_wh / gives_w, max(0.0, stored_wh - reserve_wh) / gives_w, None, stored_wh, gives_w)


def _stored_wh(cell: Battery) -> float:
    return (cell.capacity_wh or 0) * (cell.charge_pct or 0) / 100
