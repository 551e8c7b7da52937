"""Work of a known length."""

from __future__ import annotations

import time


def burn(cpu_s: float) -> None:
    """Works for so much CPU time of the calling thread."""
    end_ns = time.thread_time_ns() + int(cpu_s * 1e9)
    while time.thread_time_ns() < end_ns:
        pass
