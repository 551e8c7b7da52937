"""The tree of nurseries: who starts, in what order, who stops first. Read this first."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NoReturn

import trio

from jouled import systemd
from jouled.config import Config
from jouled.errors import ConfigError, JouledError
from jouled.feed import Feed
from jouled.log import log
from jouled.log import set_up as set_up_log
from jouled.model import Scanner, Snapshot
from jouled.sampler import SCAN_THREAD, Sampler, scan_in_thread
from jouled.web import server

EXIT_OK = 0
EXIT_CRASH = 1
EXIT_REFUSED = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT


async def run(config: Config, scanner: Scanner, listeners: Sequence[socket.socket]) -> None:
    """The daemon's life: sinks outside, sources inside.

    A signal cancels the sources; then the feed closes, and the sinks end on their own, the web room
    last. A source that fails takes the same road, and its error ends the daemon.
    """
    from jouled.web.app import App
    from jouled.web.metrics import OwnMetrics
    from jouled.web.page import Page

    feed: Feed[Snapshot] = Feed()
    sampler = Sampler(scan_in_thread(scanner), feed, period_s=config.interval_s)
    metrics = OwnMetrics(sampler, source=scanner.source)
    sampler.on_snapshot = metrics.observe
    app = App(Page(feed, metrics.render), sampler)
    urls = [server.url_of(listener) for listener in listeners]
    stop = trio.Event()

    stopping = trio.CancelScope()

    async with trio.open_nursery() as signals:
        await signals.start(stop_on_signal, stopping)
        async with trio.open_nursery() as sinks:
            try:
                with stopping:
                    async with trio.open_nursery() as sources:
                        await sinks.start(server.serve, app, listeners, stop)
                        sinks.start_soon(tell_systemd, feed)
                        await sources.start(sampler.run)
                        systemd.notify(READY=1, **systemd.watchdog_fields(config.interval_s))
                        log.info(
                            " ".join(f"{url}/metrics" for url in urls),
                            source=scanner.source,
                            interval=f"{config.interval_s:g}s",
                        )
                systemd.notify(STOPPING=1)
            finally:
                feed.close()
                stop.set()
        signals.cancel_scope.cancel()


async def stop_on_signal(
    stopping: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The first signal stops the daemon in order. Further ones change nothing: the order takes two
    seconds at most, and one that is broken off gives nothing back.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            if not stopping.cancel_called:
                name = signal.Signals(number).name
                log.info("stopping", signal=name)
                stopping.cancel(reason=name)


async def tell_systemd(feed: Feed[Snapshot]) -> None:
    """Only a completed tick pings the watchdog: a daemon that no longer measures is restarted."""
    async for snapshot in feed.subscribe():
        systemd.notify(WATCHDOG=1, STATUS=systemd.status_line(snapshot))


def main(config: Config, open_scanner: Callable[[Config], Scanner] | None = None) -> int:
    """Everything that can be refused is refused before anything starts. Returns the exit code."""
    set_up_log(config.log.level, config.log.format)
    raise_open_files()
    try:
        start(config, open_scanner or open_host)
    except KeyboardInterrupt:  # Ctrl-C before the daemon listens for it
        return EXIT_INTERRUPTED
    except BaseException as error:  # noqa: BLE001  (the last edge: a panic of the extension is one too)
        return say_why(error)
    return EXIT_OK


def leave(code: int) -> NoReturn:
    """Ends the process, also while a scan is left behind in its thread: the interpreter's own end
    would be pulled from under the extension, should the scan come back meanwhile.
    """
    if any(thread.name == SCAN_THREAD for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


def start(config: Config, open_scanner: Callable[[Config], Scanner]) -> None:
    """Opens what the daemon needs, all of it before anything runs; then runs it."""
    with ExitStack() as undo:
        inherited = systemd.inherited_sockets()
        for listener in inherited:
            server.prepare(listener)
        listeners = inherited or server.bind([listener.address for listener in config.listeners])
        for listener in listeners:
            undo.enter_context(listener)
        scanner = open_scanner(config)
        for notice in scanner.notices():
            log.warning(notice)
        trio.run(run, config, scanner, listeners)


def say_why(error: BaseException) -> int:
    """One line for what the operator can mend, a traceback for what we must. Returns the exit code.

    A panic of the Rust extension is a BaseException, and ends here too.
    """
    errors = leaves(error)
    for leaf in errors:
        if isinstance(leaf, JouledError):
            log.error(str(leaf))
        else:
            log.critical("the daemon failed", exc_info=leaf)
    return EXIT_REFUSED if all(isinstance(leaf, JouledError) for leaf in errors) else EXIT_CRASH


def open_host(config: Config) -> Scanner:
    """The scanner of this host, as the configuration wants it."""
    from jouled._core import Scanner as HostScanner

    try:
        return HostScanner(
            procfs=config.procfs,
            sysfs=config.sysfs,
            meters=list(config.meters),
            zones=list(config.zones),
            levels=None if config.levels is None else list(config.levels),
            top=config.top,
            idle=config.idle,
            terminated_s=float(config.terminated.age_s),
            terminated_max=config.terminated.max,
            estimate_idle_w=config.estimate.idle_w,
            estimate_max_w=config.estimate.max_w,
            fake_zones=list(config.fake.zones),
            fake_seed=config.fake.seed,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def raise_open_files() -> None:
    """The scanner keeps descriptors open, several per cgroup, and the soft limit is 1,024 by custom
    only, for programs that use select(2).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def leaves(error: BaseException) -> list[BaseException]:
    """The errors themselves: each nursery wraps them once more."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]
