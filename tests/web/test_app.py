from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
import trio

from fakes import FakeSnapshot
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.sampler import Sampler
from jouled.web import app as app_module
from jouled.web.app import App, Message
from jouled.web.negotiate import Form
from jouled.web.page import Page


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes
    chunks: int


class Room:
    """An application on a feed that the test fills."""

    def __init__(self) -> None:
        self.feed: Feed[Snapshot] = Feed()
        self.sampler = Sampler(self._no_scan, self.feed, period_s=1.0)
        self.app = App(Page(self.feed, lambda form, _: b"own 1\n" if form is Form.TEXT else b"# EOF\n"), self.sampler)

    async def _no_scan(self) -> Snapshot:
        return FakeSnapshot()

    def tick(self, snapshot: Snapshot) -> None:
        self.sampler.completed_at_s = trio.current_time()
        self.feed.publish(snapshot)

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": raw}
        await self.app(scope, no_receive, send)
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
    for path in ("/metrics", "/livez", "/readyz"):
        assert f'href="{path}"'.encode() in answer.body


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
    assert answer.chunks == -(-(len(answer.body) - len(b"own 1\n")) // app_module.CHUNK_BYTES) + 1


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


async def test_too_many_responses_at_once_are_refused(room: Room, nursery: trio.Nursery) -> None:
    room.tick(FakeSnapshot())

    async def never(_: Message) -> None:
        await trio.sleep_forever()

    scope: Mapping[str, Any] = {"type": "http", "method": "GET", "path": "/livez", "headers": []}
    for _ in range(app_module.RESPONSES_MAX):
        nursery.start_soon(room.app, dict(scope), no_receive, never)
    await trio.testing.wait_all_tasks_blocked()
    assert (await room.ask("/livez")).status == 503
    nursery.cancel_scope.cancel()


async def test_websockets_are_closed(room: Room) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await room.app({"type": "websocket", "path": "/"}, no_receive, send)
    assert sent == [{"type": "websocket.close"}]
