"""Owns the listening sockets and serves an application on them until told to stop."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
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
# Errors that mean: this host does not have this address.
NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def bind(listen: Sequence[str]) -> list[socket.socket]:
    """A listening socket for each address, all of them or none."""
    with ExitStack() as undo:
        sockets: list[socket.socket] = []
        for address in listen:
            our_ports = {ours.getsockname()[1] for ours in sockets}
            sockets += map(undo.enter_context, _bind_address(address, our_ports))
        undo.pop_all()
        return sockets


def _bind_address(address: str, our_ports: set[int]) -> Iterator[socket.socket]:
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no host can have this name"
        raise ConfigError(f"listen on {address}: {reason}; give an address of this host") from error
    missing: OSError | None = None
    is_bound = False
    for family, _, _, _, where in found:
        try:
            listener = _listener_at(family, where)
        except OSError as error:
            # `localhost` has an IPv6 address in /etc/hosts also where the host has no IPv6.
            if error.errno not in NOT_HERE or len(found) == 1:
                raise _refusal(address, error, is_ours=port in our_ports) from error
            missing = error
            continue
        is_bound = True
        yield listener
    if not is_bound and missing is not None:
        raise _refusal(address, missing, is_ours=False) from missing


def _listener_at(family: int, where: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        prepare(listener)
    except OSError:
        listener.close()
        raise
    return listener


def prepare(listener: socket.socket) -> None:
    """Listen with our limits; accepted connections inherit them from the listener."""
    if listener.family in {socket.AF_INET, socket.AF_INET6}:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        # Without it the end of a chunked page waits for the acknowledgement of what came before.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.listen(BACKLOG)


def _refusal(address: str, error: OSError, *, is_ours: bool) -> ConfigError:
    fixes = {
        errno.EADDRINUSE: "another program has this port (see `ss -ltnp`): stop it, or choose another with --listen",
        errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE: choose another with --listen",
        errno.EADDRNOTAVAIL: "no interface of this host has this address: choose another with --listen",
        errno.EAFNOSUPPORT: "this host has no such addresses: choose another with --listen",
    }
    fix = fixes.get(error.errno or 0, "choose another address with --listen")
    if is_ours and error.errno == errno.EADDRINUSE:
        fix = "another --listen has it already; [::] takes IPv4 in, too"
    return ConfigError(f"listen on {address}: {error.strerror}; {fix}")


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
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set, then for at most `GRACE_S` more. Closes the listeners."""
    # Imported when a server starts, not with the program: `jouled --version` needs none of it.
    from jouled.web.connections import Connections

    connections = Connections(app)
    async with trio.open_nursery() as clients:
        try:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    trio_listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
                    accepting.start_soon(connections.accept_from, trio_listener, clients)
                task_status.started()
                await stop.wait()
                accepting.cancel_scope.cancel()
            await connections.finish(GRACE_S)
        finally:
            if count := connections.cut():
                log.info("connections cut at exit: their clients had stopped reading", connections=count)
            clients.cancel_scope.cancel()
