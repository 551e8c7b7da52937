from __future__ import annotations

import gzip
import re
from typing import Any, NamedTuple

import pytest
import trio

from fakes import FakeSnapshot
from jouled.config import Access, Limits, Listener
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.rows import Host
from jouled.web import app as app_module
from jouled.web.app import App
from jouled.web.counters import Counters
from jouled.web.live import Live
from jouled.web.negotiate import Form
from jouled.web.page import Page
from jouled.web.prepared import Prepared
from jouled.web.request import Message
from jouled.web.response import CHUNK_BYTES
from serving import FakeMeter, peer_of, sampler_of


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes
    chunks: int


class Room:
    """An application on a feed that the test fills."""

    def __init__(self) -> None:
        self.feed: Feed[Snapshot] = Feed()
        self.sampler = sampler_of(self.feed)
        self.meter = FakeMeter()
        self.peer = peer_of()
        access = Access()
        prepared = Prepared(self.feed, access, interval_s=1.0)
        counters = Counters(lambda: self.meter, self.feed, access)
        api = Live(prepared, counters, Host("1.2.3", "box", "fake"))
        page = Page(prepared, lambda form, _: b"own 1\n" if form is Form.TEXT else b"# EOF\n")
        self.app = App(page, api, self.feed, self.sampler)

    def tick(self, snapshot: Snapshot) -> None:
        self.sampler.completed_at_s = trio.current_time()
        self.feed.publish(snapshot)

    def scope(self, path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
        path, _, query = path.partition("?")
        return {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
            "state": {"peer": self.peer},
        }

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(self.scope(path, method, **headers), no_receive, send)
        start, *rest = sent
        body = b"".join(message["body"] for message in rest)
        assert [message["more_body"] for message in rest] == [True] * (len(rest) - 1) + [False]
        return Answer(start["status"], dict(start["headers"]), body, len(rest) - 1)


async def no_receive() -> Message:
    raise AssertionError("no route reads a body")


@pytest.fixture
def room() -> Room:
    return Room()


async def test_home_links_to_what_there_is(room: Room) -> None:
    answer = await room.ask("/")
    assert (answer.status, answer.headers[b"content-type"]) == (200, b"text/html; charset=utf-8")
    routes = set(room.app._routes) - {"/"}
    linked = re.findall(rb'href="([^"?]*)', answer.body)
    assert {path.decode() for path in linked} == routes


async def test_metrics_in_both_forms_and_compressed(room: Room) -> None:
    room.tick(FakeSnapshot())
    text = await room.ask("/metrics")
    assert text.headers[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"
    assert text.headers[b"vary"] == b"accept, accept-encoding"
    assert text.body.endswith(b"own 1\n")
    assert b"content-encoding" not in text.headers
    openmetrics = await room.ask("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics.headers[b"content-type"] == b"application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert openmetrics.body.endswith(b"# EOF\n")
    small = await room.ask("/metrics", accept_encoding="gzip")
    assert small.headers[b"content-encoding"] == b"gzip"
    assert int(small.headers[b"content-length"]) == len(small.body)
    assert gzip.decompress(small.body) == text.body


async def test_a_large_page_goes_out_in_pieces(room: Room) -> None:
    room.tick(FakeSnapshot(series=5000))
    answer = await room.ask("/metrics")
    assert int(answer.headers[b"content-length"]) == len(answer.body)
    assert answer.chunks == -(-(len(answer.body) - len(b"own 1\n")) // CHUNK_BYTES) + 1


@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/readyz"])
async def test_head_has_the_headers_of_get_and_no_body(room: Room, path: str) -> None:
    room.tick(FakeSnapshot())
    get, head = await room.ask(path), await room.ask(path, "HEAD")
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")


async def test_before_the_first_interval(room: Room) -> None:
    assert (await room.ask("/livez")).status == 200
    assert (await room.ask("/readyz")).body == b"not ready: no scan has been completed yet\n"
    room.tick(FakeSnapshot(sequence=1, interval_s=None))
    metrics = await room.ask("/metrics")
    assert (metrics.status, metrics.headers[b"retry-after"]) == (503, b"1")
    assert metrics.body == b"no interval has been measured yet; try again in a second\n"
    assert (await room.ask("/readyz")).status == 503
    room.sampler.ticks_total = 1
    assert (await room.ask("/readyz")).body == b"not ready: no interval has been measured yet\n"


async def test_ready_until_the_last_tick_is_three_periods_old(
    room: Room, autojump_clock: trio.testing.MockClock
) -> None:
    room.tick(FakeSnapshot())
    assert (await room.ask("/readyz")).status == 200
    await trio.sleep(3.5)
    stale = await room.ask("/readyz")
    assert (stale.status, stale.body) == (
        503,
        b"not ready: the last scan was completed 3.5 s ago; see the log\n",
    )
    assert (await room.ask("/livez")).status == 200


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "", "/livez/../metrics"])
async def test_what_does_not_exist(room: Room, path: str) -> None:
    assert (await room.ask(path)).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_only_reading_is_allowed(room: Room, method: str) -> None:
    answer = await room.ask("/metrics", method)
    assert (answer.status, answer.headers[b"allow"]) == (405, b"GET, HEAD")


async def never(_: Message) -> None:
    await trio.sleep_forever()


async def test_too_many_responses_at_once_are_refused(room: Room, nursery: trio.Nursery) -> None:
    room.tick(FakeSnapshot())
    for _ in range(app_module.RESPONSES_MAX):
        nursery.start_soon(room.app, room.scope("/livez"), no_receive, never)
    await trio.testing.wait_all_tasks_blocked()
    assert (await room.ask("/livez")).status == 503
    nursery.cancel_scope.cancel()


async def test_where_a_client_that_does_not_read_gives_way_nobody_is_refused(room: Room, nursery: trio.Nursery) -> None:
    room.tick(FakeSnapshot())
    asked: list[None] = []

    def make_room() -> bool:
        asked.append(None)
        return True

    room.peer.make_room = make_room
    for _ in range(app_module.RESPONSES_MAX):
        nursery.start_soon(room.app, room.scope("/livez"), no_receive, never)
    await trio.testing.wait_all_tasks_blocked()
    assert asked == []
    assert (await room.ask("/livez")).status == 200
    assert asked == [None]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"content_length": "100"}, 405, "only GET and HEAD"),
        ({"content_length": "101"}, 413, "a body of 101 bytes is too large; at most 100"),
        ({"x": "y" * 1024}, 431, "the request's head is too large; at most 1024 bytes"),
        ({"transfer_encoding": "chunked"}, 411, "a body of unknown length is not taken; give Content-Length"),
    ],
)
async def test_the_limit_of_the_listener_decides_about_bodies(
    room: Room, headers: dict[str, str], status: int, words: str
) -> None:
    room.peer = peer_of(Listener("127.0.0.1:0", limits=Limits(body_bytes=100, head_bytes=1024)))
    answer = await room.ask("/livez", "POST", **headers)
    assert (answer.status, answer.body.decode()) == (status, f"{words}\n")


async def test_what_was_answered_is_counted_by_routes_that_exist(room: Room) -> None:
    room.tick(FakeSnapshot())
    for path in ("/metrics", "/metrics", "/a", "/b", "/api/v1/zones?x=1"):
        await room.ask(path)
    await room.ask("/livez", "POST")
    assert room.app.requests == {
        ("/metrics", 200): 2,
        ("other", 404): 2,
        ("/api/v1/zones", 400): 1,
        ("/livez", 405): 1,
    }


async def test_there_is_a_websocket_for_the_stream_only(room: Room) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = room.scope("/api/v1/snapshot") | {"type": "websocket"}
    await room.app(scope, no_receive, send)
    assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 404)
