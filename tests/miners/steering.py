"""Orders, and loads on fake devices, for the tests of miners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from jouled.balance.fleet.words import OFF, Point
from jouled.balance.site.words import Order
from jouled.http import Http
from jouled.loads.miners.braiins import BraiinsMiner
from jouled.loads.miners.exchange import miners_http
from jouled.loads.miners.keys import Keys, MemoryKeys
from jouled.loads.miners.vnish import VnishMiner
from miners.braiins_fake import BraiinsFake
from miners.farm import Farm
from miners.machine import HandClock
from miners.vnish_fake import VnishFake


def order(name: str | None, *, is_urgent: bool = False) -> Order:
    point = None if name is None else Point(name, 0.0 if name == OFF else 1000.0, 0.0)
    return Order("o-1", "m", "shed", point, 0.0, None, None, is_urgent, "a test")


@dataclass
class VnishSite:
    """One miner, its load, and the hand on its clock."""

    farm: Farm
    clock: HandClock
    fake: VnishFake
    miner: VnishMiner
    http: Http
    keys: Keys

    def another(self, keys: Keys | None = None, **parts: object) -> VnishMiner:
        """As after a restart of the daemon."""
        return vnish_of(self.farm, self.fake, self.http, keys or self.keys, **parts)


@dataclass
class BraiinsSite:
    """As VnishSite."""

    farm: Farm
    clock: HandClock
    fake: BraiinsFake
    miner: BraiinsMiner
    http: Http
    keys: Keys


def vnish_of(farm: Farm, fake: VnishFake, http: Http, keys: Keys, **parts: object) -> VnishMiner:
    given = {"password": "admin", "look_s": 0.0, **parts}
    return VnishMiner(farm.address(fake), http, mac=fake.mac, keys=keys, **given)  # type: ignore[arg-type]  # by name


def braiins_of(farm: Farm, fake: BraiinsFake, http: Http, keys: Keys, **parts: object) -> BraiinsMiner:
    given = {"password": "root", "look_s": 0.0, **parts}
    return BraiinsMiner(farm.address(fake), http, mac=fake.mac, keys=keys, **given)  # type: ignore[arg-type]  # by name


@asynccontextmanager
async def vnish_site(deadline_s: float = 5.0, **parts: object) -> AsyncIterator[VnishSite]:
    clock, keys = HandClock(), MemoryKeys()
    with Farm(1, clock=clock) as farm:
        fake = farm.devices[0]
        assert isinstance(fake, VnishFake)
        async with miners_http(deadline_s) as http:
            yield VnishSite(farm, clock, fake, vnish_of(farm, fake, http, keys, **parts), http, keys)


@asynccontextmanager
async def braiins_site(deadline_s: float = 5.0, **parts: object) -> AsyncIterator[BraiinsSite]:
    clock, keys = HandClock(), MemoryKeys()
    with Farm(1, clock=clock, braiins=1) as farm:
        fake = farm.devices[0]
        assert isinstance(fake, BraiinsFake)
        async with miners_http(deadline_s) as http:
            yield BraiinsSite(farm, clock, fake, braiins_of(farm, fake, http, keys, **parts), http, keys)
