"""What reads the daemon's streams in tests, and what posts messages to the books."""

from __future__ import annotations

import base64
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import trio
from sqlalchemy import Connection

from jouled.bookkeeping import messages
from jouled.bookkeeping.messages import Topic
from jouled.store import Store
from serving import Rig, connected

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def post(store: Store, *bodies: Any, topic: Topic = "events") -> list[int]:
    def work(connection: Connection) -> list[int]:
        return [messages.post(connection, topic, AT, body) for body in bodies]

    return await store.commit(work)


# Of a client that reads nothing: with `serving.with_small_buffers` these are all that the system keeps for it.
SLOW_BYTES = 65_536


async def run_ahead(rig: Rig, store: Store, count: int) -> list[int]:
    """So many large messages; returns once nobody who has read less than the last few can be told the rest."""
    broadcast = rig.room._broadcast
    assert broadcast is not None
    numbers: list[int] = []
    while len(numbers) < count:
        numbers += await post(store, *({"text": "x" * 100_000} for _ in range(10)))
    with trio.fail_after(60):
        while broadcast.head < numbers[-1]:  # noqa: ASYNC110  (nobody tells)
            await trio.sleep(0.01)
    return numbers


class Event(NamedTuple):
    topic: str
    id: int | None
    body: Any


class Events:
    """Server-sent events, as a browser reads them: an id holds until there is another."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.raw = b""
        self._left = b""
        self.events: list[Event] = []
        self.last_id: int | None = None
        self.head = b""

    async def read_head(self) -> None:
        while b"\r\n\r\n" not in self.raw:
            assert await self.more(), self.raw
        self.head, _, self._left = self.raw.partition(b"\r\n\r\n")

    async def more(self) -> bool:
        with trio.fail_after(60):
            try:
                part = await self._stream.receive_some(65536)
            except trio.BrokenResourceError:
                part = b""
        self.raw += part
        self._left += part
        return bool(part)

    async def take(self, count: int) -> list[Event]:
        """The next so many."""
        while len(self._parsed()) < count:
            assert await self.more(), self.raw
        found, self.events = self.events[:count], self.events[count:]
        return found

    async def to_the_end(self) -> list[Event]:
        while await self.more():
            pass
        return self._parsed()

    def _parsed(self) -> list[Event]:
        text, self._left = unchunked(self._left)
        self._text = getattr(self, "_text", b"") + text
        *blocks, self._text = self._text.split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if line and not line.startswith(b":"))
            if b"id" in fields:
                self.last_id = int(fields[b"id"])
            if b"data" in fields:
                own = int(fields[b"id"]) if b"id" in fields else None
                self.events.append(Event(fields[b"event"].decode(), own, json.loads(fields[b"data"])))
        return self.events


def unchunked(raw: bytes) -> tuple[bytes, bytes]:
    """What has arrived whole, and the rest."""
    text = b""
    while b"\r\n" in raw:
        size, _, rest = raw.partition(b"\r\n")
        length = int(size, 16)
        if len(rest) < length + 2:
            break
        text, raw = text + rest[:length], rest[length + 2 :]
    return text, raw


@asynccontextmanager
async def listening_to(
    rig: Rig, query: str, *, head: str = "", place: int = 0, receive_bytes: int | None = None
) -> AsyncIterator[Events]:
    async with await connected(rig.places[place], receive_bytes=receive_bytes) as stream:
        await stream.send_all(f"GET /api/v1/stream{query} HTTP/1.1\r\nhost: localhost\r\n{head}\r\n".encode())
        events = Events(stream)
        await events.read_head()
        yield events


class Frame(NamedTuple):
    opcode: int
    payload: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.payload)

    @property
    def code(self) -> int:
        return int(struct.unpack("!H", self.payload[:2])[0])


TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class WebSocket:
    """A client that shows every frame, unlike libraries, which answer pings by themselves."""

    def __init__(self, stream: trio.abc.Stream, left: bytes) -> None:
        self.stream = stream
        self._left = left

    async def frame(self) -> Frame:
        head = await self._exactly(2)
        length = head[1] & 127
        if length == 126:
            length = struct.unpack("!H", await self._exactly(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", await self._exactly(8))[0]
        assert not head[1] & 128, "a server masks nothing"
        assert head[0] & 0x70 == 0, "no extension was agreed upon"
        return Frame(head[0] & 15, await self._exactly(length))

    async def message(self) -> Any:
        """The next text message, with pings in between answered."""
        while (frame := await self.frame()).opcode != TEXT:
            assert frame.opcode == PING, frame
            await self.send(PONG, frame.payload)
        return frame.json

    async def send(self, opcode: int, payload: bytes = b"") -> None:
        mask = os.urandom(4)
        length = len(payload)
        size = bytes([128 | length]) if length < 126 else b"\xfe" + struct.pack("!H", length)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        await self.stream.send_all(bytes([128 | opcode]) + size + mask + masked)

    async def _exactly(self, count: int) -> bytes:
        while len(self._left) < count:
            with trio.fail_after(60):
                part = await self.stream.receive_some(65536)
            assert part, "the connection has ended"
            self._left += part
        found, self._left = self._left[:count], self._left[count:]
        return found


class Handshake(NamedTuple):
    status: int
    head: bytes
    body: bytes
    socket: WebSocket


@asynccontextmanager
async def upgrading(
    rig: Rig, query: str = "", *, head: str = "", place: int = 0, receive_bytes: int | None = None
) -> AsyncIterator[Handshake]:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET /api/v1/stream{query} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n{head}\r\n"
    )
    async with await connected(rig.places[place], receive_bytes=receive_bytes) as stream:
        await stream.send_all(lines.encode())
        raw = b""
        with trio.fail_after(60):
            while b"\r\n\r\n" not in raw:
                part = await stream.receive_some(65536)
                assert part, raw
                raw += part
        answer, _, left = raw.partition(b"\r\n\r\n")
        status = int(answer.split()[1])
        if status != 101:
            with trio.fail_after(60):
                while part := await stream.receive_some(65536):
                    left += part
        yield Handshake(status, answer, left, WebSocket(stream, left))
