"""Whatever befalls: loads of all moods, supplies of all shapes."""

from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from jouled.balance.fleet.words import OFF
from jouled.balance.site.cycle import BalanceState
from small_site import MINER, QUICK, S19, FakeLoad, World

MOODS = st.sampled_from(["", "", "", "", "rejects", "ignores", "away", "lies"])


@st.composite
def fakes(draw: st.DrawFn, moods: st.SearchStrategy[str] = MOODS) -> list[FakeLoad]:
    count = draw(st.integers(1, 12))
    return [
        FakeLoad(
            f"m{index:02}",
            S19 if draw(st.booleans()) else S19[1:],
            draw(st.sampled_from([QUICK, MINER])),
            at=draw(st.sampled_from(S19[1:])).name,
            priority=draw(st.integers(0, 2)),
            drift=draw(st.sampled_from([0.9, 1.0, 1.06])),
            mood=draw(moods),
        )
        for index in range(count)
    ]


def least_w(load: FakeLoad) -> float:
    return 0.0 if load.points[0].name == OFF else load.points[0].power_w * load.drift


@settings(max_examples=25, deadline=None)
@given(fakes(), st.floats(0.0, 1.2), st.floats(0.0, 1.2))
def test_after_a_while_it_is_within_the_budget_where_that_is_possible(
    loads: list[FakeLoad], first: float, then: float
) -> None:
    """What does not follow is taken as it is; the others make up for it, down to their least."""
    most_w = 3_350.0 * len(loads)
    world = World(loads, first * most_w)
    world.run(1800)
    world.supply_w = then * most_w
    world.run(1800)
    fixed_w = sum(load.draws_w if load.mood else least_w(load) for load in loads)
    # Between target and the band of reduce nobody has to act.
    assert world.power_w <= max(0.92 * then * most_w, fixed_w) + 1.0


@settings(max_examples=25, deadline=None)
@given(fakes(st.just("")), st.floats(0.3, 1.2), st.integers(0, 1000))
def test_obeying_loads_are_never_raised_above_the_target(loads: list[FakeLoad], part: float, seed: int) -> None:
    supply_w = part * 3_350.0 * len(loads)
    for load in loads:
        load.at, load.drift = load.points[0].name, min(load.drift, 1.0)
        load.draws_w = load.wants_w
    start_w = sum(load.draws_w for load in loads)
    chance = random.Random(seed)
    world = World(loads, supply_w)
    for _ in range(240):
        world.cycle()
        if chance.random() < 0.01:  # Its memory is gone, whatever is in flight.
            world.state, world.applied = BalanceState(), []
    assert max(world.powers) <= max(0.9 * supply_w, start_w) + 1.0


@settings(max_examples=12, deadline=None)
@given(fakes(), st.lists(st.floats(0.0, 1.5), min_size=1, max_size=8), st.integers(0, 1000))
def test_moods_that_come_and_go_end_nothing_and_leave_every_load_in_a_defined_state(
    loads: list[FakeLoad], parts: list[float], seed: int
) -> None:
    chance = random.Random(seed)
    most_w = 3_350.0 * len(loads)
    world = World(loads, lambda now_s: parts[int(now_s / 400.0) % len(parts)] * most_w)
    for _ in range(200):
        chance.choice(loads).mood = chance.choice(["", "", "rejects", "ignores", "away"])
        outcome = world.cycle()
        ordered = [order.load for order in outcome.orders]
        assert len(set(ordered)) == len(ordered)
        assert math.isfinite(outcome.verdict.load_w)
        # What really flows is never more than safety counts with, but for what came in this very moment.
        assert outcome.verdict.load_w >= 0.0
    for load in loads:
        load.mood = ""
    world.supply_w = 2.0 * most_w
    world.run(6 * 3600)
    assert not world.state.pending
    assert {load.at for load in loads} == {"3350"}


@settings(max_examples=15, deadline=None)
@given(fakes(st.sampled_from(["", "", "away"])), st.floats(0.3, 1.0))
def test_what_vanishes_never_makes_another_rise(loads: list[FakeLoad], part: float) -> None:
    supply_w = part * 3_350.0 * len(loads)
    world = World(loads, supply_w)
    world.run(2 * 3600)
    world.orders.clear()
    for load in loads[::2]:
        load.mood, load.draws_w = "away", 0.0
    world.run(3600)
    assert not [order for _, order in world.orders if order.kind == "raise"]
