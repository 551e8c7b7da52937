"""`jouled.cap`: a block's cap is there while the block runs, and never after."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import jouled
from jouled import capping
from keeping import FakeKeeper
from keeping import capping as serving_caps


@pytest.fixture
def capped(tmp_path: Path) -> Iterator[tuple[str, FakeKeeper]]:
    with serving_caps(tmp_path) as found:
        yield found


def until(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_the_cap_holds_inside_of_the_block_only(capped: tuple[str, FakeKeeper]) -> None:
    url, keeper = capped
    with jouled.cap(150, reason="a training", url=url) as cap:
        (lease,) = keeper.leases.values()
        assert (lease.watts, lease.reason) == (150.0, "a training")
        assert lease.owner.startswith(f"python:{os.getpid()}:")
        assert (lease.until - lease.since).total_seconds() <= 60
        assert (cap.watts, cap.effective_w, cap.problem) == (150.0, 149.9, None)
        assert repr(cap) == f"<Cap 150 W of {cap.owner}: in force>"
    assert keeper.leases == {}
    assert "over" in repr(cap)


def test_an_exception_ends_it_and_passes_on(capped: tuple[str, FakeKeeper]) -> None:
    url, keeper = capped
    with pytest.raises(ZeroDivisionError), jouled.cap(150, url=url):
        _ = 1 / 0
    assert keeper.leases == {}


def test_of_nested_blocks_each_has_its_own_and_the_lowest_counts(capped: tuple[str, FakeKeeper]) -> None:
    url, keeper = capped
    with jouled.cap(150, url=url) as outer:
        with jouled.cap(100, url=url) as inner:
            assert len({outer.owner, inner.owner}) == len(keeper.leases) == 2
            assert inner.effective_w == 99.9
        assert list(keeper.leases) == [outer.owner]


def test_a_block_that_lasts_renews_its_lease(capped: tuple[str, FakeKeeper], monkeypatch: pytest.MonkeyPatch) -> None:
    url, keeper = capped
    monkeypatch.setattr(capping, "LEASE_S", 0.3)
    with jouled.cap(150, url=url) as cap:
        first = keeper.leases[cap.owner].until
        until(lambda: keeper.leases[cap.owner].until > first)
    assert keeper.leases == {}


def test_with_a_time_it_ends_before_the_block_does(
    capped: tuple[str, FakeKeeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, keeper = capped
    monkeypatch.setattr(capping, "LEASE_S", 0.3)
    with jouled.cap(150, for_s=0.5, url=url) as cap:
        until(lambda: not _is_renewing())
        lease = keeper.leases[cap.owner]
        assert (lease.until - lease.since).total_seconds() <= 0.6


def _is_renewing() -> bool:
    import threading

    return any(thread.name == "jouled-cap" for thread in threading.enumerate())


def test_what_the_operator_lifts_is_not_taken_again(
    capped: tuple[str, FakeKeeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, keeper = capped
    monkeypatch.setattr(capping, "LEASE_S", 3.0)
    monkeypatch.setattr(capping, "RENEW_PART", 30)
    with jouled.cap(150, url=url) as cap:
        keeper.leases.clear()
        until(lambda: cap.problem)
        assert cap.problem == f"the cap of {cap.owner} was lifted by somebody else; it is not taken again"
        until(lambda: not _is_renewing())
        assert keeper.leases == {}


def test_a_daemon_that_is_started_anew_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capping, "LEASE_S", 0.6)
    monkeypatch.setattr(capping, "RETRY_S", 0.05)
    keeper = FakeKeeper()
    with serving_caps(tmp_path, keeper) as (url, _):
        cap = jouled.cap(150, url=url).start()
    keeper.leases.clear()
    until(lambda: cap.problem)
    assert "start the daemon" in str(cap.problem)
    with serving_caps(tmp_path, keeper) as (url, _):
        until(lambda: cap.owner in keeper.leases)
        until(lambda: cap.problem is None)
        cap.stop()
        assert keeper.leases == {}


def test_a_lease_that_ended_meanwhile_is_no_trouble_at_the_end(capped: tuple[str, FakeKeeper]) -> None:
    url, keeper = capped
    with jouled.cap(150, url=url) as cap:
        keeper.leases.clear()
    assert cap.problem is None
    cap.stop()


def test_a_daemon_that_is_gone_at_the_end_is_a_problem_and_no_exception(tmp_path: Path) -> None:
    with serving_caps(tmp_path) as (url, _):
        cap = jouled.cap(150, url=url).start()
    cap.stop()
    assert f"the cap of {cap.owner} ends by itself within 60 s" in str(cap.problem)


def test_a_forked_child_leaves_the_cap_alone(capped: tuple[str, FakeKeeper]) -> None:
    url, keeper = capped
    program = (
        "import os, sys, warnings, jouled\n"
        "warnings.simplefilter('ignore')\n"
        "with jouled.cap(150, url=sys.argv[1]) as cap:\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        cap.stop(); os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "    print(len(jouled.client.Client(sys.argv[1]).ask('/api/v1/caps', dict)['leases']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import jouled.client\n{program}", url], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
    assert keeper.leases == {}


def test_trio_and_asyncio_wait_for_it_without_blocking(capped: tuple[str, FakeKeeper]) -> None:
    url, keeper = capped

    async def block() -> int:
        async with jouled.cap(150, url=url):
            return len(keeper.leases)

    assert trio.run(block) == 1
    assert asyncio.run(block()) == 1
    assert keeper.leases == {}


def test_a_task_that_is_cancelled_while_it_takes_a_cap_leaves_none(
    capped: tuple[str, FakeKeeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, keeper = capped
    taken, may_end = threading.Event(), threading.Event()
    start = capping.Cap.start

    def slowly(cap: capping.Cap) -> capping.Cap:
        started = start(cap)
        taken.set()
        may_end.wait(60)
        return started

    monkeypatch.setattr(capping.Cap, "start", slowly)

    async def block() -> None:
        async with jouled.cap(150, url=url):
            pytest.fail("there is no block")

    async def cancelled() -> None:
        task = asyncio.create_task(block())
        await asyncio.to_thread(taken.wait, 60)
        assert len(keeper.leases) == 1
        # Twice, as a supervisor that is impatient does.
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert keeper.leases == {}


@pytest.mark.parametrize(
    "wrong", [{"watts": 0}, {"watts": -1}, {"watts": True}, {"watts": float("nan")}, {"watts": 2e6}, {"for_s": 0}]
)
def test_numbers_that_cannot_be_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be; give a number above 0"):
        jouled.cap(**{"watts": 150, **wrong})


def test_each_refusal_says_what_to_do(tmp_path: Path, capped: tuple[str, FakeKeeper]) -> None:
    url, _ = capped
    with pytest.raises(jouled.CapError, match="allowed is 10 W to 200 W"), jouled.cap(5, url=url):
        pass
    with pytest.raises(jouled.CapError, match="start the daemon"), jouled.cap(150, url="unix:/nowhere/x.sock"):
        pass
    with pytest.raises(jouled.CapError, match="begun before"), jouled.cap(150, url=url) as cap:
        cap.start()


def test_where_capping_is_off_the_fix_is_said(tmp_path: Path) -> None:
    off = FakeKeeper(is_enabled=False)
    refused = pytest.raises(jouled.CapError, match=r"switch on \[caps\] enabled")
    with serving_caps(tmp_path, off) as (url, _), refused, jouled.cap(150, url=url):
        pass
