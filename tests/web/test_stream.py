"""Server-sent events, over a real socket to a real server."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from fakes import FakeSnapshot
from jouled.config import Access, Limits, Listener
from jouled.web import secrets, server
from jouled.web import stream as stream_module
from serving import FREE, Rig, connected, serving, with_small_buffers

FULL = Listener(FREE, detail="full")


class Events:
    """One client's stream, read as it comes."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.raw = b""
        self.head = b""

    async def more(self) -> bool:
        with trio.fail_after(60):
            try:
                part = await self._stream.receive_some(65536)
            except trio.BrokenResourceError:
                part = b""
        self.raw += part
        return bool(part)

    async def until(self, text: bytes) -> None:
        while text not in self.raw:
            assert await self.more(), self.raw

    async def to_the_end(self) -> None:
        while await self.more():
            pass

    async def snapshots(self, count: int) -> list[Any]:
        """So many, decoded; the pieces of the chunked encoding are between the lines."""
        found: list[Any] = []
        while len(found) < count:
            assert await self.more(), self.raw
            lines = self.raw.split(b"\n")
            found = [json.loads(line[6:]) for line in lines if line.startswith(b"data: ") and line.endswith(b"}")]
        return found


@asynccontextmanager
async def streaming(rig: Rig, query: str = "", *, place: int = 0, head: str = "") -> AsyncIterator[Events]:
    async with await connected(rig.places[place]) as stream:
        await stream.send_all(f"GET /api/v1/stream{query} HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode())
        events = Events(stream)
        await events.until(b"retry: 2000\n\n")
        yield events


async def until_watched(rig: Rig, count: int) -> None:
    """The server has noticed that clients have come, or gone."""
    with trio.fail_after(60):
        while sum(c._streams.taken for _, c in rig.room._server._places) != count:  # noqa: ASYNC110  (nobody tells)
            await trio.sleep(0.01)


async def test_each_snapshot_is_an_event() -> None:
    async with serving(FULL) as rig, streaming(rig, "?level=unit&limit=1") as events:
        for sequence in (3, 4, 5):
            await events.snapshots(sequence - 2)
            rig.tick(FakeSnapshot(sequence=sequence, series=5))
        found = await events.snapshots(4)
    assert [event["sequence"] for event in found] == [2, 3, 4, 5]
    assert list(found[1]["levels"]) == ["unit"]
    assert found[1]["levels"]["unit"]["omitted"] == 4
    assert b"content-type: text/event-stream\r\n" in events.raw
    assert b"cache-control: no-store\r\n" in events.raw
    assert b"event: snapshot\nid: 5\ndata: {" in events.raw


async def test_streams_with_the_same_question_are_encoded_once() -> None:
    async with serving(FULL) as rig, streaming(rig) as one, streaming(rig) as two:
        for events in (one, two):
            await events.snapshots(1)
        rig.tick(FakeSnapshot(sequence=3))
        for events in (one, two):
            await events.snapshots(2)
        assert rig.room._prepared.renderings_total == 2


async def test_an_interval_leaves_snapshots_out() -> None:
    async with serving(FULL) as rig, streaming(rig, "?interval=0.5") as events:
        first_s = trio.current_time()
        for sequence in range(3, 40):
            rig.tick(FakeSnapshot(sequence=sequence))
            await trio.sleep(0.05)
        found = await events.snapshots(3)
        took_s = trio.current_time() - first_s
    assert len(found) <= took_s / 0.5 + 1
    assert found[1]["sequence"] > 3


async def test_a_reload_ends_the_streams_of_a_token_that_is_gone_and_of_no_other(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("kept", "gone")]
    for path in paths:
        path.write_text(secrets.hash_token(path.name.encode()))
    async with (
        serving(Listener(FREE, tokens=tuple(f"file:{path}" for path in paths))) as rig,
        streaming(rig, head="authorization: Bearer kept\r\n") as kept,
        streaming(rig, head="authorization: Bearer gone\r\n") as gone,
    ):
        for events in (kept, gone):
            await events.snapshots(1)
        paths[1].write_text(secrets.hash_token(b"another"))
        rig.room.apply(rig.config)
        rig.tick(FakeSnapshot(sequence=3))
        assert [event["sequence"] for event in await kept.snapshots(2)] == [2, 3]
        await gone.until(b"\r\n0\r\n\r\n")
        assert b"id: 3\n" not in gone.raw


async def test_silence_is_filled_so_that_nobody_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_S", 0.05)
    async with serving(FULL) as rig, streaming(rig) as events:
        await events.snapshots(1)
        await events.until(b": still here\n\n")
        rig.tick(FakeSnapshot(sequence=3))
        assert len(await events.snapshots(2)) == 2


async def test_a_stream_outlasts_what_a_request_may_take(mock_clock: trio.testing.MockClock) -> None:
    async with serving(Listener(FREE, detail="full", limits=Limits(request_s=0.2))) as rig, streaming(rig) as events:
        await events.snapshots(1)
        mock_clock.jump(0.5)
        await trio.testing.wait_all_tasks_blocked()
        rig.tick(FakeSnapshot(sequence=3))
        assert len(await events.snapshots(2)) == 2


async def test_streams_end_at_once_when_the_daemon_stops(lines: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_S", 7200.0)  # it is not by the grace
    async with serving(FULL) as rig, streaming(rig, "?interval=3000") as slow, streaming(rig) as events:
        for each in (slow, events):
            await each.snapshots(1)
        rig.end()
        for each in (slow, events):
            await each.to_the_end()
            assert each.raw.endswith(b"\r\n0\r\n\r\n")
    assert lines == []


async def test_a_client_that_goes_gives_its_place_back() -> None:
    async with serving(FULL) as rig:
        async with streaming(rig):
            await until_watched(rig, 1)
        await until_watched(rig, 0)


async def test_a_client_that_stops_reading_is_cut_off() -> None:
    async with serving(Listener(FREE, detail="full", limits=Limits(send_s=0.2))) as rig:
        with_small_buffers(rig.places[0])
        client = await connected(rig.places[0], receive_bytes=4096)
        await client.send_all(b"GET /api/v1/stream HTTP/1.1\r\nhost: x\r\n\r\n")
        await until_watched(rig, 1)
        sequence = 3
        with trio.fail_after(60):
            while sum(c._streams.taken for _, c in rig.room._server._places):
                rig.tick(FakeSnapshot(sequence=sequence, series=5_000))
                sequence += 1
                await trio.sleep(0.1)
        await client.aclose()


async def test_streams_are_bounded_and_leave_room_for_scrapes() -> None:
    async with serving(Listener(FREE, detail="full", limits=Limits(connections=6))) as rig:
        async with streaming(rig), streaming(rig), streaming(rig):
            reply = await rig.get("/api/v1/stream")
            assert (reply.status, reply.headers["retry-after"]) == (503, "5")
            assert reply.json["message"].startswith("3 streams are open already; close one")
            for _ in range(10):
                assert (await rig.get("/metrics")).status == 200
        await until_watched(rig, 0)
        async with streaming(rig) as events:
            await events.snapshots(1)


async def test_head_is_answered_without_a_stream() -> None:
    async with serving(FULL) as rig:
        raw = await rig.send(b"HEAD /api/v1/stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 200")
    assert raw.endswith(b"\r\n\r\n")


async def test_who_is_not_privileged_gets_coarse_snapshots_at_their_rate() -> None:
    async with serving(access=Access(rate_hz=0.001), interval_s=0.1) as rig, streaming(rig) as events:
        await events.snapshots(1)
        for sequence in range(3, 10):
            rig.tick(FakeSnapshot(sequence=sequence))
            await trio.sleep(0.02)
        rig.end()
        await events.to_the_end()
    assert events.raw.count(b"event: snapshot") == 1


CLIENT = """
import sys
from jouled.client import Client
for number, snapshot in enumerate(Client(sys.argv[1], timeout_s=10).stream(["unit"], limit=1)):
    print(snapshot.sequence, list(snapshot.levels), flush=True)
    if number == 2:
        break
"""


async def test_our_own_client_reads_it() -> None:
    async with serving(FULL) as rig, trio.open_nursery() as nursery:

        async def tick() -> None:
            for sequence in range(3, 1000):
                await trio.sleep(0.1)
                rig.tick(FakeSnapshot(sequence=sequence))

        nursery.start_soon(tick)
        with trio.fail_after(60):
            done = await trio.run_process(
                [sys.executable, "-c", CLIENT, rig.places[0].url], capture_stdout=True, env=dict(os.environ)
            )
        nursery.cancel_scope.cancel()
    printed = done.stdout.decode().splitlines()
    assert len(printed) == 3
    assert all(line.endswith("['unit']") for line in printed)
