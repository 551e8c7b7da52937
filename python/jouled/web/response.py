"""A whole answer, and how it goes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from jouled.web.prepared import Body
from jouled.web.request import RefusedError, Send
from jouled.wire.problems import CODES, Problem

# What is copied for one client at a time; a client that stops reading holds this much, not a page. In
# pieces of half the size a page costs half as much CPU time again.
CHUNK_BYTES = 128 * 1024
JSON = "application/json"
# Numbers of this second; and not all of them are for everyone.
NO_STORE = (b"cache-control", b"no-store")

Headers = tuple[tuple[bytes, bytes], ...]


class Response(NamedTuple):
    """A whole answer, before anything of it is sent."""

    status: int
    content_type: str
    body: Body
    headers: Headers = ()


def plain(status: int, text: str, *headers: tuple[bytes, bytes]) -> Response:
    return Response(status, "text/plain; charset=utf-8", Body((f"{text}\n".encode(),), is_gzip=False), headers)


def refusal(refused: RefusedError, *, is_json: bool) -> Response:
    """In the form that the route's clients read."""
    if not is_json:
        allowed = f"; allowed: {', '.join(refused.allowed)}" if refused.allowed else ""
        return plain(refused.status, f"{refused.words}{allowed}", *refused.headers)
    detail = {"allowed": refused.allowed} if refused.allowed else None
    problem = Problem(CODES.get(refused.status, "error"), refused.words, detail)
    body = Body((msgspec.json.encode(problem) + b"\n",), is_gzip=False)
    return Response(refused.status, JSON, body, (NO_STORE, *refused.headers))


async def send_response(response: Response, send: Send, *, is_head: bool) -> None:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(response.body.length).encode()),
        (b"x-content-type-options", b"nosniff"),
        *response.headers,
    ]
    if response.body.is_gzip:
        headers.append((b"content-encoding", b"gzip"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if not is_head:
        for chunk in _chunks(response.body):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _chunks(body: Body) -> Iterator[bytes]:
    for part in body.parts:
        for start in range(0, len(part), CHUNK_BYTES):
            yield part[start : start + CHUNK_BYTES]
