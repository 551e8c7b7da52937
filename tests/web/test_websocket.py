"""The stream as a WebSocket, over a real socket to a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import websockets.sync.client

from fakes import FakeSnapshot
from jouled.config import Limits, Listener
from jouled.store import Store
from jouled.web import broadcast as broadcast_module
from jouled.web import connections as connections_module
from jouled.web import secrets, server
from jouled.web import stream as stream_module
from serving import FREE, Rig, serving, with_small_buffers
from streams import CLOSE, PING, PONG, SLOW_BYTES, TEXT, post, run_ahead, upgrading

FULL = Listener(FREE, detail="full")


def taken(rig: Rig) -> int:
    return sum(connections._streams.taken for _, connections in rig.room._server._places)


async def until_taken(rig: Rig, count: int) -> None:
    with trio.fail_after(60):
        while taken(rig) != count:  # noqa: ASYNC110  (nobody tells)
            await trio.sleep(0.01)


async def test_a_message_says_its_topic_its_id_and_when(store: Store) -> None:
    async with serving(FULL, store=store) as rig, upgrading(rig, "?topics=events,readings") as opened:
        assert opened.status == 101
        start = await opened.socket.message()
        numbers = await post(store, {"type": "low"})
        message = await opened.socket.message()
    assert (start["topic"], start["id"], start["body"]) == ("position", numbers[0] - 1, None)
    assert message == {"topic": "events", "id": numbers[0], "at": "2026-03-01T12:00:00Z", "body": {"type": "low"}}


async def test_without_topics_it_has_snapshots_as_the_events_have() -> None:
    async with serving(FULL) as rig, upgrading(rig, "?level=unit&limit=1") as opened:
        first = await opened.socket.message()
        rig.tick(FakeSnapshot(sequence=3, series=5))
        second = await opened.socket.message()
    assert (first["topic"], first["id"], first["body"]["sequence"]) == ("snapshots", 2, 2)
    assert second["body"]["levels"]["unit"]["omitted"] == 4


async def test_a_client_resumes_by_the_query(store: Store) -> None:
    numbers = await post(store, *({"n": n} for n in range(4)))
    async with (
        serving(FULL, store=store) as rig,
        upgrading(rig, f"?topics=events&after={numbers[1]}") as opened,
        upgrading(rig, "?topics=events&after=77777") as lost,
    ):
        got = [await opened.socket.message() for _ in range(3)]
        assert [message["topic"] for message in got] == ["position", "events", "events"]
        assert [message["id"] for message in got] == numbers[1:]
        assert [(await lost.socket.message())["topic"] for _ in range(2)] == ["position", "reset"]


async def test_a_library_of_others_reads_it(store: Store) -> None:
    def read(url: str) -> list[Any]:
        with websockets.sync.client.connect(url) as client:
            found = [client.recv(timeout=60)]
            trio.from_thread.run(post, store, {"n": 1})
            found.append(client.recv(timeout=60))
            client.ping().wait(60)
            return found

    async with serving(FULL, store=store) as rig:
        port = rig.places[0].socket.getsockname()[1]
        found = await trio.to_thread.run_sync(read, f"ws://127.0.0.1:{port}/api/v1/stream?topics=events")
        await until_taken(rig, 0)
    assert '"n":1' in found[1]


async def test_pings_go_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "PING_S", 0.1)
    async with serving(FULL) as rig, upgrading(rig, "?limit=1") as opened:
        seen = [(await opened.socket.frame()).opcode for _ in range(3)]
        assert PING in seen
        await opened.socket.send(PING, b"hello")
        while (frame := await opened.socket.frame()).opcode != PONG:
            pass
        assert frame.payload == b"hello"


async def test_what_a_client_says_changes_nothing_and_too_long_a_message_ends_it() -> None:
    async with serving(FULL) as rig, upgrading(rig, "?limit=1") as opened:
        await opened.socket.message()
        await opened.socket.send(TEXT, b'{"subscribe": "everything"}')
        rig.tick(FakeSnapshot(sequence=3))
        assert (await opened.socket.message())["id"] == 3
        await opened.socket.send(TEXT, b"x" * 20_000)
        while (frame := await opened.socket.frame()).opcode != CLOSE:
            pass
        assert frame.code == 1009
        await opened.socket.send(CLOSE, frame.payload)
        await until_taken(rig, 0)


async def test_a_clients_goodbye_is_answered_and_its_place_given_back(store: Store) -> None:
    async with serving(FULL, store=store) as rig, upgrading(rig, "?topics=events") as opened:
        await opened.socket.message()
        await until_taken(rig, 1)
        await opened.socket.send(CLOSE, b"\x03\xe8")
        while (frame := await opened.socket.frame()).opcode != CLOSE:
            pass
        assert frame.code == 1000
        await until_taken(rig, 0)
        with trio.fail_after(60):
            while rig.room._server._places[0][1]._open:  # noqa: ASYNC110  (nobody tells)
                await trio.sleep(0.01)


async def test_the_daemons_stop_closes_it_with_1001(
    store: Store, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE_S", 7200.0)  # it is not by the grace
    async with serving(FULL, store=store) as rig, upgrading(rig, "?topics=events") as opened:
        await opened.socket.message()
        rig.end()
        while (frame := await opened.socket.frame()).opcode != CLOSE:
            pass
        assert (frame.code, frame.payload[2:]) == (1001, b"the daemon stops")
    assert [line for line in lines if "cut" in line["event"]] == []


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost", 101),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://localhost:81", 403),
        ("http://localhost@evil.example", 403),
    ],
)
async def test_only_pages_of_this_place_may_open_it(origin: str, status: int) -> None:
    async with serving(FULL) as rig, upgrading(rig, "?limit=1", head=f"origin: {origin}\r\n") as opened:
        assert opened.status == status
        if status == 403:
            assert b"a page of another site" in opened.body


async def test_a_listeners_secret_is_wanted_and_a_reload_that_takes_it_away_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(secrets.hash_token(b"kept"))
    async with serving(Listener(FREE, tokens=(f"file:{path}",))) as rig:
        async with upgrading(rig, "?limit=1") as refused:
            assert refused.status == 401
            assert b"www-authenticate: Bearer" in refused.head
        async with upgrading(rig, "?limit=1", head="authorization: Bearer kept\r\n") as opened:
            await opened.socket.message()
            path.write_text(secrets.hash_token(b"another"))
            rig.room.apply(rig.config)
            rig.tick(FakeSnapshot(sequence=3))
            frame = await opened.socket.frame()
            while frame.opcode == PING:
                frame = await opened.socket.frame()
            assert (frame.opcode, frame.code) == (CLOSE, 1008)


@pytest.mark.parametrize(("query", "status"), [("?topics=weather", 400), ("?nonsense=1", 400)])
async def test_what_cannot_be_asked_for_is_refused_in_plain_http(query: str, status: int) -> None:
    async with serving(FULL) as rig, upgrading(rig, query) as opened:
        assert opened.status == status
        assert b"application/json" in opened.head


async def test_websockets_take_the_places_of_streams() -> None:
    async with serving(Listener(FREE, detail="full", limits=Limits(connections=4))) as rig:
        async with upgrading(rig, "?limit=1") as one, upgrading(rig, "?limit=1") as two:
            for opened in (one, two):
                await opened.socket.message()
            async with upgrading(rig, "?limit=1") as third:
                assert third.status == 503
                assert b"retry-after: 5" in third.head
        await until_taken(rig, 0)


async def test_no_other_path_has_one() -> None:
    async with serving(FULL) as rig:
        raw = await rig.send(
            b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    assert raw.startswith(b"HTTP/1.1 404")


async def test_it_outlasts_what_a_request_may_take(mock_clock: trio.testing.MockClock) -> None:
    listener = Listener(FREE, detail="full", limits=Limits(request_s=0.2, idle_s=0.2))
    async with serving(listener) as rig, upgrading(rig, "?limit=1") as opened:
        await opened.socket.message()
        mock_clock.jump(0.6)
        await trio.testing.wait_all_tasks_blocked()
        rig.tick(FakeSnapshot(sequence=3))
        assert (await opened.socket.message())["id"] == 3


async def test_a_client_that_stops_reading_is_cut_off() -> None:
    async with serving(Listener(FREE, detail="full", limits=Limits(send_s=0.2))) as rig:
        with_small_buffers(rig.places[0])
        async with upgrading(rig, receive_bytes=SLOW_BYTES) as opened:
            await opened.socket.message()
            sequence = 3
            with trio.fail_after(60):
                while taken(rig):
                    rig.tick(FakeSnapshot(sequence=sequence, series=5_000))
                    sequence += 1
                    await trio.sleep(0.05)


async def test_one_that_is_too_far_behind_is_told_to_resume(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast_module, "BEHIND_MAX", 20)
    monkeypatch.setattr(broadcast_module, "TAKEN_MAX", 1)
    listener = Listener(FREE, detail="full", limits=Limits(send_s=600.0))
    async with serving(listener, store=store) as rig:
        with_small_buffers(rig.places[0])
        async with upgrading(rig, "?topics=events", receive_bytes=SLOW_BYTES) as opened:
            await opened.socket.message()
            numbers = await run_ahead(rig, store, 60)
            last = 0
            while (frame := await opened.socket.frame()).opcode != CLOSE:
                last = frame.json["id"] if frame.opcode == TEXT else last
        assert frame.code == 1013
        assert numbers[0] <= last < numbers[-20]
        async with upgrading(rig, f"?topics=events&after={last}") as again:
            await again.socket.message()
            assert (await again.socket.message())["id"] == last + 1


async def test_a_silent_one_learns_where_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_S", 0.05)
    async with serving(FULL, store=store) as rig, upgrading(rig, "?topics=events&site=mine") as opened:
        numbers = await post(store, {"site_id": "other"})
        with trio.fail_after(60):
            while (message := await opened.socket.message())["id"] != numbers[0]:
                assert message["topic"] == "position"
