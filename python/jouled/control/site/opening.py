"""The balancer as the settings want it, opened, or refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jouled.bookkeeping.recorder import node_name
from jouled.config import Config
from jouled.config.balance import BalancedLoad
from jouled.control.fleet.fleet import Polling
from jouled.control.fleet.opening import open_fleet
from jouled.control.site.balancer import Balancer
from jouled.control.site.facing import AloneInLead, Lead, Plan, Plant
from jouled.control.site.originals import Originals, directory_of
from jouled.errors import ConfigError
from jouled.loads.actuator import Actuator
from jouled.log import log

if TYPE_CHECKING:  # a host that caps nothing imports none of it
    from jouled.control.caps.keeping import Control
    from jouled.store import Store


def open_balancer(
    config: Config,
    store: Store | None,
    *,
    control: Control | None = None,
    plant: Plant | None = None,
    plan: Plan | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Balancer:
    """Alone with the loads, as far as this host goes. Raises ConfigError, HeldError and JournalError."""
    check(config, has_plan=plan is not None)
    site = site_of(config)
    lead = lead_of(config, site)
    fleet = open_fleet(
        config,
        store,
        host=host_of(control),
        clock=clock,
        leads=lambda: lead.is_leader,
        polling=polling_of(config.balance.cycle_s),
    )
    originals = Originals.open(directory_of(config.state_dir))
    if originals.loads and originals.left is None:
        log.warning(
            f"balance: an earlier jouled has not ended well: {len(originals.loads)} loads are looked at, and taken as they are"
        )
    return Balancer(
        config,
        fleet,
        originals,
        site=site,
        plant=plant,
        store=store,
        plan=plan if config.balance.follow_plan else None,
        lead=lead,
        clock=clock,
    )


def polling_of(cycle_s: float) -> Polling:
    """Each cycle is to see each load anew."""
    usual = Polling()
    return usual._replace(poll_s=min(usual.poll_s, cycle_s), soon_s=min(usual.soon_s, cycle_s))


def check(config: Config, *, has_plan: bool) -> None:
    """What only several sections together can tell. Raises ConfigError."""
    balance = config.balance
    if balance.follow_plan and not (has_plan and config.plan.strategies):
        raise ConfigError("balance.follow_plan: there is no plan to follow; set plan.strategies")
    if balance.follow_plan and config.plan.max_w is None:
        raise ConfigError("balance.follow_plan: set plan.max to what the site may draw at most")
    if is_shared(config) and not config.node.site:
        raise ConfigError(
            "node.site: several daemons may keep their books in one PostgreSQL, and those of one site elect the one"
            " that balances it; set node.site, the same in each of them"
        )
    if balance.meter is not None and config.store.url == "none":
        raise ConfigError("balance.meter: it is a meter of the books, and store.url is none; set store.url")
    if config.plant.kind == "none" and balance.limit_w is None and not balance.follow_plan:
        log.warning(
            "balance: nothing bounds the site: set [plant], balance.limit or balance.follow_plan, "
            "or set a limit by `joulectl balance limit`"
        )


def site_of(config: Config) -> str:
    """What its records are of: the site, or this node where it is of none."""
    return config.node.site or node_name(config)


def is_shared(config: Config) -> bool:
    """Whether other daemons may keep their books where this one does."""
    return config.store.url.startswith("postgres")


def lead_of(config: Config, site: str) -> Lead:
    """Several daemons share a server; a file of this host's is one daemon's, which the journal's lock sees to."""
    if not is_shared(config):
        return AloneInLead()
    from jouled.control.site.election import Elector, ballot_of

    return Elector(ballot_of(config.store.url, config.state_dir, site))


def host_of(control: Control | None) -> Callable[[BalancedLoad], Actuator]:
    """This host as a load, by the keeper of its caps."""

    def open_host(load: BalancedLoad) -> Actuator:
        if control is None:
            raise ConfigError(f"balance.load {load.name}: this host is capped only with caps.enabled = true; set it")
        from jouled.control.fleet.own_host import OwnHost

        return OwnHost(control.keeper, control.power, name=load.name, bounds_w=(load.min_w, load.max_w))

    return open_host
