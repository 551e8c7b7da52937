"""Figures that cannot be, circuits that are no tree, presets that are gone: a site is balanced all the same."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from jouled.balance.fleet.words import OFF, Circuit, Point, Span
from jouled.balance.site.cycle import Rules
from jouled.balance.site.words import Member, Observation
from small_site import S19, FakeLoad, World, miners


class Odd(FakeLoad):
    """One whose word is another than what it is."""

    says: Callable[[Member], Member] = staticmethod(lambda member: member)

    def member(self, now_s: float) -> Member:
        return self.says(super().member(now_s))


def odd(name: str, says: Callable[[Member], Member], **words: object) -> Odd:
    load = Odd(name, **words)  # type: ignore[arg-type]
    load.says = says
    return load


def seen(**words: object) -> Callable[[Member], Member]:
    def says(member: Member) -> Member:
        assert member.seen is not None
        return member._replace(seen=member.seen._replace(**words))  # type: ignore[arg-type]

    return says


@pytest.mark.parametrize(
    "says",
    [
        seen(work=math.nan, point="x"),
        seen(work=-5.0, point="x"),
        seen(work=1e300, point="x"),
        seen(power_w=1e9),
        seen(power_w=math.nan),
        lambda member: member._replace(worst_w=math.nan, seen=member.seen._replace(state="away")),
        lambda member: member._replace(points=(*S19, Point("9999999999", 1e10, 5.0))),
        lambda member: member._replace(points=(*S19, Point("odd", math.nan, 5.0))),
        lambda member: member._replace(points=(), span=Span(900.0, 100.0)),
        lambda member: member._replace(weight=math.nan),
    ],
    ids=[
        "no work",
        "less work",
        "endless work",
        "huge",
        "no power",
        "no worst",
        "huge point",
        "odd point",
        "span",
        "weight",
    ],
)
def test_a_figure_that_cannot_be_keeps_nobody_else_from_being_shed(says: Callable[[Member], Member]) -> None:
    loads = [odd("odd", says), *miners(3)]
    world = World(loads, 8_000.0)
    world.run(600)
    assert world.verdict is not None
    assert math.isfinite(world.verdict.load_w)
    assert world.power_w <= 7_200.0


def test_a_host_whose_cap_is_no_number_is_still_counted_and_shed() -> None:
    host = odd("host", seen(cap_w=math.nan), span=Span(100.0, 1000.0))
    world = World([host, *miners(2)], 3_000.0)
    world.run(600)
    assert world.verdict is not None
    assert math.isfinite(world.verdict.load_w)
    assert world.power_w <= 3_000.0


@pytest.mark.parametrize(
    ("circuits", "most_w"),
    [
        ((Circuit("a", 9_000.0, "b"), Circuit("b", 5_000.0, "a")), 5_000.0),
        ((Circuit("a", 5_000.0, "a"),), 5_000.0),
        ((Circuit("a", 9_000.0, "c"), Circuit("b", None, "c"), Circuit("c", 5_000.0, "b")), 5_000.0),
        ((Circuit("a", 9_000.0), Circuit("a", 5_000.0)), 5_000.0),
        ((Circuit("a", 5_000.0, "gone"),), 5_000.0),
        ((Circuit("a", math.nan),), 0.0),
        ((Circuit("a", -5.0),), 0.0),
        ((Circuit("a", math.inf),), 13_400.0),
    ],
    ids=["circle", "self", "circle above", "twice", "no parent", "no number", "negative", "endless"],
)
def test_circuits_that_are_no_tree_keep_the_limits_that_there_are_and_are_said_once(
    circuits: tuple[Circuit, ...], most_w: float
) -> None:
    world = World(miners(4, circuit="a"), 80_000.0, circuits=circuits)
    world.run(1200)
    assert world.power_w <= most_w
    assert 1 <= world.kinds().count("circuits_wrong") <= 2
    notes = [each.note for each in world.happenings if each.kind == "circuits_wrong"]
    assert len(set(notes)) == len(notes)


def test_what_hangs_on_a_circuit_that_nobody_describes_is_shed_but_not_raised() -> None:
    loads = [FakeLoad("lost", circuit="gone", at="1100"), FakeLoad("m", at="1100")]
    world = World(loads, 80_000.0)
    world.run(4 * 3600)
    assert [load.at for load in loads] == ["1100", "3350"]
    assert world.kinds() == ["circuits_wrong"]
    world.supply_w = 100.0
    world.run(600)
    assert [load.at for load in loads] == [OFF, OFF]


@pytest.mark.parametrize("at", [OFF, "1500"])
def test_one_that_was_found_below_what_it_may_be_set_to_comes_up_again(at: str) -> None:
    narrowed = odd("m", lambda member: member._replace(points=S19[3:]), at=at)
    world = World([narrowed], 80_000.0)
    world.run(4 * 3600)
    assert narrowed.at == "3350"


@pytest.mark.parametrize("state", ["held", "tuning", "running"])
def test_one_that_is_no_longer_off_counts_with_what_it_reads_back_where_nobody_measures_it(state: str) -> None:
    loads = miners(2)
    world = World(loads, 100.0)
    world.run(600)
    assert [load.at for load in loads] == [OFF, OFF]

    def says(member: Member) -> Member:
        locked = None if state != "running" else "locked"
        return member._replace(seen=Observation(world.now_s, state, "2950"), unmanaged=locked)  # type: ignore[arg-type]

    world.loads = [odd(load.id, says, at="2950") for load in loads]
    world.cycle()
    assert world.verdict is not None
    assert world.verdict.load_w == 5_900.0


def test_a_shed_does_not_wait_half_an_hour_for_one_that_had_refused_it() -> None:
    world = World(miners(6, mood="rejects"), 10_000.0)
    world.run(2400)
    for load in world.loads:
        load.mood = ""
    world.run(180)
    assert world.power_w <= 10_000.0


def test_one_that_refuses_is_not_asked_more_often_than_every_two_minutes_in_the_end() -> None:
    world = World(miners(1, mood="rejects"), 100.0)
    world.run(3600)
    world.orders.clear()
    world.run(3600)
    assert len(world.orders) <= 31


def test_somebody_who_sets_a_load_by_hand_once_a_day_does_not_take_it_away() -> None:
    world = World(miners(2), 100_000.0)
    world.run(3600)
    for _ in range(4):
        world.loads[0].at = "1100"
        world.run(24 * 3600)
        assert world.loads[0].at == "3350"
    assert "foreign_left" not in world.kinds()


# The baseline within our bands.

BASELINE = Rules(strategy="average-efficiency")


def test_the_baseline_switches_on_again_what_an_emergency_has_switched_off() -> None:
    world = World(miners(6), 25_000.0, BASELINE)
    world.run(1800)
    world.supply_w = 2_000.0
    world.run(600)
    assert {load.at for load in world.loads} == {OFF}
    world.supply_w = 25_000.0
    world.run(12 * 3600)
    assert {load.at for load in world.loads} == {"3350"}


def test_the_baseline_fills_no_circuit_beyond_its_target() -> None:
    loads = [*miners(4, circuit="a", at="1100"), FakeLoad("z", at="1100")]
    world = World(loads, 100_000.0, BASELINE, circuits=(Circuit("a", 7_000.0),))
    world.run(6 * 3600)
    assert sum(load.draws_w for load in loads[:4]) <= 6_300.0


def test_the_baseline_raises_nothing_above_the_target() -> None:
    points = (S19[0], Point("3000", 3000.0, 90.0))
    world = World(miners(1, points=points, at=OFF), 2_950.0, BASELINE)
    world.run(6 * 3600)
    assert not world.orders
