"""When an event that could not be delivered is tried again, and when it is given up."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

# Eight tries over about a day: a receiver that restarts misses nothing, one that is gone is not asked for ever.
WAITS_S = (10, 60, 300, 1800, 7200, 21_600, 54_000)
TRIES = len(WAITS_S) + 1
# Longer than any try may take: whoever claimed a delivery and died has not kept it.
CLAIM = timedelta(minutes=2)
WAIT_MAX_S = 86_400.0
# Of all that failed at once not all are tried again at once.
JITTER = 0.2


class Failure(NamedTuple):
    """Why it was not delivered. Final ones are not tried again: the receiver has said no."""

    words: str
    is_final: bool = False
    retry_after_s: float | None = None


def wait_after(attempts: int, failure: Failure, jitter: float) -> timedelta | None:
    """Until the next try after so many, with `jitter` of 0 to 1; None where it is given up."""
    if failure.is_final or attempts >= TRIES:
        return None
    wait_s = WAITS_S[attempts - 1] * (1 - JITTER + 2 * JITTER * jitter)
    return timedelta(seconds=min(max(wait_s, failure.retry_after_s or 0.0), WAIT_MAX_S))
