"""Requests' bodies: gathered whole for routes that ask for one, and bounded for all clients together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup

from jouled.web.request import API, Message, Receive, Send

# Of all connections of the daemon at once; what decodes a body takes some times as much again.
HELD_MAX = 32 * 1024 * 1024
# Kept before the application has looked at the head and asks for the body: who may not write costs no more.
EARLY_BYTES = 16 * 1024
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
# In the message of a body that was not kept, because others' took all there is.
DROPPED = "is_dropped"


class Bodies:
    """What all connections hold of bodies."""

    def __init__(self, limit: int = HELD_MAX) -> None:
        self._limit = limit
        self.held = 0

    def __repr__(self) -> str:
        return f"<Bodies [{self.held} of {self._limit} bytes]>"

    def take(self, size: int, *, own: int) -> bool:
        """`own` is what this body holds already; alone it may be as large as its listener's limit."""
        if self.held + size > self._limit and self.held > own:
            return False
        self.held += size
        return True

    def give_back(self, size: int) -> None:
        self.held -= size


class GatheringGroup(TaskGroup):
    """Gathers a request's body beside hypercorn's queue, where one that nobody reads would stop the
    connection: what the application receives is the whole of it, at the end. Without Content-Length,
    or beyond the listener's limit, nothing is kept; such a request is refused by its head.

    What hypercorn spawns here besides are a WebSocket's pings, which would go on after its end.
    """

    def __init__(self, bodies: Bodies) -> None:
        super().__init__()
        self.pings = trio.CancelScope()
        self._bodies = bodies

    def spawn(self, func: Callable[..., Any], *args: Any) -> None:
        async def until_end() -> None:
            with self.pings:
                await func(*args)

        super().spawn(until_end)

    async def spawn_app(self, app: Any, config: Config, scope: Any, send: Any) -> Callable[[Any], Awaitable[None]]:
        body = _Body(self._bodies, most=_most(scope))

        async def answer(given: Any, receive: Receive, out: Send, *spawning: Any) -> None:
            async def ask() -> Message:
                body.is_asked.set()
                return await receive()

            async def put_out(message: Message) -> None:
                # Who answers has all of the body that it wants.
                if message["type"] == "http.response.start":
                    body.close()
                await out(message)

            try:
                await app(given, ask, put_out, *spawning)
            finally:
                body.close()

        put = await super().spawn_app(answer, config, scope, send)  # type: ignore[arg-type]  # it is called as one

        async def gather(message: Any) -> None:
            if message["type"] != "http.request":
                await put(message)
            elif message.get("more_body"):
                await body.add(message["body"])
            else:
                await put(body.whole())  # type: ignore[arg-type]  # with a word of ours

        return gather


class _Body:
    """Of one request, as far as it is kept."""

    def __init__(self, bodies: Bodies, *, most: int) -> None:
        self.is_asked = trio.Event()
        self._bodies = bodies
        self._most = most
        self._kept = bytearray()
        self._held = 0
        self._is_dropped = False

    async def add(self, part: bytes) -> None:
        """Waits where there is more of it than anybody has asked for yet."""
        if self._held + len(part) > self._most:
            return  # refused by its head
        if self._held + len(part) > EARLY_BYTES:
            await self.is_asked.wait()
        if self._is_dropped or not self._bodies.take(len(part), own=self._held):
            self._drop()
            return
        self._held += len(part)
        self._kept.extend(part)

    def whole(self) -> dict[str, Any]:
        body, self._kept = bytes(self._kept), bytearray()
        return {"type": "http.request", "body": body, "more_body": False, DROPPED: self._is_dropped}

    def close(self) -> None:
        """It is answered; what comes still is not kept."""
        self._drop()
        self.is_asked.set()

    def _drop(self) -> None:
        self._is_dropped = True
        self._kept = bytearray()
        self._bodies.give_back(self._held)
        self._held = 0


def _most(scope: Any) -> int:
    """The size of a body that may be kept: no route but those of the books takes one."""
    if scope["type"] != "http" or scope["method"] in BODILESS or not scope["path"].startswith(API):
        return 0
    return int(scope["state"]["peer"].policy.listener.limits.body_bytes)
