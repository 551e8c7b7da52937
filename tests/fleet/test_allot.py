"""What must hold of every allotment, whatever the fleet."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouled.balance.fleet.allot import allot
from jouled.balance.fleet.words import OFF, Allotment, Circuit, FleetError, Load, Point, Span
from miner_fleets import S19, STOPPED, miners, most_w

# Of what was handed out, for sums of binary fractions.
TINY_W = 1e-6


def _names(allotment: Allotment) -> dict[str, str | None]:
    return {load: None if chosen.point is None else chosen.point.name for load, chosen in allotment.chosen.items()}


def _worth(loads: Sequence[Load], allotment: Allotment) -> float:
    """Weighted work, less what changes cost."""
    worth = 0.0
    for load in loads:
        point = allotment.chosen[load.id].point
        if point is not None:
            worth += load.weight * point.work - (load.change_cost if load.current not in (None, point.name) else 0.0)
    return worth


def _best_of_all(loads: Sequence[Load], budget_w: float) -> float:
    """By trying everything."""
    best = -math.inf
    for points in product(*(load.points for load in loads)):
        if sum(point.power_w for point in points) <= budget_w:
            costs = (
                0.0 if load.current in (None, p.name) else load.change_cost
                for load, p in zip(loads, points, strict=True)
            )
            works = (load.weight * p.work for load, p in zip(loads, points, strict=True))
            best = max(best, sum(works) - sum(costs))
    return best


@st.composite
def _loads(draw: st.DrawFn, most: int = 7, *, has_one_class: bool = False, circuits: Sequence[str] = ()) -> list[Load]:
    """Equal powers, dominated and duplicate points, no work at all: whatever can be."""
    point = st.tuples(st.sampled_from([0, 100, 250, 600, 1000, 1100, 1730, 3000]), st.integers(0, 40))
    loads = []
    for number in range(draw(st.integers(0, most))):
        points = tuple(
            Point(f"p{place}", float(power_w), float(work))
            for place, (power_w, work) in enumerate(draw(st.lists(point, min_size=1, max_size=5)))
        )
        loads.append(
            Load(
                f"load-{number}",
                points,
                current=draw(st.none() | st.sampled_from([each.name for each in points])),
                circuit=draw(st.none() | st.sampled_from(circuits)) if circuits else None,
                priority=5 if has_one_class else draw(st.sampled_from([1, 5, 9])),
                weight=draw(st.sampled_from([1.0, 0.5, 2.0])),
                change_cost=draw(st.sampled_from([0.0, 0.0, 2.5, 30.0])),
            )
        )
    return loads


BUDGETS = st.integers(0, 15_000).map(float)
TREE = (Circuit("hall", 4000.0), Circuit("row", 2500.0, "hall"), Circuit("shelf", 900.0, "row"), Circuit("free", None))
CIRCUITS = ["hall", "row", "shelf", "free"]


def _below(circuit: str) -> set[str]:
    return {"hall": {"hall", "row", "shelf"}, "row": {"row", "shelf"}}.get(circuit, {circuit})


# ---- within the budget and each circuit ----


@given(_loads(circuits=CIRCUITS), BUDGETS)
def test_nothing_is_above_the_budget_or_a_circuit_but_for_the_least_of_all(loads: list[Load], budget_w: float) -> None:
    allotment = allot(loads, budget_w, TREE)
    limits = [(None, budget_w), *((each.id, each.limit_w) for each in TREE if each.limit_w is not None)]
    assert set(allotment.chosen) == {load.id for load in loads}
    is_all_well = True
    for circuit, limit_w in limits:
        below = [load for load in loads if circuit is None or load.circuit in _below(circuit)]
        drawn_w = sum(allotment.chosen[load.id].power_w for load in below)
        least_w = sum(min(point.power_w for point in load.points) for load in below)
        if least_w <= limit_w:
            assert drawn_w <= limit_w + TINY_W
        else:
            is_all_well = False
            assert drawn_w == pytest.approx(least_w)
            assert "budget" in allotment.explanation if circuit is None else circuit in allotment.explanation
    assert allotment.is_feasible is is_all_well
    assert bool(allotment.explanation) is not is_all_well


@given(_loads(), BUDGETS)
def test_the_sums_are_of_what_was_chosen(loads: list[Load], budget_w: float) -> None:
    allotment = allot(loads, budget_w)
    points = [chosen.point for chosen in allotment.chosen.values() if chosen.point is not None]
    assert allotment.power_w == pytest.approx(sum(point.power_w for point in points))
    assert allotment.work == pytest.approx(sum(point.work for point in points))
    assert all(allotment.chosen[load.id].point in load.points for load in loads)


# ---- the same answer to the same question ----


@given(_loads(circuits=CIRCUITS), BUDGETS, st.randoms(use_true_random=False))
def test_the_order_of_loads_and_circuits_changes_nothing(
    loads: list[Load], budget_w: float, chance: random.Random
) -> None:
    asked = allot(loads, budget_w, TREE)
    mixed, tree = loads[:], list(TREE)
    chance.shuffle(mixed)
    chance.shuffle(tree)
    assert _names(allot(mixed, budget_w, tree)) == _names(asked)


# ---- as much work as can be ----


@given(_loads(has_one_class=True, circuits=CIRCUITS), BUDGETS, BUDGETS)
def test_more_budget_never_gives_less(loads: list[Load], one_w: float, other_w: float) -> None:
    low_w, high_w = sorted((one_w, other_w))
    low, high = allot(loads, low_w, TREE), allot(loads, high_w, TREE)
    if not any("budget" in each.explanation for each in (low, high)):
        assert _worth(loads, high) >= _worth(loads, low) - 1e-6


@pytest.mark.parametrize("is_measured", [False, True])
@pytest.mark.parametrize("count", [12, 60])
def test_more_budget_never_gives_less_to_miners(count: int, *, is_measured: bool) -> None:
    loads = miners(count, seed=5, is_measured=is_measured)
    budgets = [most_w(loads) * part / 2000 for part in range(200, 2100, 7)]
    works = [allot(loads, budget_w).work for budget_w in budgets]
    assert all(later >= before * (1 - 1e-8) for before, later in pairwise(works))


@given(_loads(most=5, has_one_class=True), BUDGETS)
@settings(max_examples=60)
def test_few_loads_get_the_best_there_is(loads: list[Load], budget_w: float) -> None:
    best = _best_of_all(loads, budget_w)
    allotment = allot(loads, budget_w, strategy="exact")
    if allotment.is_feasible:
        assert allotment.method == "exact"
        assert _worth(loads, allotment) == pytest.approx(best)
        # So few are all looked at, exchange by exchange.
        assert _worth(loads, allot(loads, budget_w)) == pytest.approx(best)


@pytest.mark.parametrize(("count", "least_ratio"), [(12, 0.97), (50, 0.995), (60, 0.995)])
@pytest.mark.parametrize("can_stop", [True, False])
@pytest.mark.parametrize("seed", [11, 12])
def test_the_planner_is_near_the_optimum(count: int, seed: int, least_ratio: float, *, can_stop: bool) -> None:
    loads = miners(count, seed, can_stop=can_stop)
    for percent in range(25, 101, 5):
        best = allot(loads, most_w(loads) * percent / 100, strategy="exact")
        planned = allot(loads, most_w(loads) * percent / 100)
        if best.is_feasible:
            assert best.method == "exact"
            assert planned.work >= least_ratio * best.work


def test_the_optimum_is_that_of_a_plain_dynamic_programme() -> None:
    loads = miners(14, seed=3)
    for percent in (30, 55, 80):
        budget_w = most_w(loads) * percent // 100
        best = [0.0] * (int(budget_w) // 10 + 1)
        for load in loads:
            before = best
            best = [
                max(before[at - need] + point.work for point in load.points if (need := int(point.power_w) // 10) <= at)
                for at in range(len(before))
            ]
        assert allot(loads, budget_w, strategy="exact").work == pytest.approx(best[-1])


def test_a_weight_makes_work_count_for_more() -> None:
    points = (STOPPED, Point("on", 1000.0, 10.0))
    loads = [Load("a", points), Load("b", points, weight=1.1)]
    assert _names(allot(loads, 1000.0)) == {"a": OFF, "b": "on"}


# ---- changes ----


def _at(count: int, budget_w: float, change_cost: float = 0.0) -> list[Load]:
    loads = miners(count, seed=7)
    chosen = allot(loads, budget_w).chosen
    return [
        load._replace(current=point.name, change_cost=change_cost)
        for load in loads
        if (point := chosen[load.id].point) is not None
    ]


def test_what_was_planned_once_is_not_changed_again() -> None:
    loads = _at(60, 120_000.0)
    assert _names(allot(loads, 120_000.0)) == {load.id: load.current for load in loads}


def test_a_tiny_gain_is_not_worth_a_change() -> None:
    loads = _at(60, 120_000.0, change_cost=20.0)
    free = [load._replace(change_cost=0.0) for load in loads]
    for budget_w in (120_010.0, 120_100.0, 120_200.0):
        assert _names(allot(loads, budget_w)) == {load.id: load.current for load in loads}
    # Without a cost it is done.
    assert _names(allot(free, 120_200.0)) != {load.id: load.current for load in loads}


def test_a_tie_changes_nothing() -> None:
    points = (STOPPED, Point("on", 1000.0, 10.0))
    loads = [Load("a", points, current=OFF), Load("b", points, current="on"), Load("c", points)]
    assert _names(allot(loads, 1000.0)) == {"a": OFF, "b": "on", "c": OFF}
    same = (Point("one", 1000.0, 10.0), Point("other", 1000.0, 10.0))
    assert _names(allot([Load("a", same, current="other")], 5000.0)) == {"a": "other"}


def test_a_change_is_made_where_it_pays() -> None:
    points = (STOPPED, Point("low", 1000.0, 50.0), Point("high", 2000.0, 80.0))
    load = Load("a", points, current="low", change_cost=29.0)
    assert _names(allot([load], 2000.0)) == {"a": "high"}
    assert _names(allot([load._replace(change_cost=31.0)], 2000.0)) == {"a": "low"}
    # No cost keeps a load above the budget.
    assert _names(allot([load._replace(change_cost=1e9)], 500.0)) == {"a": OFF}


@given(_loads(has_one_class=True), BUDGETS)
def test_to_stay_is_never_worth_more_than_the_answer(loads: list[Load], budget_w: float) -> None:
    known = [load for load in loads if load.current is not None]
    here = [next(point for point in load.points if point.name == load.current) for load in known]
    if sum(point.power_w for point in here) <= budget_w:
        stays = sum(load.weight * point.work for load, point in zip(known, here, strict=True))
        assert _worth(known, allot(known, budget_w)) >= stays - 1e-6


# ---- circuits ----


def test_a_full_circuit_holds_only_its_own() -> None:
    points = tuple(Point(f"{watts:.0f}", watts, work) for watts, work in S19)
    loads = [Load(f"{row}{n}", points, circuit=row) for row in ("a", "b") for n in range(4)]
    allotment = allot(loads, 32_000.0, [Circuit("a", 8_000.0), Circuit("b", None)])
    in_a = sum(allotment.chosen[f"a{n}"].power_w for n in range(4))
    in_b = sum(allotment.chosen[f"b{n}"].power_w for n in range(4))
    assert 7_500 < in_a <= 8_000
    assert in_b == 4 * 4_690


def test_a_circuit_inside_another_counts_in_both() -> None:
    points = (STOPPED, Point("on", 1000.0, 10.0))
    loads = [Load(f"l{n}", points, circuit=("hall", "row")[n % 2]) for n in range(12)]
    allotment = allot(loads, 1e6, [Circuit("row", 4_500.0, "hall"), Circuit("hall", 7_900.0)])
    on = {load for load, point in _names(allotment).items() if point == "on"}
    assert len(on) == 7
    assert len([load for load in loads if load.circuit == "row" and load.id in on]) <= 4


def test_a_circuit_that_is_too_small_for_the_least_is_named() -> None:
    points = (Point("low", 1100.0, 53.0), Point("high", 3000.0, 99.0))
    loads = [Load("a", points, circuit="row"), Load("b", points, circuit="row"), Load("c", points)]
    allotment = allot(loads, 10_000.0, [Circuit("row", 2_000.0)])
    assert not allotment.is_feasible
    assert _names(allotment) == {"a": "low", "b": "low", "c": "high"}
    assert allotment.explanation == (
        "the least of 2 loads is 2.2 kW, 200 W above the 2 kW of circuit row; 2 of them cannot be switched off"
    )


def test_a_budget_below_the_least_of_all_is_explained() -> None:
    points = tuple(Point(f"{watts:.0f}", watts, work) for watts, work in S19)
    loads = [Load(f"{n:02}", points if n < 3 else (Point("x", 1100.0, 1.0), *points)) for n in range(12)]
    loads = [
        load._replace(points=(Point(OFF, 1100.0, 0.0), *load.points)) if n > 2 else load for n, load in enumerate(loads)
    ]
    allotment = allot(loads, 12_000.0)
    assert not allotment.is_feasible
    assert allotment.power_w == 13_200
    assert allotment.explanation == (
        "the least of 12 loads is 13.2 kW, 1.2 kW above the budget of 12 kW; 3 of them cannot be switched off"
    )
    assert not allot([Load("a", (STOPPED,))], -1.0).is_feasible


def test_circuits_that_are_no_tree_are_refused() -> None:
    load = Load("a", (STOPPED,), circuit="x")
    with pytest.raises(FleetError, match=r"circle: x in y in x"):
        allot([load], 1.0, [Circuit("x", 1.0, "y"), Circuit("y", None, "x")])
    with pytest.raises(FleetError, match="hangs on z, which there is not"):
        allot([load], 1.0, [Circuit("x", 1.0, "z")])
    with pytest.raises(FleetError, match="load a hangs on circuit x, which there is not"):
        allot([load], 1.0)
    with pytest.raises(FleetError, match="two circuits x"):
        allot([load], 1.0, [Circuit("x", 1.0), Circuit("x", 2.0)])
    for limit_w in (math.nan, -1.0):
        with pytest.raises(FleetError, match="circuit x has a limit"):
            allot([load], 1.0, [Circuit("x", limit_w)])


# ---- priorities ----


@given(_loads(circuits=CIRCUITS), BUDGETS)
def test_a_lower_priority_never_takes_from_a_higher_one(loads: list[Load], budget_w: float) -> None:
    """What the higher ones get is what they would get if the lower ones stood at their least."""
    asked = _names(allot(loads, budget_w, TREE))
    for priority in (1, 5):
        above = [load for load in loads if load.priority > priority]
        still = [
            load._replace(points=(min(load.points, key=lambda p: p.power_w),)) if load.priority <= priority else load
            for load in loads
        ]
        alone = _names(allot(still, budget_w, TREE))
        assert {load.id: asked[load.id] for load in above} == {load.id: alone[load.id] for load in above}


def test_a_higher_priority_keeps_its_power_whatever_it_costs() -> None:
    bad, good = (STOPPED, Point("on", 3000.0, 10.0)), (STOPPED, Point("on", 3000.0, 100.0))
    loads = [Load("bad", bad, priority=6), Load("good", good)]
    assert _names(allot(loads, 3000.0)) == {"bad": "on", "good": OFF}


# ---- spans ----


@st.composite
def _hosts(draw: st.DrawFn) -> list[Load]:
    hosts = []
    for number in range(draw(st.integers(1, 6))):
        floor_w = float(draw(st.integers(0, 300)))
        ceiling_w = floor_w + draw(st.integers(0, 500))
        need_w = draw(st.none() | st.integers(0, 900).map(float))
        circuit = draw(st.none() | st.sampled_from(CIRCUITS))
        hosts.append(Load(f"host-{number}", span=Span(floor_w, ceiling_w, need_w), circuit=circuit))
    return hosts


@given(_hosts(), BUDGETS.map(lambda budget_w: budget_w / 4))
def test_spans_share_like_vessels(hosts: list[Load], budget_w: float) -> None:
    allotment = allot(hosts, budget_w, TREE)
    drawn_w = {load.id: allotment.chosen[load.id].power_w for load in hosts}
    for load in hosts:
        assert load.span is not None
        assert load.span.floor_w - TINY_W <= drawn_w[load.id] <= load.span.ceiling_w + TINY_W
    if not allotment.is_feasible:
        return
    room_w = {None: budget_w - sum(drawn_w.values())} | {
        each.id: each.limit_w - sum(drawn_w[load.id] for load in hosts if load.circuit in _below(each.id))
        for each in TREE
        if each.limit_w is not None
    }
    # One that has not all it can have stands below a circuit that is full, to a microwatt for each.
    for load in hosts:
        around = [None, *(each for each in CIRCUITS if load.circuit in _below(each))]
        is_full = any(room_w.get(circuit, math.inf) <= len(hosts) * 2e-6 for circuit in around)
        assert load.span is not None
        assert drawn_w[load.id] >= load.span.ceiling_w - TINY_W or is_full


def test_spans_get_their_need_first_then_points_then_headroom() -> None:
    host = Load("host", span=Span(100.0, 500.0, 200.0))
    miner = Load("miner", (STOPPED, Point("on", 1000.0, 10.0)))
    assert {k: v.power_w for k, v in allot([host, miner], 1100.0).chosen.items()} == {"host": 500.0, "miner": 0.0}
    assert {k: v.power_w for k, v in allot([host, miner], 1300.0).chosen.items()} == {"host": 300.0, "miner": 1000.0}
    assert {k: v.power_w for k, v in allot([host, miner], 150.0).chosen.items()} == {"host": 150.0, "miner": 0.0}


def test_spans_of_a_full_circuit_leave_the_rest_to_the_others() -> None:
    hosts = [Load(name, span=Span(0.0, 500.0), circuit=name[0]) for name in ("a1", "a2", "b1", "b2")]
    allotment = allot(hosts, 1000.0, [Circuit("a", 300.0), Circuit("b", None)])
    assert {name: chosen.power_w for name, chosen in allotment.chosen.items()} == {
        "a1": 150.0,
        "a2": 150.0,
        "b1": 350.0,
        "b2": 350.0,
    }


# ---- what is asked strangely ----


def test_no_loads_draw_nothing() -> None:
    allotment = allot([], 100.0)
    assert allotment.chosen == {}
    assert (allotment.power_w, allotment.work, allotment.is_feasible) == (0.0, 0.0, True)


def test_a_budget_may_be_without_end() -> None:
    loads = miners(5, seed=1)
    assert allot(loads, math.inf).power_w == most_w(loads)
    assert not allot(loads, -math.inf).is_feasible or allot(loads, -math.inf).power_w == 0


def test_a_load_that_does_no_work_gets_its_least() -> None:
    points = (Point("low", 100.0, 0.0), Point("high", 200.0, 0.0))
    assert _names(allot([Load("a", points)], 1000.0)) == {"a": "low"}


def test_a_point_that_draws_more_for_less_is_not_chosen() -> None:
    points = (Point("good", 1000.0, 50.0), Point("hot", 1500.0, 40.0), Point("twin", 1000.0, 50.0))
    assert _names(allot([Load("a", points, current="hot")], 9000.0)) == {"a": "good"}


def test_powers_that_are_no_whole_microwatts_still_add_up() -> None:
    loads = [Load(f"{n}", (STOPPED, Point("on", 0.1, 1.0))) for n in range(10)]
    assert allot(loads, 1.0).power_w == pytest.approx(1.0)
    assert allot(loads, 0.999_999).power_w == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("load", "complaint"),
    [
        (Load("m", (Point("p", math.nan, 1.0),)), "load m has a power of NaN"),
        (Load("m", (Point("p", -1.0, 1.0),)), "load m has a power of -1: it must be 0 to 1e8"),
        (Load("m", (Point("p", 1e9, 1.0),)), "load m has a power of 1000000000"),
        (Load("m", (Point("p", 1.0, math.inf),)), "load m has a work of inf: it must be 0 to 1e15"),
        (Load("m", (Point("p", 1.0, 1.0),), weight=-1.0), "load m has a weight of -1"),
        (Load("m", (Point("p", 1.0, 1.0),), change_cost=math.nan), "load m has a change cost of NaN"),
        (Load("m", span=Span(-1.0, 5.0)), "load m has a floor of -1"),
        (Load("m", span=Span(5.0, 4.0)), "load m has a floor of 5 W above its ceiling of 4 W"),
        (Load("m", span=Span(5.0, 6.0, math.nan)), "load m has a need of NaN"),
        (Load("m"), "load m must have either points or a span"),
        (Load("m", (STOPPED,), Span(0.0, 1.0)), "load m must have either points or a span"),
    ],
)
def test_numbers_that_cannot_be_are_refused(load: Load, complaint: str) -> None:
    with pytest.raises(FleetError, match=complaint):
        allot([load], 100.0)


def test_a_budget_that_is_no_number_is_refused() -> None:
    with pytest.raises(FleetError, match="budget is not a number"):
        allot([], math.nan)


def test_two_loads_of_one_id_are_refused() -> None:
    with pytest.raises(FleetError, match="two loads twin"):
        allot([Load("twin", (STOPPED,)), Load("twin", (STOPPED,))], 1.0)


def test_the_core_reads_the_words_in_the_order_of_their_fields() -> None:
    """It takes them by place: a field may be added behind the others, and nowhere else."""
    assert Load._fields[:8] == ("id", "points", "span", "current", "circuit", "priority", "weight", "change_cost")
    assert Point._fields[:3] == ("name", "power_w", "work")
    assert Span._fields[:3] == ("floor_w", "ceiling_w", "need_w")
