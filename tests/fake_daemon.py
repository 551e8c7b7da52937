"""A daemon that says what a test tells it to, over TCP or a Unix socket."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from jouled.wire import Snapshot

Route: TypeAlias = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        route = self.server.routes.get(self.path) or self.server.routes.get(self.path.partition("?")[0])
        try:
            if route is None:
                self.answer(b'{"error":"not found; see /","allowed":[]}', 404)
            else:
                route(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, body: bytes, status: int = 200, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "test"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name is given)
        pass


class TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class FakeDaemon:
    def __init__(self, server: Any, url: str) -> None:
        self.url = url
        self.routes: dict[str, Route] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.stopped = threading.Event()
        server.routes, server.asked = self.routes, self.asked

    def says(self, path: str, value: object, status: int = 200) -> None:
        """Answers with JSON, or with this text."""
        body = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
        self.routes[path] = lambda handler: handler.answer(body, status)

    def streams(self, *snapshots: Snapshot, ends: bool = True) -> None:
        """Each as an event; then the end, or silence until the test is over."""

        def route(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("content-type", "text/event-stream")
            handler.end_headers()
            handler.wfile.write(b"retry: 2000\n\n: still here\n\n")
            for each in snapshots:
                body = msgspec.json.encode(each)
                handler.wfile.write(b"event: snapshot\nid: %d\ndata: %s\n\n" % (each.sequence, body))
            handler.wfile.flush()
            if not ends:
                self.stopped.wait()

        self.routes["/api/v1/stream"] = route


@contextmanager
def fake_daemon(socket: Path | None = None) -> Iterator[FakeDaemon]:
    server: Any = TcpServer(("127.0.0.1", 0), Handler) if socket is None else UnixServer(str(socket), Handler)
    url = f"http://127.0.0.1:{server.server_address[1]}" if socket is None else f"unix:{socket}"
    daemon = FakeDaemon(server, url)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield daemon
    finally:
        daemon.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
