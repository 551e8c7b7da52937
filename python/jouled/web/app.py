"""The scrape room: four routes over prepared bytes, in plain ASGI, so that measuring needs no framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, NamedTuple, TypeAlias

import trio

from jouled.sampler import Sampler
from jouled.web.negotiate import form_of, takes_gzip
from jouled.web.page import Body, Page

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# What is copied for one client at a time; a client that stops reading holds this much, not a page. In
# pieces of half the size a page costs half as much CPU time again.
CHUNK_BYTES = 128 * 1024
# Responses in progress, far above any number of scrapers that makes sense.
RESPONSES_MAX = 64

HOME = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>jouled</title>
<h1>jouled</h1>
<p>Where the joules of this host go.</p>
<ul>
<li><a href="/metrics">/metrics</a>: watts and joules, for Prometheus and OpenMetrics</li>
<li><a href="/livez">/livez</a>: the daemon answers</li>
<li><a href="/readyz">/readyz</a>: the numbers are fresh</li>
</ul>
</html>
"""


class Response(NamedTuple):
    """A whole answer, before anything of it is sent."""

    status: int
    content_type: str
    body: Body
    headers: tuple[tuple[bytes, bytes], ...] = ()


def plain(status: int, text: str, *headers: tuple[bytes, bytes]) -> Response:
    return Response(status, "text/plain; charset=utf-8", Body((f"{text}\n".encode(),), is_gzip=False), headers)


class App:
    """The ASGI application."""

    def __init__(self, page: Page, sampler: Sampler) -> None:
        self._page = page
        self._sampler = sampler
        self._responses = 0

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})

    async def _http(self, scope: Scope, send: Send) -> None:
        if self._responses >= RESPONSES_MAX:
            await _send(plain(503, "too many requests at once; scrape less often", (b"retry-after", b"5")), scope, send)
            return
        self._responses += 1
        try:
            await _send(await self._respond(scope), scope, send)
        finally:
            self._responses -= 1

    async def _respond(self, scope: Scope) -> Response:
        routes = {"/": self._home, "/metrics": self._metrics, "/livez": self._livez, "/readyz": self._readyz}
        route = routes.get(scope["path"])
        if route is None:
            return plain(404, "not found; see /")
        if scope["method"] not in {"GET", "HEAD"}:
            return plain(405, "only GET and HEAD", (b"allow", b"GET, HEAD"))
        return await route(scope)

    async def _home(self, _: Scope) -> Response:
        return Response(200, "text/html; charset=utf-8", Body((HOME,), is_gzip=False))

    async def _metrics(self, scope: Scope) -> Response:
        form = form_of(_header(scope, b"accept"))
        body = await self._page.get(form, is_gzip=takes_gzip(_header(scope, b"accept-encoding")))
        if body is None:
            return plain(503, "no interval has been measured yet; try again in a second", (b"retry-after", b"1"))
        return Response(200, form.value, body, ((b"vary", b"accept, accept-encoding"),))

    async def _livez(self, _: Scope) -> Response:
        return plain(200, "alive")

    async def _readyz(self, _: Scope) -> Response:
        if self._sampler.is_fresh:
            return plain(200, "ready")
        if self._sampler.completed_at_s is None:
            return plain(503, "not ready: no scan has been completed yet")
        if self._sampler.ticks_total == 1:
            return plain(503, "not ready: no interval has been measured yet")
        age_s = trio.current_time() - self._sampler.completed_at_s
        return plain(503, f"not ready: the last scan was completed {age_s:.1f} s ago; see the log")


def _header(scope: Scope, name: bytes) -> str:
    """All lines of this header; a header may be given several times."""
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name)


async def _send(response: Response, scope: Scope, send: Send) -> None:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(response.body.length).encode()),
        (b"x-content-type-options", b"nosniff"),
        *response.headers,
    ]
    if response.body.is_gzip:
        headers.append((b"content-encoding", b"gzip"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if scope["method"] != "HEAD":
        for chunk in _chunks(response.body):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _chunks(body: Body) -> Iterator[bytes]:
    for part in body.parts:
        for start in range(0, len(part), CHUNK_BYTES):
            yield part[start : start + CHUNK_BYTES]
