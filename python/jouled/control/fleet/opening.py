"""The fleet as the settings want it: loads that are named, and miners that are found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jouled.bookkeeping.executing import utc_now
from jouled.config import Config
from jouled.config.balance import BalancedLoad
from jouled.control.fleet.fleet import Fleet, Polling
from jouled.loads.actuator import Actuator
from jouled.loads.fleet import MINER_KINDS, Miners, open_actuators

if TYPE_CHECKING:
    from jouled.store import Store


def open_fleet(
    config: Config,
    store: Store | None,
    *,
    host: Callable[[BalancedLoad], Actuator] | None = None,
    clock: Callable[[], datetime] = utc_now,
    leads: Callable[[], bool] = lambda: True,
    polling: Polling | None = None,
) -> Fleet:
    """`leads` says whether this daemon keeps the records of miners. Nothing is asked yet. Raises ConfigError."""
    fleet = Fleet(open_actuators(config, host=host), config=config, polling=polling, clock=clock)
    is_mining = bool(config.miners.subnets) or any(load.kind in MINER_KINDS for load in config.balance.load)
    if is_mining:
        from jouled.control.fleet.discovery import Discovery
        from jouled.control.fleet.passwords import FILE, Passwords
        from jouled.control.fleet.roster import Roster

        passwords = Passwords(Path(config.state_dir) / FILE)
        making = Miners(config, password_of=passwords.of)
        discovery = Discovery(config.miners, making.probe, named=config.balance.load)
        fleet.roster = Roster(
            fleet,
            settings=config.miners,
            making=making,
            discovery=discovery,
            store=store,
            passwords=passwords,
            leads=leads,
        )
    return fleet
