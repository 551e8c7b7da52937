"""A stream as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import trio

from jouled.web.request import Receive, Send
from jouled.web.response import NO_STORE
from jouled.web.stream import Stream
from jouled.wire.stream import Bounds, Item

# When a client that has lost its stream should come back.
RETRY_MS = 2000
HEADERS = [
    (b"content-type", b"text/event-stream"),
    NO_STORE,
    (b"x-content-type-options", b"nosniff"),
    # nginx would otherwise gather events before it sends them.
    (b"x-accel-buffering", b"no"),
]


async def run(stream: Stream, receive: Receive, send: Send) -> None:
    """Until the stream ends, or the client has gone."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    if stream.request.method != "HEAD":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
            outlet = EventOutlet(stream, send)
            await outlet.begin()
            await stream.run(outlet)
            nursery.cancel_scope.cancel()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class EventOutlet:
    """One event each. The last id a client has is that of a numbered message, so that it can resume."""

    def __init__(self, stream: Stream, send: Send) -> None:
        self._send = send
        self._event = b"snapshot" if stream.question.topics is None else b"snapshots"
        self._start = stream.start

    def __repr__(self) -> str:
        return f"<EventOutlet {self._event.decode()}>"

    async def begin(self) -> None:
        """An id without data sets the client's last one, and is no event."""
        start = b"" if self._start is None else b"id: %d\n" % self._start
        await self._put((b"retry: %d\n%s\n" % (RETRY_MS, start),))

    async def snapshot(self, number: int, body: Sequence[bytes]) -> None:
        number_line = b"id: %d\n" % number if self._start is None else b""
        await self._put((b"event: %s\n%sdata: " % (self._event, number_line), *body, b"\n\n"))

    async def messages(self, items: Sequence[Item]) -> None:
        await self._put(
            [b"event: %s\nid: %d\ndata: %s\n\n" % (item.topic.encode(), item.seq, item.body) for item in items]
        )

    async def state(self, topic: str, body: bytes) -> None:
        await self._put((b"event: %s\ndata: " % topic.encode(), body, b"\n\n"))

    async def reset(self, after: int, bounds: Bounds) -> None:
        words = {"after": after, "first": bounds.first, "last": bounds.last, "message": reset_words(after, bounds)}
        data = msgspec.json.encode(words)
        await self._put((b"event: reset\nid: %d\ndata: %s\n\n" % (bounds.first - 1, data),))

    async def position(self, seq: int | None) -> None:
        await self._put((b": still here\n", b"\n" if seq is None else b"id: %d\n\n" % seq))

    async def _put(self, parts: Sequence[bytes]) -> None:
        await self._send({"type": "http.response.body", "body": b"".join(parts), "more_body": True})


def reset_words(after: int, bounds: Bounds) -> str:
    if after > bounds.last:
        return f"{after} was never given here; the store is another, so read anew what you keep"
    return f"messages {after + 1} to {bounds.first - 1} are not kept any more; read anew what you keep"


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
