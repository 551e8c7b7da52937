"""Whether the host has slept: its monotonic clock stands still then, and the one of the whole boot does not."""

from __future__ import annotations

import time


def slept_s() -> float:
    """How long this boot has been asleep so far. Only its growth says something."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
