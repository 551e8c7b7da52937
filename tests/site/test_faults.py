"""What goes wrong: of the feed, of the meters, of devices, of the controller itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from jouled.balance.site.cycle import BalanceState, Rules
from jouled.balance.site.supply import Reading, SupplyRules, SupplyState, judged, supply_of
from jouled.balance.site.words import Stage, Supply
from small_site import MINER, S19, START, FakeLoad, World, miners

RULES = Rules()


def settled(count: int = 10, supply_w: float = 30_000.0, **words: object) -> World:
    world = World(miners(count, **words), supply_w)
    world.run(2 * 3600)
    world.orders.clear()
    world.happenings.clear()
    return world


# The plant's reading grows old.


@pytest.mark.parametrize("stage", ["stale", "held", "failed"])
def test_nothing_is_raised_while_the_reading_is_not_fresh(stage: Stage) -> None:
    world = settled()
    world.stage = stage
    world.supply_w = 90_000.0
    world.run(3600)
    assert not world.orders
    assert world.kinds() == [f"supply_{stage}"]
    assert world.verdict is not None
    assert stage in world.verdict.explanation


def test_a_supply_that_is_stepped_down_is_followed_down() -> None:
    world = settled()
    world.stage = "held"
    start_s = world.now_s
    world.supply_w = lambda now_s: 30_000.0 * 0.95 ** ((now_s - start_s) / 60.0)
    world.run(600)
    given_w = world.given_w
    assert given_w is not None
    assert world.power_w <= given_w
    assert world.orders
    assert all(order.kind == "shed" for _, order in world.orders)


def test_the_fallback_of_nothing_switches_off_what_can_be_and_the_rest_is_at_its_least() -> None:
    world = World([*miners(4), FakeLoad("only-down", points=S19[1:])], 40_000.0)
    world.run(600)
    world.stage = "failed"
    world.supply_w = 0.0
    world.run(600)
    assert [load.at for load in world.loads] == ["off"] * 4 + ["1100"]
    assert world.verdict is not None
    assert world.verdict.is_saturated
    assert "supply_failed" in world.kinds()


def test_after_the_feed_is_back_raises_wait_again() -> None:
    world = settled()
    world.stage = "failed"
    world.supply_w = 0.0
    world.run(1800)
    world.stage = "fresh"
    world.supply_w = 30_000.0
    world.orders.clear()
    world.run(RULES.raise_after_s - RULES.cycle_s)
    assert not world.orders
    world.run(3600)
    assert world.power_w > 20_000.0
    assert world.kinds().count("supply_fresh") == 1


def test_a_feed_that_flaps_is_said_once_and_once_more_when_it_is_over() -> None:
    world = settled()
    told = len(world.kinds())
    for _ in range(100):
        world.stage = "stale"
        world.run(RULES.cycle_s)
        world.stage = "fresh"
        world.run(RULES.cycle_s)
    assert world.kinds()[told:] == ["supply_stale"]
    world.run(10 * RULES.cycle_s)
    assert world.kinds()[told:] == ["supply_stale", "supply_fresh"]


def test_nothing_is_raised_before_a_first_reading_is_believed() -> None:
    world = World(miners(4, at="1100"))
    world.judged = Supply(None, "fresh", None)
    world.run(7200)
    assert not world.orders
    assert world.verdict is not None
    assert world.verdict.band == "no-data"


def test_a_lying_feed_never_raises_a_load_and_never_ends_the_loop() -> None:
    """Negative, a thousandfold, frozen, of the future, flapping: each for ten minutes, one after another."""
    world = settled(supply_w=30_000.0)
    before_w = world.power_w
    supply_rules, feed, began_s = SupplyRules(rated_w=60_000.0), SupplyState(), world.now_s
    lies: list[Callable[[datetime], Reading | None]] = [
        lambda at: Reading(30_000.0, at),  # The truth, so that it is well known before.
        lambda at: Reading(-30_000.0, at),
        lambda at: Reading(30_000_000.0, at),
        lambda at: Reading(math.nan, at),
        lambda _at: Reading(55_000.0, START + timedelta(seconds=began_s)),
        lambda at: Reading(55_000.0, at + timedelta(hours=1)),
        lambda at: Reading(55_000.0, at, confidence=0.3),
        lambda at: Reading(30_000_000.0 if at.second % 30 else 30.0, at),
        lambda _at: None,
    ]
    for lie in lies:
        for _ in range(40):
            at = START + timedelta(seconds=world.now_s)
            reading = lie(at)
            feed = judged(feed, reading, None if reading else "no answer", supply_rules, at, world.now_s)
            world.judged = supply_of(feed, supply_rules, world.now_s)
            world.cycle()
    assert not [order for _, order in world.orders if order.kind == "raise"]
    assert world.power_w < before_w


# Meters and devices.


def test_a_stale_meter_raises_nothing_and_counts_the_worst() -> None:
    world = World(miners(4, at="1100"), 40_000.0)
    world.metered = lambda _world: (2_000.0, 600.0)
    world.run(3600)
    assert not world.orders
    assert world.verdict is not None
    assert world.verdict.load_w == pytest.approx(4_400.0)
    assert "out of date" in world.verdict.explanation


def test_a_meter_that_was_never_read_is_stale() -> None:
    world = World(miners(4, at="1100"), 40_000.0)
    world.metered = lambda _world: (None, math.inf)
    world.run(3600)
    assert not world.orders


def test_a_fresh_meter_is_believed_before_what_devices_say() -> None:
    world = World(miners(10), 40_000.0)
    world.metered = lambda world: (world.power_w * 1.15, 5.0)
    world.run(1800)
    assert world.verdict is not None
    assert world.power_w * 1.15 <= 0.92 * 40_000.0


def test_a_load_that_vanishes_counts_and_raises_nobody() -> None:
    world = settled()
    gone = world.loads[:3]
    counted_w = sum(load.draws_w for load in gone)
    before_w = world.power_w
    assert counted_w > 3_000.0
    for load in gone:
        load.mood, load.draws_w = "away", 0.0
    world.run(3 * 3600)
    assert not world.orders
    assert world.verdict is not None
    assert world.verdict.load_w >= before_w - 1.0
    assert world.kinds().count("load_away") == 3
    for load in gone:
        load.mood = ""
    world.run(3600)
    assert world.power_w <= 0.92 * 30_000.0
    assert world.kinds().count("load_back") == 3
    assert "foreign" not in world.kinds()


def test_what_vanishes_counts_with_its_worst() -> None:
    load = FakeLoad("a", at="1100", worst_w=4_690.0)
    world = World([load], 20_000.0)
    world.cycle()
    load.mood = "away"
    world.cycle()
    assert world.verdict is not None
    assert world.verdict.load_w == 4_690.0


def test_what_was_seen_to_be_off_and_vanishes_is_off() -> None:
    load = FakeLoad("a", at="off", worst_w=4_690.0)
    world = World([load, FakeLoad("b")], 5_000.0)
    world.cycle()
    load.mood = "away"
    world.run(300)
    assert world.verdict is not None
    assert world.verdict.load_w == 3_350.0


def test_a_load_that_was_never_seen_counts_with_the_most_it_could() -> None:
    world = World(miners(1, mood="away"), 20_000.0)
    world.cycle()
    assert world.verdict is not None
    assert (world.verdict.load_w, world.verdict.measured_w) == (3_350.0, None)


def test_power_that_is_shed_is_not_believed_before_it_is_seen() -> None:
    world = World(miners(4, timing=MINER._replace(pause_s=29.0)), 10_000.0)
    assert world.cycle().orders
    world.cycle()
    assert world.verdict is not None
    assert world.verdict.load_w == pytest.approx(4 * 3_350.0)
    assert not world.cycle().orders  # And it is not shed a second time.


def test_a_restarting_or_tuning_load_is_left_alone_and_counts() -> None:
    loads = miners(4)
    loads[0].state, loads[1].state = "tuning", "starting"
    loads[0].draws_w = loads[1].draws_w = 200.0
    loads[0].mood = loads[1].mood = "lies"
    world = World(loads, 10_000.0)
    world.run(600)
    assert not loads[0].orders
    assert not loads[1].orders
    assert world.verdict is not None
    assert world.verdict.load_w >= 6_700.0


def test_a_load_held_by_its_user_counts_with_what_it_would_draw() -> None:
    world = settled()
    held = next(load for load in world.loads if load.draws_w > 2_000.0)
    held.state, held.draws_w, held.mood = "held", 0.0, "lies"
    world.run(2 * 3600)
    assert not world.orders


def test_an_order_that_is_not_followed_makes_others_take_over_and_is_said_once() -> None:
    loads = miners(10)
    for load in loads[:3]:
        load.mood = "ignores"
    world = World(loads, 30_000.0)
    world.run(3 * 3600)
    assert world.power_w <= 0.92 * 30_000.0
    told = [happening.source for happening in world.happenings if happening.kind == "change_failed"]
    assert len(told) == len(set(told))


def test_a_lie_that_reads_back_does_not_free_budget() -> None:
    loads = miners(4)
    loads[0].mood = "lies"
    world = World(loads, 10_000.0)
    world.run(3600)
    assert loads[0].draws_w == 3_350.0
    assert world.power_w <= 0.92 * 10_000.0


def test_a_rejected_order_is_not_sent_again_at_once_and_others_take_over_next_cycle() -> None:
    loads = miners(4)
    world = World(loads, 11_000.0)
    first = world.cycle().orders
    world = World(miners(4), 11_000.0)
    for order in first:
        world.load(order.load).mood = "rejects"
    world.cycle()
    second = world.cycle().orders
    assert second
    assert not {order.load for order in first} & {order.load for order in second}
    world.run(4 * 3600)
    assert all(len(world.load(order.load).orders) < 20 for order in first)
    assert world.power_w <= 0.92 * 11_000.0


def test_an_order_that_was_refused_may_have_been_followed_and_counts() -> None:
    load = FakeLoad("a", at="1100")
    world = World([load], 20_000.0)
    world.run(RULES.raise_after_s)
    load.mood = "rejects"
    world.cycle()
    world.cycle()
    assert load.orders
    assert world.verdict is not None
    assert world.verdict.load_w == load.orders[-1].power_w


def test_late_is_not_foreign() -> None:
    world = World(miners(2), 6_000.0)
    world.loads[0].timing = world.loads[0].timing._replace(dead_s=10.0, settle_s=10.0, pause_s=10.0)
    world.loads[1].timing = world.loads[0].timing
    for load in world.loads:
        load.mood = "ignores"
    world.run(120)
    for load in world.loads:  # It did it in the end.
        for order in load.orders[-1:]:
            assert order.point is not None
            load.mood, load.at = "", order.point.name
    world.run(900)
    assert "change_failed" in world.kinds()
    assert "foreign" not in world.kinds()


# Others, and the controller itself.


def test_a_foreign_write_is_taken_as_it_is_and_not_fought_for_ever() -> None:
    load = FakeLoad("a")
    world = World([load, *miners(3, unmanaged="locked")], 13_000.0)
    changes = 0
    for _ in range(4 * 60):
        if load.at != "3350" and load.due is None and world.state.loads["a"].is_ours:
            load.at, changes = "3350", changes + 1
        world.run(60)
    assert world.kinds().count("foreign") == changes
    assert world.kinds().count("foreign_left") == changes - 2
    assert 4 <= changes <= 6  # Three, and then one an hour.
    assert world.state.loads["a"].left_until_s > world.now_s


def test_a_load_at_a_point_that_it_may_not_be_at_counts_as_measured_and_can_be_shed() -> None:
    load = FakeLoad("a", points=(*S19, S19[-1]._replace(name="4260", power_w=4_260.0, work=120.0)), at="4260")
    world = World([load, *miners(3)], 12_000.0)
    member = load.member
    load.member = lambda now_s: member(now_s)._replace(points=S19)  # type: ignore[method-assign]
    world.run(900)
    assert load.at in {point.name for point in S19}
    assert world.power_w <= 0.92 * 12_000.0


@pytest.mark.parametrize("after", range(1, 12))
def test_a_controller_that_was_killed_adopts_what_it_finds(after: int) -> None:
    """After so many cycles of a shed its memory is gone: half of the orders are on their way."""
    world = World(miners(20), 70_000.0)
    world.run(300)
    world.supply_w = 25_000.0
    for _ in range(after):
        world.cycle()
    world.state, world.applied = BalanceState(), []
    world.run(1800)
    assert world.power_w <= 0.92 * 25_000.0
    assert all(load.due is None for load in world.loads)
    assert not [order for _, order in world.orders if order.kind == "raise"]
    assert "foreign" not in world.kinds()


def test_a_controller_that_starts_above_the_supply_sheds_in_its_first_cycle() -> None:
    world = World(miners(4), 6_000.0)
    assert world.cycle().orders


def test_after_a_suspension_raises_wait_again() -> None:
    world = World(miners(4, at="1100"), 40_000.0)
    world.run(RULES.raise_after_s - 2 * RULES.cycle_s)
    world.now_s += 8 * 3600.0
    assert not world.cycle().orders
    assert not world.run(RULES.raise_after_s - 2 * RULES.cycle_s).orders
    assert world.run(4 * RULES.cycle_s) is not None
    assert world.orders


def test_orders_that_were_not_sent_are_forgotten() -> None:
    world = World(miners(4), 10_000.0, sends=False)
    first = world.cycle()
    second = world.cycle()
    assert [order.load for order in first.orders] == [order.load for order in second.orders]
    world.run(3600)
    assert "change_failed" not in world.kinds()
    assert all(not memory.changes for memory in world.state.loads.values())


def test_while_paused_it_sheds_and_does_not_raise() -> None:
    world = World(miners(4, at="1100"), 40_000.0, is_paused=True)
    world.run(3600)
    assert not world.orders
    world.supply_w = 3_000.0
    world.run(300)
    assert world.power_w <= 3_000.0


@pytest.mark.parametrize("power_w", [math.nan, -500.0, math.inf])
def test_a_load_that_says_what_cannot_be_counts_with_what_it_was_told(power_w: float) -> None:
    world = World(miners(2), 5_000.0)
    for load in world.loads:
        load.seen = lambda now_s: FakeLoad("other").seen(now_s)._replace(power_w=power_w)  # type: ignore[method-assign]
    outcome = world.cycle()
    assert outcome.verdict.load_w == 6_700.0
    assert outcome.orders


@pytest.mark.parametrize("power_w", [math.nan, -500.0, math.inf])
def test_a_meter_that_says_what_cannot_be_is_stale(power_w: float) -> None:
    world = World(miners(2, at="1100"), 40_000.0)
    world.metered = lambda _world: (power_w, 1.0)
    world.run(1800)
    assert not world.orders
    assert world.verdict is not None
    assert world.verdict.load_w == 2_200.0


def test_a_supply_that_is_no_number_is_nothing() -> None:
    world = World(miners(2), math.nan)
    assert world.cycle().verdict.budget_w == 0.0
