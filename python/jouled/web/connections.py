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
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.logging import Logger
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr, wrap_app

from jouled.log import Once

# Far above any number of scrapers; the scanner needs the other descriptors.
CONNECTIONS_MAX = 256
DESCRIPTORS_SHARE = 4
# What one piece of a page, 128 KiB, may take on the way to its reader.
SEND_S = 10.0
# Longer than any scraper waits; then a client that reads by drops is cut off.
REQUEST_S = 30.0
# Above the usual scrape interval of a minute, so that a scraper keeps its connection; it is also what
# a half-sent request gets.
KEEP_ALIVE_S = 65.0
# The largest request head; a scraper's is below 1 KiB.
REQUEST_HEAD_BYTES = 16 * 1024
# Where the system has no descriptor or memory for one more connection: look again after this pause.
ACCEPT_PAUSE_S = 0.1
ACCEPT_LATER = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


class Connections:
    """All connections of a server, the one that was used last at the end."""

    def __init__(self, app: Any, *, limit: int | None = None) -> None:
        self._app = wrap_app(app, 0, "asgi")
        self._config = _hypercorn_config()
        self._context = WorkerContext(None)
        self._limit = _descriptors_limit() if limit is None else limit
        # A dictionary, because it is ordered.
        self._open: dict[_Connection, None] = {}
        self._emptied = trio.Event()
        self._problems = Once()

    def __repr__(self) -> str:
        return f"<Connections [{len(self._open)} of {self._limit}]>"

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

    async def finish(self, grace_s: float) -> None:
        """Answer what has been asked, then close; for so long at most."""
        await self._context.terminated.set()
        with trio.move_on_after(grace_s):
            while self._open:
                self._emptied = trio.Event()
                await self._emptied.wait()

    def cut(self) -> int:
        """Cut every connection. Returns how many there were."""
        for connection in self._open:
            connection.cut()
        return len(self._open)

    async def _serve(self, stream: trio.SocketStream) -> None:
        try:
            if len(self._open) >= self._limit and not self._make_room():
                return
            connection = _Connection(self._app, self._config, self._context, stream, self._used)
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

    def _make_room(self) -> bool:
        """Give up the connection that has been silent for longest: a scraper that comes back opens a
        new one, and whoever only holds connections must not keep it out.
        """
        silent = next((connection for connection in self._open if not connection.is_busy), None)
        if silent is None:
            return False
        del self._open[silent]
        silent.cut()
        return True

    def _used(self, connection: _Connection) -> None:
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None


class _Connection(TCPServer):
    """One client: HTTP/1.1 only, with an end to every send and every request."""

    def __init__(
        self,
        app: Any,
        config: Config,
        context: WorkerContext,
        stream: trio.SocketStream,
        used: Callable[[_Connection], None],
    ) -> None:
        self.is_busy = False
        self._bounded = _BoundedStream(stream)
        self._used = used
        self._scope = trio.CancelScope()
        super().__init__(app, config, context, ConnectionState({}), self._bounded)  # type: ignore[arg-type]

    async def run(self) -> None:
        endpoint = self._bounded.socket
        try:
            client = parse_socket_addr(endpoint.family, endpoint.getpeername())
            server = parse_socket_addr(endpoint.family, endpoint.getsockname())
            with self._scope:
                async with _BodilessGroup() as group:
                    self._task_group = group
                    self.protocol = _Http1(  # type: ignore[assignment]  # it wraps this one, to offer HTTP/2
                        self.app,
                        self.config,
                        self.context,
                        group,
                        ConnectionState(self.state),
                        ssl=False,
                        client=client,
                        server=server,
                        send=self.protocol_send,
                    )
                    await self.idle_task.restart(group, self._idle_timeout)
                    await self._read_data()
        except OSError:
            return  # the client left before it could be asked for its name
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            self.is_busy = not event.idle
            self._scope.deadline = trio.current_time() + REQUEST_S if self.is_busy else float("inf")
            self._used(self)
        await super().protocol_send(event)

    def cut(self) -> None:
        self._bounded.cut()
        self._scope.cancel()


class _Http1(H11Protocol):
    async def _check_protocol(self, event: Any) -> None:
        """Stays with HTTP/1.1, which every scraper speaks."""


class _BodilessGroup(TaskGroup):
    """Drops what is sent as a body: no route takes one, and a queue that nobody empties would stop
    the connection.
    """

    async def spawn_app(self, *arguments: Any) -> Callable[[Any], Awaitable[None]]:
        put = await super().spawn_app(*arguments)

        async def put_all_but_bodies(message: Any) -> None:
            if not message.get("body"):
                await put(message)

        return put_all_but_bodies


class _BoundedStream(trio.abc.HalfCloseableStream):
    """A client's stream whose sends end: a shield against cancelling does not hold off a deadline inside."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.socket = stream.socket
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with trio.move_on_after(SEND_S):
            await self._stream.send_all(data)
            return
        self.cut()
        raise trio.BrokenResourceError("the client has stopped reading")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
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


def _hypercorn_config() -> Config:
    config = Config()
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.h11_max_incomplete_size = REQUEST_HEAD_BYTES
    config.websocket_max_message_size = REQUEST_HEAD_BYTES
    config.include_server_header = False
    # One line per request would be most of the log; errors go where all our lines go.
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.logger_class = _Log
    return config


def _descriptors_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(CONNECTIONS_MAX, max(1, soft // DESCRIPTORS_SHARE)) if soft >= 0 else CONNECTIONS_MAX


def _first(error: BaseException) -> BaseException:
    """The first error itself: each nursery wraps it once more."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
