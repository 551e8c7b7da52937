"""Loads are asked in their turn; what is not known counts as much as it could be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from actuators import PRESETS, FakeActuator
from jouled.balance.fleet.words import OFF, Point, Span
from jouled.balance.site.words import Member, Order
from jouled.config import Config
from jouled.config.balance import Balance, BalancedLoad
from jouled.config.miners import MinerModel, Miners
from jouled.control.fleet.fleet import Fleet, Polling
from jouled.loads.actuator import Preset
from trading import WallClock

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
S19 = Config(miners=Miners(model=(MinerModel("S19", max_preset="2620"),)))


@asynccontextmanager
async def running(*loads: FakeActuator, config: Config | None = None, **more: Any) -> AsyncIterator[Fleet]:
    more.setdefault("clock", WallClock(AT))
    fleet = Fleet(loads, config=config, jitter=lambda: 0.5, **more)
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        yield fleet
        nursery.cancel_scope.cancel()
    await fleet.aclose()


def member(fleet: Fleet, load_id: str = "load-1") -> Member:
    return next(one for one in fleet.members(trio.current_time()) if one.id == load_id)


def order(name: str, power_w: float) -> Order:
    return Order("1-load-1", "load-1", "shed", Point(name, power_w, 1.0), power_w, None, None, False, "a test")


async def test_a_load_is_known_with_its_points_when_the_fleet_has_started(autojump_clock: MockClock) -> None:
    load = FakeActuator(point="2100")
    async with running(load) as fleet:
        await trio.sleep(0.1)
        one = member(fleet)
        assert one.unmanaged is None
        assert [point.name for point in one.points] == [OFF, "1100", "1500", "2100", "2620", "3200"]
        assert one.seen is not None
        assert (one.seen.state, one.seen.point, one.seen.power_w) == ("running", "2100", 2100.0)
        assert fleet.actuator("load-1") is load
        assert fleet.actuator("load-2") is None
    assert load.is_closed


async def test_a_dead_load_delays_neither_the_start_nor_any_other(autojump_clock: MockClock) -> None:
    dead = [FakeActuator(f"dead-{number}") for number in range(200)]
    for load in dead:
        load.hangs = True
    alive = FakeActuator("alive")
    async with running(alive, *dead) as fleet:
        assert trio.current_time() < 6
        await trio.sleep(600)
        assert alive.calls["measure"] >= 600 / 16.5
        assert member(fleet, "dead-7").seen is not None
        assert fleet.polls["late"] > 200


async def test_one_lost_answer_does_not_make_a_load_away_and_three_do(autojump_clock: MockClock) -> None:
    load = FakeActuator()
    async with running(load) as fleet:
        await trio.sleep(1)
        load.is_away = True
        assert await fleet.look("load-1") is not None
        one = member(fleet)
        assert one.seen is not None
        assert one.seen.state == "running"
        assert one.seen.at_s < trio.current_time()  # and it grows old
        await trio.sleep(30)
        one = member(fleet)
        assert one.seen is not None
        assert one.seen.state == "away"
        assert one.seen.power_w is None
        load.is_away = False
        await trio.sleep(30)
        assert member(fleet).seen.state == "running"  # type: ignore[union-attr]  # seen above


async def test_one_that_vanishes_counts_with_the_most_it_drew_at_its_point(autojump_clock: MockClock) -> None:
    load = FakeActuator(point="2100")
    async with running(load) as fleet:
        load.draws_w = 2250.0
        await fleet.look("load-1")
        load.draws_w = 2080.0
        await trio.sleep(3600)
        load.is_away = True
        await trio.sleep(60)
        one = member(fleet)
        assert one.seen is not None
        assert one.seen.state == "away"
        assert one.worst_w == 2250.0
        # It was the peak of an hour that is more than a day ago.
        await trio.sleep(26 * 3600)
        assert (member(fleet).worst_w or 0) == pytest.approx(2100, abs=30)


async def test_one_that_vanishes_while_it_is_off_may_come_back_with_all_it_has(autojump_clock: MockClock) -> None:
    load = FakeActuator(point=OFF)
    async with running(load) as fleet:
        await trio.sleep(1)
        load.is_away = True
        await trio.sleep(60)
        assert member(fleet).worst_w == 3200.0


async def test_a_load_that_was_never_seen_has_no_worst_and_no_points(autojump_clock: MockClock) -> None:
    load = FakeActuator()
    load.is_away = True
    async with running(load) as fleet:
        await trio.sleep(1)
        one = member(fleet)
        assert (one.points, one.worst_w) == ((), None)
        assert one.seen is not None
        assert one.seen.state == "away"


async def test_a_load_that_was_never_seen_counts_with_the_most_of_its_table(autojump_clock: MockClock) -> None:
    told, untold = FakeActuator("told"), FakeActuator("untold")
    told.is_away = untold.is_away = True
    tables = (
        BalancedLoad("told", "http", "http://a.example", max_w=900.0),
        BalancedLoad("untold", "http", "http://b.example"),
    )
    async with running(told, untold, config=Config(balance=Balance(load=tables))) as fleet:
        await trio.sleep(120)
        assert member(fleet, "told").worst_w == 900.0
        assert member(fleet, "untold").worst_w is None
        (problem,) = fleet.problems
        assert "told is away" in problem
        assert all(
            ("give its table a max" in watched.uncounted) == (watched.id == "untold") for watched in fleet.watched
        )


async def test_look_sees_what_an_order_has_done(autojump_clock: MockClock) -> None:
    load = FakeActuator()
    async with running(load) as fleet:
        await trio.sleep(1)
        await load.apply(order("1100", 1100.0))
        await trio.sleep(10)
        seen = await fleet.look("load-1")
        assert seen is not None
        assert (seen.point, seen.power_w) == ("1100", 1100.0)
        assert await fleet.look("nobody") is None


async def test_after_an_order_it_is_asked_more_often_for_a_while(autojump_clock: MockClock) -> None:
    load = FakeActuator()
    async with running(load) as fleet:
        await trio.sleep(20)
        before = load.calls["measure"]
        fleet.hurry("load-1", 30)
        await trio.sleep(30)
        assert load.calls["measure"] - before >= 9
        before = load.calls["measure"]
        await trio.sleep(60)
        assert load.calls["measure"] - before <= 5


async def test_a_miner_whose_model_has_no_max_preset_is_not_steered(autojump_clock: MockClock) -> None:
    loads = [FakeActuator("a", kind="vnish", model="S19"), FakeActuator("b", kind="vnish", model="S21")]
    async with running(*loads, config=S19) as fleet:
        await trio.sleep(1)
        one, other = fleet.members(trio.current_time())
        assert [point.name for point in one.points] == [OFF, "1100", "1500", "2100", "2620"]
        assert other.unmanaged is not None
        assert "no max_preset is set for model S21" in other.unmanaged
        assert other.points == ()
        assert other.seen is not None
        assert other.seen.power_w == 3200.0  # it counts all the same


async def test_only_tuned_presets_are_points_unless_the_operator_lets_it_tune(autojump_clock: MockClock) -> None:
    presets = (*PRESETS[:2], Preset("2100", 2100.0, 78.0, is_tuned=False), PRESETS[3])
    for may_tune, names in ((False, ["1100", "1500", "2620"]), (True, ["1100", "1500", "2100", "2620"])):
        load = FakeActuator(kind="vnish", model="S19", presets=presets, can_be_off=False)
        config = Config(miners=Miners(model=(MinerModel("S19", max_preset="2620"),), may_tune=may_tune))
        async with running(load, config=config) as fleet:
            await trio.sleep(1)
            assert [point.name for point in member(fleet).points] == names


async def test_planned_figures_follow_what_is_measured_in_steps(autojump_clock: MockClock) -> None:
    load = FakeActuator(point="2100", can_be_off=False)
    load.factor = 1.08
    async with running(load) as fleet:
        await trio.sleep(30)
        assert member(fleet).points[2].power_w == 2100.0  # nothing learnt from what has not settled
        await trio.sleep(3600)
        points = {point.name: point.power_w for point in member(fleet).points}
        assert points["2100"] == pytest.approx(2268, rel=0.01)
        assert points["1100"] == pytest.approx(1188, rel=0.01)


async def test_a_meter_that_lies_is_not_believed(autojump_clock: MockClock) -> None:
    load = FakeActuator(point="2100")
    async with running(load) as fleet:
        await trio.sleep(1)
        for lie_w in (2_100_000.0, -5.0, float("nan"), float("inf")):
            load.draws_w = lie_w
            seen = await fleet.look("load-1")
            assert seen is not None
            assert seen.power_w is None
            assert seen.note is not None
            assert "cannot be" in seen.note
            assert member(fleet).worst_w == 2100.0


async def test_a_drivers_defect_is_the_trouble_of_its_load_alone(autojump_clock: MockClock) -> None:
    class Broken(FakeActuator):
        async def measure(self) -> Any:
            raise KeyError("summary")

    async with running(Broken("broken"), FakeActuator("well")) as fleet:
        await trio.sleep(60)
        broken, well = fleet.members(trio.current_time())
        assert broken.seen is not None
        assert broken.seen.state == "away"
        assert "a defect of the driver" in (broken.seen.note or "")
        assert well.seen is not None
        assert well.seen.state == "running"


async def test_what_was_seen_before_the_host_slept_is_old(autojump_clock: MockClock) -> None:
    clock = WallClock(AT)
    load = FakeActuator()
    async with running(load, clock=clock) as fleet:
        await trio.sleep(3.2)
        load.hangs = True
        clock.step(timedelta(hours=8))
        await trio.sleep(6)
        seen = member(fleet).seen
        assert seen is not None
        assert trio.current_time() - seen.at_s > 8 * 3600 - 60


async def test_settings_give_circuit_and_priority(autojump_clock: MockClock) -> None:
    named = BalancedLoad("rack", "dry-run", circuit="pdu-1", priority=9)
    config = Config(balance=Balance(load=(named,)))
    load = FakeActuator("rack", span=Span(200.0, 800.0), need_w=500.0)
    async with running(load, config=config) as fleet:
        await trio.sleep(1)
        one = member(fleet, "rack")
        assert (one.circuit, one.priority, one.span) == ("pdu-1", 9, Span(200.0, 800.0))
        load.is_away = True
        await trio.sleep(60)
        assert member(fleet, "rack").worst_w == 800.0


async def test_news_are_published_and_mere_measurements_are_none(autojump_clock: MockClock) -> None:
    load = FakeActuator()
    async with running(load) as fleet:
        await trio.sleep(5)
        before = fleet.changed.published
        await trio.sleep(300)
        assert fleet.changed.published == before
        load.set_point("1100")
        await trio.sleep(20)
        assert fleet.changed.published == before + 1


async def test_a_thousand_loads_are_all_asked_each_poll(autojump_clock: MockClock) -> None:
    loads = [FakeActuator(f"load-{number:04}") for number in range(1000)]
    for load in loads:
        load.slow_s = 0.5
    async with running(*loads, polling=Polling(poll_s=15.0)) as fleet:
        await trio.sleep(33)
        assert min(load.calls["measure"] for load in loads) >= 3
        assert len(fleet.members(trio.current_time())) == 1000
