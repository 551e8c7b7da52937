"""`/api/v1/stream`: each new snapshot as a server-sent event (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.rows import Selection
from jouled.web import query
from jouled.web.live import SELECTION, Live
from jouled.web.prepared import Memo
from jouled.web.request import Receive, Request, Send
from jouled.web.response import NO_STORE

# Below the patience of clients and proxies; it also finds out who has gone.
KEEP_ALIVE_S = 5.0
# When a client that has lost its stream should come back.
RETRY_MS = 2000


class EventStream:
    """One client's stream, agreed upon; `run` sends it until the client goes or the feed ends.

    Latest wins: a client that reads slowly misses snapshots, and holds up nobody.
    """

    def __init__(
        self, live: Live, feed: Feed[Snapshot], request: Request, selection: Selection, every_s: float
    ) -> None:
        self._live = live
        self._feed = feed
        self._request = request
        self._selection = selection
        self._every_s = every_s
        self._policy = request.peer.policy

    async def run(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if self._request.method != "HEAD":
            self._request.peer.lasts()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                await self._send_events(send)
                nursery.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send: Send) -> None:
        await _send(send, (b"retry: %d\n\n" % RETRY_MS,))
        sent: Snapshot | None = None
        not_before_s = trio.current_time()
        while not self._feed.is_closed:
            memo = None
            with trio.move_on_after(KEEP_ALIVE_S):
                memo = await self._next(sent, not_before_s)
            if not await self._is_still_admitted():
                return
            if memo is None:
                await _send(send, (b": still here\n\n",))
                continue
            sent = memo.snapshot
            not_before_s = trio.current_time() + self._every_s
            body = await self._live.snapshot_body(memo, self._selection, is_gzip=False)
            await _send(send, (b"event: snapshot\nid: %d\ndata: " % sent.sequence, *body.parts, b"\n\n"))

    async def _is_still_admitted(self) -> bool:
        """A reload may have taken the client's secret away; a stream must not outlive it."""
        peer = self._request.peer
        if peer.policy is self._policy:
            return True
        self._policy = peer.policy
        return await peer.admit(self._request.header(b"authorization")) is None

    async def _next(self, sent: Snapshot | None, not_before_s: float) -> Memo | None:
        """Not the one that was sent, and not before its time. None at the end of the feed."""
        while not self._feed.is_closed:
            wait_s = not_before_s - trio.current_time()
            if wait_s <= 0:
                memo = await self._live.memo(self._request)
                if memo.snapshot is not sent:
                    return memo
            with trio.move_on_after(wait_s if wait_s > 0 else float("inf")):
                await self._feed.changed()
        return None


async def open_stream(live: Live, feed: Feed[Snapshot], computed: Sequence[str], request: Request) -> EventStream:
    """Raises RefusedError for what cannot be asked for."""
    parameters = request.parameters((*SELECTION, "interval"))
    return EventStream(live, feed, request, query.selection(parameters, computed), query.interval_s(parameters))


_HEADERS = [
    (b"content-type", b"text/event-stream"),
    NO_STORE,
    (b"x-content-type-options", b"nosniff"),
    # nginx would otherwise gather events before it sends them.
    (b"x-accel-buffering", b"no"),
]


async def _send(send: Send, parts: Sequence[bytes]) -> None:
    await send({"type": "http.response.body", "body": b"".join(parts), "more_body": True})


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
