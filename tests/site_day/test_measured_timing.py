"""What an operator has measured of his firmware is what its changes are waited for, and weighed, with."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jouled.balance.site.words import Timing
from jouled.config import Config
from jouled.config.miners import Miners as Settings
from jouled.loads.fleet import Miners
from jouled.loads.miners.braiins import BraiinsMiner
from jouled.loads.miners.device import Miner
from jouled.loads.miners.vnish import VnishMiner

MAC = "02:00:00:00:00:01"


def making(folder: Path, **keys: float) -> Miners:
    return Miners(Config(state_dir=str(folder), miners=msgspec.convert(keys, Settings)))


def timing(miners: Miners, family: str) -> Timing:
    miner = miners.make(family, MAC, "127.0.0.1")
    assert isinstance(miner, Miner)
    return miner.timing


@pytest.mark.parametrize(("family", "kind"), [("vnish", VnishMiner), ("braiins", BraiinsMiner)])
def test_times_of_a_firmware_are_those_that_were_measured(
    tmp_path: Path, family: str, kind: type[VnishMiner | BraiinsMiner]
) -> None:
    known = kind.timing
    assert timing(making(tmp_path), family) == known
    settled = timing(making(tmp_path, settle=90.0, restart=45.0), family)
    assert settled == known._replace(settle_s=90.0, restart_s=45.0)
    # An order to stop follows as quickly, or as slowly.
    slow = timing(making(tmp_path, dead=40.0), family)
    assert slow == known._replace(dead_s=40.0, pause_s=40.0)
    # Of this site, and not of all that run in this process.
    assert kind.timing == known
