"""Whatever happens to a device and whenever, a load says what is true or that it does not know, and ends."""

from __future__ import annotations

import random
from typing import TypeAlias

import pytest

from jouled.balance.fleet.words import OFF
from jouled.balance.site.words import Observation
from jouled.loads.protocol import LoadError
from miners.machine import STILL_W
from miners.steering import BraiinsSite, VnishSite, braiins_site, order, vnish_site

Site: TypeAlias = VnishSite | BraiinsSite
STEPS = 150


def _befall(site: Site, chance: random.Random) -> None:
    """One thing that happens out there."""
    fake = site.fake
    fake.advance()
    faults = fake.faults
    what = chance.randrange(9)
    if what == 0:
        fake.reboot()
    elif what == 1:
        fake.stop()
    elif what == 2:
        fake.start()
    elif what == 3:
        fake.drift = chance.uniform(0.9, 1.1)
    elif what == 4:
        faults.is_page = not faults.is_page
    elif what == 5:
        faults.ignores_orders = not faults.ignores_orders
    elif what == 6:
        faults.loses_answers = not faults.loses_answers
    elif what == 7:
        site.farm.vanish(fake) if not faults.is_gone else site.farm.appear(fake)
    else:
        faults.is_page = faults.ignores_orders = faults.loses_answers = False


def _check(site: Site, seen: Observation) -> None:
    """What it says against what is so."""
    true_w = site.farm.power_w()
    if seen.state in {"off", "paused"} or (seen.state == "held" and seen.point == OFF):
        assert true_w <= STILL_W, "what is off draws nothing much"
    if seen.state == "running":
        assert seen.power_w == pytest.approx(true_w, rel=0.02)
        assert seen.point == site.fake.effective
    if seen.state == "away":
        assert seen.power_w is None
        assert seen.note is not None


async def _live(site: Site, seed: int, presets: tuple[str, ...]) -> None:
    chance = random.Random(seed)
    for _ in range(STEPS):
        site.clock.wait(chance.choice((0, 1, 5, 30, 120)))
        if chance.random() < 0.3:
            _befall(site, chance)
        wanted = chance.choice((*presets, OFF))
        try:
            if chance.random() < 0.4:
                await site.miner.apply(order(wanted, is_urgent=chance.random() < 0.5))
            elif await site.miner.confirm(order(wanted)):
                kept = site.fake.mode in {"stopped", "paused"} if wanted == OFF else site.fake.preset == wanted
                assert kept, "what is confirmed is so"
        except LoadError as error:
            assert str(error)  # noqa: PT017  (one of many that may come, not one that must)
        _check(site, await site.miner.measure())


@pytest.mark.parametrize("seed", range(3))
async def test_a_vnish_through_all_that_befalls_it(seed: int) -> None:
    async with vnish_site() as site:
        await _live(site, seed, ("1100", "2100", "3350"))


@pytest.mark.parametrize("seed", range(3))
async def test_a_braiins_through_all_that_befalls_it(seed: int) -> None:
    async with braiins_site() as site:
        site.fake.old_reads = 0
        await _live(site, seed, ("1100", "2100", "3100"))
