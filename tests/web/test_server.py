from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from typing import Any

import pytest
import trio

from jouled.errors import ConfigError
from jouled.web import server
from jouled.web.app import Receive, Scope, Send


def connect(port: int, receive_bytes: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(5)
    client.connect(("127.0.0.1", port))
    return client


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[tuple[int, trio.Event]]:
    """The server on a free port; it must end on its own once `stop` is set."""
    (listener,) = server.bind(["127.0.0.1:0"])
    port = listener.getsockname()[1]
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, app, [listener], stop)
        yield port, stop
        stop.set()


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
    async with serving(big) as (port, _):
        with closing(connect(port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            head, _, body = (await read_all(client)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"hypercorn" not in head.lower()
    assert len(body) == 2 * 1024 * 1024


async def test_it_ends_at_once_when_nobody_is_connected() -> None:
    async with serving(big) as (_, stop):
        start_s = trio.current_time()
        stop.set()
    assert trio.current_time() - start_s < 0.5


async def test_idle_and_half_sent_requests_do_not_hold_the_end() -> None:
    with ExitStack() as clients:
        async with serving(big) as (port, stop):
            for request in (b"", b"GET /metr", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nonly"):
                clients.enter_context(connect(port)).sendall(request)
            await trio.sleep(0.1)
            start_s = trio.current_time()
            stop.set()
        # The third is a stopped reader too: what it asked for is still to be sent.
        assert trio.current_time() - start_s < server.GRACE_S + 0.5


async def test_clients_that_stop_reading_are_cut_when_the_grace_is_over(lines: list[Any]) -> None:
    async with serving(big) as (port, stop):
        clients = [connect(port, receive_bytes=4096) for _ in range(5)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await trio.sleep(0.3)
        start_s = trio.current_time()
        stop.set()
    took_s = trio.current_time() - start_s
    for client in clients:
        client.close()
    assert server.GRACE_S <= took_s < server.GRACE_S + 0.5
    assert [line["connections"] for line in lines] == [5]


async def test_clients_that_stop_reading_are_cut_when_the_server_is_cancelled() -> None:
    (listener,) = server.bind(["127.0.0.1:0"])
    port = listener.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, big, [listener], trio.Event())
        client = connect(port, receive_bytes=4096)
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await trio.sleep(0.3)
        start_s = trio.current_time()
        nursery.cancel_scope.cancel()
    client.close()
    assert trio.current_time() - start_s < server.GRACE_S + 0.5


async def test_a_head_without_end_is_refused() -> None:
    async with serving(big) as (port, _):
        with closing(connect(port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 4000)
            answer = await trio.to_thread.run_sync(client.recv, 4096)
    assert answer.startswith(b"HTTP/1.1 431")


def test_a_port_given_twice_is_not_blamed_on_others() -> None:
    (probe,) = server.bind(["0.0.0.0:0"])
    port = probe.getsockname()[1]
    probe.close()
    with pytest.raises(
        ConfigError, match=r"Address already in use; another --listen has it already; \[::\] takes IPv4"
    ):
        server.bind([f"0.0.0.0:{port}", f"[::]:{port}"])


def test_an_address_of_a_name_that_this_host_does_not_have_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    elsewhere = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
    unknown = (socket.AF_APPLETALK, socket.SOCK_STREAM, 6, "", ("::1", 0))
    found = [unknown, elsewhere, here]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    (listener,) = server.bind(["localhost:0"])
    with closing(listener):
        assert listener.getsockname()[0] == "127.0.0.1"
    found.remove(here)
    with pytest.raises(ConfigError, match=r"^listen on localhost:0: Cannot assign requested address; no interface"):
        server.bind(["localhost:0"])


def test_a_port_in_use_names_the_address_and_the_fix() -> None:
    (first,) = server.bind(["127.0.0.1:0"])
    with closing(first):
        address = f"127.0.0.1:{first.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"^listen on {address}: Address already in use; another program"):
            server.bind([address])


def test_when_one_address_fails_the_others_are_given_back() -> None:
    (probe,) = server.bind(["127.0.0.1:0"])
    free = f"127.0.0.1:{probe.getsockname()[1]}"
    probe.close()
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:9917: .*no interface of this host has this address"):
        server.bind([free, "192.0.2.1:9917"])
    (again,) = server.bind([free])
    again.close()


@pytest.mark.parametrize("name", ["no-such-host.invalid", ".", "a..b", "a" * 70, "\udcff"])
def test_a_name_that_does_not_resolve(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^listen on {re.escape(name)}:9917: .*; give an address of this host"):
        server.bind([f"{name}:9917"])


@pytest.mark.parametrize(
    ("address", "shown"),
    [("127.0.0.1:0", "http://127.0.0.1:"), ("0.0.0.0:0", "http://127.0.0.1:"), ("[::1]:0", "http://[::1]:")],
)
def test_urls_are_for_a_browser(address: str, shown: str) -> None:
    (listener,) = server.bind([address])
    with closing(listener):
        assert server.url_of(listener).startswith(shown)


def test_accepted_connections_inherit_the_limits() -> None:
    (listener,) = server.bind(["127.0.0.1:0"])
    with closing(listener), closing(connect(listener.getsockname()[1])):
        accepted, _ = listener.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == server.USER_TIMEOUT_MS
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
