"""The clients' connections: hypercorn's HTTP/1.1 inside limits of our own.

On its own, hypercorn accepts without end, speaks HTTP/2 to whoever asks and ends with any error that a
request can cause there; it shields its sends, so a client that reads by drops is never given up; and a
request body that nobody reads stops its connection for good.
"""

from __future__ import annotations

import errno
import logging
import resource
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

import h11
import msgspec
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.logging import Logger
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr, wrap_app

from jouled.config import Limits
from jouled.log import Once
from jouled.web.access import Policy, peer_uid
from jouled.web.bodies import Bodies, GatheringGroup
from jouled.web.peer import Peer, Slots, no_room
from jouled.wire.problems import CODES, Problem

# The scanner needs the other descriptors.
DESCRIPTORS_SHARE = 4
# Streams of a listener: each costs the encoding of what only it asks for, at every tick.
STREAMS_MAX = 32
# More than any client needs, also one far away with a slow processor.
HANDSHAKE_S = 10.0
# Below the patience of proxies. Who has gone without a word is found out by the sends themselves.
PING_S = 20.0
# For a client that is answered while it still sends: closed at once, it would hear of that and not of the answer.
LINGER_S = 2.0
# Where the system has no descriptor or memory for one more connection: look again after this pause.
ACCEPT_PAUSE_S = 0.1
ACCEPT_LATER = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
# Of what cannot be read as a request.
WORDS = {
    400: "this is no request of HTTP/1.1",
    431: "the request's head is too large; shorten its path, query or headers",
    501: "this transfer encoding is not taken; give Content-Length",
}

# The client's and the server's address, where they have one.
Names: TypeAlias = tuple[tuple[str, int] | None, tuple[str, int] | None]
AnyStream: TypeAlias = "trio.SocketStream | trio.SSLStream[trio.SocketStream]"


class Connections:
    """All connections of one listener, in the order in which they began to wait for their clients."""

    def __init__(
        self, app: Any, policy: Policy, tls: ssl.SSLContext | None = None, *, bodies: Bodies | None = None
    ) -> None:
        self.app = wrap_app(app, 0, "asgi")
        self.bodies = bodies or Bodies()
        self.context = WorkerContext(None)
        self._streams = Slots(0)
        # A dictionary, because it is ordered.
        self._open: dict[_Connection, None] = {}
        self._emptied = trio.Event()
        self._problems = Once()
        self.tls: ssl.SSLContext | None = None
        self.make_room_for_answer: Callable[[], bool] = no_room
        self.configure(policy, tls)

    def __repr__(self) -> str:
        return f"<Connections [{len(self._open)} of {self._limit}]>"

    def configure(self, policy: Policy, tls: ssl.SSLContext | None = None) -> None:
        """Certificates and limits for connections from now on; who may read what for those there are, too."""
        # Whom a client's certificate let in was asked at the handshake only.
        is_by_certificate = any(context and context.verify_mode == ssl.CERT_REQUIRED for context in (self.tls, tls))
        self._policy = policy
        for connection in self._open:
            connection.adopt(policy, is_last=is_by_certificate or (self.tls is None) != (tls is None))
        self.tls = tls
        self.config = _hypercorn_config(policy.listener.limits)
        self._limit = min(policy.listener.limits.connections, _descriptors_share())
        # Streams leave room for those who only come and go.
        self._streams.limit = min(STREAMS_MAX, max(1, self._limit // 2))

    async def accept_from(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        """Take connections in until cancelled. Closes the listener."""
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in ACCEPT_LATER:
                        raise
                    self._problems.warning(f"accept a connection: {error.strerror}; raise LimitNOFILE= of this service")
                    self._make_room()
                    await trio.sleep(ACCEPT_PAUSE_S)
                    continue
                nursery.start_soon(self._serve, stream)

    async def finish(self) -> None:
        """Answer what has been asked, then close. Returns when all are gone."""
        await self.context.terminated.set()
        while self._open:
            self._emptied = trio.Event()
            await self._emptied.wait()

    def cut(self) -> int:
        """Cut every connection. Returns how many there were."""
        for connection in self._open:
            connection.cut()
        return len(self._open)

    def slowest_reader(self) -> _Connection | None:
        """The one that has kept an answer waiting for longest; streams have their own bound."""
        kept = (connection for connection in self._open if connection.is_busy and not connection.is_stream)
        return next((connection for connection in kept if connection.waits_since_s is not None), None)

    async def _serve(self, stream: trio.SocketStream) -> None:
        try:
            if len(self._open) >= self._limit and not self._make_room():
                return
            connection = self._connection(stream)
            if connection is None:
                return
            self._open[connection] = None
            try:
                await connection.run()
            except Exception as error:  # noqa: BLE001  (a request must not end the daemon, whatever is in it)
                first = _first(error)
                self._problems.warning(f"a connection failed: {type(first).__name__}", first)
            finally:
                self._open.pop(connection, None)
                if not self._open:
                    self._emptied.set()
        finally:
            await trio.aclose_forcefully(stream)

    def _connection(self, stream: trio.SocketStream) -> _Connection | None:
        endpoint = stream.socket
        try:
            client = parse_socket_addr(endpoint.family, endpoint.getpeername())
            server = parse_socket_addr(endpoint.family, endpoint.getsockname())
            uid = peer_uid(endpoint)  # type: ignore[arg-type]  # it has the methods of one
        except OSError:
            return None  # the client left before it could be asked for its name
        peer = Peer(
            self._policy,
            streams=self._streams,
            uid=uid,
            address=client[0] if client else "",
            make_room=self.make_room_for_answer,
        )
        return _Connection(self, stream, peer, (client, server))

    def _make_room(self) -> bool:
        """Give up the connection whose client has been waited for longest, be it for a request or for
        reading the answer: a scraper that comes back opens a new one, and whoever only holds
        connections must not keep it out.
        """
        waiting = next((connection for connection in self._open if connection.waits_since_s is not None), None)
        if waiting is None:
            return False
        del self._open[waiting]
        waiting.cut()
        return True

    def moved(self, connection: _Connection) -> None:
        """It has just begun to wait."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None


class _Connection(TCPServer):
    """One client: HTTP/1.1 only, with an end to every send and every request."""

    def __init__(self, room: Connections, stream: trio.SocketStream, peer: Peer, names: Names) -> None:
        self.is_busy = False
        self.is_stream = False
        self._is_last = False
        self.waits_since_s: float | None = trio.current_time()
        self._limits = peer.policy.listener.limits
        self._names = names
        self._peer = peer
        self._room = room
        self._scope = trio.CancelScope()
        peer.lasts = self._lasts
        self._secured: trio.SSLStream[trio.SocketStream] | None = None
        if room.tls is not None:
            self._secured = trio.SSLStream(stream, room.tls, server_side=True, https_compatible=True)
        self._bounded = _BoundedStream(
            self._secured or stream, stream.socket, self._limits, waits=self._waits, begins=self._begins
        )
        state = ConnectionState({"peer": peer})
        super().__init__(room.app, room.config, room.context, state, self._bounded)  # type: ignore[arg-type]

    async def run(self) -> None:
        try:
            with self._scope:
                if self._secured is not None and not await self._shake_hands(self._secured):
                    return
                group = GatheringGroup(self._room.bodies)
                async with group:
                    self._task_group = group
                    self.protocol = _Http1(  # type: ignore[assignment]  # it wraps this one, to offer HTTP/2
                        self.app,
                        self.config,
                        self.context,
                        group,
                        ConnectionState(self.state),
                        ssl=self._secured is not None,
                        client=self._names[0],
                        server=self._names[1],
                        send=self.protocol_send,
                    )
                    await self.idle_task.restart(group, self._idle_timeout)
                    await self._read_data()
                    group.pings.cancel()
        finally:
            await self._close()

    async def _shake_hands(self, secured: trio.SSLStream[trio.SocketStream]) -> bool:
        with trio.move_on_after(HANDSHAKE_S):
            try:
                await secured.do_handshake()
            except trio.BrokenResourceError:
                return False  # it speaks something else, trusts other certificates, or has gone
            return True
        return False

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            self.is_busy = not event.idle
            self.is_stream = False
            if not self.is_busy:
                self._scope.deadline = float("inf")
            self._waits(not self.is_busy)
            if self._is_last and not self.is_busy:
                self.cut()
        elif isinstance(event, Closed) and self._is_sent_to and not self._room.context.terminated.is_set():
            if not self._bounded.is_dropping:
                self._bounded.is_dropping = True
                self._waits(True)
                self._task_group.spawn(self._linger)
            return
        await super().protocol_send(event)

    @property
    def _is_sent_to(self) -> bool:
        """Whether more of a request is under way, be it one that could not be read."""
        connection = getattr(self.protocol, "connection", None)
        return getattr(connection, "their_state", None) in {h11.SEND_BODY, h11.ERROR}

    async def _linger(self) -> None:
        """What comes is dropped until the client has gone, but not for long."""
        with suppress(trio.BrokenResourceError, trio.BusyResourceError, trio.ClosedResourceError):
            await self._bounded.send_eof()
        await trio.sleep(LINGER_S)
        await super().protocol_send(Closed())

    def adopt(self, policy: Policy, *, is_last: bool) -> None:
        """What is asked from now on is asked under this policy; nothing more is where `is_last`."""
        self._peer.policy = policy
        self._is_last |= is_last
        if self._is_last and (not self.is_busy or self.is_stream):
            self.cut()

    def cut(self) -> None:
        self._bounded.cut()
        self._scope.cancel()

    def _begins(self) -> None:
        """The first bytes of a request are there: from now on there is an end to it and to its answer."""
        if self._scope.deadline == float("inf") and not self.is_stream:
            self._scope.deadline = trio.current_time() + self._limits.request_s

    def _lasts(self) -> None:
        """The answer is a stream: it ends when its client goes, or does not read."""
        self.is_stream = True
        self._scope.deadline = float("inf")

    def _waits(self, is_waiting: bool) -> None:
        self.waits_since_s = trio.current_time() if is_waiting else None
        if is_waiting:
            self._room.moved(self)


class _Http1(H11Protocol):
    _head = b""

    async def _send_h11_event(self, event: Any) -> None:
        """A head whose body is to follow goes with it, and nothing is no message: each send costs as much
        as the making of a small answer.
        """
        try:
            data = self._head + self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        is_begin = isinstance(event, h11.Response) and any(name == b"content-length" for name, _ in event.headers)
        self._head = data if is_begin else b""
        if data and not is_begin:
            await self.send(RawData(data=data))

    async def _check_protocol(self, event: Any) -> None:
        """Stays with HTTP/1.1, which every scraper speaks."""

    async def _create_stream(self, request: h11.Request) -> None:
        """A WebSocket without compression: it would cost 300 KiB for each, and a message that is small on
        the wire could be a thousand times as large here.
        """
        headers = [(name, value) for name, value in request.headers if name != b"sec-websocket-extensions"]
        if len(headers) < len(request.headers):
            request = h11.Request(
                method=request.method, target=request.target, headers=headers, http_version=request.http_version
            )
        await super()._create_stream(request)

    async def _send_error_response(self, status_code: int) -> None:
        """What is no request gets an answer in the form that all refusals have."""
        words = WORDS.get(status_code, WORDS[400])
        body = msgspec.json.encode(Problem(CODES.get(status_code, "error"), words)) + b"\n"
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        headers += self.config.response_headers("h11")
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


class _BoundedStream(trio.abc.HalfCloseableStream):
    """A client's stream whose sends end: a shield against cancelling does not hold off a deadline inside."""

    def __init__(
        self,
        stream: AnyStream,
        endpoint: trio.socket.SocketType,
        limits: Limits,
        *,
        waits: Callable[[bool], None],
        begins: Callable[[], None],
    ) -> None:
        self.socket = endpoint
        self._stream = stream
        self._limits = limits
        self._waits = waits
        self._begins = begins
        # Whether nobody wants what comes.
        self.is_dropping = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._waits(True)
        try:
            with trio.move_on_after(self._limits.send_s):
                await self._stream.send_all(data)
                return
        finally:
            self._waits(False)
        self.cut()
        raise trio.BrokenResourceError("the client has stopped reading")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        # A head in one piece is parsed before its size is looked at.
        most = self._limits.head_bytes if max_bytes is None else min(max_bytes, self._limits.head_bytes)
        received = await self._stream.receive_some(most)
        while received and self.is_dropping:
            received = await self._stream.receive_some(most)
        if received:
            self._begins()
        return received

    async def send_eof(self) -> None:
        if isinstance(self._stream, trio.SocketStream):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        # TLS says goodbye, which a client that does not read can hold up; cancelled, it closes all the same.
        with trio.move_on_after(self._limits.send_s):
            await self._stream.aclose()

    def cut(self) -> None:
        """Ends a send that is under way, too."""
        with suppress(OSError):  # the client has just gone
            self.socket.shutdown(socket.SHUT_RDWR)


class _Log(Logger):
    """Says once what a request can cause again and again."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._problems = Once()

    async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002  (the shape is given)
        error = sys.exception()
        self._problems.warning(f"a request failed: {type(error).__name__}", error)


def _hypercorn_config(limits: Limits) -> Config:
    config = Config()
    # A half-sent request gets no more than a connection that keeps silent.
    config.keep_alive_timeout = limits.idle_s
    config.h11_max_incomplete_size = limits.head_bytes
    config.websocket_max_message_size = limits.head_bytes
    config.websocket_ping_interval = PING_S
    config.include_server_header = False
    # One line per request would be most of the log; errors go where all our lines go.
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.logger_class = _Log
    return config


def _descriptors_share() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft // DESCRIPTORS_SHARE) if soft >= 0 else sys.maxsize


def _first(error: BaseException) -> BaseException:
    """The first error itself: each nursery wraps it once more."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
