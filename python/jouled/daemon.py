"""The tree of nurseries: who starts, in what order, who stops first. Read this first."""

from __future__ import annotations

import faulthandler
import functools
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import trio

from jouled import config as config_room
from jouled import systemd
from jouled.config import Config
from jouled.errors import ConfigError, JouledError
from jouled.feed import Feed
from jouled.log import STDERR, log
from jouled.log import set_up as set_up_log
from jouled.model import Scanner, Snapshot
from jouled.sampler import SCAN_THREAD, Sampler, scan_in_thread
from jouled.web import counters, sockets
from jouled.web.sockets import Place

if TYPE_CHECKING:  # SQLAlchemy comes with it
    from jouled.store import Store

# Clients who come before the first interval, as the one does whose connection started the daemon, wait
# in the socket's queue and are answered, not sent away. A host whose scans fail is to answer all the same.
FIRST_CLIENTS_WAIT_S = 2.0

# Reads the settings again, from wherever they came.
Reload: TypeAlias = Callable[[], Config]

EXIT_OK = 0
EXIT_CRASH = 1
EXIT_REFUSED = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT


async def run(
    config: Config,
    scanner: Scanner,
    places: Sequence[Place],
    reload: Reload | None = None,
    store: Store | None = None,
) -> None:
    """The daemon's life: sinks outside, sources inside.

    A signal cancels the sources; then the feed closes, and the sinks end on their own, the web room
    last. A source that fails takes the same road, and its error ends the daemon.
    """
    from jouled.web.room import Room

    feed: Feed[Snapshot] = Feed()
    sampler = Sampler(scan_in_thread(scanner), feed, period_s=config.interval_s)
    open_counters = functools.partial(open_meter, config)
    room = Room(config, feed, sampler, source=scanner.source, open_meter=open_counters, places=places, store=store)
    sampler.on_snapshot = room.observe
    stop, has_measured = trio.Event(), trio.Event()
    stopping = trio.CancelScope()

    def apply(new: Config) -> None:
        set_up_log(new.log.level, new.log.format)
        sampler.change_period(new.interval_s)
        room.apply(new)

    settings = Settings(config, reload, apply)
    async with trio.open_nursery() as signals:
        await signals.start(stop_on_signal, stopping)
        await signals.start(reload_on_signal, settings, stopping)
        async with trio.open_nursery() as sinks:
            try:
                with stopping:
                    async with trio.open_nursery() as sources:
                        sinks.start_soon(tell_systemd, feed)
                        if store is not None:
                            await sinks.start(keep_books, config, store, feed)
                        sources.start_soon(measure, sampler, has_measured)
                        with trio.move_on_after(FIRST_CLIENTS_WAIT_S):
                            await has_measured.wait()
                        await sinks.start(room.serve, stop)
                        await has_measured.wait()
                        settings.say_ready()
                        log.info(
                            " ".join(place.page_url for place in places),
                            source=scanner.source,
                            interval=f"{config.interval_s:g}s",
                        )
                systemd.notify(STOPPING=1)
            finally:
                feed.close()
                stop.set()
        signals.cancel_scope.cancel()


async def keep_books(
    config: Config, store: Store, feed: Feed[Snapshot], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    from jouled.keeper import keep

    await keep(config, store, feed, task_status)


async def measure(sampler: Sampler, has_measured: trio.Event) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(sampler.run)
        has_measured.set()


async def stop_on_signal(
    stopping: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The first signal stops the daemon in order. Further ones change nothing: the order takes two
    seconds at most, and one that is broken off gives nothing back.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if not stopping.cancel_called:
                name = signal.Signals(number).name
                log.info("stopping", signal=name)
                stopping.cancel(reason=name)


async def reload_on_signal(
    settings: Settings, stopping: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """One reload after the other; signals that come during one are one more. None once the daemon stops."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            if not stopping.cancel_called:
                await settings.load_again(stopping)


class Settings:
    """Those in force, and how they become others while the daemon runs."""

    def __init__(self, config: Config, reload: Reload | None, apply: Callable[[Config], None]) -> None:
        self.config = config
        self._reload = reload
        self._apply = apply
        self._is_ready = False

    def say_ready(self) -> None:
        self._is_ready = True
        systemd.notify(READY=1, **systemd.watchdog_fields(self.config.interval_s))

    async def load_again(self, stopping: trio.CancelScope) -> None:
        """All of the new settings are checked before any is applied: a mistake in them changes nothing."""
        if self._reload is None:
            log.warning("reload: this daemon was given its settings by a program; start it anew with others")
            return
        systemd.reloading()
        try:
            loaded = await trio.to_thread.run_sync(self._reload, abandon_on_cancel=True)
        except JouledError as error:
            log.error(f"reload refused, everything stays as it was: {error}")
        else:
            if not stopping.cancel_called:
                self._take(loaded)
        if self._is_ready and not stopping.cancel_called:
            self.say_ready()

    def _take(self, loaded: Config) -> None:
        changes = config_room.changes(self.config, loaded)
        self.config = config_room.merged(self.config, loaded)
        self._apply(self.config)
        say = log.warning if changes.restart else log.info
        say(f"reloaded: {what_changed(changes.applied, changes.restart)}")


def what_changed(applied: Sequence[str], restart: Sequence[str]) -> str:
    """`applied interval, log.level; a restart is needed for meters`."""
    parts = [f"applied {', '.join(applied)}"] if applied else []
    if restart:
        parts.append(f"a restart is needed for {', '.join(restart)}")
    return "; ".join(parts) or "nothing has changed"


async def tell_systemd(feed: Feed[Snapshot]) -> None:
    """Only a completed tick pings the watchdog: a daemon that no longer measures is restarted."""
    async for snapshot in feed.subscribe():
        systemd.notify(WATCHDOG=1, STATUS=systemd.status_line(snapshot))


def main(
    config: Config, open_scanner: Callable[[Config], Scanner] | None = None, *, reload: Reload | None = None
) -> int:
    """Everything that can be refused is refused before anything starts. Returns the exit code.

    `reload` reads the settings again at SIGHUP; what it raises as a JouledError is said, and changes nothing.
    """
    set_up_log(config.log.level, config.log.format)
    # A watchdog that ends us says in which line each thread hung.
    faulthandler.enable(file=STDERR)
    raise_open_files()
    try:
        start(config, open_scanner or open_host, reload)
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


def start(config: Config, open_scanner: Callable[[Config], Scanner], reload: Reload | None) -> None:
    """Opens what the daemon needs, all of it before anything runs; then runs it."""
    with ExitStack() as undo:
        # Until the daemon listens for it, and after it has stopped to: a late reload must not end it.
        undo.callback(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_IGN))
        places = sockets.open_all(config.listeners, systemd.inherited_sockets())
        for place in places:
            undo.enter_context(place)
        scanner = open_scanner(config)
        for notice in scanner.notices():
            log.warning(notice)
        store = undo.enter_context(open_store(config)) if config.store.url != "none" else None
        trio.run(run, config, scanner, places, reload, store)


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
            compat=[word for word in config.compat if word == "kepler"],  # the others are the web room's
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def open_store(config: Config) -> Store:
    """The books. What they need is imported only here: a node that only measures has none of it."""
    from jouled.store import Store as OpenStore

    # A server that is not up yet, or a disk that is full, is no reason not to measure.
    return OpenStore(config.store.url, state_dir=config.state_dir, prefix=config.store.prefix, may_be_away=True)


def open_meter(config: Config) -> counters.Meter:
    """The counters of this host, for those who ask between two scans."""
    from jouled._core import Meter

    return Meter(
        procfs=config.procfs,
        sysfs=config.sysfs,
        meters=list(config.meters),
        zones=list(config.zones),
        estimate_idle_w=config.estimate.idle_w,
        estimate_max_w=config.estimate.max_w,
        fake_zones=list(config.fake.zones),
        fake_seed=config.fake.seed,
    )


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
