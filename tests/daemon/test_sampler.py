from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
import trio

from fakes import FakeScanner, FakeSnapshot
from jouled.errors import ScanError
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.sampler import Sampler, scan_in_thread

Clock = trio.testing.MockClock


class TimedScan:
    """A scan that takes the given times, one after the other, then none."""

    def __init__(self, scanner: FakeScanner, takes_s: Sequence[float] = ()) -> None:
        self.starts_s: list[float] = []
        self.running = 0
        self._scanner = scanner
        self._takes_s = list(takes_s)

    async def __call__(self) -> Snapshot:
        self.running += 1
        assert self.running == 1, "two scans at once"
        self.starts_s.append(trio.current_time())
        await trio.sleep(self._takes_s.pop(0) if self._takes_s else 0)
        self.running -= 1
        return self._scanner.tick()


def since(start_s: float, times_s: list[float]) -> list[float]:
    return [round(time_s - start_s, 6) for time_s in times_s]


async def test_the_baseline_is_at_once_the_first_interval_short_then_whole_periods(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    start_s = trio.current_time()
    scan = TimedScan(FakeScanner(), [0.1, 0.1, 0.1, 0.1])
    feed: Feed[Snapshot] = Feed()
    sampler = Sampler(scan, feed, period_s=5.0)
    await nursery.start(sampler.run)
    assert trio.current_time() - start_s == pytest.approx(0.7)  # ready after the first interval
    assert feed.latest is not None
    assert feed.latest.interval_s == 1.0
    await trio.sleep(11)
    # The deadlines begin when the baseline is there, and do not drift with what a scan takes.
    assert since(start_s, scan.starts_s) == [0.0, 0.6, 5.6, 10.6]
    assert (sampler.ticks_total, sampler.ticks_late_total) == (4, 0)
    nursery.cancel_scope.cancel()


async def test_late_ticks_are_counted_and_never_made_up_for(nursery: trio.Nursery, autojump_clock: Clock) -> None:
    start_s = trio.current_time()
    scan = TimedScan(FakeScanner(), [0, 0, 3.5])
    sampler = Sampler(scan, Feed(), period_s=1.0)
    await nursery.start(sampler.run)
    await trio.sleep(7.25)
    # The scan at 1.5 ends at 5.0: the ticks at 2.5, 3.5 and 4.5 are gone, the next is at 5.5.
    assert since(start_s, scan.starts_s) == [0.0, 0.5, 1.5, 5.5, 6.5, 7.5]
    assert sampler.ticks_late_total == 3
    nursery.cancel_scope.cancel()


async def test_a_scan_that_takes_exactly_a_period_is_not_late(nursery: trio.Nursery, autojump_clock: Clock) -> None:
    scan = TimedScan(FakeScanner(), [0, 0, 1.0, 1.0])
    sampler = Sampler(scan, Feed(), period_s=1.0)
    await nursery.start(sampler.run)
    await trio.sleep(4)
    assert sampler.ticks_late_total == 0
    nursery.cancel_scope.cancel()


async def test_a_first_scan_that_fails_stops_the_start(autojump_clock: Clock) -> None:
    scan = TimedScan(FakeScanner(trouble={1: ScanError("read /proc/stat: permission denied; run as jouled")}))
    with pytest.raises(ScanError, match="permission denied"):
        await Sampler(scan, Feed(), period_s=1.0).run()


async def test_a_scan_that_fails_later_is_counted_and_said_once(
    nursery: trio.Nursery, autojump_clock: Clock, lines: list[Any]
) -> None:
    trouble = {number: ScanError("read /proc/stat: gone") for number in (3, 4, 5)}
    feed: Feed[Snapshot] = Feed()
    sampler = Sampler(TimedScan(FakeScanner(trouble=trouble)), feed, period_s=1.0)
    await nursery.start(sampler.run)
    await trio.sleep(5.25)
    assert sampler.scan_errors_total == 3
    assert feed.latest is not None
    assert feed.latest.sequence == 7
    assert [line["event"] for line in lines] == ["scan failed: read /proc/stat: gone"]
    nursery.cancel_scope.cancel()


async def test_other_errors_end_the_daemon(autojump_clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError):
        await Sampler(TimedScan(FakeScanner(trouble={3: ZeroDivisionError()})), Feed(), period_s=1.0).run()


async def test_problems_are_said_once_and_every_snapshot_is_heard(
    nursery: trio.Nursery, autojump_clock: Clock, lines: list[Any]
) -> None:
    heard: list[int] = []
    sampler = Sampler(TimedScan(FakeScanner(problems=["zone dram: unreadable"])), Feed(), period_s=1.0)
    sampler.on_snapshot = lambda snapshot: heard.append(snapshot.sequence)
    await nursery.start(sampler.run)
    await trio.sleep(2.25)
    assert heard == [1, 2, 3, 4]
    assert [line["event"] for line in lines] == ["zone dram: unreadable"]
    nursery.cancel_scope.cancel()


async def test_it_is_fresh_for_three_periods_after_a_tick(nursery: trio.Nursery, autojump_clock: Clock) -> None:
    scan = TimedScan(FakeScanner(), [0, 0, 60])
    sampler = Sampler(scan, Feed(), period_s=1.0)
    fresh = [sampler.is_fresh]
    await nursery.start(sampler.run)
    for pause_s in (0, 2.9, 0.2):
        await trio.sleep(pause_s)
        fresh.append(sampler.is_fresh)
    assert fresh == [False, True, True, False]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("changed_at_s", "period_s", "starts_s"),
    [
        (3.0, 2.0, [0.0, 0.5, 3.0, 5.0, 7.0]),  # two seconds after the last tick is past: at once
        (1.0, 2.0, [0.0, 0.5, 2.5, 4.5, 6.5]),
        (3.0, 7.0, [0.0, 0.5, 7.5]),
        (0.25, 1.0, [0.0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]),  # the first interval stays short
    ],
)
async def test_a_changed_period_counts_from_the_last_tick(
    changed_at_s: float, period_s: float, starts_s: list[float], nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    start_s = trio.current_time()
    scan = TimedScan(FakeScanner())
    sampler = Sampler(scan, Feed(), period_s=5.0)
    nursery.start_soon(sampler.run)
    await trio.sleep(changed_at_s)
    sampler.change_period(period_s)
    await trio.sleep(7.75 - changed_at_s)
    assert since(start_s, scan.starts_s) == starts_s
    assert (sampler.period_s, sampler.ticks_late_total) == (period_s, 0)
    nursery.cancel_scope.cancel()


async def test_a_period_changed_during_a_scan_holds_from_its_end(nursery: trio.Nursery, autojump_clock: Clock) -> None:
    start_s = trio.current_time()
    scan = TimedScan(FakeScanner(), [0, 0, 1.0])
    sampler = Sampler(scan, Feed(), period_s=4.0)
    nursery.start_soon(sampler.run)
    await trio.sleep(5.0)  # the scan of 4.5 is under way
    sampler.change_period(2.0)
    await trio.sleep(4.0)
    assert since(start_s, scan.starts_s) == [0.0, 0.5, 4.5, 6.5, 8.5]
    nursery.cancel_scope.cancel()


async def test_a_scan_in_a_thread_is_left_behind_when_cancelled() -> None:
    may_end = threading.Event()

    class SlowScanner(FakeScanner):
        def tick(self) -> FakeSnapshot:
            assert may_end.wait(60)
            return super().tick()

    with trio.move_on_after(0.01) as scope:
        await scan_in_thread(SlowScanner())()
    assert scope.cancelled_caught
    may_end.set()
