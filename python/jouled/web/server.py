"""Owns the listening sockets and serves an application on them until told to stop.

Three hazards of the server are met here. Its sends are shielded without a limit, so one client that
stops reading would keep it from ever returning: dead clients are dropped by TCP_USER_TIMEOUT, and
whoever is still connected when the grace is over is cut off. Cancelling it skips its orderly end, so
it is stopped by an event. And it reports ready before its start-up has failed, so none is done there.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import trio

from jouled.config import split_address
from jouled.errors import ConfigError
from jouled.log import log

# Pending connections: some fleets scrape all their hosts, and several tools one host, in the same second.
BACKLOG = 128
# A scraper gives up after 10 s; a connection that acknowledges nothing for so long is dead.
USER_TIMEOUT_MS = 10_000
# What a request in flight may take once the daemon stops.
GRACE_S = 1.0
# How much longer than its grace the server may take before its connections are cut.
CUT_S = 0.25
# Above the usual scrape interval of a minute, so that a scraper keeps its connection; it is also what
# a half-sent request gets.
KEEP_ALIVE_S = 65.0
# The largest request head; a scraper's is below 1 KiB.
REQUEST_HEAD_BYTES = 16 * 1024


def bind(listen: Sequence[str]) -> list[socket.socket]:
    """A listening socket for each address of each name, all of them or none."""
    with ExitStack() as undo:
        sockets = [undo.enter_context(listener) for address in listen for listener in _bind_address(address)]
        undo.pop_all()
        return sockets


def _bind_address(address: str) -> Iterator[socket.socket]:
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"listen on {address}: {error.strerror}; give an address of this host") from error
    for family, _, _, _, where in found:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            prepare(listener)
        except OSError as error:
            listener.close()
            raise ConfigError(f"listen on {address}: {error.strerror}; {_fix(error.errno)}") from error
        yield listener


def prepare(listener: socket.socket) -> None:
    """Listen with our limits; accepted connections inherit them from the listener."""
    if listener.family in {socket.AF_INET, socket.AF_INET6}:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        # Without it the end of a chunked page waits for the acknowledgement of what came before.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.listen(BACKLOG)


def _fix(code: int | None) -> str:
    return {
        errno.EADDRINUSE: "another program has this port (see `ss -ltnp`): stop it, or choose another with --listen",
        errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE: choose another with --listen",
        errno.EADDRNOTAVAIL: "no interface of this host has this address: choose another with --listen",
    }.get(code or 0, "choose another address with --listen")


def url_of(listener: socket.socket) -> str:
    """Where a browser finds it; a wildcard address is shown as this host's loopback."""
    if listener.family not in {socket.AF_INET, socket.AF_INET6}:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (shown, not bound)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(
    app: Any,
    listeners: Sequence[socket.socket],
    stop: trio.Event,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set, then for at most `GRACE_S + CUT_S` more. Closes the listeners."""
    # Imported when a server starts, not with the program: `jouled --version` needs none of it.
    from hypercorn.trio import serve as hypercorn_serve

    names = {_local_name(listener) for listener in listeners}
    # detach: from here on the server owns the descriptors and closes them.
    config = _hypercorn_config([f"fd://{listener.detach()}" for listener in listeners])
    is_done = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cut_when_late, stop, is_done, names)
        try:
            await hypercorn_serve(app, config, shutdown_trigger=stop.wait, task_status=task_status, mode="asgi")
        finally:
            is_done.set()
            nursery.cancel_scope.cancel()


def _hypercorn_config(binds: list[str]) -> Any:
    from hypercorn.config import Config

    config = Config()
    config.bind = binds
    config.graceful_timeout = GRACE_S
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.h11_max_incomplete_size = REQUEST_HEAD_BYTES
    # HTTP/2 is not offered to scrapers; these bound a client that speaks it unasked.
    config.h2_max_concurrent_streams = 10
    config.h2_max_header_list_size = REQUEST_HEAD_BYTES
    config.websocket_max_message_size = REQUEST_HEAD_BYTES
    config.include_server_header = False
    # One line per request would be most of the log; errors go where all our lines go.
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


async def _cut_when_late(stop: trio.Event, is_done: trio.Event, names: set[object]) -> None:
    """Cuts the connections that keep the server from ending, also where it was cancelled."""
    try:
        await stop.wait()
    finally:
        with trio.move_on_after(GRACE_S + CUT_S, shield=True):
            await is_done.wait()
        if not is_done.is_set():
            count = cut_connections(names)
            log.info("connections cut at exit: their clients had stopped reading", connections=count)


def cut_connections(names: set[object]) -> int:
    """Shuts down every accepted connection of these listeners. The server keeps its connections to
    itself, so they are found among this process's descriptors, by their local name.
    """
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        fd = int(entry.name)
        with suppress(OSError):  # the descriptor was closed meanwhile, or its peer has just gone
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            with socket.socket(fileno=os.dup(fd)) as connection:
                is_listener = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                if not is_listener and _local_name(connection) in names:
                    connection.shutdown(socket.SHUT_RDWR)
                    count += 1
    return count


def _local_name(endpoint: socket.socket) -> object:
    """What an accepted connection has in common with its listener: the port, or the path."""
    if endpoint.family in {socket.AF_INET, socket.AF_INET6}:
        return endpoint.getsockname()[1]
    return endpoint.getsockname() if endpoint.family == socket.AF_UNIX else None
