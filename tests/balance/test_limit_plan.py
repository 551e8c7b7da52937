from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouled.balance.limit_plan import (
    UNIT_UW,
    Bounds,
    LimitPlan,
    bounds,
    by_place,
    effective,
    effective_uw,
    plan,
)
from jouled.balance.limits import LimitZone
from jouled.errors import InvalidError, UnsupportedError
from limit_zones import Limits, after, zone

SOCKETS = (zone("package-1", id="intel-rapl:0"), zone("package-0", id="intel-rapl:1"))
LAPTOP = (
    zone("package-0", {"long_term": (28.0, 28.0), "short_term": (64.0, 0.0), "peak_power": (120.0, 0.0)}),
    zone("core", {}, id="intel-rapl:0:0", parent="intel-rapl:0"),
    zone("psys", {"long_term": (90.0, 0.0), "short_term": (90.0, 0.0)}, id="intel-rapl:1"),
    zone("package-0", {"long_term": (20.0, 28.0), "short_term": (44.0, 0.0)}, id="intel-rapl-mmio:0"),
)
OFF = zone("package-0", {"long_term": (10.0, 28.0), "short_term": (0.0, 0.0)}, enabled=False)


def lines(made: LimitPlan) -> list[str]:
    """`what value` of each write, in order."""
    return [f"{write.what} {write.value}" for write in made.writes]


def originals(zones: tuple[LimitZone, ...]) -> dict[str, int]:
    """As a journal would keep them, of all that could be written."""
    kept = {}
    for each in zones:
        kept[f"{each.directory}/enabled"] = int(bool(each.enabled))
        for limit in each.constraints:
            if limit.power_uw is not None:
                kept[f"{each.directory}/constraint_{limit.number}_power_limit_uw"] = limit.power_uw
    return kept


def test_two_sockets_share_the_budget_and_do_not_each_get_it() -> None:
    made = plan(SOCKETS, 100.0)
    assert lines(made) == [
        "package-0 long_term (intel-rapl:1) 50000000",
        "package-0 short_term (intel-rapl:1) 50000000",
        "package-1 long_term (intel-rapl:0) 50000000",
        "package-1 short_term (intel-rapl:0) 50000000",
    ]
    assert made.expected_w == 100.0
    assert effective(after(SOCKETS, made.writes)) == 100.0


def test_every_write_names_the_zone_that_it_is_meant_for() -> None:
    first = plan(SOCKETS, 100.0).writes[0]
    assert first.path == "/sys/class/powercap/intel-rapl:1/constraint_0_power_limit_uw"
    assert first.identity == ("/sys/class/powercap/intel-rapl:1/name", "package-0")


def test_dies_share_the_budget_where_zones_are_per_die() -> None:
    dies = tuple(zone(f"package-{n // 2}-die-{n % 2}", id=f"intel-rapl:{n}") for n in range(4))
    assert {write.value for write in plan(dies, 300.0).writes} == {"75000000"}


def test_a_zone_over_all_dies_of_a_socket_is_not_counted_beside_them() -> None:
    dies = (zone("package-0-die-0"), zone("package-0-die-1", id="intel-rapl:1"))
    assert list(by_place((*dies, zone("package-0", id="intel-rapl-mmio:0")))) == [(0, 0), (0, 1)]


def test_both_interfaces_get_the_limit_and_psys_and_the_peak_stay() -> None:
    assert lines(plan(LAPTOP, 15.0)) == [
        "package-0 long_term (intel-rapl:0) 15000000",
        "package-0 short_term (intel-rapl:0) 15000000",
        "package-0 long_term (intel-rapl-mmio:0) 15000000",
        "package-0 short_term (intel-rapl-mmio:0) 15000000",
    ]


def test_the_lower_of_two_interfaces_is_what_holds() -> None:
    assert effective(LAPTOP) == 20.0
    assert bounds(LAPTOP) == Bounds(1.0, 20.0)


def test_limits_are_matched_by_name_and_not_by_number() -> None:
    turned: Limits = {"peak_power": (200.0, 0.0), "short_term": (150.0, 0.0), "long_term": (125.0, 125.0)}
    made = plan((zone("package-0", turned),), 60.0)
    assert [write.path.rpartition("/")[2] for write in made.writes] == [
        "constraint_2_power_limit_uw",
        "constraint_1_power_limit_uw",
    ]


def test_raising_writes_the_short_term_limit_first() -> None:
    capped = after(SOCKETS, plan(SOCKETS, 100.0).writes)
    made = plan(capped, 160.0, originals=originals(SOCKETS))
    assert lines(made)[:2] == [
        "package-0 short_term (intel-rapl:1) 80000000",
        "package-0 long_term (intel-rapl:1) 80000000",
    ]


def test_what_one_socket_loses_is_taken_before_the_other_gets_it() -> None:
    kept = originals(SOCKETS)
    capped = after(SOCKETS, plan(SOCKETS, 100.0).writes)
    made = plan(capped, 100.0, division="load", loads_w={0: 70.0, 1: 20.0}, originals=kept)
    assert [line.split()[0] for line in lines(made)] == ["package-1", "package-1", "package-0", "package-0"]
    assert lines(made)[0].endswith(" 25000000")
    assert lines(made)[2].endswith(" 75000000")


def test_division_by_load_without_loads_is_equal() -> None:
    assert plan(SOCKETS, 100.0, division="load") == plan(SOCKETS, 100.0)
    assert plan(SOCKETS, 100.0, division="equal", loads_w={0: 70.0, 1: 20.0}) == plan(SOCKETS, 100.0)


def test_a_load_that_wavers_writes_nothing_and_one_that_moves_does() -> None:
    kept = originals(SOCKETS)
    capped = after(SOCKETS, plan(SOCKETS, 100.0, division="load", loads_w={0: 70.0, 1: 20.0}).writes)
    for wavering in ({0: 72.0, 1: 19.0}, {0: 68.5, 1: 22.0}):
        assert plan(capped, 100.0, division="load", loads_w=wavering, originals=kept).writes == ()
    assert len(plan(capped, 100.0, division="load", loads_w={0: 60.0, 1: 35.0}, originals=kept).writes) == 4
    # Another budget is never near enough, however little it differs.
    assert plan(capped, 99.0, division="load", loads_w={0: 70.0, 1: 20.0}, originals=kept).expected_w == 99.0
    assert plan(capped, 101.0, division="load", loads_w={0: 70.0, 1: 20.0}, originals=kept).expected_w == 101.0


def test_a_load_that_is_no_number_is_not_known() -> None:
    made = plan(SOCKETS, 100.0, division="load", loads_w={0: float("nan"), 1: float("inf")})
    assert made == plan(SOCKETS, 100.0)


def test_the_load_of_a_socket_is_that_of_all_its_dies() -> None:
    dies = tuple(zone(f"package-{n // 2}-die-{n % 2}", id=f"intel-rapl:{n}") for n in range(4))
    made = plan(dies, 200.0, division="load", loads_w={0: 140.0, 1: 60.0})
    assert sorted({int(write.value) for write in made.writes}) == [30_000_000, 70_000_000]


def test_a_share_is_rounded_down_to_an_eighth_of_a_watt() -> None:
    three = tuple(zone(f"package-{n}", id=f"intel-rapl:{n}") for n in range(3))
    made = plan(three, 200.0)
    assert {write.value for write in made.writes} == {"66625000"}
    assert made.expected_w == 199.875


def test_a_cap_never_raises_a_limit() -> None:
    uneven = (
        zone("package-0", {"long_term": (40.0, 125.0), "short_term": (45.0, 0.0)}),
        zone("package-1", id="intel-rapl:1"),
    )
    made = plan(uneven, 140.0)
    # The lower one keeps what it had, without its bursts, and the other gets the rest.
    assert lines(made) == [
        "package-0 short_term (intel-rapl:0) 40000000",
        "package-1 long_term (intel-rapl:1) 100000000",
        "package-1 short_term (intel-rapl:1) 100000000",
    ]


def test_a_limit_that_needs_no_lowering_is_not_rounded() -> None:
    odd = (zone("package-0", {"long_term": (44.0625, 45.0), "short_term": (44.0625, 0.0)}),)
    assert plan(odd, 44.0625).writes == ()


def test_the_ceiling_does_not_ratchet_down() -> None:
    kept = originals(SOCKETS)
    zones: tuple[LimitZone, ...] = SOCKETS
    for watts in (200.0, 60.0, 20.0, 120.0):
        zones = after(zones, plan(zones, watts, originals=kept).writes)
    assert bounds(zones, kept) == bounds(SOCKETS) == Bounds(2.0, 250.0)
    assert after(zones, plan(zones, 250.0, originals=kept).writes)[0].constraints[0].power_uw == 125_000_000


def test_what_holds_already_is_not_written() -> None:
    kept = originals(SOCKETS)
    made = plan(SOCKETS, 100.0)
    again = plan(after(SOCKETS, made.writes), 100.0, originals=kept)
    assert again.writes == ()
    assert again.asked == made.asked
    assert len(again.asked) == 4


def test_a_limit_that_the_hardware_rounds_its_own_way_is_not_asked_for_again() -> None:
    made = plan(SOCKETS, 101.0)
    coarse = after(SOCKETS, [write._replace(value="50000000") for write in made.writes])
    held = {write.path: (50_500_000, 50_000_000) for write in made.writes}
    assert len(plan(coarse, 101.0, originals=originals(SOCKETS)).writes) == 4
    assert plan(coarse, 101.0, originals=originals(SOCKETS), held=held).writes == ()
    assert len(plan(coarse, 120.0, originals=originals(SOCKETS), held=held).writes) == 4


def test_no_cap_plans_nothing() -> None:
    assert plan(SOCKETS, None) == LimitPlan((), {}, None)
    assert plan((), None).writes == ()


def test_a_zone_that_is_off_is_switched_on_when_its_limits_are_set() -> None:
    made = plan((OFF,), 20.0)
    # What did not act is no ceiling, and a short-term limit of 0 must not be what begins to act.
    assert lines(made) == [
        "package-0 short_term (intel-rapl:0) 20000000",
        "package-0 long_term (intel-rapl:0) 20000000",
        "package-0 enabled (intel-rapl:0) 1",
    ]
    assert bounds((OFF,)) == Bounds(1.0, 28.0)
    on = after((OFF,), made.writes)
    assert effective((OFF,)) is None
    assert effective(on) == 20.0
    again = plan(on, 20.0, originals=originals((OFF,)))
    assert again.writes == ()
    assert again.asked["/sys/class/powercap/intel-rapl:0/enabled"] == 1


def test_a_zone_that_was_switched_off_under_a_cap_is_switched_on_again() -> None:
    # Its ceiling is what it had, and not what the chip is made for.
    zones = (zone("package-0", {"long_term": (100.0, 125.0)}),)
    capped = after(zones, plan(zones, 50.0).writes)
    kept = {path: value for path, value in originals(zones).items() if not path.endswith("/enabled")}
    found = (capped[0]._replace(enabled=False),)
    assert lines(plan(found, 50.0, originals=kept)) == ["package-0 enabled (intel-rapl:0) 1"]
    assert bounds(found, kept) == bounds(zones) == Bounds(1.0, 100.0)


def test_a_zone_that_limits_nothing_yet_is_limited_before_another_is_raised() -> None:
    off = zone("package-1", {"long_term": (10.0, 125.0)}, id="intel-rapl:1", enabled=False)
    capped = after(SOCKETS[1:], plan(SOCKETS[1:], 30.0).writes)[0]._replace(id="intel-rapl:0")
    made = plan((capped, off), 100.0, originals=originals(SOCKETS[1:]))
    assert [line.split()[0] for line in lines(made)] == ["package-1", "package-1", "package-0", "package-0"]


def test_what_is_expected_is_the_lower_of_what_two_interfaces_will_hold() -> None:
    odd = (
        zone("package-0", {"long_term": (28.0, 28.0)}),
        zone("package-0", {"long_term": (20.0625, 28.0)}, id="intel-rapl-mmio:0"),
    )
    made = plan(odd, 20.0625)
    assert lines(made) == ["package-0 long_term (intel-rapl:0) 20000000"]
    assert made.expected_w == effective(after(odd, made.writes)) == 20.0


def test_an_interface_that_is_off_beside_one_that_acts_is_left_alone() -> None:
    mmio = LAPTOP[3]._replace(enabled=False)
    assert {write.path.split("/")[4] for write in plan((LAPTOP[0], mmio), 15.0).writes} == {"intel-rapl:0"}
    assert effective((LAPTOP[0], mmio)) == 28.0
    # Where neither acts, either may be locked.
    both = (LAPTOP[0]._replace(enabled=False), mmio)
    assert {write.path.split("/")[4] for write in plan(both, 15.0).writes} == {"intel-rapl:0", "intel-rapl-mmio:0"}


def test_what_was_refused_is_asked_for_again() -> None:
    made = plan((OFF,), 20.0)
    locked = after((OFF,), made.writes[:2])
    held = {write.path: (int(write.value), 0) for write in made.writes}
    assert lines(plan(locked, 20.0, originals=originals((OFF,)), held=held)) == ["package-0 enabled (intel-rapl:0) 1"]
    # The write failed, and what was read back is what stood there before.
    refused = {write.path: (50_000_000, 125_000_000) for write in plan(SOCKETS, 100.0).writes}
    assert len(plan(SOCKETS, 100.0, held=refused).writes) == 4


def test_a_long_term_limit_of_zero_is_one_that_was_never_set() -> None:
    unset = (zone("package-0", {"long_term": (0.0, 35.0)}),)
    assert bounds(unset) == Bounds(1.0, 35.0)
    assert lines(plan(unset, 20.0)) == ["package-0 long_term (intel-rapl:0) 20000000"]


def test_a_short_term_limit_of_zero_that_acts_is_left_alone() -> None:
    none = (zone("package-0", {"long_term": (35.0, 35.0), "short_term": (0.0, 0.0)}),)
    assert lines(plan(none, 20.0)) == ["package-0 long_term (intel-rapl:0) 20000000"]


@pytest.mark.parametrize("watts", [0.0, -5.0, 1.99, 250.001, 1e9, float("nan"), float("inf")])
def test_a_cap_that_cannot_be_is_refused_with_what_is_allowed(watts: float) -> None:
    with pytest.raises(InvalidError, match="use at least 2 W and at most 250 W, the limits as they were before"):
        plan(SOCKETS, watts)


def test_the_least_that_the_kernel_tells_is_the_floor() -> None:
    least = (zone("package-0", least_w=40.1), zone("package-1", id="intel-rapl:1"))
    assert bounds(least).min_w == 41.125
    made = plan(least, 45.0)
    assert sorted({int(write.value) for write in made.writes}) == [4_875_000, 40_125_000]


def test_a_cap_in_force_is_kept_as_near_as_can_be_when_sockets_come_and_go() -> None:
    alone = SOCKETS[1:]
    made = plan(alone, 160.0, is_in_force=True)
    assert made.expected_w == 125.0
    (problem,) = made.problems
    assert problem.startswith("a cap of 160 W cannot be: use at least 1 W and at most 125 W")
    assert problem.endswith("; the nearest is kept")
    least = plan(SOCKETS, 0.5, is_in_force=True)
    assert least.expected_w == 2.0
    with pytest.raises(InvalidError):
        plan(SOCKETS, float("nan"), is_in_force=True)


def test_without_a_known_maximum_there_is_none() -> None:
    endless = (OFF._replace(constraints=(OFF.constraints[0]._replace(max_power_uw=0),)),)
    assert bounds(endless) == Bounds(1.0, None)
    assert plan(endless, 5000.0).expected_w == 5000.0
    with pytest.raises(InvalidError, match=r"use at least 1 W$"):
        plan(endless, 0.5)


def test_a_package_that_cannot_be_limited_keeps_its_share_and_nothing_is_promised() -> None:
    hidden = zone("package-1", {"long_term": (None, 125.0)}, id="intel-rapl:1")
    made = plan((zone("package-0"), hidden), 100.0)
    assert {write.value for write in made.writes} == {"50000000"}
    assert len(made.writes) == 2
    assert made.expected_w is None
    assert made.problems == ("read constraint_0_power_limit_uw: no data; unlock it",)
    assert effective((zone("package-0"), hidden)) is None


def test_a_short_term_limit_that_does_not_read_is_said() -> None:
    made = plan((zone("package-0", {"long_term": (125.0, 125.0), "short_term": (None, None)}),), 50.0)
    assert lines(made) == ["package-0 long_term (intel-rapl:0) 50000000"]
    assert made.problems == ("read constraint_1_power_limit_uw: no data; unlock it",)


def test_where_nothing_can_be_limited_it_is_said_why() -> None:
    counts = zone("package-0", {}, problems=["AMD's powercap only counts: use HSMP"])
    with pytest.raises(UnsupportedError, match="AMD's powercap only counts"):
        plan((counts,), 50.0)
    with pytest.raises(UnsupportedError, match="there is only psys"):
        plan((LAPTOP[2],), 50.0)
    with pytest.raises(UnsupportedError, match="a virtual machine has none"):
        plan((), 50.0)
    with pytest.raises(UnsupportedError, match="has no limit long_term"):
        bounds((zone("package-0", {"evening": (9.0, 9.0)}),))
    # A cap in force has nothing left that it could be held on either.
    with pytest.raises(UnsupportedError):
        plan((), 50.0, is_in_force=True)


def test_what_holds_is_unknown_where_a_zone_does_not_tell_whether_it_acts() -> None:
    assert effective((zone("package-0", enabled=None),)) is None
    assert effective(()) is None
    assert effective_uw(LAPTOP[:1]) == 28_000_000


@st.composite
def hosts(draw: st.DrawFn) -> tuple[LimitZone, ...]:
    """One to four sockets, some with a second interface, some with dies, all kinds of limits."""
    has_dies = draw(st.booleans())
    eighths = st.integers(8 * 8, 500 * 8).map(lambda value: value / 8)
    zones = []
    for number in range(draw(st.integers(1, 4))):
        name = f"package-{number // 2}-die-{number % 2}" if has_dies else f"package-{number}"
        for control in ["intel-rapl", *(["intel-rapl-mmio"] if draw(st.booleans()) else [])]:
            limits: dict[str, tuple[float | None, float | None]] = {}
            limits["long_term"] = (draw(eighths), draw(st.sampled_from([0.0, 125.0])))
            if draw(st.booleans()):
                limits["short_term"] = (draw(eighths), None)
            zones.append(zone(name, limits, id=f"{control}:{number:x}", enabled=draw(st.booleans())))
    return tuple(zones)


@given(hosts(), st.floats(5, 2000), st.sampled_from(["equal", "load"]), st.data())
def test_whatever_the_host_the_plan_holds_the_budget_and_settles(
    zones: tuple[LimitZone, ...], watts: float, division: str, data: st.DataObject
) -> None:
    kept = originals(zones)
    allowed = bounds(zones)
    node_w = min(max(watts, allowed.min_w), allowed.max_w or watts)
    loads = {n: data.draw(st.floats(0, 500)) for n in range(4)}
    made = plan(zones, node_w, division="load" if division == "load" else "equal", loads_w=loads)
    held = after(zones, made.writes)
    # The budget holds by what would be read back, and the expectation is just that.
    assert effective(held) == made.expected_w
    assert made.expected_w is not None
    assert made.expected_w <= node_w + 1e-9
    # No share is thrown away but for rounding.
    assert made.expected_w > node_w - len(zones) * UNIT_UW / 1e6 - 1e-6
    # What acted before is nowhere above what it was.
    for before, now in zip(zones, held, strict=True):
        for old, new in zip(before.constraints, now.constraints, strict=True):
            assert not before.enabled or (new.power_uw or 0) <= (old.power_uw or 0)
    again = plan(held, node_w, division="load" if division == "load" else "equal", loads_w=loads, originals=kept)
    assert again.writes == ()
    assert bounds(held, kept) == allowed


@given(hosts(), st.lists(st.floats(5, 2000), min_size=2, max_size=4))
def test_at_no_moment_of_a_change_is_the_short_term_limit_newly_below_the_long_term_one(
    zones: tuple[LimitZone, ...], budgets: list[float]
) -> None:
    kept = originals(zones)
    now = after(zones, plan(zones, budgets[0], is_in_force=True).writes)
    for watts in budgets[1:]:
        for write in plan(now, watts, originals=kept, is_in_force=True).writes:
            now = after(now, [write])
            for each, first in zip(now, zones, strict=True):
                if len(each.constraints) > 1 and each.enabled:
                    long, short = (limit.power_uw or 0 for limit in each.constraints)
                    assert short >= min(long, first.constraints[1].power_uw or 0)
