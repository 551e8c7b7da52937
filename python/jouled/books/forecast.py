"""When a budget will be used up, if its period goes on as it began."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from jouled.books.calendar import Period

# A pace of minutes says nothing of a month: this much of the period has to be over.
ELAPSED_MIN_RATIO = 0.02


class Forecast(NamedTuple):
    """`exhausted_at` is None where `reason` says why; `expected_ug` is the use at the period's end."""

    exhausted_at: datetime | None
    expected_ug: int | None
    reason: str | None


def forecast(used_ug: int, amount_ug: int, period: Period, now: datetime, exceeded_at: datetime | None) -> Forecast:
    """From the pace of the period so far."""
    if now >= period.end:
        return Forecast(exceeded_at, used_ug, "period_is_over")
    elapsed_ratio = (now - period.start) / (period.end - period.start)
    expected_ug = None if elapsed_ratio < ELAPSED_MIN_RATIO else round(used_ug / elapsed_ratio)
    if used_ug >= amount_ug:
        return Forecast(exceeded_at, expected_ug, "already_exceeded")
    if expected_ug is None:
        return Forecast(None, None, "period_has_just_begun")
    if expected_ug < amount_ug:
        return Forecast(None, expected_ug, "not_in_this_period" if used_ug else "nothing_used_yet")
    at = period.start + (now - period.start) * (amount_ug / used_ug)
    return Forecast(min(at, period.end), expected_ug, None)
