"""How a store is: what /metrics shows of it, and what is said when it goes away and comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from jouled.errors import StoreError
from jouled.log import log


class State(NamedTuple):
    """At one moment. The counts are since the start."""

    is_available: bool
    # Works that are on disk.
    writes: int
    # Works that were refused because the store was away; of those that wait to be tried again, none.
    failures: int
    # Works that wait, for the writer and in the backlogs.
    waiting: int
    # Records that were given up.
    dropped: int


def _nobody_asked() -> None:
    """Who wants to hear of commits puts another in its place."""


class Watch:
    """Thread-safe. Each outage is said once, and its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.problem: StoreError | None = None
        self._since_s = 0.0
        self.writes = 0
        self.failures = 0
        self.dropped = 0
        # Called after each commit, in the writer's thread: it must not wait.
        self.when_written: Callable[[], None] = _nobody_asked

    def went_away(self, problem: StoreError) -> None:
        with self._lock:
            was, self.problem = self.problem, problem
            if was is None:
                self._since_s = time.monotonic()
        if was is None:
            log.error(f"the store is away, measuring goes on: {problem}")

    def came_back(self) -> None:
        if self.problem is None:
            return
        with self._lock:
            was, self.problem = self.problem, None
        if was is not None:
            log.info("the store is back", away=f"{time.monotonic() - self._since_s:.0f}s")

    def wrote(self, works: int) -> None:
        with self._lock:
            self.writes += works
        self.when_written()

    def failed(self, works: int) -> None:
        with self._lock:
            self.failures += works

    def drop(self, records: int) -> None:
        with self._lock:
            self.dropped += records
