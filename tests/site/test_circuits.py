from __future__ import annotations

import math

from jouled.balance.fleet.words import Circuit
from jouled.balance.site.cycle import Metered
from small_site import QUICK, FakeLoad, World, miners

TREE = (Circuit("hall", 20_000.0), Circuit("pdu-1", 7_000.0, "hall"), Circuit("pdu-2", None, "hall"))


def halls(at: str = "3350") -> list[FakeLoad]:
    return [
        *[FakeLoad(f"a{index}", at=at, circuit="pdu-1", timing=QUICK) for index in range(3)],
        *[FakeLoad(f"b{index}", at=at, circuit="pdu-2", timing=QUICK) for index in range(2)],
    ]


def drawn_w(world: World, letter: str) -> float:
    return sum(load.draws_w for load in world.loads if load.id.startswith(letter))


def test_a_circuit_that_carries_too_much_sheds_below_itself_only() -> None:
    world = World(halls(), 60_000.0, circuits=TREE)
    world.run(120)
    assert {order.load[0] for _, order in world.orders} == {"a"}
    assert drawn_w(world, "a") <= 0.9 * 7_000.0
    assert drawn_w(world, "b") == 6_700.0
    assert "circuit pdu-1" in world.orders[0][1].reason


def test_circuits_bound_a_site_that_nothing_else_bounds() -> None:
    world = World(halls(), None, circuits=TREE)
    world.run(120)
    assert drawn_w(world, "a") <= 0.9 * 7_000.0
    assert world.verdict is not None
    assert (world.verdict.limited_by, world.verdict.budget_w) == ("circuits", None)


def test_raises_stay_within_each_circuit() -> None:
    world = World(halls("off"), 60_000.0, circuits=TREE)
    world.run(4 * 3600)
    assert 5_000.0 < drawn_w(world, "a") <= 0.9 * 7_000.0
    assert drawn_w(world, "b") == 6_700.0


def test_a_parent_bounds_what_hangs_below_its_children() -> None:
    tree = (Circuit("hall", 8_000.0), *TREE[1:])
    world = World(halls(), 60_000.0, circuits=tree)
    world.run(120)
    assert drawn_w(world, "a") + drawn_w(world, "b") <= 0.9 * 8_000.0


def test_a_circuit_without_anything_to_shed_is_saturated_and_the_others_are_left() -> None:
    loads = halls()
    for load in loads[:3]:
        load.unmanaged = "locked"
    world = World(loads, 60_000.0, circuits=TREE)
    world.run(600)
    assert not world.orders
    assert world.verdict is not None
    assert world.verdict.is_saturated
    assert world.kinds().count("saturated") == 1


def test_a_circuit_whose_meter_is_stale_raises_nothing_below_it() -> None:
    world = World(halls("1100"), 60_000.0, circuits=TREE, meters=(Metered("pdu-1", 500.0, math.inf),))
    world.run(2 * 3600)
    assert {order.load[0] for _, order in world.orders} == {"b"}


def test_the_meter_of_a_circuit_is_believed_before_what_devices_say() -> None:
    world = World(halls("1900"), 60_000.0, circuits=TREE, meters=(Metered("pdu-1", 6_900.0, 1.0),))
    world.run(60)
    assert {(order.load[0], order.kind) for _, order in world.orders} == {("a", "shed")}


def test_a_load_on_a_circuit_that_nobody_describes_hangs_on_the_site() -> None:
    world = World(miners(4, circuit="nowhere"), 6_000.0, circuits=TREE)
    world.run(300)
    assert world.power_w <= 5_400.0


def test_circuits_that_hang_on_each_other_do_not_end_it() -> None:
    ring = (Circuit("a", 5_000.0, "b"), Circuit("b", 5_000.0, "a"))
    world = World(miners(2, circuit="a", at="1100", unmanaged="locked"), 60_000.0, circuits=ring)
    world.run(60)
    assert world.verdict is not None
