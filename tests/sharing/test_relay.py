"""Several daemons and a real Redis server, also when it dies, hangs and returns."""

from __future__ import annotations

import builtins
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import trio

from jouled.config import Listener
from jouled.config.books import Redis
from jouled.errors import ConfigError
from jouled.sharing import Relay
from jouled.sharing import relay as relay_module
from jouled.sharing import server as server_module
from jouled.sharing.relay import Latest
from jouled.store import Store
from jouled.web import broadcast as broadcast_module
from serving import FREE, Reply, serving
from streams import listening_to, post


class Server:
    """A server of its own folder and port, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        flags = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder))
        self.process = subprocess.Popen(["redis-server", *flags], stdout=subprocess.DEVNULL)
        end_s = time.monotonic() + 60
        while True:
            try:
                with redis.Redis(port=self.port) as client:
                    client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < end_s
                time.sleep(0.02)
            else:
                return

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path)
    yield found
    found.kill()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a test's size; what is tested is that they end."""
    monkeypatch.setattr(server_module, "PAUSE_S", 0.05)
    monkeypatch.setattr(server_module, "PAUSE_MAX_S", 0.2)
    # Longer than any machine is held up: a server that is only slow here must not be taken for one that is away.
    monkeypatch.setattr(server_module, "DEADLINE_S", 60.0)
    monkeypatch.setattr(relay_module, "LISTEN_S", 30.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server hangs."""
    monkeypatch.setattr(server_module, "DEADLINE_S", 0.5)
    monkeypatch.setattr(relay_module, "LISTEN_S", 0.3)


class Daemon:
    def __init__(self, url: str, prefix: str = "test:") -> None:
        self.woken = 0
        self.relay = Relay(Redis(url=url, prefix=prefix), self._wake)

    def _wake(self) -> None:
        self.woken += 1


@asynccontextmanager
async def running(*daemons: Daemon) -> AsyncIterator[None]:
    """All listen, and what they know is certain."""
    async with trio.open_nursery() as nursery:
        for daemon in daemons:
            nursery.start_soon(daemon.relay.run)
        await until(lambda: all(daemon.woken and not daemon.relay._is_suspect for daemon in daemons))
        yield
        nursery.cancel_scope.cancel()


async def until(holds: Callable[[], Any]) -> None:
    with trio.fail_after(120):
        while not holds():  # noqa: ASYNC110  (nobody tells)
            await trio.sleep(0.01)


async def latest(daemon: Daemon, meter: str, body: bytes) -> None:
    with trio.fail_after(120):
        while await daemon.relay.latest(meter) != body:  # noqa: ASYNC110  (nobody tells)
            await trio.sleep(0.01)


async def test_a_daemon_that_has_written_wakes_the_others_and_not_itself(server: Server) -> None:
    one, two = Daemon(server.url), Daemon(server.url)
    async with running(one, two):
        before = one.woken
        one.relay.written()
        await until(lambda: two.woken == 2)
        assert one.woken == before


async def test_daemons_of_another_prefix_are_left_alone(server: Server) -> None:
    one, two, other = Daemon(server.url), Daemon(server.url), Daemon(server.url, "other:")
    async with running(one, two, other):
        one.relay.written()
        await until(lambda: two.woken == 2)
        one.relay.remember({"m": Latest(1, b"{}")})
        await latest(two, "m", b"{}")
        assert other.woken == 1
        assert await other.relay.latest("m") is None


async def test_the_latest_reading_of_a_meter_is_the_one_of_the_latest_instant(server: Server) -> None:
    one, two = Daemon(server.url), Daemon(server.url)
    async with running(one, two):
        assert await two.relay.latest("m") is None
        one.relay.remember({"m": Latest(200, b"new")})
        await latest(two, "m", b"new")
        two.relay.remember({"m": Latest(100, b"late")})
        one.relay.remember({"n": Latest(1, b"n")})
        await latest(two, "n", b"n")
        assert await one.relay.latest("m") == b"new"


async def test_a_server_that_dies_is_said_once_and_its_return_too(server: Server, lines: list[Any]) -> None:
    one, two = Daemon(server.url), Daemon(server.url)
    async with running(one, two):
        one.relay.remember({"m": Latest(1, b"old")})
        await latest(two, "m", b"old")
        await trio.to_thread.run_sync(server.kill)
        await until(lambda: one.relay.is_away and two.relay.is_away)
        one.relay.written()
        assert await two.relay.latest("m") is None
        await trio.sleep(0.5)
        await trio.to_thread.run_sync(server.start)
        await until(lambda: not one.relay.is_away and not two.relay.is_away)
        await until(lambda: one.woken > 1 and two.woken > 1)  # they may have missed something
        before = two.woken
        await until(lambda: not one.relay._is_suspect)
        one.relay.written()
        await until(lambda: two.woken > before)
    said = [line["event"] for line in lines]
    assert sum("goes on without it" in event for event in said) == 2
    assert sum(event.endswith("is back") for event in said) == 2


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_hangs_holds_up_nothing(server: Server) -> None:
    one, two = Daemon(server.url), Daemon(server.url)
    async with running(one, two):
        server.send(signal.SIGSTOP)
        try:
            one.relay.written()
            assert one.relay._has_written  # it is only noted
            assert await one.relay.latest("m") is None
            await until(lambda: one.relay.is_away and two.relay.is_away)
        finally:
            server.send(signal.SIGCONT)
        await until(lambda: not one.relay.is_away and not two.relay.is_away)


@pytest.mark.usefixtures("impatient")
async def test_what_was_cached_before_an_outage_is_not_believed_after_it(server: Server) -> None:
    one = Daemon(server.url)
    with redis.Redis(port=server.port) as client:
        async with running(one):
            one.relay.remember({"m": Latest(1, b"old")})
            await latest(one, "m", b"old")
            server.send(signal.SIGSTOP)
            one.relay.remember({"m": Latest(2, b"new")})
            await until(lambda: one.relay.is_away)
            server.send(signal.SIGCONT)
            await until(lambda: not one.relay._is_suspect)
            assert await one.relay.latest("m") in {None, b"new"}
            assert client.hget("test:latest:m", "body") in {None, b"new"}


async def test_a_daemon_starts_without_the_server(server: Server) -> None:
    server.kill()
    one = Daemon(server.url)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.relay.run)
        await until(lambda: one.relay.is_away)
        await trio.to_thread.run_sync(server.start)
        await until(lambda: one.woken)
        nursery.cancel_scope.cancel()


def test_without_the_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "redis":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install jouled\[redis\]"):
        Relay(Redis(url="redis://127.0.0.1/0"), lambda: None)


def test_a_url_that_is_none_is_refused_without_its_secret() -> None:
    with pytest.raises(ConfigError, match=r"redis\.url http://host: ") as caught:
        Relay(Redis(url="http://user:secret@host"), lambda: None)
    assert "secret" not in str(caught.value)


async def test_a_message_committed_by_one_daemon_reaches_the_clients_of_all_at_once(
    server: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast_module, "POLL_S", 1000.0)
    listener = Listener(FREE, detail="full")
    settings = Redis(url=server.url)
    with Store(postgres_url) as one, Store(postgres_url) as two:
        async with (
            serving(listener, store=one, redis=settings) as first,
            serving(listener, store=two, redis=settings) as second,
            listening_to(first, "?topics=events") as here,
            listening_to(second, "?topics=events") as there,
        ):
            relays = [rig.room._relay for rig in (first, second)]
            await until(lambda: all(relay is not None and not relay._is_suspect for relay in relays))
            with redis.Redis(port=server.port) as client:
                await until(lambda: client.pubsub_numsub("jouled:written") == [(b"jouled:written", 2)])
            await post(one, {"n": 1})
            for events in (here, there):
                assert [event.body for event in await events.take(1)] == [{"n": 1}]
            server.kill()
            await post(one, {"n": 2})
            assert [event.body for event in await here.take(1)] == [{"n": 2}]
            server.start()
            # The one that heard nothing looks as soon as it hears again.
            assert [event.body for event in await there.take(1)] == [{"n": 2}]


def reading(at: str, kwh: float) -> dict[str, Any]:
    words: dict[str, Any] = {
        "id": at,
        "meter_id": "m",
        "facility_id": "plant",
        "energy_source": "grid",
        "direction": "consume",
    }
    words |= {"timestamp": at, "quality": "good", "metadata": {}, "created_at": at}
    return {**words, "consumption": kwh, **dict.fromkeys(("voltage", "current", "power_factor", "frequency", "key"))}


async def test_readings_that_were_committed_are_cached_and_served(server: Server, store: Store) -> None:
    async with serving(Listener(FREE), store=store, redis=Redis(url=server.url)) as rig:
        relay = rig.room._relay
        assert relay is not None
        await until(lambda: not relay._is_suspect)
        shown = [reading("2026-03-01T12:00:00Z", 1.5), reading("2026-03-01T11:00:00Z", 1.0)]
        with trio.fail_after(120):
            # It has not heard of what was there before it listened: the next word is one too many then.
            while await relay.latest("m") is None:
                await post(store, {"site_id": "plant", "count": 2, "readings": shown}, topic="readings")
                await trio.sleep(0.3)
        # Only the cache knows it: there is no such reading in this store.
        request = b"GET /api/v1/readings/latest/m HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        reply = Reply.of(await rig.send(request))
        assert (reply.status, reply.json) == (200, shown[0])
        # What a message does not show could be later: nothing that was cached is believed any more.
        await post(store, {"site_id": "plant", "count": 200, "readings": []}, topic="readings")
        with trio.fail_after(120):
            while await relay.latest("m") is not None:  # noqa: ASYNC110  (nobody tells)
                await trio.sleep(0.01)
        await until(lambda: not relay._is_suspect)
        assert Reply.of(await rig.send(request)).status == 404
