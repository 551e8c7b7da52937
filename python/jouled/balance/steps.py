"""A step of steering: the budget that began to hold, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jouled.balance.schedule import Budget
from jouled.balance.strategies import Range

UW_OF_W = 1_000_000


class Step(NamedTuple):
    """`applied_w` is what was taken: None where it was refused, as `problem` says, or where there is no limit."""

    id: str
    at: datetime
    budget: Budget
    applied_w: float | None
    problem: str | None = None


def period_of(start: datetime, end: datetime, timezone: str) -> str:
    """`14:30-14:45` in local time; a day ends at 24:00. For people: only instants are without doubt.

    The quarter-hour in which the clock is put back is 02:45-03:00, as markets name it, and not 02:45-02:00.
    """
    zone = ZoneInfo(timezone)
    first, last = start.astimezone(zone), end.astimezone(zone)
    if (last.hour, last.minute) == (0, 0) and last.date() > first.date():
        return f"{first:%H:%M}-24:00"
    return f"{first:%H:%M}-{first.replace(tzinfo=None) + (end - start):%H:%M}"


def line_of(budget: Budget, power: Range, applied_w: float | None, timezone: str) -> str:
    """As powercap's documents have it."""
    period = period_of(budget.start, budget.end, timezone)
    if budget.power_w is None:
        return f"Power calculation: period={period}, no limit"
    named = budget.inputs.get("volume-proportional")
    told = named.get("source_w") if isinstance(named, dict) else None
    source_w = told if isinstance(told, float) else budget.power_w
    parts = {"source": source_w, "max": power.max_w, "min": power.min_w}
    values = "".join(f", {name}={_microwatts(value_w)}" for name, value_w in parts.items())
    applied = "none" if applied_w is None else _microwatts(applied_w)
    return f"Power calculation: period={period}{values}, applied={applied}"


def _microwatts(power_w: float) -> str:
    return f"{round(power_w * UW_OF_W)} µW"
