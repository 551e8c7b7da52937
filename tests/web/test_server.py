from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from typing import Any

import pytest
import trio

from jouled.config import Access
from jouled.web import server
from jouled.web.request import Receive, Scope, Send
from jouled.web.server import Server
from serving import listening, port_of


def connect(port: int, receive_bytes: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(60)
    client.connect(("127.0.0.1", port))
    return client


# Longer than any machine is held up. What must not last as long as the grace is known by a grace of hours.
LONG_S = 30.0
HOURS_S = 7200.0


class Served:
    """A server on a free port, and how to end it."""

    def __init__(self, port: int, server: Server) -> None:
        self.port = port
        self.stop = trio.Event()
        self._server = server

    async def until_connected(self, count: int, *, is_stuck: bool = False) -> None:
        """So many clients are there, each known to the server; and their answers wait for them to read."""
        ((_, connections),) = self._server._places
        with trio.fail_after(60):
            while True:
                found = [each for each in connections._open if not is_stuck or each.is_busy]
                if len(found) == count and all(each.waits_since_s is not None for each in found):
                    return
                await trio.sleep(0.01)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[Served]:
    """It must end on its own once `stop` is set."""
    with listening() as places:
        async with trio.open_nursery() as nursery:
            served = Served(port_of(places[0]), Server(app, places, Access()))
            await nursery.start(served._server.serve, served.stop)
            yield served
            served.stop.set()


async def big(scope: Scope, receive: Receive, send: Send) -> None:
    """Two megabytes, in pieces, whether or not anybody reads."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2097152")]})
    for _ in range(32):
        await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def read_all(client: socket.socket) -> bytes:
    def read() -> bytes:
        parts = []
        while part := client.recv(65536):
            parts.append(part)
        return b"".join(parts)

    return await trio.to_thread.run_sync(read)


async def test_a_page_is_served_without_naming_the_server() -> None:
    async with serving(big) as served:
        with closing(connect(served.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            head, _, body = (await read_all(client)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"hypercorn" not in head.lower()
    assert len(body) == 2 * 1024 * 1024


async def test_it_ends_at_once_when_nobody_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_S", HOURS_S)
    async with serving(big) as served:
        start_s = trio.current_time()
        served.stop.set()
    assert trio.current_time() - start_s < LONG_S


async def test_idle_and_half_sent_requests_do_not_hold_the_end() -> None:
    with ExitStack() as clients:
        async with serving(big) as served:
            for request in (b"", b"GET /metr", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nonly"):
                clients.enter_context(connect(served.port)).sendall(request)
            await served.until_connected(3)
            start_s = trio.current_time()
            served.stop.set()
        # The third is a stopped reader too: what it asked for is still to be sent.
        assert trio.current_time() - start_s < server.GRACE_S + LONG_S


async def test_clients_that_stop_reading_are_cut_when_the_grace_is_over(lines: list[Any]) -> None:
    async with serving(big) as served:
        clients = [connect(served.port, receive_bytes=4096) for _ in range(5)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await served.until_connected(5, is_stuck=True)
        start_s = trio.current_time()
        served.stop.set()
    took_s = trio.current_time() - start_s
    for client in clients:
        client.close()
    assert server.GRACE_S <= took_s < server.GRACE_S + LONG_S
    assert [line["connections"] for line in lines] == [5]


async def test_clients_that_stop_reading_are_cut_when_the_server_is_cancelled() -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            with listening() as places:
                served = Served(port_of(places[0]), Server(big, places, Access()))
                await nursery.start(served._server.serve, served.stop)
                client = connect(served.port, receive_bytes=4096)
                client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                await served.until_connected(1, is_stuck=True)
                nursery.cancel_scope.cancel()
    client.close()


async def test_a_head_without_end_is_refused() -> None:
    async with serving(big) as served:
        with closing(connect(served.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 4000)
            answer = await trio.to_thread.run_sync(client.recv, 4096)
    assert answer.startswith(b"HTTP/1.1 431")
