"""Clients that mean harm, or only behave as if they did, against the real server."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any, Self

import pytest
import trio

from jouled.config import Limits, Listener
from jouled.web.connections import Connections
from jouled.web.request import Receive, Scope, Send
from serving import FREE, Reply, listening, policy_of, port_of, read_all

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
WEBSOCKET = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
# HTTP/2's preface and settings, then a request for `/\xff` that its decoder accepts.
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
HTTP2_PATH = HTTP2 + b"\0\0\x09\x01\x05\0\0\0\x01\x82\x86\x04\x02/\xff\x41\x01x"
HTTP2_CONNECT = HTTP2 + b"\0\0\x0c\x01\x05\0\0\0\x01\x02\x07CONNECT\x41\x01x"


async def hello(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/broken":
        raise ZeroDivisionError("a defect")
    await trio.sleep(0.1 if scope["path"] == "/slow" else 0)
    pieces = 400 if scope["path"] == "/big" else 1
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % (pieces * 5000))]}
    )
    for _ in range(pieces):
        await send({"type": "http.response.body", "body": b"hello" * 1000, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def serving(**limits: Any) -> AsyncIterator[tuple[int, Connections]]:
    with listening(Listener(FREE, limits=Limits(**{"connections": 50, **limits}))) as (place,):
        room = Connections(hello, policy_of(place.listener))
        async with trio.open_nursery() as nursery:
            accepted = trio.SocketListener(trio.socket.from_stdlib_socket(place.socket))
            nursery.start_soon(room.accept_from, accepted, nursery)
            yield port_of(place), room
            room.cut()
            nursery.cancel_scope.cancel()


async def ask(port: int, request: bytes, *, receive_bytes: int | None = None) -> trio.SocketStream:
    client = trio.socket.socket()
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await client.connect(("127.0.0.1", port))
    stream = trio.SocketStream(client)
    if request:
        await stream.send_all(request)
    return stream


async def first_line(port: int, request: bytes) -> bytes:
    """Of the answer; nothing if there is none."""
    async with await ask(port, request) as stream:
        with trio.fail_after(60):
            try:
                return bytes(await stream.receive_some(4096)).partition(b"\r\n")[0].rstrip()
            except trio.BrokenResourceError:
                return b""


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110  (nobody tells when a connection is gone)
            await trio.sleep(0.01)


async def read_until(stream: trio.SocketStream, end: bytes) -> None:
    read = b""
    with trio.fail_after(60):
        while not read.endswith(end):
            part = await stream.receive_some(4096)
            assert part, f"it ended after {read!r}"
            read += part


@pytest.mark.parametrize(
    "request_bytes",
    [
        HTTP2,
        HTTP2_PATH,
        HTTP2_CONNECT,
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: !\r\n\r\n",
        WEBSOCKET + b"\r\n",
        WEBSOCKET + b"sec-websocket-extensions: \xe9\r\n\r\n",
        b"GET /broken HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /%zz%ff%00 HTTP/1.1\r\nhost: \xff\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" * 9,
        bytes(100),
    ],
)
async def test_no_request_ends_the_server(request_bytes: bytes) -> None:
    async with serving() as (port, _):
        for _ in range(3):
            await first_line(port, request_bytes + b"\r\n\r\n")
        assert await first_line(port, GET) == b"HTTP/1.1 200"


async def test_what_a_request_breaks_is_said_once(lines: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (port, _):
        for _ in range(3):
            assert await first_line(port, b"GET /broken HTTP/1.1\r\nhost: x\r\n\r\n") == b"HTTP/1.1 500"
    assert [line["event"] for line in lines] == ["a request failed: ZeroDivisionError"]
    assert caplog.records == []


async def test_http_2_is_not_spoken_unasked_or_asked() -> None:
    upgrade = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAAA\r\n\r\n"
    async with serving() as (port, _):
        assert await first_line(port, upgrade) == b"HTTP/1.1 200"
        assert (await first_line(port, HTTP2)).startswith(b"HTTP/1.1")


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431, "too_large"),
        (b"GET\r\n\r\n", 400, "invalid_request"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n", 501, "not_implemented"),
    ],
)
async def test_what_is_no_request_is_refused_in_the_form_of_all_errors(
    request_bytes: bytes, status: int, code: str
) -> None:
    async with serving() as (port, _), await ask(port, request_bytes) as client:
        with trio.fail_after(60):
            answer = Reply.of(await read_all(client))
    assert (answer.status, answer.json["error"]) == (status, code)
    assert answer.json["message"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", [b"/", b"/slow", b"/big"])
async def test_a_body_in_many_pieces_does_not_keep_the_connection(path: bytes) -> None:
    body = b"POST " + path + b" HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 100
    async with serving() as (port, room):
        client = await ask(port, body, receive_bytes=4096)
        assert await client.receive_some(10) == b"HTTP/1.1 2"
        await client.aclose()
        await until(lambda: len(room._open) == 0)


async def test_a_client_that_stops_reading_is_cut_off() -> None:
    async with (
        serving(send_s=0.2) as (port, room),
        await ask(port, GET.replace(b"/", b"/big", 1), receive_bytes=4096) as client,
    ):
        assert await client.receive_some(1)
        await until(lambda: len(room._open) == 0)


async def test_a_client_that_reads_by_drops_is_cut_off() -> None:
    async with (
        serving(request_s=0.5) as (port, room),
        await ask(port, GET.replace(b"/", b"/big", 1), receive_bytes=4096) as client,
    ):
        read = 0
        with suppress(trio.BrokenResourceError):
            while part := await client.receive_some(5000):
                read += len(part)
                await trio.sleep(0.02)  # all of it would take eight seconds
        await until(lambda: len(room._open) == 0)
        assert 0 < read < 2_000_000


async def test_connections_that_say_nothing_do_not_keep_a_scraper_out() -> None:
    with ExitStack() as clients:
        async with serving(connections=5) as (port, room):
            silent = [clients.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(20)]
            await until(lambda: len(room._open) == 5)
            assert await first_line(port, GET) == b"HTTP/1.1 200"
            silent[0].settimeout(60)
            assert silent[0].recv(1) == b""  # the first to come is the first to go
            assert len(room._open) <= 5


async def test_a_connection_that_was_used_goes_last() -> None:
    async with serving(connections=2) as (port, room):
        used = await ask(port, b"")
        await until(lambda: len(room._open) == 1)
        silent = await ask(port, b"")
        await until(lambda: len(room._open) == 2)
        await used.send_all(GET)
        await read_until(used, b"hello")
        await until(lambda: not any(connection.is_busy for connection in room._open))
        assert await first_line(port, GET) == b"HTTP/1.1 200"
        with trio.fail_after(60):
            assert await silent.receive_some(1) == b""
        await used.send_all(GET)
        await read_until(used, b"hello")
        await used.aclose()
        await silent.aclose()


async def test_clients_that_never_read_do_not_keep_a_scraper_out() -> None:
    async with serving(connections=5) as (port, room), trio.open_nursery() as nursery:
        clients = [await ask(port, GET.replace(b"/", b"/big", 1), receive_bytes=4096) for _ in range(5)]
        await until(lambda: sum(connection.is_busy for connection in room._open) == 5)
        await until(lambda: all(connection.waits_since_s is not None for connection in room._open))
        for _ in range(3):
            assert await first_line(port, GET) == b"HTTP/1.1 200"
        for client in clients:
            nursery.start_soon(client.aclose)


@pytest.mark.parametrize(("limit", "sent"), [("idle_s", b""), ("request_s", b"GET / HT")])
async def test_silence_and_half_a_request_end_in_their_time(limit: str, sent: bytes) -> None:
    async with serving(**{limit: 0.2}) as (port, room), await ask(port, sent) as client:
        with trio.fail_after(60):
            assert await client.receive_some(1) == b""
        await until(lambda: len(room._open) == 0)


async def test_a_connection_is_kept_for_longer_than_one_request_may_take(mock_clock: trio.testing.MockClock) -> None:
    async with serving(request_s=0.3) as (port, _), await ask(port, b"") as client:
        for _ in range(4):
            # Only between the requests does time pass: on a busy machine each may take long.
            mock_clock.jump(0.15)
            await trio.testing.wait_all_tasks_blocked()
            await client.send_all(GET)
            await read_until(client, b"hello" * 1000)
            await trio.testing.wait_all_tasks_blocked()


async def test_the_limits_of_new_settings_are_those_of_new_connections() -> None:
    head = b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 500 + b"\r\n"
    async with serving() as (port, room):
        assert await first_line(port, head) == b"HTTP/1.1 400"  # no host
        room.configure(policy_of(Listener(FREE, limits=Limits(head_bytes=1024))))
        assert await first_line(port, head) == b"HTTP/1.1 431"


class FullListener:
    """A listener of a process without a free descriptor, for some time."""

    def __init__(self, errors: Sequence[int]) -> None:
        self.accepts = 0
        self._errors = list(errors)

    async def accept(self) -> trio.SocketStream:
        self.accepts += 1
        if self._errors:
            number = self._errors.pop(0)
            raise OSError(number, os.strerror(number))
        await trio.sleep_forever()
        raise AssertionError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def test_without_descriptors_it_waits_and_says_so_once(
    nursery: trio.Nursery, lines: list[Any], autojump_clock: trio.testing.MockClock
) -> None:
    listener: Any = FullListener([errno.EMFILE] * 20)
    nursery.start_soon(Connections(hello, policy_of()).accept_from, listener, nursery)
    await trio.sleep(5)
    assert listener.accepts == 21
    assert [line["event"] for line in lines] == [
        "accept a connection: Too many open files; raise LimitNOFILE= of this service"
    ]
    nursery.cancel_scope.cancel()
