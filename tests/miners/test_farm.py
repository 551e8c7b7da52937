"""The fakes themselves: they behave as machines do, many of them are cheap, and their sum is the truth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from jouled.balance.fleet.words import OFF
from jouled.loads.miners.exchange import AwayError, miners_http
from jouled.loads.miners.keys import MemoryKeys
from miners.farm import Farm
from miners.machine import STARTING_W, STILL_W, Clock, HandClock
from miners.steering import order, vnish_of
from miners.vnish_fake import VnishFake

TESTS = Path(__file__).parent.parent


def test_a_machine_restarts_then_ramps() -> None:
    clock = HandClock()
    machine = VnishFake("02:00:00:00:00:01", clock)
    machine.drift = 1.0
    machine.preset = "1100"
    machine.restart()
    assert machine.watts() == STARTING_W
    clock.wait(60)
    assert machine.watts() == pytest.approx(STARTING_W, rel=0.02)
    clock.wait(30)
    assert machine.watts() == pytest.approx((STARTING_W + 1100) / 2, rel=0.02)
    clock.wait(30)
    assert machine.watts() == pytest.approx(1100, rel=0.01)
    machine.stop()
    clock.wait(2)
    assert machine.watts() == pytest.approx((STILL_W + 1100) / 2, rel=0.02)
    clock.wait(2)
    assert machine.watts() == STILL_W


def test_a_machine_does_the_same_with_the_same_seed() -> None:
    def day(seed: int) -> list[float]:
        clock = HandClock()
        machine = VnishFake("02:00:00:00:00:01", clock, seed=seed)
        machine.has_switcher = True
        watts = []
        for _ in range(200):
            clock.wait(61)
            machine.advance()
            watts.append(machine.metered())
        return watts

    assert day(1) == day(1)
    assert day(1) != day(2)


def test_time_that_is_looked_at_rarely_passes_all_the_same() -> None:
    clock = HandClock()
    seldom, often = (VnishFake("02:00:00:00:00:01", clock) for _ in range(2))
    for machine in (seldom, often):
        machine.has_switcher, machine.is_hot = True, True
    for _ in range(100):
        clock.wait(10)
        often.advance()
    assert (seldom.watts(), seldom.preset, seldom.mode) == (often.watts(), often.preset, often.mode)


async def test_sixty_miners_are_measured_and_their_sum_is_the_truth() -> None:
    with Farm(60, clock=HandClock(), seed=2) as farm:
        keys, sums = MemoryKeys(), []
        async with miners_http() as http, trio.open_nursery() as nursery:

            async def measure(device: VnishFake) -> None:
                seen = await vnish_of(farm, device, http, keys).measure()
                assert seen.power_w is not None
                sums.append(seen.power_w)

            for device in farm.devices:
                assert isinstance(device, VnishFake)
                nursery.start_soon(measure, device)
        assert len(sums) == 60
        assert sum(sums) == pytest.approx(farm.power_w(), rel=0.005)


async def test_one_that_vanished_goes_on_drawing() -> None:
    clock = HandClock()
    with Farm(2, clock=clock) as farm:
        before = farm.power_w()
        farm.vanish(farm.devices[0])
        assert farm.power_w() == before


async def test_a_whole_fleet_is_switched_off_though_one_hangs_and_one_is_gone() -> None:
    clock, keys = HandClock(), MemoryKeys()
    with Farm(20, clock=clock, seed=4) as farm:
        farm.devices[3].faults.hangs = True
        farm.vanish(farm.devices[7])
        done: list[str] = []
        gone: list[str] = []
        async with miners_http(30.0) as http, trio.open_nursery() as nursery:

            async def shed(device: VnishFake) -> None:
                try:
                    await vnish_of(farm, device, http, keys).apply(order(OFF, is_urgent=True))
                    done.append(device.mac)
                except AwayError:
                    gone.append(device.mac)
                if len(done) + len(gone) == 19:
                    nursery.cancel_scope.cancel()

            for device in farm.devices:
                assert isinstance(device, VnishFake)
                nursery.start_soon(shed, device)
        assert gone == [farm.devices[7].mac]
        clock.wait(10)
        assert [place for place, device in enumerate(farm.devices) if device.watts() > 100] == [3, 7]


def test_a_clock_runs_at_its_scale() -> None:
    clock = Clock(1e6)
    first = clock()
    assert clock() > first


def test_as_a_program_it_says_where_it_is_and_what_it_draws() -> None:
    argv = [sys.executable, "-m", "miners.farm", "--count", "3", "--braiins", "1", "--every", "0.01"]
    with subprocess.Popen(argv, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        places = json.loads(program.stdout.readline())
        assert len(places["miners"]) == 3
        assert places["subnet"] == "127.20.0.0/16"
        lines = [json.loads(program.stdout.readline()) for _ in range(2)]
        assert lines[1]["at_s"] > lines[0]["at_s"]
        assert 8000 < lines[0]["power_w"] < 11000
        program.stdin.close()
        assert program.stdout.read() is not None
    assert program.returncode == 0
