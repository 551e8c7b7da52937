"""The life of a decision: proposed, approved, executing, and then one of four ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from jouled.errors import ConflictError, InvalidError

# What may follow what.
NEXT: Mapping[str, tuple[str, ...]] = {
    "proposed": ("approved", "cancelled", "expired"),
    "approved": ("executing", "cancelled", "expired"),
    "executing": ("completed", "failed"),
    "completed": (),
    "cancelled": (),
    "failed": (),
    "expired": (),
}
OPEN = tuple(status for status, following in NEXT.items() if following)
# What else a status is called.
OTHER_NAMES = {"pending": "proposed"}
# A proposal is of the loads it was made from: a day later they are others.
EXPIRES_AFTER = timedelta(days=1)
EXPIRES_MAX = timedelta(days=366)
SCHEDULED_MAX = timedelta(days=5 * 366)
# A client's clock may be a little ahead.
PAST_MAX = timedelta(minutes=5)
HINTS = {
    "proposed": "approve it first",
    "approved": "execute or cancel it",
    "executing": "wait for its end",
}


def status_of(word: str) -> str:
    """A status by any of its names."""
    return OTHER_NAMES.get(word, word)


def check_move(decision_id: str, status: str, to: str) -> None:
    """Raises ConflictError, which says where it stands and what can be done."""
    if to in NEXT[status]:
        return
    hint = HINTS.get(status, "that is its end; propose another")
    raise ConflictError(f"decision {decision_id} is {status} and cannot become {to}; {hint}")


def times(now: datetime, scheduled_at: datetime | None, expires_at: datetime | None) -> tuple[datetime, datetime]:
    """When it is to be executed, and after when not any more. Raises InvalidError."""
    scheduled = now if scheduled_at is None else scheduled_at
    if scheduled < now - PAST_MAX:
        raise InvalidError(f"scheduled_at {scheduled.isoformat()} has passed; leave it out for now")
    if scheduled - now > SCHEDULED_MAX:
        raise InvalidError(f"scheduled_at {scheduled.isoformat()} is more than five years ahead")
    expires = scheduled + EXPIRES_AFTER if expires_at is None else expires_at
    if expires <= max(now, scheduled):
        raise InvalidError(f"expires_at {expires.isoformat()} is not after scheduled_at {scheduled.isoformat()}")
    if expires - scheduled > EXPIRES_MAX:
        raise InvalidError("expires_at is more than a year after scheduled_at; the loads will be others by then")
    return scheduled, expires


def check_zones(decision_type: str, source: str | None, target: str | None) -> None:
    """Raises InvalidError for a shift that goes from nowhere, to nowhere, or to where it comes from."""
    if decision_type == "shift_load" and (source is None or target is None):
        raise InvalidError("shift_load needs source_zone_id and target_zone_id: load that only goes away is scale_down")
    if source is not None and source == target:
        raise InvalidError(f"source_zone_id and target_zone_id are both {source!r}; name two zones")


def zones_of(source: str | None, target: str | None) -> tuple[str, ...]:
    """The zones to act on, in this order: what goes away goes first, so that nothing is ever above its limit."""
    return tuple(zone for zone in (source, target) if zone is not None)


def observed(
    before_w: Mapping[str, float | None], after_w: Mapping[str, float | None], at: datetime
) -> dict[str, Any] | None:
    """What became of each zone, in kW. None where nothing is known of any zone afterwards."""
    if all(after_w.get(zone) is None for zone in before_w):
        return None
    return {
        "observed_at": at.isoformat(),
        "method": "mean of the zone's load metrics whose windows began after the execution, weighted by time",
        "zones": {zone: _change(before_w[zone], after_w.get(zone)) for zone in before_w},
    }


def _change(before_w: float | None, after_w: float | None) -> dict[str, float | None]:
    return {
        "before_kw": None if before_w is None else before_w / 1000,
        "after_kw": None if after_w is None else after_w / 1000,
        "change_kw": None if before_w is None or after_w is None else (after_w - before_w) / 1000,
    }
