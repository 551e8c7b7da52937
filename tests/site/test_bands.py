from __future__ import annotations

from datetime import timedelta

import pytest

from jouled.balance.site.cycle import BalanceState, Inputs, Rules, cycle
from jouled.balance.site.words import Limit, Supply, Verdict
from small_site import S19, START, FakeLoad, World, miners


def seen(world: World) -> Verdict:
    world.cycle()
    assert world.verdict is not None
    return world.verdict


def test_the_target_is_the_supply_less_the_reserve() -> None:
    verdict = seen(World(miners(2), 10_000.0))
    assert (verdict.budget_w, verdict.target_w, verdict.limited_by) == (10_000.0, 9_000.0, "plant")


def test_what_cannot_be_steered_is_taken_off_after_the_reserve() -> None:
    verdict = seen(World(miners(2), 20_000.0, unmanaged_w=5_000.0))
    assert (verdict.budget_w, verdict.target_w, verdict.unmanaged_w) == (15_000.0, 13_000.0, 5_000.0)


def test_the_tightest_of_all_bounds_is_named() -> None:
    limits = (Limit("contract", 9_000.0), Limit("operator", 8_000.0))
    verdict = seen(World(miners(2), 10_000.0, limits=limits))
    assert (verdict.budget_w, verdict.target_w, verdict.limited_by) == (8_000.0, 7_200.0, "operator")


def test_a_limit_of_the_loads_alone_does_not_count_the_others() -> None:
    limits = (Limit("operator", 8_000.0, is_of_all=False),)
    verdict = seen(World(miners(2), 20_000.0, limits=limits, unmanaged_w=5_000.0))
    assert (verdict.budget_w, verdict.limited_by) == (8_000.0, "operator")


def test_a_breaker_bounds_a_site_without_a_plant() -> None:
    world = World(miners(4), None, limits=(Limit("contract", 12_000.0),))
    world.run(300)
    assert world.power_w <= 0.9 * 12_000.0
    assert world.verdict is not None
    assert (world.verdict.stage, world.verdict.limited_by) == (None, "contract")


def test_where_nothing_bounds_nothing_is_done_and_that_is_said() -> None:
    world = World(miners(2, at="1100"), None)
    world.run(3600)
    assert not world.orders
    assert world.verdict is not None
    assert "nothing bounds" in world.verdict.explanation


# Two of 3350 W: 6700 W.
@pytest.mark.parametrize(
    ("supply_w", "band"),
    [
        (6_700 / 0.97, "emergency"),
        (6_700 / 0.95, "reduce"),
        (6_700 / 0.93, "reduce"),
        (6_700 / 0.91, "hold"),
        (6_700 / 0.88, "hold"),
        (6_700 / 0.80, "hold"),  # It has to be so low for a while.
    ],
)
def test_the_band_is_by_the_load_as_part_of_the_budget(supply_w: float, band: str) -> None:
    assert seen(World(miners(2), supply_w)).band == band


def test_bands_keep_their_place_with_another_reserve() -> None:
    wide = Rules(reserve=0.3)
    assert (wide.place(wide.reduce), wide.place(wide.emergency)) == pytest.approx((0.76, 0.88))
    narrow = Rules(reserve=0.0)
    assert (narrow.place(narrow.reduce), narrow.place(narrow.emergency)) == pytest.approx((1.0, 1.0))


def test_a_larger_reserve_acts_at_once() -> None:
    world = World(miners(10), 40_000.0)
    world.run(600)
    before = world.power_w
    world.rules = Rules(reserve=0.3)
    world.run(300)
    assert before > 0.76 * 40_000.0
    assert world.power_w <= 0.7 * 40_000.0


def test_an_emergency_ends_only_below_the_band_of_reduce() -> None:
    load = FakeLoad("a", mood="rejects")
    world = World([load], 3_350 / 0.97)
    world.cycle()
    world.supply_w = 3_350 / 0.94
    assert seen(world).band == "emergency"
    world.supply_w = 3_350 / 0.91
    assert seen(world).band == "hold"
    assert world.kinds().count("emergency") == 1
    assert world.kinds().count("emergency_over") == 1


def test_a_lost_feed_on_batteries_is_an_emergency() -> None:
    world = World(miners(2), 20_000.0, stage="stale", is_on_battery=True)
    assert seen(world).band == "emergency"
    world.stage = "fresh"
    assert seen(world).band == "hold"


def test_infeasible_is_a_state_with_an_explanation_and_no_growing_error() -> None:
    world = World(miners(3, points=S19[1:]), 2_000.0)
    world.run(3600)
    assert [load.at for load in world.loads] == ["1100"] * 3
    assert world.state.is_saturated
    assert world.verdict is not None
    assert world.verdict.explanation
    assert world.kinds().count("saturated") == 1
    orders = len(world.orders)
    world.supply_w = 12_000.0
    assert not world.run(3600).verdict.is_saturated
    assert world.kinds().count("saturated_over") == 1
    assert len(world.orders) > orders
    assert world.power_w > 3_300.0


def test_a_cycle_without_a_load_that_can_be_set_is_not_said() -> None:
    world = World(miners(2, unmanaged="locked"), 3_000.0)
    world.run(world.rules.cycle_s)
    assert "no_actuator" not in world.kinds()


def test_no_load_that_can_be_set_is_said_once() -> None:
    world = World(miners(2, unmanaged="locked"), 3_000.0)
    world.run(300)
    assert world.kinds().count("no_actuator") == 1
    assert world.verdict is not None
    assert world.verdict.is_saturated
    assert "2 x locked" in world.verdict.explanation


def test_without_loads_there_is_nothing_to_say() -> None:
    verdict = seen(World([], 10_000.0))
    assert (verdict.load_w, verdict.measured_w, verdict.is_saturated) == (0.0, None, False)


def test_the_same_question_has_the_same_answer() -> None:
    worlds = [World(miners(12), lambda now_s: 20_000.0 + now_s % 977) for _ in range(2)]
    for _ in range(300):
        first, second = (world.cycle() for world in worlds)
        assert first == second


def test_order_ids_are_never_given_twice() -> None:
    world = World(miners(12), lambda now_s: 40_000.0 if now_s % 7200 < 3600 else 15_000.0)
    world.run(6 * 3600)
    ids = [order.id for _, order in world.orders]
    assert len(ids) > 20
    assert len(set(ids)) == len(ids)


def test_the_supply_may_be_nothing_at_all() -> None:
    inputs = Inputs(0.0, START + timedelta(0), Supply(0.0, "fresh", 1.0), (FakeLoad("a").member(0.0),))
    outcome = cycle(BalanceState(), inputs, Rules())
    assert outcome.verdict.band == "emergency"
    assert [order.point.name for order in outcome.orders if order.point is not None] == ["off"]
