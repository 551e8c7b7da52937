"""How changes are made: hosts by caps, quick ones first, priorities, and what takes the place of what."""

from __future__ import annotations

import pytest

from jouled.balance.fleet.words import Span
from jouled.balance.site.cycle import Rules
from jouled.balance.site.words import Applied, Timing
from small_site import MINER, QUICK, START, FakeLoad, World, miners


def hosts(count: int, **words: object) -> list[FakeLoad]:
    span = Span(100.0, 500.0)
    return [FakeLoad(f"h{index}", (), QUICK, span=span, **words) for index in range(count)]  # type: ignore[arg-type]


def test_a_host_without_a_cap_counts_with_the_most_it_can_draw() -> None:
    world = World(hosts(2), 2_000.0)
    for load in world.loads:
        load.draws_w = 80.0
        load.mood = "lies"
    world.cycle()
    assert world.verdict is not None
    assert (world.verdict.measured_w, world.verdict.commanded_w) == (160.0, 1_000.0)


def test_hosts_are_capped_in_whole_watts_and_never_below_their_floor() -> None:
    world = World(hosts(3), 1_000.1)
    world.run(120)
    assert sum(load.cap_w or 500.0 for load in world.loads) <= 900.0
    assert all(load.cap_w == int(load.cap_w) for load in world.loads if load.cap_w is not None)
    world.supply_w = 100.0
    world.run(120)
    assert {load.cap_w for load in world.loads} == {100.0}
    assert world.verdict is not None
    assert world.verdict.is_saturated


def test_caps_do_not_follow_small_changes() -> None:
    world = World(hosts(3), 1_000.0)
    world.run(3600)
    world.orders.clear()
    world.supply_w = 1_005.0
    world.run(2 * 3600)
    assert not world.orders


def test_hosts_get_their_power_back() -> None:
    world = World(hosts(3), 1_000.0)
    world.run(600)
    world.supply_w = 3_000.0
    world.run(3600)
    assert {load.cap_w for load in world.loads} == {500.0}


def test_a_lower_cap_of_somebody_else_is_no_fight() -> None:
    world = World(hosts(1), 400.0)
    world.run(120)
    world.loads[0].cap_w = 200.0
    world.run(600)
    assert "foreign" not in world.kinds()
    assert world.verdict is not None
    assert world.verdict.commanded_w == 360.0


def test_a_cap_that_somebody_takes_away_is_seen() -> None:
    world = World(hosts(1), 400.0)
    world.run(120)
    world.loads[0].cap_w = None
    world.cycle()
    assert "foreign" in world.kinds()
    assert world.orders[-1][1].power_w == 360.0


def test_the_lower_priority_is_shed_first() -> None:
    world = World([*miners(3, priority=9), FakeLoad("x", priority=1), FakeLoad("y", priority=1)], 14_000.0)
    world.run(300)
    assert [load.at for load in world.loads[:3]] == ["3350"] * 3
    assert world.power_w <= 0.9 * 14_000.0


def test_in_an_emergency_what_answers_at_once_is_taken_before_what_restarts() -> None:
    slow = Timing(60.0, 120.0, None, 60.0)
    world = World([*miners(3, timing=slow), *[FakeLoad(f"q{index}", timing=QUICK) for index in range(3)]], 15_000.0)
    outcome = world.cycle()
    assert {order.load[0] for order in outcome.orders} == {"q"}


def test_where_that_is_not_enough_the_others_help() -> None:
    slow = Timing(60.0, 120.0, None, 60.0)
    world = World([*miners(3, timing=slow), FakeLoad("q", timing=QUICK)], 5_000.0)
    world.run(300)
    assert world.load("q").at == "off"
    assert world.power_w <= 4_500.0


def test_a_raise_that_is_on_its_way_is_stopped_in_an_emergency() -> None:
    world = World([FakeLoad("a", at="off", timing=MINER._replace(dead_s=90.0))], 10_000.0, Rules(raise_after_s=0.0))
    load = world.loads[0]
    load.at = "1100"
    load.draws_w = 1_100.0
    world.cycle()
    assert world.orders[-1][1].kind == "raise"
    world.supply_w = 500.0
    world.cycle()
    order = world.orders[-1][1]
    assert (order.kind, order.is_urgent, order.point and order.point.name) == ("shed", True, "off")
    world.run(300)
    assert world.power_w == 0.0


def test_what_took_the_place_of_another_order_and_was_not_sent_leaves_that_in_flight() -> None:
    world = World([FakeLoad("a", at="1100", timing=MINER._replace(dead_s=90.0))], 10_000.0, Rules(raise_after_s=0.0))
    world.cycle()
    raised = world.orders[-1][1]
    world.supply_w = 500.0
    world.sends = False
    world.cycle()
    assert world.state.pending["a"].order.kind == "shed"
    world.supply_w = 10_000.0
    world.cycle()
    assert world.state.pending["a"].order == raised


def test_an_order_that_is_approved_later_is_in_flight_from_then_on() -> None:
    world = World(miners(1), 3_000.0, sends=False)
    order = world.cycle().orders[0]
    world.cycle()
    world.run(60)
    world.loads[0].take(order, world.now_s)
    world.applied = [Applied(order, world.now_s)]
    world.sends = True
    assert not world.cycle().orders
    world.run(120)
    assert world.loads[0].at == "off"
    assert "change_failed" not in world.kinds()


def test_what_is_told_late_of_an_order_that_was_seen_done_is_old_news() -> None:
    world = World(miners(1, timing=QUICK), 3_000.0)
    order = world.cycle().orders[0]
    told, world.applied = world.applied, []
    world.cycle()
    world.cycle()
    assert not world.state.pending
    world.applied = told
    world.cycle()
    assert not world.state.pending
    world.applied = [Applied(order, world.now_s, "timed out")]
    world.cycle()
    assert world.state.loads["m00"].failures == 0


def test_a_load_that_is_no_longer_a_member_is_forgotten() -> None:
    world = World(miners(3), 20_000.0)
    world.cycle()
    del world.loads[0]
    world.cycle()
    assert set(world.state.loads) == {"m01", "m02"}


@pytest.mark.parametrize("state", ["starting", "tuning", "held", "failed"])
def test_what_is_busy_is_not_told_anything(state: str) -> None:
    world = World(miners(1, state=state), 1_000.0)
    world.run(300)
    assert not world.loads[0].orders
    assert world.verdict is not None
    assert state in world.verdict.explanation


def test_order_ids_tell_when_they_were_given() -> None:
    world = World(miners(1), 1_000.0)
    order = world.cycle().orders[0]
    assert order.id == f"{START:%Y%m%d}T001640-0-m00"


def test_the_baseline_takes_one_step_of_each_load_but_not_in_an_emergency() -> None:
    world = World(miners(30), 100_500.0 / 0.93, Rules(strategy="average-efficiency"))
    world.cycle()
    assert {order.point.name for _, order in world.orders if order.point is not None} == {"2950"}
    world.supply_w = 30_000.0
    world.run(60)
    assert world.power_w <= 0.92 * 30_000.0
