"""The daemon's parts, as the settings want them. Each is imported only where it is wanted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jouled.config import Config
from jouled.errors import ConfigError
from jouled.feed import Feed
from jouled.model import Scanner, Snapshot
from jouled.sampler import Sampler
from jouled.web import counters

if TYPE_CHECKING:  # SQLAlchemy, Litestar and HTTP come with them
    from jouled.control.caps.keeper import CapKeeper
    from jouled.control.caps.keeping import Control
    from jouled.control.caps.opening import Opened
    from jouled.control.market.market import Market
    from jouled.control.plan.steered import Steered
    from jouled.control.plant.feed import PlantFeed
    from jouled.control.site.balancer import Balancer
    from jouled.sharing.kubernetes import Teller
    from jouled.store import Store


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


def open_caps(config: Config) -> Opened | None:
    """In charge of the power limits. None where capping is switched off, and no earlier life has left a journal."""
    if not config.caps.enabled and not has_journal(config):
        return None
    from jouled.control.caps.opening import open_hands

    return open_hands(config)


def has_journal(config: Config) -> bool:
    try:
        return Path(config.state_dir, "caps", "journal.json").exists()
    except OSError:  # a directory of others
        return False


def open_control(config: Config, caps: Opened, feed: Feed[Snapshot], sampler: Sampler, store: Store | None) -> Control:
    from jouled.control.caps.keeping import Control as OpenControl

    return OpenControl(config, caps, feed, sampler, store)


def open_market(config: Config, store: Store | None) -> Market | None:
    """Who tells prices. What it needs is imported only here, as the store's."""
    from jouled.control.market.chain import open_market as open_as_set

    return open_as_set(config.market, store, lambda: datetime.now(UTC))


def open_plant(config: Config, store: Store | None) -> PlantFeed | None:
    """The feed of the plant, where one is set."""
    from jouled.control.plant.opening import open_plant as open_as_set

    return open_as_set(config, store, lambda: datetime.now(UTC))


def open_balancer(
    config: Config, store: Store | None, control: Control | None, plant: PlantFeed | None, plan: Steered | None
) -> Balancer:
    """Who keeps the loads of the site within its supply."""
    from jouled.control.site.opening import open_balancer as open_as_set

    return open_as_set(config, store, control=control, plant=plant, plan=None if plan is None else plan.planning)


def open_cluster(config: Config, keeper: CapKeeper | None, market: Market | None) -> Teller:
    """Who tells the node's object of Kubernetes. Its client is imported only here, as the store."""
    from jouled.control.cluster import open_cluster as open_as_set

    return open_as_set(config, keeper, market)


def open_plan(config: Config, keeper: CapKeeper | None, market: Market | None, store: Store | None) -> Steered:
    """The plan of the node's power, and the loop that follows it where capping is on."""
    from jouled.control.plan.steered import Steered as OpenSteered

    if config.balance.enabled and config.balance.follow_plan:
        keeper = None  # it is the site's, and caps no host
    return OpenSteered(config, keeper, market, store, lambda: datetime.now(UTC))


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
