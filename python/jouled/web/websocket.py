"""A stream as messages of a WebSocket (RFC 6455): each a JSON object of topic, id, at and body."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import trio

from jouled.web.events import reset_words
from jouled.web.request import Receive, RefusedError, Request, Send
from jouled.web.response import Response, refusal
from jouled.web.stream import End, Stream
from jouled.wire.stream import Bounds, Item

CODES = {End.STOPPING: 1001, End.REFUSED: 1008, End.SLOW: 1013, End.AWAY: 1013}


class MessageOutlet:
    """One text message each. `position` is the first of them where messages are numbered, and tells a
    client from where to resume.
    """

    def __init__(self, stream: Stream, send: Send) -> None:
        self._send = send
        self._start = stream.start

    def __repr__(self) -> str:
        return f"<MessageOutlet from {self._start}>"

    async def begin(self) -> None:
        if self._start is not None:
            await self.position(self._start)

    async def snapshot(self, number: int, body: Sequence[bytes]) -> None:
        await self._put(b"snapshots", number if self._start is None else None, _now(), b"".join(body))

    async def messages(self, items: Sequence[Item]) -> None:
        for item in items:
            await self._put(item.topic.encode(), item.seq, item.at, item.body)

    async def state(self, topic: str, body: bytes) -> None:
        await self._put(topic.encode(), None, _now(), body)

    async def reset(self, after: int, bounds: Bounds) -> None:
        words = {"after": after, "first": bounds.first, "last": bounds.last, "message": reset_words(after, bounds)}
        await self._put(b"reset", bounds.first - 1, _now(), msgspec.json.encode(words))

    async def position(self, seq: int | None) -> None:
        """The protocol's own pings tell who is still there."""
        if seq is not None:
            await self._put(b"position", seq, _now(), b"null")

    async def _put(self, topic: bytes, number: int | None, at: datetime, body: bytes) -> None:
        head = b'{"topic":"%s","id":%s,"at":%s,"body":' % (
            topic,
            msgspec.json.encode(number),
            msgspec.json.encode(at),
        )
        await self._send({"type": "websocket.send", "text": (head + body + b"}").decode()})


async def run(stream: Stream, receive: Receive, send: Send) -> None:
    """Until the stream ends, or the client has gone."""
    await send({"type": "websocket.accept"})
    end: End | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
        outlet = MessageOutlet(stream, send)
        await outlet.begin()
        end = await stream.run(outlet)
        nursery.cancel_scope.cancel()
    if end is not None:
        await send({"type": "websocket.close", "code": CODES[end], "reason": end.value})


async def refuse(refused: RefusedError, send: Send) -> None:
    """In plain HTTP, before there is a WebSocket."""
    response = refusal(refused, is_json=True)
    await send({"type": "websocket.http.response.start", "status": response.status, "headers": _headers(response)})
    await send({"type": "websocket.http.response.body", "body": b"".join(response.body.parts), "more_body": False})


def check_origin(request: Request) -> None:
    """A browser opens a WebSocket from any page to anywhere, with what it knows of passwords: only pages
    of this place may. Programs send no origin. Raises RefusedError.
    """
    origin = request.header(b"origin")
    if origin and _place_of(origin) != request.header(b"host").lower():
        raise RefusedError(403, "a page of another site must not read here")


def _place_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _headers(response: Response) -> list[tuple[bytes, bytes]]:
    length = str(response.body.length).encode()
    content = [(b"content-type", response.content_type.encode()), (b"content-length", length)]
    return [*content, (b"connection", b"close"), *response.headers]


def _now() -> datetime:
    return datetime.now(UTC)


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    """What clients send is read, so that their pings and their goodbye are; it says nothing: the query has said all."""
    message: Any
    while (message := await receive())["type"] != "websocket.disconnect":
        del message
    scope.cancel()
