"""Talks to systemd: ready, status, stopping, watchdog, and the sockets it opened for us.

Without systemd nothing here does anything, and its library is not even imported.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from jouled.model import Snapshot

# The first file descriptor that systemd hands over, by sd_listen_fds(3).
FIRST_SOCKET_FD = 3


def notify(**fields: str | int) -> None:
    """Send sd_notify(3) fields: `notify(READY=1, STATUS="measuring")`."""
    if not os.environ.get("NOTIFY_SOCKET"):
        return
    from systemd import daemon

    daemon.notify("\n".join(f"{name}={value}" for name, value in fields.items()))


def watchdog_fields(period_s: float, environ: Mapping[str, str] = os.environ) -> dict[str, int]:
    """What makes the watchdog longer where the unit's own is too short for this scan period.

    A ping comes only after a completed tick, so a watchdog shorter than a few periods would kill a
    healthy daemon.
    """
    asked_us = environ.get("WATCHDOG_USEC", "")
    needed_us = int(3 * period_s * 1_000_000)
    if not asked_us.isdigit() or int(asked_us) >= needed_us:
        return {}
    return {"WATCHDOG_USEC": needed_us}


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
    count = int(environ.get("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=fd) for fd in range(FIRST_SOCKET_FD, FIRST_SOCKET_FD + count)]
    for listener in sockets:
        listener.set_inheritable(False)
    return sockets
