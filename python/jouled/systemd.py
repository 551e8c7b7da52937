"""Talks to systemd: ready, status, stopping, watchdog, and the sockets it opened for us.

Without systemd nothing here does anything, and its library is not even imported.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

from jouled.errors import ConfigError
from jouled.model import Snapshot

# The first file descriptor that systemd hands over, by sd_listen_fds(3).
FIRST_SOCKET_FD = 3

# What has been said already.
problems: set[str] = set()


def notify(**fields: str | int) -> None:
    """Send sd_notify(3) fields: `notify(READY=1, STATUS="measuring")`.

    What cannot be sent is left out: measuring goes on where a socket that was inherited is gone.
    """
    if not os.environ.get("NOTIFY_SOCKET"):
        return
    from systemd.daemon import notify as send

    try:
        send("\n".join(f"{name}={value}" for name, value in fields.items()))
    except OSError as error:
        problem = f"notify {os.environ['NOTIFY_SOCKET']}: {error.strerror}; systemd hears nothing of this daemon"
        if problem not in problems:
            problems.add(problem)
            logging.getLogger(__name__).warning(problem)


def reloading(now_ns: int | None = None) -> None:
    """Settings are being read again; `READY=1` ends it. Newer systemd asks for the time of this message."""
    moment_ns = time.monotonic_ns() if now_ns is None else now_ns
    notify(RELOADING=1, MONOTONIC_USEC=moment_ns // 1000)


def watchdog_fields(period_s: float, environ: Mapping[str, str] = os.environ) -> dict[str, int]:
    """The watchdog that holds at this scan period: the unit's own, or three periods if that is longer.

    A ping comes only after a completed tick, so a watchdog shorter than a few periods would kill a
    healthy daemon.
    """
    asked_us = environ.get("WATCHDOG_USEC", "")
    if not asked_us.isascii() or not asked_us.isdigit():
        return {}
    return {"WATCHDOG_USEC": max(int(asked_us), int(3 * period_s * 1_000_000))}


def status_line(snapshot: Snapshot) -> str:
    """One line for `systemctl status`."""
    watts = (
        ", ".join(f"{name} {value:.1f} W" for name, value in sorted(snapshot.watts.items())) or "no zone has a reading"
    )
    scan = snapshot.scan
    return f"{watts}; {scan.processes} processes in {scan.cgroups} cgroups; scan {scan.seconds * 1e3:.1f} ms"


def inherited_sockets(environ: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets of `jouled.socket`, empty where this process was started without it."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    asked = environ.get("LISTEN_FDS", "0")
    if not asked.isascii() or not asked.isdigit():
        raise ConfigError(f"LISTEN_FDS={asked}: not a number; start jouled by its units")
    return [_inherited(fd) for fd in range(FIRST_SOCKET_FD, FIRST_SOCKET_FD + int(asked))]


def _inherited(fd: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=fd)
    except OSError as error:
        raise ConfigError(
            f"LISTEN_FDS: descriptor {fd}: {error.strerror}; jouled.socket may open sockets only"
        ) from error
    if listener.type != socket.SOCK_STREAM:
        listener.close()
        raise ConfigError(f"LISTEN_FDS: descriptor {fd} is not a stream; write ListenStream= in jouled.socket")
    listener.set_inheritable(False)
    return listener
