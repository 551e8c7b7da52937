"""It changes as little as it can: no limit cycle, steps that settle, and waits that are kept."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from jouled.balance.site.cycle import Rules
from jouled.balance.site.inflight import HOUR_S
from jouled.balance.site.planning import planned
from jouled.balance.site.words import Timing
from small_site import MINER, QUICK, S19, World, miners

RULES = Rules()


def noisy(mean_w: float, part: float, seed: int = 1) -> Callable[[float], float]:
    """The same at the same time."""
    return lambda now_s: mean_w * (1.0 + random.Random(f"{seed} {now_s}").uniform(-part, part))


def swung(mean_w: float, part: float, period_s: float) -> Callable[[float], float]:
    return lambda now_s: mean_w * (1.0 + part * math.sin(2 * math.pi * now_s / period_s))


@pytest.mark.parametrize(
    ("count", "part"),
    [(1, 0.5), (1, 0.9), (3, 0.35), (3, 0.5), (3, 0.71), (12, 0.35), (12, 0.5), (12, 0.71), (12, 0.9), (60, 0.71)],
)
def test_a_constant_supply_gives_no_change_after_convergence(count: int, part: float) -> None:
    world = World(miners(count), count * 3_350.0 * part)
    world.run(2 * HOUR_S)
    world.orders.clear()
    world.run(2 * HOUR_S)
    assert not world.orders


@pytest.mark.parametrize(("count", "seed"), [(3, 1), (3, 2), (12, 1), (12, 2), (40, 1)])
def test_noise_below_the_dead_band_gives_none(count: int, seed: int) -> None:
    supply_w = count * 2_500.0
    world = World(miners(count), noisy(supply_w, 0.025, seed))
    for index, load in enumerate(world.loads):
        load.noise = lambda now_s, index=index: random.Random(f"{index} {now_s}").uniform(-0.02, 0.02)  # type: ignore[misc]
    world.run(3 * HOUR_S)
    world.orders.clear()
    world.run(2 * HOUR_S)
    assert not world.orders


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("period_s", [120.0, 420.0, 1200.0])
def test_steps_larger_than_the_dead_band_do_not_make_it_come_and_go(count: int, period_s: float) -> None:
    """Few loads, one step of which is more than the dead band, and a supply that swings by less than that."""
    coarse = (S19[0], S19[3], S19[6])
    world = World(miners(count, points=coarse), swung(count * 2_600.0, 0.028, period_s))
    world.run(4 * HOUR_S)
    world.orders.clear()
    world.run(6 * HOUR_S)
    assert len(world.orders) <= 1


def test_a_square_wave_is_followed_by_at_most_two_changes_of_a_load_in_a_period() -> None:
    period_s = 7200.0
    world = World(miners(12), lambda now_s: 40_000.0 if now_s % period_s < period_s / 2 else 24_000.0)
    world.run(2 * period_s)
    world.orders.clear()
    for load in world.loads:
        load.orders.clear()
    world.run(4 * period_s)
    changes = sum(len(load.orders) for load in world.loads)
    assert 0 < changes <= 4 * 2 * len(world.loads)


def test_the_power_turns_no_more_often_than_the_supply() -> None:
    world = World(miners(20), swung(50_000.0, 0.3, 4 * HOUR_S))
    world.run(4 * HOUR_S)
    world.powers.clear()
    world.run(12 * HOUR_S)
    moves = [b - a for a, b in pairwise(world.powers) if abs(b - a) > 1.0]
    turns = sum((a > 0) is not (b > 0) for a, b in pairwise(moves))
    # Restarts draw as before until they have settled; an exchange after a hurry turns twice.
    assert turns <= 3 * 4


@pytest.mark.parametrize("count", [4, 20, 60])
def test_a_step_down_has_settled_after_the_dead_time_and_two_cycles(count: int) -> None:
    world = World(miners(count, timing=QUICK), count * 4_000.0)
    world.run(600)
    supply_w = count * 1_700.0
    world.supply_w = supply_w
    world.run(QUICK.dead_s + QUICK.settle_s + 2 * RULES.cycle_s)
    assert world.power_w <= 0.9 * supply_w
    largest_step_w = 3_350.0
    assert world.power_w >= 0.9 * supply_w - largest_step_w
    before = len(world.orders)
    world.run(200)
    assert len(world.orders) == before


def test_a_trip_is_answered_by_pauses_in_one_cycle_and_exchanged_later() -> None:
    world = World(miners(60), 240_000.0)
    world.run(600)
    world.supply_w = 120_000.0
    outcome = world.cycle()
    assert all(order.is_urgent for order in outcome.orders)
    assert {order.point.name for order in outcome.orders if order.point is not None} == {"off"}
    world.run(MINER.pause_s or 0.0)
    assert world.power_w <= 0.9 * 120_000.0
    off = sum(load.at == "off" for load in world.loads)
    world.run(2 * HOUR_S)
    assert sum(load.at == "off" for load in world.loads) < off
    assert 0.8 * 120_000.0 < world.power_w <= 0.9 * 120_000.0


def test_no_step_up_goes_above_the_target() -> None:
    world = World(miners(12, at="off"), 30_000.0)
    world.run(4 * HOUR_S)
    assert max(world.powers) <= 27_000.0
    assert max(world.powers) > 25_000.0


def test_loads_that_draw_more_than_they_say_do_not_make_it_come_and_go() -> None:
    world = World(miners(12, drift=1.08), 30_000.0)
    world.run(4 * HOUR_S)
    world.orders.clear()
    world.run(4 * HOUR_S)
    assert not world.orders
    assert world.power_w <= 0.92 * 30_000.0


def test_raises_wait_until_it_was_low_for_long_enough() -> None:
    world = World(miners(4, at="1100"), 40_000.0)
    world.run(RULES.raise_after_s - RULES.cycle_s)
    assert not world.orders
    world.run(2 * RULES.cycle_s)
    assert {order.kind for _, order in world.orders} == {"raise"}


def test_a_load_is_not_raised_within_its_dwell_and_is_shed_all_the_same() -> None:
    world = World(miners(1), 3_000.0)
    world.run(300)
    shed_s = world.orders[0][0]
    world.supply_w = 10_000.0
    world.run(2 * HOUR_S)
    raised_s = next(at_s for at_s, order in world.orders if order.kind == "raise")
    assert raised_s - shed_s >= RULES.dwell_s
    world.supply_w = 3_000.0
    world.cycle()
    assert world.orders[-1][1].kind == "shed"


def test_changes_of_an_hour_are_bounded_for_raises_only() -> None:
    rules = Rules(changes_per_hour=3, dwell_s=0.0, raise_after_s=0.0)
    world = World(miners(10, at="1100"), 60_000.0, rules)
    world.run(HOUR_S - 60.0)
    assert len(world.orders) == 3
    world.supply_w = 5_000.0
    world.cycle()
    assert len(world.orders) > 6


def test_a_load_is_not_raised_more_often_than_its_bound() -> None:
    rules = Rules(load_changes_per_hour=2, dwell_s=0.0, raise_after_s=0.0, ewma_s=0.0)
    world = World(miners(1, timing=QUICK), lambda now_s: 10_000.0 if now_s % 600 < 300 else 2_000.0, rules)
    world.run(HOUR_S)
    raises = [order for _, order in world.orders if order.kind == "raise"]
    assert len(raises) <= 2


def test_the_ramp_bounds_what_is_raised_in_a_minute() -> None:
    world = World(miners(10, at="1100"), 60_000.0, Rules(ramp_w_per_min=1_000.0))
    world.run(1800)
    raised_w = sum(order.power_w - (order.before_w or 0.0) for _, order in world.orders)
    assert 5_000.0 < raised_w <= 1_000.0 * 31 + 5_000.0


def test_raises_go_by_the_supply_of_late_and_sheds_by_the_one_of_now() -> None:
    world = World(miners(10, at="1100"), 12_500.0)
    world.run(HOUR_S)
    world.orders.clear()
    world.supply_w = 60_000.0
    world.run(RULES.raise_after_s + 2 * RULES.cycle_s)
    assert world.orders
    assert sum(order.power_w - (order.before_w or 0.0) for _, order in world.orders) < 0.9 * 40_000.0


def test_a_small_gain_that_does_not_pay_for_a_restart_is_left() -> None:
    close = (S19[0], S19[6], S19[6]._replace(name="3400", power_w=3_400.0, work=105.5))
    world = World(miners(4, points=close, timing=Timing(60.0, 60.0, 15.0, 60.0)), 40_000.0)
    world.run(2 * HOUR_S)
    assert not world.orders


def test_most_cycles_ask_the_planner_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(*words: object, **more: object) -> object:
        asked.append(words)
        return planned(*words, **more)  # type: ignore[arg-type]

    for module in ("shedding", "raising", "resettling"):
        monkeypatch.setattr(f"jouled.balance.site.{module}.planned", counted)
    world = World(miners(60), 180_000.0)
    world.run(2 * HOUR_S)
    asked.clear()
    world.run(HOUR_S)
    assert not asked
