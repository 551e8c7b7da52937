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
from jouled import parts, systemd
from jouled.config import Config
from jouled.errors import JouledError
from jouled.feed import Feed
from jouled.log import STDERR, log
from jouled.log import set_up as set_up_log
from jouled.model import Scanner, Snapshot
from jouled.sampler import SCAN_THREAD, Sampler, scan_in_thread
from jouled.web import sockets
from jouled.web.sockets import Place

if TYPE_CHECKING:  # SQLAlchemy comes with it
    from jouled.control.caps.keeping import Control
    from jouled.control.caps.opening import Opened
    from jouled.control.market.market import Market
    from jouled.control.site.balancer import Balancer
    from jouled.store import Store

# Clients who come before the first interval, as the one does whose connection started the daemon, wait
# in the socket's queue and are answered, not sent away. A host whose scans fail is to answer all the same.
FIRST_CLIENTS_WAIT_S = 2.0

# Reads the settings again, from wherever they came.
Reload: TypeAlias = Callable[[], Config]

# What the thread is called while it touches power limits.
CAPS_THREAD = "jouled caps"

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
    *,
    market: Market | None = None,
    caps: Opened | None = None,
) -> None:
    """The daemon's life: sinks outside, sources inside.

    A signal cancels the sources; then what was capped is given back, whatever else hangs; then the feed
    closes, and the sinks end on their own, the web room last. A source that fails takes the same road,
    and its error ends the daemon.
    """
    rooms = Rooms(config, scanner, places, store=store, market=market, caps=caps)
    stop, stopping = trio.Event(), trio.CancelScope()
    settings = Settings(config, reload, rooms.apply)
    async with trio.open_nursery() as signals:
        await signals.start(stop_on_signal, stopping)
        await signals.start(reload_on_signal, settings, stopping)
        async with trio.open_nursery() as sinks:
            try:
                with stopping:
                    async with trio.open_nursery() as sources:
                        await rooms.open(sources, sinks, stop)
                        settings.say_ready()
                        log.info(
                            " ".join(place.page_url for place in places),
                            source=scanner.source,
                            interval=f"{config.interval_s:g}s",
                        )
                systemd.notify(STOPPING=1)
            finally:
                if rooms.plan is not None:
                    rooms.plan.close()
                try:
                    if rooms.balancer is not None:
                        await rooms.balancer.end()
                finally:  # whatever that ran into, this host's caps are given back
                    if rooms.control is not None:
                        await rooms.control.end()
                    rooms.feed.close()
                    stop.set()
        signals.cancel_scope.cancel()


class Rooms:
    """What the daemon is made of, and the order in which it starts. Control and market are None where the
    settings want none.
    """

    def __init__(
        self,
        config: Config,
        scanner: Scanner,
        places: Sequence[Place],
        *,
        store: Store | None,
        market: Market | None,
        caps: Opened | None,
    ) -> None:
        from jouled.web.room import Room

        self.feed: Feed[Snapshot] = Feed()
        self.sampler = Sampler(scan_in_thread(scanner), self.feed, period_s=config.interval_s)
        self.control = None if caps is None else parts.open_control(config, caps, self.feed, self.sampler, store)
        keeper = None if self.control is None else self.control.keeper
        self.plan = parts.open_plan(config, keeper, market, store) if config.plan.strategies or market else None
        self.plant = parts.open_plant(config, store) if config.plant.kind != "none" else None
        self.balancer = None
        if config.balance.enabled:
            self.balancer = parts.open_balancer(config, store, self.control, self.plant, self.plan)
        self.web = Room(
            config,
            self.feed,
            self.sampler,
            source=scanner.source,
            open_meter=functools.partial(parts.open_meter, config),
            places=places,
            store=store,
            market=market,
            caps=keeper,
            plan=self.plan,
            plant=self.plant,
            balancer=self.balancer,
        )
        self.cluster = parts.open_cluster(config, keeper, market) if config.kubernetes.enabled else None
        self.sampler.on_snapshot = self._observe
        self._config = config
        self._store = store
        self._market = market

    async def open(self, sources: trio.Nursery, sinks: trio.Nursery, stop: trio.Event) -> None:
        """Returns once all of it is ready. `stop` ends the web room."""
        has_measured = trio.Event()
        sinks.start_soon(tell_systemd, self.feed, self.control, self.balancer)
        if self.control is not None:
            # Before the books: limits wait for no store.
            sinks.start_soon(self.control.tell_books)
            await sources.start(self.control.run)
        if self.plant is not None:
            sources.start_soon(self.plant.run)
        if self.balancer is not None:
            sinks.start_soon(self.balancer.tell_books)
            sources.start_soon(self.balancer.run)
        if self._store is not None:
            await sinks.start(keep_books, self._config, self._store, self.feed)
        sources.start_soon(measure, self.sampler, has_measured)
        if self._market is not None:
            sources.start_soon(self._market.run)
        if self.plan is not None:
            sinks.start_soon(self.plan.tell_books)
            sources.start_soon(self.plan.run)
        if self.cluster is not None:
            sinks.start_soon(self.cluster.run, stop)
        with trio.move_on_after(FIRST_CLIENTS_WAIT_S):
            await has_measured.wait()
        await sinks.start(self.web.serve, stop)
        await has_measured.wait()

    def apply(self, new: Config) -> None:
        """What a reload can change."""
        set_up_log(new.log.level, new.log.format)
        self.sampler.change_period(new.interval_s)
        self.web.apply(new)
        if self.control is not None:
            self.control.apply(new)
        if self.plan is not None:
            self.plan.apply(new)
        if self.balancer is not None:
            self.balancer.apply(new)

    def _observe(self, snapshot: Snapshot) -> None:
        self.web.observe(snapshot)
        if self.control is not None:
            self.control.observe(snapshot)


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


async def tell_systemd(feed: Feed[Snapshot], control: Control | None = None, balancer: Balancer | None = None) -> None:
    """Only a completed tick pings the watchdog: a daemon that no longer measures is restarted, and so is
    one that caps and no longer looks at the limits, or balances and completes no cycle.
    """
    async for snapshot in feed.subscribe():
        if (control is None or control.is_live) and (balancer is None or balancer.is_live):
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
        start(config, open_scanner or parts.open_host, reload)
    except KeyboardInterrupt:  # Ctrl-C before the daemon listens for it
        return EXIT_INTERRUPTED
    except BaseException as error:  # noqa: BLE001  (the last edge: a panic of the extension is one too)
        return say_why(error)
    return EXIT_OK


def leave(code: int) -> NoReturn:
    """Ends the process, also while a scan is left behind in its thread: the interpreter's own end
    would be pulled from under the extension, should the scan come back meanwhile. A write of a limit
    that hangs is not waited for either.
    """
    if any(thread.name in {SCAN_THREAD, CAPS_THREAD} for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


def start(config: Config, open_scanner: Callable[[Config], Scanner], reload: Reload | None) -> None:
    """Opens what the daemon needs, all of it before anything runs; then runs it."""
    with ExitStack() as undo:
        # Until the daemon listens for it, and after it has stopped to: a late reload must not end it.
        undo.callback(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_IGN))
        # First of all: what an earlier life has left capped is given back even where this one is refused.
        caps = parts.open_caps(config)
        if caps is not None:
            undo.callback(caps.hands.close)
        places = sockets.open_all(config.listeners, systemd.inherited_sockets())
        for place in places:
            undo.enter_context(place)
        scanner = open_scanner(config)
        for notice in scanner.notices():
            log.warning(notice)
        store = undo.enter_context(parts.open_store(config)) if config.store.url != "none" else None
        market = parts.open_market(config, store) if config.market.providers else None
        trio.run(functools.partial(run, config, scanner, places, reload, store, market=market, caps=caps))


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
