"""Slices are squeezed before a power limit is touched, and nothing swings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.balance.squeeze import Bands, SliceDraw, Squeezed, needed, squeeze

FLOOR = 0.1
CPUS = 8.0

ORDERS: Any = st.sampled_from(["first", "proportional"])
WATTS = st.floats(0, 500)


@st.composite
def draws(draw: st.DrawFn) -> list[SliceDraw]:
    found = []
    for index in range(draw(st.integers(1, 4))):
        quota = draw(st.none() | st.floats(FLOOR, CPUS))
        own = draw(st.none() | st.floats(0.05, CPUS))
        most = min(limit for limit in (quota, own, CPUS) if limit is not None)
        busy = draw(st.none() | st.floats(0, most))
        power = None if busy is None else busy * draw(st.floats(0.5, 30))
        found.append(SliceDraw(f"s{index}.slice", power, busy, quota, own))
    return found


def test_the_bands_act_above_hold_between_and_give_below() -> None:
    assert needed(100.0, 100.0) == pytest.approx(5.0)
    assert needed(98.9, 100.0) == 0.0
    assert needed(90.0, 100.0) == 0.0
    assert needed(80.0, 100.0) == pytest.approx(-15.0)


def test_the_first_slice_named_gives_all_it_can_before_the_next_is_touched() -> None:
    slices = [SliceDraw("a.slice", 20.0, 2.0), SliceDraw("b.slice", 30.0, 3.0)]
    some = squeeze(10.0, slices, floor_cpus=FLOOR, cpus=CPUS)
    assert some.quotas == {"a.slice": pytest.approx(1.0), "b.slice": None}
    assert some.remaining_w == 0.0
    more = squeeze(29.0, slices, floor_cpus=FLOOR, cpus=CPUS)
    assert more.quotas == {"a.slice": FLOOR, "b.slice": pytest.approx(2.0)}
    all_of_it = squeeze(60.0, slices, floor_cpus=FLOOR, cpus=CPUS)
    assert all_of_it.quotas == {"a.slice": FLOOR, "b.slice": FLOOR}
    assert all_of_it.remaining_w == pytest.approx(60.0 - 19.0 - 29.0)


def test_in_proportion_each_gives_by_what_it_can() -> None:
    slices = [SliceDraw("a.slice", 21.0, 2.1), SliceDraw("b.slice", 61.0, 6.1)]
    done = squeeze(40.0, slices, floor_cpus=FLOOR, cpus=CPUS, order="proportional")
    assert done.quotas == {"a.slice": pytest.approx(1.1), "b.slice": pytest.approx(3.1)}


def test_what_is_not_measured_is_left_to_power_limits() -> None:
    slices = [SliceDraw("a.slice", None, None), SliceDraw("b.slice", 0.0, 0.0)]
    assert squeeze(10.0, slices, floor_cpus=FLOOR, cpus=CPUS) == Squeezed({"a.slice": None, "b.slice": None}, 10.0)


def test_the_slice_squeezed_last_is_raised_first_and_by_half_of_the_headroom() -> None:
    slices = [SliceDraw("a.slice", 20.0, 2.0, 2.0), SliceDraw("b.slice", 40.0, 4.0, 4.0)]
    assert squeeze(-10.0, slices, floor_cpus=FLOOR, cpus=CPUS).quotas == {
        "a.slice": 2.0,
        "b.slice": pytest.approx(4.5),
    }


def test_a_slice_that_reaches_its_own_limit_gets_that_back() -> None:
    slices = [SliceDraw("a.slice", 1.0, 0.1, 7.9), SliceDraw("b.slice", 1.0, 0.1, 1.95, 2.0)]
    assert squeeze(-100.0, slices, floor_cpus=FLOOR, cpus=CPUS).is_idle


def test_an_idle_slice_is_raised_alone_and_a_little() -> None:
    """Nobody knows what it would do with more."""
    slices = [SliceDraw("a.slice", 20.0, 2.0, 2.0), SliceDraw("b.slice", 0.0, 0.0, 1.0)]
    assert squeeze(-100.0, slices, floor_cpus=FLOOR, cpus=CPUS).quotas == {"a.slice": 2.0, "b.slice": 1.25}


def test_between_the_bands_nothing_changes() -> None:
    slices = [SliceDraw("a.slice", 20.0, 2.0, 2.0), SliceDraw("b.slice", 5.0, 1.0)]
    assert squeeze(0.0, slices, floor_cpus=FLOOR, cpus=CPUS).quotas == {"a.slice": 2.0, "b.slice": None}


@given(draws(), WATTS, ORDERS)
def test_coming_down_is_never_below_the_floor_and_never_gives(
    slices: list[SliceDraw], watts: float, order: Any
) -> None:
    done = squeeze(watts, slices, floor_cpus=FLOOR, cpus=CPUS, order=order)
    for one in slices:
        quota = done.quotas[one.slice]
        if quota == one.quota_cpus:
            continue
        assert quota is not None
        assert quota >= FLOOR - 1e-9
        assert all(limit is None or quota <= limit for limit in (one.quota_cpus, one.own_cpus))
    assert 0.0 <= done.remaining_w <= watts


@given(draws(), WATTS, WATTS, ORDERS)
def test_who_needs_more_gets_no_slice_a_larger_quota(
    slices: list[SliceDraw], one_w: float, other_w: float, order: Any
) -> None:
    less = squeeze(min(one_w, other_w), slices, floor_cpus=FLOOR, cpus=CPUS, order=order)
    more = squeeze(max(one_w, other_w), slices, floor_cpus=FLOOR, cpus=CPUS, order=order)
    for name, quota in more.quotas.items():
        assert (CPUS if quota is None else quota) <= (less.quotas[name] or CPUS) + 1e-9
    assert more.remaining_w >= less.remaining_w


@given(draws(), WATTS)
def test_going_up_never_takes_and_never_exceeds_the_slices_own(slices: list[SliceDraw], watts: float) -> None:
    done = squeeze(-watts, slices, floor_cpus=FLOOR, cpus=CPUS)
    for one in slices:
        quota = done.quotas[one.slice]
        assert quota is None or (one.quota_cpus is not None and quota >= one.quota_cpus)
        if quota is not None and quota != one.quota_cpus:
            assert quota < (CPUS if one.own_cpus is None else one.own_cpus)
    assert done.remaining_w == 0.0


class Node:
    """A node of constant work: its slices want so many CPUs, and each CPU draws so much."""

    def __init__(self, base_w: float, wants: list[float], each_w: float, *, seen: float = 1.0) -> None:
        self.base_w = base_w
        self.wants = wants
        self.each_w = each_w
        # What the ledger says of a CPU, to what one more CPU really costs.
        self.seen = seen
        self.quotas: dict[str, float | None] = {f"s{index}.slice": None for index in range(len(wants))}

    @property
    def busy(self) -> dict[str, float]:
        return {
            name: min(want, CPUS if quota is None else quota)
            for want, (name, quota) in zip(self.wants, self.quotas.items(), strict=True)
        }

    @property
    def power_w(self) -> float:
        return self.base_w + self.each_w * sum(self.busy.values())

    def slices(self) -> list[SliceDraw]:
        return [
            SliceDraw(name, busy * self.each_w * self.seen, busy, self.quotas[name]) for name, busy in self.busy.items()
        ]

    def turn(self, budget_w: float, order: Any = "first") -> None:
        done = squeeze(needed(self.power_w, budget_w), self.slices(), floor_cpus=FLOOR, cpus=CPUS, order=order)
        self.quotas = dict(done.quotas)


NODES = st.builds(
    Node,
    st.floats(10, 100),
    st.lists(st.floats(0, CPUS), min_size=1, max_size=3),
    st.floats(1, 20),
    seen=st.floats(0.6, 1.6),
)


@given(NODES, st.floats(50, 400), ORDERS)
def test_constant_work_comes_to_rest(node: Node, budget_w: float, order: Any) -> None:
    """No limit cycle: after it has settled nothing is written any more, and the budget holds if it can."""
    for _ in range(60):
        node.turn(budget_w, order)
    settled = dict(node.quotas)
    for _ in range(20):
        node.turn(budget_w, order)
        assert node.quotas == settled
    can_w = node.base_w + node.each_w * sum(min(want, FLOOR) for want in node.wants)
    assert node.power_w <= max(Bands().high * budget_w, can_w) + 1e-6


@given(NODES, st.floats(50, 200))
def test_a_budget_that_is_lifted_gives_all_slices_back(node: Node, budget_w: float) -> None:
    for _ in range(20):
        node.turn(budget_w)
    for _ in range(200):
        node.turn(10_000.0)
    assert all(quota is None for quota in node.quotas.values())
