"""An HTTP server on loopback that answers what the test told it, also badly, and keeps what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Told:
    """One answer. `hangs` sends the head and half of the body, and then nothing until the server ends."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    drops: bool = False


class Server:
    """`tell` queues answers of a path; the last one is repeated. Without any it says 404."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.is_ending = threading.Event()
        self._told: dict[str, list[Told]] = defaultdict(list)
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Quiet(("127.0.0.1", 0), handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'' if tls is None else 's'}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def tell(self, path: str, body: bytes = b"", status: int = 200, **parts: Any) -> None:
        with self._lock:
            self._told[path].append(Told(body, status, **parts))

    def forget(self) -> None:
        with self._lock:
            self._told.clear()

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def take(self, asked: Asked) -> Told:
        with self._lock:
            self.asked.append(asked)
            told = self._told[asked.path]
            if not told:
                return Told(b'{"error":"no such path"}', 404)
            return told.pop(0) if len(told) > 1 else told[0]

    def end(self) -> None:
        self.is_ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = self.owner.take(Asked(self.command, parts.path, query, headers, body))
        self.close_connection = True
        if told.drops:
            return
        self.send_response(told.status)
        for name, value in {"content-type": "application/json", **told.headers}.items():
            self.send_header(name, value)
        self.send_header("connection", "close")
        self.send_header("content-length", str(len(told.body)))
        self.end_headers()
        if told.hangs:
            self.wfile.write(told.body[: len(told.body) // 2])
            self.wfile.flush()
            self.owner.is_ending.wait()
            return
        self.wfile.write(told.body)

    do_POST = do_GET  # noqa: N815  (the standard library's name)
    do_PUT = do_GET  # noqa: N815  (as above)

    def log_message(self, *_: Any) -> None:
        pass


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Clients that go away in the middle are what some tests are about."""


@contextmanager
def answering(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(tls)
    try:
        yield server
    finally:
        server.end()
