"""As much of an MQTT broker (3.1.1) as a plant's feed needs: connect, subscribe, publish, ping. It keeps what is retained."""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import threading
from types import TracebackType
from typing import NamedTuple, Self

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14
NOT_AUTHORIZED = 5


class Seen(NamedTuple):
    """What a client said of itself."""

    user: str | None
    password: str | None


class Broker:
    """`password` is what it wants to hear; None lets everybody in."""

    def __init__(self, password: str | None = None, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.password = password
        self.tls = tls
        self.seen: list[Seen] = []
        self.subscribed = threading.Event()
        self._retained: dict[str, bytes] = {}
        self._clients: dict[socket.socket, set[str]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Session)
        self._server.broker = self
        self.port: int = self._server.server_address[1]
        self.url = f"mqtt{'' if tls is None else 's'}://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="broker")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.drop_all()
        self._thread.join()

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        if retain:
            self._retained[topic] = body
        with self._lock:
            clients = [client for client, topics in self._clients.items() if topic in topics]
        for client in clients:
            client.sendall(_packet(PUBLISH, 0, _text(topic) + body))

    def drop_all(self) -> None:
        """As a broker that restarts."""
        self.subscribed.clear()
        with self._lock:
            clients, self._clients = list(self._clients), {}
        for client in clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                client.close()

    def connected(self, client: socket.socket, body: bytes) -> bool:
        flags, at = body[7], 10
        at += 2 + struct.unpack_from(">H", body, at)[0]  # its name
        words: list[str | None] = []
        for mask in (0x80, 0x40):
            if flags & mask:
                length = struct.unpack_from(">H", body, at)[0]
                words.append(body[at + 2 : at + 2 + length].decode())
                at += 2 + length
            else:
                words.append(None)
        self.seen.append(Seen(words[0], words[1]))
        is_welcome = self.password in {None, words[1]}
        client.sendall(_packet(2, 0, bytes([0, 0 if is_welcome else NOT_AUTHORIZED])))
        return is_welcome

    def subscribe(self, client: socket.socket, body: bytes) -> None:
        length = struct.unpack_from(">H", body, 2)[0]
        topic = body[4 : 4 + length].decode()
        client.sendall(_packet(9, 0, body[:2] + b"\0"))
        with self._lock:
            self._clients.setdefault(client, set()).add(topic)
        if topic in self._retained:
            client.sendall(_packet(PUBLISH, 1, _text(topic) + self._retained[topic]))
        self.subscribed.set()

    def gone(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.pop(client, None)


class _Server(socketserver.ThreadingTCPServer):
    broker: Broker
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Clients that go away in the middle are what some tests are about."""


class _Session(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        broker, client = self.server.broker, self.request
        if broker.tls is not None:
            client = broker.tls.wrap_socket(client, server_side=True)
        try:
            while True:
                head = _exactly(client, 1)[0]
                body = _exactly(client, _length(client))
                kind = head >> 4
                if kind == CONNECT and not broker.connected(client, body):
                    return
                if kind == SUBSCRIBE:
                    broker.subscribe(client, body)
                elif kind == PINGREQ:
                    client.sendall(_packet(13, 0, b""))
                elif kind == DISCONNECT:
                    return
        except (ConnectionError, OSError):
            return
        finally:
            broker.gone(client)
            client.close()


def _exactly(client: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        more = client.recv(length - len(found))
        if not more:
            raise ConnectionError("the client has gone")
        found += more
    return found


def _length(client: socket.socket) -> int:
    total = shift = 0
    while True:
        byte = _exactly(client, 1)[0]
        total |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return total


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _packet(kind: int, flags: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while True:
        rest, byte = divmod(rest, 128)
        length += bytes([byte | (0x80 if rest else 0)])
        if not rest:
            return bytes([kind << 4 | flags]) + length + body
