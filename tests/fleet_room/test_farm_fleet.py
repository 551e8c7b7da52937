"""The fleet with real drivers, over real HTTP, against miners that behave as their firmware does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio
from msgspec import structs

from jouled.config import Config
from jouled.config.miners import MinerModel, Miners
from jouled.control.fleet.fleet import Polling
from jouled.control.fleet.opening import open_fleet
from jouled.control.fleet.roster import Roster
from miners.braiins_fake import BraiinsFake
from miners.farm import Farm
from miners.vnish_fake import VnishFake

QUICK = Polling(poll_s=0.1, soon_s=0.05, deadline_s=5.0)


def config(tmp_path: Path, farm: Farm, net: int, password: str | None = None) -> Config:
    miners = Miners(
        subnets=(f"127.{net}.0.0/28",),
        port=farm.port,
        discover_s=0.3,
        probe_s=10.0,
        connect_s=5.0,
        password=password,
        model=(MinerModel("Antminer S19", max_preset="1900", min_preset="1300"),),
    )
    return Config(miners=miners, state_dir=str(tmp_path))


async def until(is_so: Callable[[], object]) -> None:
    while not is_so():  # noqa: ASYNC110  (what is waited for has no event)
        await trio.sleep(0.02)


async def test_a_miner_of_the_farm_is_found_steered_lost_and_known_again_elsewhere(tmp_path: Path) -> None:
    with Farm(4, net=43) as farm:
        fleet = open_fleet(config(tmp_path, farm, 43), None, polling=QUICK)
        roster = fleet.roster
        assert isinstance(roster, Roster)
        async with trio.open_nursery() as nursery:
            await nursery.start(fleet.run)
            await until(lambda: len(fleet) == 4 and all(one.description for one in fleet.watched))
            members = fleet.members(trio.current_time())
            assert [member.id for member in members] == sorted(device.mac for device in farm.devices)
            names = {point.name for member in members for point in member.points}
            assert names <= {"off", "1300", "1500", "1700", "1900"}
            assert {"off", "1300"} <= names

            lost = farm.devices[0]
            watched = fleet.of(lost.mac)
            assert watched is not None
            await until(lambda: watched.answered)
            drawn_w = watched.worst_w(trio.current_time()) or 0.0
            farm.vanish(lost)
            await until(lambda: watched.is_away)
            assert (watched.worst_w(trio.current_time()) or 0.0) >= drawn_w - 1
            assert all(not one.is_away for one in fleet.watched if one is not watched)

            farm.appear(lost, 9)
            await until(lambda: not watched.is_away)
            assert roster.moves == 1
            row = roster.row(lost.mac)
            assert row is not None
            assert row.address == farm.address(lost)
            nursery.cancel_scope.cancel()
        await fleet.aclose()


async def test_two_families_in_one_subnet_have_a_password_each(tmp_path: Path) -> None:
    (tmp_path / "vnish").write_text("of-vnish")
    (tmp_path / "braiins").write_text("of-braiins")
    with Farm(4, net=44, braiins=2) as farm:
        for place, device in enumerate(farm.devices):
            assert isinstance(device, BraiinsFake | VnishFake)
            device.password = "of-braiins" if place < 2 else "of-vnish"
        settings = config(tmp_path, farm, 44, password=f"file:{tmp_path}/vnish")
        miners = structs.replace(settings.miners, braiins_password=f"file:{tmp_path}/braiins")
        fleet = open_fleet(structs.replace(settings, miners=miners), None, polling=QUICK)
        async with trio.open_nursery() as nursery:
            await nursery.start(fleet.run)
            # Presets are told to those only who have the password.
            await until(lambda: len([one for one in fleet.watched if one.description and one.description.presets]) == 4)
            assert {member.kind for member in fleet.members(trio.current_time())} == {"braiins", "vnish"}
            nursery.cancel_scope.cancel()
        await fleet.aclose()
