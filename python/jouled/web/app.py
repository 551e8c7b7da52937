"""The application: who may ask what; routes over prepared bytes, in plain ASGI, so that measuring needs no framework."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeAlias

import trio

from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.sampler import Sampler
from jouled.web import events, websocket
from jouled.web.live import Live
from jouled.web.negotiate import form_of
from jouled.web.page import Page
from jouled.web.prepared import Body
from jouled.web.request import API, Message, Receive, RefusedError, Request, Scope, Send
from jouled.web.response import Response, plain, refusal, send_response
from jouled.web.stream import Stream, Streams

if TYPE_CHECKING:  # a node that only measures imports no SQLAlchemy
    from jouled.web.broadcast import Broadcast
    from jouled.wire.balance import BalanceStatus
    from jouled.wire.caps import Caps

# Answers in progress, far above any number of scrapers that makes sense.
RESPONSES_MAX = 64
# All of their routes as one: identifiers in paths would be series without end.
BOOKS = "/api/v1"
STREAM = "/api/v1/stream"
# What is switched off where there is no API of it.
OFF = {
    "/api/v1/caps": "power capping is switched off; set caps.enabled = true in jouled.toml and restart the daemon",
    "/api/v1/balance": "the balancer is switched off; set balance.enabled = true in jouled.toml and restart the daemon",
}
# Only there with compat = ["energy-service"].
HEALTH = "/health"
# Whoever looks after the host must learn whether the daemon lives without having a secret.
OPEN_TO_ALL = frozenset({"/livez", HEALTH})

HOME = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>jouled</title>
<h1>jouled</h1>
<p>Where the joules of this host go.</p>
<ul>
<li><a href="/metrics">/metrics</a>: watts and joules, for Prometheus and OpenMetrics</li>
<li><a href="/api/v1/snapshot?limit=20">/api/v1/snapshot?level=&amp;sort=&amp;limit=</a>: the host after the last interval, as JSON</li>
<li><a href="/api/v1/workloads?level=unit&amp;limit=20">/api/v1/workloads?level=&amp;sort=&amp;limit=</a>: one level of it</li>
<li><a href="/api/v1/zones">/api/v1/zones</a>: its zones; <a href="/api/v1/zones?now=1">?now=1</a>: their counters, read now</li>
<li><a href="/api/v1/stream?limit=20">/api/v1/stream?level=&amp;sort=&amp;limit=&amp;interval=</a>: each new snapshot as a server-sent event</li>
<li><a href="/livez">/livez</a>: the daemon answers</li>
<li><a href="/readyz">/readyz</a>: the numbers are fresh</li>
</ul>
</html>
"""

Answer: TypeAlias = Response | Stream
Route: TypeAlias = Callable[[Request], Awaitable[Answer]]


class Books(Protocol):
    """The API over the books: an ASGI application with a door of its own. Both checks raise RefusedError for
    a token that is none.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...
    async def vouches(self, request: Request) -> bool:
        """Whether a token that the books know lets read here, whatever the listener's own gate says."""
        ...

    async def may_read(self, request: Request) -> bool:
        """Whether this client, whom the gate has let in, may read the books."""
        ...


class App:
    """The ASGI application. `requests` counts what was answered, by route and status."""

    def __init__(
        self,
        page: Page,
        live: Live,
        feed: Feed[Snapshot],
        sampler: Sampler,
        *,
        books: Books | None = None,
        broadcast: Broadcast | None = None,
        health: Route | None = None,
        caps: Feed[Caps] | None = None,
        balance: Feed[BalanceStatus] | None = None,
    ) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self._page = page
        self._live = live
        self._books = books
        self._streams = Streams(live, feed, broadcast, self._admit, caps=caps, balance=balance)
        self._sampler = sampler
        self._responses = 0
        self._routes: dict[str, Route] = {
            "/": self._home,
            "/metrics": self._metrics,
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/api/v1/snapshot": live.snapshot,
            "/api/v1/zones": live.zones,
            "/api/v1/workloads": live.workloads,
            STREAM: self._stream,
        }
        if health is not None:
            self._routes[HEALTH] = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            if self._books is not None and _is_json(request) and request.path not in self._routes:
                await self._of_books(self._books, request, receive, send)
            else:
                await self._http(request, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(Request(scope), receive, send)

    async def _http(self, request: Request, receive: Receive, send: Send) -> None:
        answer: Answer
        # A client that does not read its answer must not keep those of others.
        if self._responses >= RESPONSES_MAX and not request.peer.make_room():
            answer = plain(503, "too many requests at once; scrape less often", (b"retry-after", b"5"))
            await self._finish(request, answer, receive, send)
            return
        self._responses += 1
        try:
            answer = await self._answer(request)
            if isinstance(answer, Response):
                await self._finish(request, answer, receive, send)
        finally:
            self._responses -= 1
        if isinstance(answer, Stream):
            await self._finish(request, answer, receive, send)

    async def _of_books(self, books: Books, request: Request, receive: Receive, send: Send) -> None:
        """After the listener's own checks, which hold for every room."""
        try:
            _check_size(request)
            await self._check_admitted(request)
        except RefusedError as refused:
            await self._finish(request, refusal(refused, is_json=True), receive, send)
            return

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.requests[BOOKS, message["status"]] += 1
            await send(message)

        await books(request.scope, receive, count)

    async def _finish(self, request: Request, answer: Answer, receive: Receive, send: Send) -> None:
        # Only routes there are: names that clients choose would be series without end.
        route = request.path if request.path in self._routes else "other"
        if isinstance(answer, Response):
            self.requests[route, answer.status] += 1
            await send_response(answer, send, is_head=request.method == "HEAD")
            return
        try:
            with _place_for(answer):
                self.requests[route, 200] += 1
                await events.run(answer, receive, send)
        except RefusedError as busy:
            await self._finish(request, refusal(busy, is_json=True), receive, send)

    async def _websocket(self, request: Request, receive: Receive, send: Send) -> None:
        if request.path != STREAM:
            self.requests["other", 404] += 1
            await websocket.refuse(RefusedError(404, f"there is no WebSocket here; see {STREAM}"), send)
            return
        try:
            _check_size(request)
            websocket.check_origin(request)
            await self._check_admitted(request)
            stream = await self._streams.open(request)
            with _place_for(stream):
                self.requests[STREAM, 101] += 1
                await websocket.run(stream, receive, send)
        except RefusedError as refused:
            self.requests[STREAM, refused.status] += 1
            await websocket.refuse(refused, send)

    async def _answer(self, request: Request) -> Answer:
        try:
            _check_size(request)
            await self._check_admitted(request)
            return await self._route(request)(request)
        except RefusedError as refused:
            return refusal(refused, is_json=_is_json(request))

    async def _check_admitted(self, request: Request) -> None:
        """`Authorization` is one header: who shows a token of the books need not know the listener's own secrets."""
        if request.path in OPEN_TO_ALL:
            return
        refused = await request.peer.admit(request.header(b"authorization"))
        if refused is not None and not (self._books is not None and await self._books.vouches(request)):
            raise RefusedError(refused.status, refused.words, headers=refused.headers)

    def _route(self, request: Request) -> Route:
        route = self._routes.get(request.path)
        if route is None and self._books is None:
            for path, words in OFF.items():
                if f"{request.path}/".startswith(f"{path}/"):
                    raise RefusedError(409, words)
        if route is None:
            allowed = [path for path in self._routes if path.startswith(API)] if _is_json(request) else ()
            raise RefusedError(404, "not found; see /", allowed)
        if request.method not in {"GET", "HEAD"}:
            raise RefusedError(405, "only GET and HEAD", headers=((b"allow", b"GET, HEAD"),))
        return route

    async def _home(self, _: Request) -> Response:
        return Response(200, "text/html; charset=utf-8", Body((HOME,), is_gzip=False))

    async def _metrics(self, request: Request) -> Response:
        form = form_of(request.header(b"accept"))
        body = await self._page.get(form, is_coarse=await request.peer.is_coarse(), is_gzip=request.takes_gzip)
        if body is None:
            return plain(503, "no interval has been measured yet; try again in a second", (b"retry-after", b"1"))
        return Response(200, form.value, body, ((b"vary", b"accept, accept-encoding"),))

    async def _stream(self, request: Request) -> Stream:
        return await self._streams.open(request)

    async def _admit(self, request: Request, is_of_books: bool) -> None:
        """Raises RefusedError for whom the listener does not let in, at a stream's start and while it lasts."""
        await self._check_admitted(request)
        if is_of_books and self._books is not None and not await self._books.may_read(request):
            raise RefusedError(401, "reading the books here needs a token")

    async def _livez(self, _: Request) -> Response:
        return plain(200, "alive")

    async def _readyz(self, _: Request) -> Response:
        if self._sampler.is_fresh:
            return plain(200, "ready")
        if self._sampler.completed_at_s is None:
            return plain(503, "not ready: no scan has been completed yet")
        if self._sampler.ticks_total == 1:
            return plain(503, "not ready: no interval has been measured yet")
        age_s = trio.current_time() - self._sampler.completed_at_s
        return plain(503, f"not ready: the last scan was completed {age_s:.1f} s ago; see the log")


@contextmanager
def _place_for(stream: Stream) -> Iterator[None]:
    """Raises RefusedError where too many are open already."""
    slots = stream.request.peer.streams
    try:
        if not slots.take():
            words = f"{slots.limit} streams are open already; close one, or ask /api/v1/snapshot now and then"
            raise RefusedError(503, words, headers=((b"retry-after", b"5"),))
        try:
            yield
        finally:
            slots.give_back()
    finally:
        stream.close()


def _is_json(request: Request) -> bool:
    return request.path.startswith(API)


def _check_size(request: Request) -> None:
    """No route reads a body; one that is within the listener's limit is dropped."""
    limits = request.peer.policy.listener.limits
    if request.head_bytes > limits.head_bytes:
        raise RefusedError(431, f"the request's head is too large; at most {limits.head_bytes} bytes")
    if request.header(b"transfer-encoding"):
        raise RefusedError(411, "a body of unknown length is not taken; give Content-Length")
    length = request.header(b"content-length").strip()
    if length.isdigit() and int(length[:20]) > limits.body_bytes:
        raise RefusedError(413, f"a body of {length[:20]} bytes is too large; at most {limits.body_bytes}")
