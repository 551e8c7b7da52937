"""The places where the daemon listens: TCP and Unix sockets, our own or those that systemd opened."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from jouled.config import UNIX, Listener, split_address
from jouled.errors import ConfigError
from jouled.log import log
from jouled.web import unix_socket
from jouled.web.gate import Gate

# Pending connections: some fleets scrape all their hosts, and several tools one host, in the same second;
# and where a Unix socket has more, clients with a time-out are sent away instead of waiting.
BACKLOG = 1024
# A scraper gives up after 10 s; a connection that acknowledges nothing for so long is dead.
USER_TIMEOUT_MS = 10_000
# Errors that mean: this host does not have this address.
NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class Place:
    """A listening socket, and who may read what there. Raises ConfigError as `configure` does."""

    def __init__(self, listener: Listener, listening: socket.socket, *, is_inherited: bool = False) -> None:
        self.socket = listening
        self._path = None
        if is_unix(listening) and not is_inherited:
            self._path = unix_socket.OwnPath(listening.getsockname())
        self.configure(listener)

    def __repr__(self) -> str:
        return f"<Place {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Also takes the path of a Unix socket away, where it is still ours."""
        if self._path is not None:
            self._path.remove()
        self.socket.close()

    def configure(self, listener: Listener) -> None:
        """For connections from now on. Raises ConfigError for a certificate or a secret that is none;
        nothing has changed then.
        """
        gate = Gate(listener)
        tls = None
        if listener.tls is not None:
            from jouled.web.tls import context_of

            tls = context_of(listener.tls)
        self.listener, self.gate, self.tls = listener, gate, tls

    @property
    def url(self) -> str:
        """Where a client finds it; a wildcard address is shown as this host's loopback."""
        if is_unix(self.socket):
            return f"{UNIX}{path_of(self.socket)}"
        scheme = "https" if self.listener.tls else "http"
        host, port = self.socket.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (shown, not bound)
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def page_url(self) -> str:
        """What goes into a browser, or the socket."""
        return self.url if is_unix(self.socket) else f"{self.url}/metrics"


def is_unix(listening: socket.socket) -> bool:
    return listening.family == socket.AF_UNIX


def path_of(listening: socket.socket) -> str:
    """A Unix socket's; an abstract one has a name with a zero byte in front."""
    name = listening.getsockname()
    return os.fsdecode(name).replace("\0", "@")


def open_all(listeners: Sequence[Listener], inherited: Sequence[socket.socket] = ()) -> list[Place]:
    """All of them or none. Sockets that systemd opened stand for all listeners of their kind, TCP or
    Unix; those whose address is in the settings have that listener's limits, secrets and certificate.
    """
    with ExitStack() as undo:
        for listening in inherited:
            undo.enter_context(listening)
        places = _inherited(listeners, inherited)
        taken = {is_unix(listening) for listening in inherited}
        for listener in listeners:
            if listener.address.startswith(UNIX) in taken:
                _say_left_out(listener, places)
                continue
            our_ports = {place.socket.getsockname()[1] for place in places if not is_unix(place.socket)}
            places += map(undo.enter_context, _open(listener, our_ports))
        undo.pop_all()
        return places


def _say_left_out(listener: Listener, places: Sequence[Place]) -> None:
    if not any(place.listener is listener for place in places):
        bare = listener.address.removeprefix(UNIX)
        if listener.tls or listener.users or listener.tokens:
            # What systemd opened in its place would be open to everybody.
            raise ConfigError(
                f"listen on {listener.address}: guarded by the settings, and systemd opened other addresses in its "
                f"place; give jouled.socket ListenStream={bare}, or leave TCP addresses out there"
            )
        log.warning(f"listen on {listener.address}: left to jouled.socket; add ListenStream={bare} there")


def _open(listener: Listener, our_ports: set[int]) -> Iterator[Place]:
    if listener.address.startswith(UNIX):
        listening = unix_socket.bind(listener.address.removeprefix(UNIX))
        place = Place(listener, listening)
        prepare(listening)
        yield place
        return
    for listening in _bind_address(listener.address, our_ports):
        yield Place(listener, listening)


def _inherited(listeners: Sequence[Listener], inherited: Sequence[socket.socket]) -> list[Place]:
    places = []
    for listening in inherited:
        prepare(listening)
        match = next((listener for listener in listeners if _is_at(listening, listener.address)), None)
        place = Place(match or Listener(_address_of(listening)), listening, is_inherited=True)
        if match is None and not is_unix(listening):
            log.warning(f"{place.url}: opened by systemd and not in listen: everybody who reaches it may read")
        places.append(place)
    return places


def _address_of(listening: socket.socket) -> str:
    if is_unix(listening):
        return f"{UNIX}{path_of(listening)}"
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_at(listening: socket.socket, address: str) -> bool:
    if address.startswith(UNIX):
        return is_unix(listening) and path_of(listening) == str(Path(address.removeprefix(UNIX)))
    if is_unix(listening):
        return False
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host, port, listening.family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    return any(where[:2] == listening.getsockname()[:2] for *_, where in found)


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
