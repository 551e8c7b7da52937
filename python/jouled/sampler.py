"""Keeps time: one scan per tick, never two at once, never a queue of late ones."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio

from jouled.errors import ScanError
from jouled.feed import Feed
from jouled.log import Once
from jouled.model import Scanner, Snapshot

# The first interval is short, so that a restarted daemon answers scrapes within a second.
FIRST_INTERVAL_S = 0.5
# What the thread is called while it scans.
SCAN_THREAD = "jouled scan"


def scan_in_thread(scanner: Scanner) -> Callable[[], Awaitable[Snapshot]]:
    """One thread hop per scan. Its own limiter: a full default pool must not delay a tick.

    The thread is left behind on cancel: a sensor that answers slowly, or never, must not hold the exit.
    """
    limiter = trio.CapacityLimiter(1)

    async def scan() -> Snapshot:
        return await trio.to_thread.run_sync(
            scanner.tick, limiter=limiter, abandon_on_cancel=True, thread_name=SCAN_THREAD
        )

    return scan


def ignore(_: Snapshot) -> None:
    """Nobody asked to hear of each snapshot."""


class Sampler:
    """Scans once a period and publishes each snapshot.

    `on_snapshot` is called with every snapshot, also with those that a reader of the feed skips.
    """

    def __init__(
        self,
        scan: Callable[[], Awaitable[Snapshot]],
        feed: Feed[Snapshot],
        *,
        period_s: float,
    ) -> None:
        self.period_s = period_s
        self.on_snapshot: Callable[[Snapshot], None] = ignore
        self.ticks_total = 0
        self.ticks_late_total = 0
        self.scan_errors_total = 0
        self.completed_at_s: float | None = None
        self._scan = scan
        self._feed = feed
        self._problems = Once()
        # The wait for the next tick, once the first interval has been measured.
        self._pause: trio.CancelScope | None = None

    def __repr__(self) -> str:
        return f"<Sampler [{self.ticks_total} ticks, {self.ticks_late_total} late, {self.scan_errors_total} failed]>"

    @property
    def is_fresh(self) -> bool:
        """Whether an interval has been measured, and the last tick is no older than three periods."""
        latest = self._feed.latest
        if latest is None or latest.interval_s is None or self.completed_at_s is None:
            return False
        return trio.current_time() - self.completed_at_s <= 3 * self.period_s

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Scan until cancelled. Ready after the first snapshot with an interval.

        The baseline must succeed: a host that cannot be read at all is for the operator to see at
        the start. A scan that fails later is counted, and the next one covers its interval.
        """
        self._complete(await self._scan())
        is_started = False
        deadline_s = trio.current_time() + min(FIRST_INTERVAL_S, self.period_s)
        while True:
            deadline_s = await self._wait_until(deadline_s)
            await self._tick()
            if not is_started and self._has_interval():
                is_started = True
                task_status.started()
            deadline_s = self._next_deadline_s(deadline_s)

    def change_period(self, period_s: float) -> None:
        """Holds at once: the tick that is waited for now comes a new period after the last one, or
        immediately where that is past.
        """
        if self._pause is not None and not self._pause.cancel_called:
            self._pause.deadline = max(trio.current_time(), self._pause.deadline - self.period_s + period_s)
        self.period_s = period_s

    async def _wait_until(self, deadline_s: float) -> float:
        """The deadline that held in the end: a scope's deadline can be moved while it is waited for."""
        pause = trio.CancelScope(deadline=deadline_s)
        self._pause = pause if self._has_interval() else None  # the first interval is short whatever the period
        with pause:
            await trio.sleep_forever()
        self._pause = None
        return pause.deadline

    async def _tick(self) -> None:
        try:
            snapshot = await self._scan()
        except ScanError as error:
            self.scan_errors_total += 1
            self._problems.warning(f"scan failed: {error}")
            return
        self._complete(snapshot)

    def _complete(self, snapshot: Snapshot) -> None:
        self.ticks_total += 1
        self.completed_at_s = trio.current_time()
        for problem in snapshot.problems:
            self._problems.warning(problem)
        self.on_snapshot(snapshot)
        self._feed.publish(snapshot)

    def _has_interval(self) -> bool:
        return self._feed.latest is not None and self._feed.latest.interval_s is not None

    def _next_deadline_s(self, deadline_s: float) -> float:
        """The next whole tick that is still ahead; the ones that were missed are counted, not made
        up for: a burst of scans would measure intervals of nothing and cost the host twice.
        """
        deadline_s += self.period_s
        behind_s = trio.current_time() - deadline_s
        missed = max(0, math.ceil(behind_s / self.period_s))
        self.ticks_late_total += missed
        return deadline_s + missed * self.period_s
