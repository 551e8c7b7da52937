"""The web room as a whole: what the daemon starts, and tells of new settings."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import trio

import jouled
from jouled.config import Config
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.rows import Host
from jouled.sampler import Sampler
from jouled.web.app import App, Books
from jouled.web.counters import Counters, Meter
from jouled.web.health import Health
from jouled.web.live import Live
from jouled.web.metrics import OwnMetrics
from jouled.web.page import Page
from jouled.web.prepared import Prepared
from jouled.web.server import Server
from jouled.web.sockets import Place

if TYPE_CHECKING:  # a node that only measures imports neither SQLAlchemy nor Litestar
    from jouled.control.caps.keeper import CapKeeper
    from jouled.control.fleet.fleet import Fleet
    from jouled.control.market.market import Market
    from jouled.control.plan.steered import Steered
    from jouled.control.plan.steering import Steering
    from jouled.control.plant.feed import PlantFeed
    from jouled.control.site.balancer import Balancer
    from jouled.sharing import Relay
    from jouled.store import Store
    from jouled.web.books_metrics import BooksMetrics
    from jouled.web.broadcast import Broadcast

COMPAT = "energy-service"


class Room:
    """Serves the snapshots of `feed`. `open_meter` opens the counters that are read when asked."""

    def __init__(
        self,
        config: Config,
        feed: Feed[Snapshot],
        sampler: Sampler,
        *,
        source: str,
        open_meter: Callable[[], Meter],
        places: Sequence[Place],
        store: Store | None = None,
        caps: CapKeeper | None = None,
        market: Market | None = None,
        plan: Steered | None = None,
        plant: PlantFeed | None = None,
        balancer: Balancer | None = None,
    ) -> None:
        metrics = OwnMetrics(sampler, source=source)
        self.observe = metrics.observe
        self._prepared = Prepared(feed, config.access, config.interval_s)
        self._counters = Counters(open_meter, feed, config.access)
        host = Host(version=jouled.__version__, hostname=socket.gethostname(), source=source)
        live = Live(self._prepared, self._counters, host)
        self._broadcast = None if store is None else open_broadcast(store)
        self._relay = None if self._broadcast is None else open_relay(config, self._broadcast)
        self._app = App(
            Page(self._prepared, metrics.render),
            live,
            feed,
            sampler,
            books=open_books(store, config, self._relay, caps, market, plan=plan, plant=plant, balancer=balancer)
            if store or caps or market or plant or balancer
            else None,
            broadcast=self._broadcast,
            caps=None if caps is None else caps.changed,
            balance=None if balancer is None else balancer.changed,
            health=health_of(sampler, store) if COMPAT in config.compat else None,
        )
        self._figures = None if store is None else open_figures(store, metrics, has_compat=COMPAT in config.compat)
        if caps is not None:
            show_caps(caps, metrics)
        if market is not None:
            show_market(market, metrics)
        if plant is not None:
            show_plant(plant, metrics)
        if (fleet := fleet_of(balancer)) is not None:
            show_fleet(fleet, metrics)
        if balancer is not None:
            show_balance(balancer, metrics)
        if plan is not None and plan.steering is not None:
            show_plan(plan.steering, metrics)
        metrics.requests = self._app.requests
        self._server = Server(self._app, places, config.access)

    def __repr__(self) -> str:
        return f"<Room {self._server!r}>"

    async def serve(self, stop: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop` is set, then for at most a second more. Closes the listening sockets."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._counters.follow)
            if self._broadcast is not None:
                nursery.start_soon(self._broadcast.run)
            if self._figures is not None:
                nursery.start_soon(self._figures.run)
            if self._relay is not None:
                nursery.start_soon(self._relay.run)
            await self._server.serve(stop, task_status)
            nursery.cancel_scope.cancel()

    def apply(self, config: Config) -> None:
        """What listeners' tables and `[access]` say now, and how often there is a tick. Raises nothing;
        says what could not be used.
        """
        self._prepared.apply(config.access, config.interval_s)
        self._counters.access = config.access
        self._server.apply(config)


def open_books(
    store: Store | None,
    config: Config,
    relay: Relay | None,
    caps: CapKeeper | None,
    market: Market | None,
    *,
    plan: Steered | None,
    plant: PlantFeed | None = None,
    balancer: Balancer | None = None,
) -> Books:
    """The API over the books, the caps, the market and the balancer, as an ASGI application."""
    from jouled.loads.registry import loads_of
    from jouled.web.api.application import open_door
    from jouled.web.api.balance_shown import BalanceShown
    from jouled.web.api.caps import CapsOff, CapsOn
    from jouled.web.api.fleet_shown import FleetShown
    from jouled.web.api.market import Trading
    from jouled.web.api.no_store import NoStore
    from jouled.web.api.plan import unplanned
    from jouled.web.api.plant import PlantShown

    return open_door(
        NoStore() if store is None else store,
        config.api,
        loads=loads_of(config),
        latest=relay,
        caps=CapsOff(config.caps, config.sysfs) if caps is None else CapsOn(caps),
        trading=Trading(config.market, market),
        planning=unplanned(config.market.timezone) if plan is None else plan.planning,
        plant=PlantShown(plant),
        fleet=FleetShown(fleet_of(balancer)),
        balance=BalanceShown(balancer, config),
    )


def show_caps(caps: CapKeeper, metrics: OwnMetrics) -> None:
    """The caps on the metrics page."""
    from jouled.web.caps_metrics import CapsMetrics

    metrics.include(CapsMetrics(caps))


def show_plan(steering: Steering, metrics: OwnMetrics) -> None:
    """The plan on the metrics page."""
    from jouled.web.plan_metrics import PlanMetrics

    metrics.include(PlanMetrics(steering))


def show_market(market: Market, metrics: OwnMetrics) -> None:
    """Prices on the metrics page."""
    from jouled.web.market_metrics import MarketMetrics

    metrics.include(MarketMetrics(market))


def show_plant(plant: PlantFeed, metrics: OwnMetrics) -> None:
    """The plant on the metrics page."""
    from jouled.web.plant_metrics import PlantMetrics

    metrics.include(PlantMetrics(plant))


def fleet_of(balancer: Balancer | None) -> Fleet | None:
    """The loads that are balanced here."""
    return None if balancer is None else cast("Fleet", balancer.fleet)


def show_fleet(fleet: Fleet, metrics: OwnMetrics) -> None:
    """The balanced loads on the metrics page."""
    from jouled.web.fleet_metrics import FleetMetrics

    metrics.include(FleetMetrics(fleet))


def show_balance(balancer: Balancer, metrics: OwnMetrics) -> None:
    """The balancer on the metrics page."""
    from jouled.web.balance_metrics import BalanceMetrics

    metrics.include(BalanceMetrics(balancer))


def open_broadcast(store: Store) -> Broadcast:
    """The stream of the books."""
    from jouled.web.broadcast import Broadcast as OpenBroadcast

    return OpenBroadcast(store)


def open_relay(config: Config, broadcast: Broadcast) -> Relay | None:
    """To the other daemons of this store, where the operator names a server. Raises ConfigError."""
    if config.redis.url is None:
        return None
    from jouled.web.sharing import open_relay as open_to

    return open_to(config.redis, broadcast)


def open_figures(store: Store, metrics: OwnMetrics, *, has_compat: bool) -> BooksMetrics:
    """The books on the metrics page."""
    from jouled.web.books_metrics import BooksMetrics as OpenMetrics

    figures = OpenMetrics(store, lambda: datetime.now(UTC), has_compat=has_compat)
    metrics.include(figures)
    return figures


def health_of(sampler: Sampler, store: Store | None) -> Health:
    return Health(lambda: sampler.is_fresh, lambda: store is None or store.state.is_available)
