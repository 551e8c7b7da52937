"""Leases: whose cap counts, when it ends, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.balance.leases import LEASES_MAX, Bounds, Leases, adopted
from jouled.errors import InvalidError
from jouled.wire.caps import Lease

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)

BOUNDS = Bounds(min_w=10, max_w=400, lease_max_s=3600)


def leases(*asked: tuple[str, float, float]) -> Leases:
    """As taken at 0 s: owner, watts and seconds."""
    made = Leases()
    for owner, watts, ttl_s in asked:
        made = made.with_one(owner, watts, ttl_s, None, 0.0)
    return made


def test_without_a_lease_there_is_no_cap() -> None:
    assert Leases().watts is None
    assert Leases().next_end_s is None


def test_the_lowest_counts_and_the_next_one_when_it_ends() -> None:
    both = leases(("operator", 200, 60), ("market", 150, 30))
    assert both.watts == 150
    assert both.next_end_s == 30
    assert both.at(29.9).watts == 150
    assert both.at(30).watts == 200
    assert both.at(60).watts is None


def test_an_owner_has_one_lease_and_asking_again_renews_it() -> None:
    renewed = leases(("operator", 200, 60)).with_one("operator", 250, 60, "more work", 50.0)
    (lease,) = renewed.held
    assert (lease.watts, lease.since_s, lease.until_s, lease.reason) == (250, 0.0, 110.0, "more work")


def test_of_two_equals_the_first_one_counts() -> None:
    made = leases(("first", 100, 60)).with_one("second", 100, 60, None, 1.0)
    assert made.lowest is not None
    assert made.with_one("first", 100, 60, None, 2.0).lowest.owner == "first"  # type: ignore[union-attr]  # there are two


@pytest.mark.parametrize("watts", [9.9, 400.1, 0, -5, float("nan"), float("inf")])
def test_impossible_watts_are_refused_with_the_range(watts: float) -> None:
    with pytest.raises(InvalidError, match=r"cannot be; allowed is 10 W to 400 W"):
        BOUNDS.check(watts, 60)


@pytest.mark.parametrize("ttl_s", [0, -1, 3601, float("nan"), float("inf")])
def test_impossible_times_are_refused_with_the_range(ttl_s: float) -> None:
    with pytest.raises(InvalidError, match=r"at most 3600 s \(caps\.lease_max\)"):
        BOUNDS.check(100, ttl_s)


def test_where_no_maximum_is_known_only_the_minimum_holds() -> None:
    bounds = Bounds(10, None, 3600)
    bounds.check(10_000, 60)
    with pytest.raises(InvalidError, match=r"allowed is 10 W \(caps\.min\) or more"):
        bounds.check(5, 60)


def test_there_is_a_limit_on_owners_but_none_on_renewing() -> None:
    full = leases(*((f"program-{number}", 100, 60) for number in range(LEASES_MAX)))
    with pytest.raises(InvalidError, match="64 owners hold caps"):
        full.with_one("one-more", 100, 60, None, 0.0)
    assert full.with_one("program-3", 90, 60, None, 0.0).watts == 90


def kept(left_s: float, watts: float = 200.0, age_s: float = 0.0) -> Lease:
    """As it was written down at NOON."""
    return Lease("operator", watts, until=NOON + timedelta(seconds=left_s), since=NOON - timedelta(seconds=age_s))


def test_leases_are_shown_by_the_clock_on_the_wall() -> None:
    (shown,) = leases(("operator", 200, 600)).shown(NOON)
    assert shown == kept(600)


def test_a_lease_goes_on_in_the_next_life_with_what_was_left() -> None:
    again, problems = adopted([kept(500, age_s=100)], NOON, 5.0, NOON + timedelta(seconds=30), BOUNDS)
    assert problems == ()
    (lease,) = again.held
    assert (lease.owner, lease.watts) == ("operator", 200)
    assert lease.until_s - 5.0 == pytest.approx(470)
    assert 5.0 - lease.since_s == pytest.approx(130)


def test_a_lease_whose_time_passed_between_two_lives_is_gone() -> None:
    assert adopted([kept(60)], NOON, 0.0, NOON + timedelta(seconds=60), BOUNDS) == (Leases(), ())


def test_a_lease_that_the_settings_no_longer_allow_goes_on_with_what_they_do() -> None:
    again, (problem,) = adopted([kept(60)], NOON, 0.0, NOON, BOUNDS._replace(max_w=150.0))
    assert again.watts == 150.0
    assert problem == "the cap of operator, held from before, is 150 W now: 200 W is not allowed any more"


def test_leases_follow_the_settings_of_now() -> None:
    held = leases(("operator", 200, 600), ("plc", 40, 600))
    assert [one.watts for one in held.within(60.0, 150.0).held] == [150.0, 60.0]
    assert held.within(10.0, None) == held


def test_a_longer_lease_than_is_allowed_now_is_shortened() -> None:
    again, _ = adopted([kept(9000)], NOON, 0.0, NOON, BOUNDS)
    assert again.next_end_s == 3600


@given(left_s=st.floats(0.001, 3600), stepped_s=st.floats(-1e9, 1e9))
def test_a_clock_that_was_set_between_two_lives_never_makes_a_lease_longer(left_s: float, stepped_s: float) -> None:
    for lease in adopted([kept(left_s)], NOON, 0.0, NOON + timedelta(seconds=stepped_s), BOUNDS)[0].held:
        assert lease.until_s <= left_s + 1e-6  # dates have microseconds


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(10, 400), st.floats(1, 100), st.floats(0, 50))))
def test_what_counts_is_the_least_of_all_that_are_in_force(asked: list[tuple[str, float, float, float]]) -> None:
    asked.sort(key=lambda one: one[3])
    made = Leases()
    by_owner = {}
    for owner, watts, ttl_s, now_s in asked:
        made = made.at(now_s).with_one(owner, watts, ttl_s, None, now_s)
        by_owner[owner] = (watts, now_s + ttl_s)
    now_s = asked[-1][3] if asked else 0.0
    alive = [watts for watts, until_s in by_owner.values() if now_s < until_s]
    assert made.at(now_s).watts == min(alive, default=None)
