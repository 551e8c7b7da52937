"""Where `joulectl` gets snapshots from: the daemon, a scanner of its own, or a captured host."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

import jouled
from jouled import wire
from jouled.client import Client, DaemonError, DeniedError, NotRunningError
from jouled.errors import JouledError, ScanError
from jouled.model import Scanner, Snapshot
from jouled.rows import Host, Selection, snapshot_of

# The first interval of a scanner of our own is short, so that there is something to see.
FIRST_INTERVAL_S = 0.5
DEFAULT_INTERVAL_S = 2.0
# How long a daemon that has gone is left alone before it is asked again.
RETRY_S = 2.0
# More rows of a level than anybody scrolls through; what is left out has its line.
ROWS_MAX = 5000


class Trouble(NamedTuple):
    """No snapshot, and why; the next one may come."""

    text: str


class Source(NamedTuple):
    """Snapshots, without end if `is_live`; or one of them. `via` says from where, `warning` what to know of them."""

    via: str
    snapshots: Callable[[], Iterator[wire.Snapshot | Trouble]]
    once: Callable[[], wire.Snapshot]
    warning: str = ""
    is_live: bool = True


class Request(NamedTuple):
    """What is wanted: levels (None: all), and the time between snapshots (None: what the daemon does)."""

    levels: tuple[str, ...] | None = None
    interval_s: float | None = None


def of_daemon(client: Client, request: Request) -> Source:
    """The daemon's snapshots. Raises DaemonError where none answers."""
    first = client.snapshot(request.levels, limit=ROWS_MAX)

    def snapshots() -> Iterator[wire.Snapshot | Trouble]:
        yield first
        # The stream begins with the latest snapshot, which may be the one that is shown.
        shown_s = first.time_seconds
        while True:
            try:
                for snapshot in client.stream(request.levels, limit=ROWS_MAX, interval_s=request.interval_s):
                    if snapshot.time_seconds != shown_s:
                        shown_s = snapshot.time_seconds
                        yield snapshot
            except DaemonError as error:
                yield Trouble(str(error))
            time.sleep(RETRY_S)

    return Source(client.url, snapshots, lambda: first)


def here(request: Request, procfs: str = "/proc", sysfs: str = "/sys") -> Source:
    """A scanner in this process. Raises UnsupportedError, ScanError."""
    scanner = scanner_of(request, procfs, sysfs)
    interval_s = request.interval_s or DEFAULT_INTERVAL_S
    who = "as root" if os.geteuid() == 0 else f"as uid {os.geteuid()}"

    def snapshots() -> Iterator[wire.Snapshot | Trouble]:
        scanner.tick()
        due_s = time.monotonic() + min(FIRST_INTERVAL_S, interval_s)
        while True:
            time.sleep(max(0.0, due_s - time.monotonic()))
            try:
                yield wired(scanner.tick(), scanner, platform.node())
            except ScanError as error:
                yield Trouble(str(error))
            due_s = max(due_s + interval_s, time.monotonic())

    def once() -> wire.Snapshot:
        scanner.tick()
        time.sleep(interval_s)
        return wired(scanner.tick(), scanner, platform.node())

    return Source(f"a scan of its own {who}", snapshots, once, " ".join(scanner.notices()))


class Capture(NamedTuple):
    """Two states of a host: `advance` puts the second one in place, which was taken at `taken_s` (UTC)."""

    name: str
    procfs: str
    sysfs: str
    advance: Callable[[], bool]
    taken_s: float


def captured(request: Request, capture: Capture) -> Source:
    """The one interval between the two states of a captured host."""
    scanner = scanner_of(request, capture.procfs, capture.sysfs)

    def once() -> wire.Snapshot:
        scanner.tick()
        if not capture.advance():
            raise JouledError(f"{capture.name}: one state only, and watts need two; make it anew with joulectl capture")
        shown = wired(scanner.tick(), scanner, capture.name)
        zones = tuple(
            msgspec.structs.replace(zone, path=zone.path.replace(capture.sysfs, "/sys")) for zone in shown.zones
        )
        return msgspec.structs.replace(shown, time_seconds=capture.taken_s, zones=zones)

    def snapshots() -> Iterator[wire.Snapshot | Trouble]:
        yield once()

    return Source("a captured host", snapshots, once, " ".join(scanner.notices()), is_live=False)


def scanner_of(request: Request, procfs: str, sysfs: str) -> Scanner:
    from jouled._core import Scanner as CoreScanner

    return CoreScanner(procfs=procfs, sysfs=sysfs, levels=None if request.levels is None else list(request.levels))


def wired(snapshot: Snapshot, scanner: Scanner, hostname: str) -> wire.Snapshot:
    """A snapshot of our own as the daemon would give it."""
    host = Host(jouled.__version__, hostname, scanner.source)
    return snapshot_of(host, snapshot, Selection(None, "watts", ROWS_MAX))


def choose(url: str | None, request: Request) -> Source:
    """The daemon; a scan of our own where none runs, unless one was named."""
    client = Client(url)
    try:
        return of_daemon(client, request)
    except (NotRunningError, DeniedError) as error:
        if url is not None:
            raise
        source = here(request)
        # Without a daemon that is as it should be; one that may not be read is worth a word.
        said = str(error) if isinstance(error, DeniedError) else ""
        return source._replace(warning="; ".join(filter(None, (said, source.warning))))


@contextmanager
def opened(url: str | None, root: str | None, request: Request) -> Iterator[Source]:
    """The source that the command line asks for; a captured host is unpacked for as long as it is open."""
    if root is None:
        yield choose(url, request)
        return
    from jouled.cli import replay

    with replay.host(root) as host:
        taken_s = (
            0.0 if host.manifest is None else host.manifest.captured_seconds + (host.manifest.interval_seconds or 0)
        )
        capture = Capture(Path(root).name, host.procfs, host.sysfs, host.advance, taken_s)
        yield captured(request, capture)
