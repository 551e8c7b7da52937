"""One controller among several: by a real server of PostgreSQL, through a network that is cut, and by a lock of the host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest
import trio
import trio.testing

from jouled.control.site.election import (
    FAIL_OVER_S,
    GONE_S,
    LOOK_S,
    PATIENCE_S,
    ElectionError,
    Elector,
    FileBallot,
    ServerBallot,
    ballot_of,
    key_of,
)
from jouled.loads.node import LEASE_S
from stores import shared_postgres

PATIENCE_OF_TEST_S = 60.0


class FakeBallot:
    """Won, lost and silent as a test says."""

    def __init__(self, grace_s: float = PATIENCE_S) -> None:
        self.grace_s = grace_s
        self.is_free = True
        self.holds = False
        self.trouble: str | None = None
        self.let_go_total = 0

    def take(self) -> bool:
        return self._answer(self.is_free)

    def is_held(self) -> bool:
        return self._answer(self.holds)

    def let_go(self) -> None:
        self.let_go_total += 1
        self.holds = False

    def _answer(self, is_so: bool) -> bool:
        if self.trouble is not None:
            raise ElectionError(self.trouble)
        self.holds = is_so
        return is_so


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Fake:
    """An elector on fakes, looked at one question at a time."""

    def __init__(self, grace_s: float = PATIENCE_S) -> None:
        self.ballot = FakeBallot(grace_s)
        self.clock = Clock()
        self.elector = Elector(self.ballot, clock=self.clock)

    async def look(self, after_s: float = LOOK_S) -> bool:
        self.clock.now_s += after_s
        await self.elector._look()
        return self.elector.is_leader


async def test_whoever_takes_the_lock_waits_until_the_one_before_has_surely_stopped() -> None:
    fake = Fake()
    assert [await fake.look() for _ in range(5)] == [False, False, False, True, True]
    assert fake.elector.elections_total == 1


async def test_the_one_that_leads_stops_by_itself_where_no_answer_comes() -> None:
    fake = Fake(grace_s=0.0)
    assert await fake.look()
    assert fake.elector.sure_for_s == PATIENCE_S
    fake.clock.now_s += PATIENCE_S - 0.01
    assert fake.elector.sure_for_s > 0
    fake.clock.now_s += 0.02
    assert not fake.elector.is_leader
    # It has slept, or stood still, and asks: the lock is still its own.
    assert await fake.look()
    assert (fake.elector.elections_total, fake.elector.losses_total) == (1, 0)


async def test_a_lock_that_is_another_s_is_lost_at_the_next_question() -> None:
    fake = Fake(grace_s=0.0)
    await fake.look()
    fake.ballot.holds = False
    assert not await fake.look()
    assert (fake.elector.losses_total, fake.ballot.let_go_total) == (1, 1)
    fake.ballot.is_free = False
    assert not await fake.look()
    fake.ballot.is_free = True
    assert await fake.look()
    assert fake.elector.elections_total == 2


async def test_trouble_loses_the_lock_and_says_why() -> None:
    fake = Fake(grace_s=0.0)
    await fake.look()
    fake.ballot.trouble = "the store's server: gone"
    assert not await fake.look()
    assert fake.elector.problem == "the store's server: gone"
    fake.ballot.trouble = None
    assert await fake.look()
    assert fake.elector.problem is None


async def test_who_waits_is_woken_by_the_election(nursery: trio.Nursery, tmp_path: Path) -> None:
    elector = Elector(FileBallot(str(tmp_path)), look_s=0.01)
    await nursery.start(elector.run)
    with trio.fail_after(PATIENCE_OF_TEST_S):
        await elector.wait()
    assert elector.is_leader
    nursery.cancel_scope.cancel()
    await elector.give_up()
    assert elector.sure_for_s == 0


def test_of_two_on_one_host_one_has_the_lock(tmp_path: Path) -> None:
    one, other = FileBallot(str(tmp_path)), FileBallot(str(tmp_path))
    assert one.take()
    assert not other.take()
    assert one.is_held()
    assert not other.is_held()
    one.let_go()
    assert not one.is_held()
    assert other.take()
    other.let_go()


def test_a_lock_whose_file_was_removed_is_no_longer_held(tmp_path: Path) -> None:
    one, other = FileBallot(str(tmp_path)), FileBallot(str(tmp_path))
    assert one.take()
    (tmp_path / "balance.lock").unlink()
    assert other.take()
    assert not one.is_held()
    one.let_go()
    other.let_go()


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ElectionError, match="set state_dir"):
        FileBallot(f"{tmp_path}/none").take()


def test_the_store_says_where_it_is_elected(tmp_path: Path) -> None:
    for url in ("sqlite", "none"):
        assert isinstance(ballot_of(url, str(tmp_path)), FileBallot)
    assert isinstance(ballot_of("postgresql://jouled@db/jouled", str(tmp_path)), ServerBallot)
    assert key_of("a") != key_of("b")
    assert 0 <= key_of("a") < 2**63


def test_a_fail_over_is_short_and_a_lease_outlives_three() -> None:
    # The session's end, a try that just missed it, and the grace.
    assert GONE_S + LOOK_S + PATIENCE_S < FAIL_OVER_S - LOOK_S
    # A question that is answered each second keeps the session, also where some are late.
    assert GONE_S >= 3 * LOOK_S
    assert LEASE_S >= 3 * FAIL_OVER_S


# ---- by a real server ----


def test_of_two_sessions_one_has_the_lock_and_its_end_gives_it_to_the_other(postgres_url: str) -> None:
    one, other, apart = ServerBallot(postgres_url), ServerBallot(postgres_url), ServerBallot(postgres_url, "other site")
    try:
        assert one.take()
        assert one.is_held()
        assert not other.take()
        assert not other.is_held()
        assert apart.take()
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            holder = connection.execute(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid::bigint = %s",
                (key_of("") & 0xFFFFFFFF,),
            ).fetchone()
            assert holder is not None
            connection.execute("SELECT pg_terminate_backend(%s, 10000)", holder)
        with pytest.raises(ElectionError, match="the store's server"):
            one.is_held()
        assert other.take()
    finally:
        for ballot in (one, other, apart):
            ballot.let_go()


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ElectionError, match="the store's server"):
        ServerBallot("postgresql://jouled@/x?host=/nonexistent").take()


HOLDER = """
import sys, trio
from jouled.control.site.election import Elector, ServerBallot
async def main():
    async with trio.open_nursery() as nursery:
        elector = Elector(ServerBallot(sys.argv[1], grace_s=0.0))
        await nursery.start(elector.run)
        await elector.wait()
        print("leads", file=sys.stderr, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""


@contextmanager
def holding(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that leads."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        assert holder.stderr is not None
        said = b""
        while b"leads\n" not in said:
            line = holder.stderr.readline()
            assert line, said
            said += line
        yield holder
    finally:
        holder.kill()
        holder.wait()
        assert holder.stderr is not None
        holder.stderr.close()


async def test_after_kill_9_of_the_holder_another_leads(postgres_url: str, nursery: trio.Nursery) -> None:
    with holding(postgres_url) as holder:
        elector = Elector(ServerBallot(postgres_url))
        await nursery.start(elector.run)
        began_s = time.monotonic()
        os.kill(holder.pid, signal.SIGKILL)
        with trio.fail_after(PATIENCE_OF_TEST_S):
            await elector.wait()
        sys.stderr.write(f"after kill -9 the other led after {time.monotonic() - began_s:.1f} s\n")
        nursery.cancel_scope.cancel()
        await elector.give_up()


class Network:
    """Between a client and the server; when it is cut nothing comes through, and nobody hears of it."""

    def __init__(self) -> None:
        self.port = 0
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True

    async def through(self, source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
        try:
            while part := await source.receive_some(65536):
                if self.is_cut:
                    await trio.sleep_forever()
                await sink.send_all(part)
            if not self.is_cut:
                await sink.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def serve(self, stream: trio.SocketStream, folder: Path) -> None:
        if self.is_cut:
            await trio.sleep_forever()
        server = await trio.open_unix_socket(str(folder / ".s.PGSQL.5432"))
        async with server, stream, trio.open_nursery() as nursery:
            nursery.start_soon(self.through, stream, server)
            nursery.start_soon(self.through, server, stream)


@asynccontextmanager
async def network(folder: Path) -> AsyncIterator[Network]:
    made = Network()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        made.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, lambda stream: made.serve(stream, folder), listeners)
        yield made
        nursery.cancel_scope.cancel()


async def test_a_holder_that_is_cut_off_stops_before_another_leads(postgres_url: str) -> None:
    folder = shared_postgres().folder
    name = postgres_url.partition("?")[0].rpartition("/")[2]
    async with network(folder) as between, trio.open_nursery() as nursery:
        holder = Elector(
            ServerBallot(f"postgresql://jouled@127.0.0.1:{between.port}/{name}?sslmode=disable", grace_s=0.0)
        )
        await nursery.start(holder.run)
        with trio.fail_after(PATIENCE_OF_TEST_S):
            await holder.wait()
        waiting = Elector(ServerBallot(postgres_url))
        await nursery.start(waiting.run)
        between.cut()
        began_s = time.monotonic()
        stopped_s = None
        while not waiting.is_leader:
            if stopped_s is None and not holder.is_leader:
                stopped_s = time.monotonic() - began_s
            assert time.monotonic() - began_s < PATIENCE_OF_TEST_S
            await trio.sleep(0.01)
        assert not holder.is_leader
        assert stopped_s is not None
        led_s = time.monotonic() - began_s
        sys.stderr.write(f"cut off, the one stopped after {stopped_s:.1f} s and the other led after {led_s:.1f} s\n")
        nursery.cancel_scope.cancel()
    # Only once neither asks any more: whoever has given up and goes on asking takes it again.
    for elector in (waiting, holder):
        await elector.give_up()
