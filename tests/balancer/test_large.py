"""A thousand loads: a cycle stays short, and nothing grows."""

from __future__ import annotations

from pathlib import Path

import trio

from actuators import FakeActuator
from balanced import FakePlant, balancing, drawn_w, settings
from jouled.control.site.balancer import POINTS_MAX
from jouled.control.site.counting import CYCLE_BOUNDS_S
from jouled.control.site.deciding import EVENTS_MAX


async def test_a_thousand_loads_are_shed_in_one_cycle_and_hardly_any_cycle_takes_a_second(
    tmp_path: Path, autojump_clock: object
) -> None:
    loads = [FakeActuator(f"miner-{number:04}", point=("3200", "2620", "2100")[number % 3]) for number in range(1000)]
    plant = FakePlant(3_000_000.0)
    async with balancing(tmp_path, loads, plant, config=settings(cycle_s=15.0), poll_s=15.0, soon_s=5.0) as balancer:
        await trio.sleep(60)
        plant.say(1_200_000.0)
        await trio.sleep(60)
        assert drawn_w(loads) <= 1_200_000.0
        # One order each: all at once, and no second thoughts.
        assert max(load.calls["apply"] for load in loads) == 1
        await trio.sleep(300)
        counters = balancer.counters
        slower = sum(counters.cycle_s_buckets[CYCLE_BOUNDS_S.index(1.0) + 1 :])
        assert counters.cycles_total > 25
        assert slower <= 1
        assert len(balancer.events(limit=5000)) <= EVENTS_MAX


async def test_a_day_of_a_swinging_plant_grows_nothing(tmp_path: Path, autojump_clock: object) -> None:
    loads = [FakeActuator(f"miner-{number}", point="2100") for number in range(4)]
    plant = FakePlant(9_000.0)
    async with balancing(
        tmp_path, loads, plant, config=settings(cycle_s=120.0, stale_s=120.0), poll_s=60.0, soon_s=20.0
    ) as balancer:
        for hour in range(30):
            plant.say(14_000.0 if hour % 2 else 6_000.0)
            await trio.sleep(3600)
        assert len(balancer.points) <= POINTS_MAX
        assert len(balancer.decisions.recent) <= EVENTS_MAX
        assert balancer.decisions.executing == 0
        assert balancer.hands.at_work == 0
        done = balancer.events(limit=EVENTS_MAX)
        assert done
        assert all(event.reason and event.inputs["band"] and event.status != "executing" for event in done)
