"""The baseline: sorted by average watts per work, one step of each load at a time."""

from __future__ import annotations

import pytest

from jouled.balance.fleet.allot import allot
from jouled.balance.fleet.average_efficiency import step_by_average_efficiency
from jouled.balance.fleet.words import OFF, Load, Point, Span
from miner_fleets import miners, most_w

POINTS = (
    Point(OFF, 0.0, 0.0),
    Point("low", 1000.0, 50.0),
    Point("middle", 2000.0, 90.0),
    Point("high", 3000.0, 100.0),
)


def _loads(**current: str) -> list[Load]:
    return [Load(name, POINTS, current=point) for name, point in current.items()]


def _stepped(loads: list[Load], target_w: float, *, may_switch_off: bool = False) -> dict[str, str]:
    steps = step_by_average_efficiency(loads, target_w, tolerance_w=500.0, may_switch_off=may_switch_off)
    return {load: point.name for load, point in steps.items()}


def test_within_the_tolerance_nothing_steps() -> None:
    loads = _loads(a="high", b="low")
    assert _stepped(loads, 3500.0) == {}
    assert _stepped(loads, 4500.0) == {}
    # That of the program itself is two kilowatts.
    assert step_by_average_efficiency(loads, 2000.0) == {}
    assert step_by_average_efficiency(loads, 1999.0) != {}


def test_above_the_target_the_one_with_most_watts_per_work_steps_down_first() -> None:
    assert _stepped(_loads(a="middle", b="high", c="low"), 5000.0) == {"b": "middle"}


def test_below_the_target_the_one_with_fewest_steps_up_first() -> None:
    assert _stepped(_loads(a="middle", b="high", c="low"), 7000.0) == {"c": "middle"}


def test_each_steps_once_in_a_cycle_however_much_is_missing() -> None:
    assert _stepped(_loads(a="high", b="high"), 0.0) == {"a": "middle", "b": "middle"}


def test_the_lowest_point_is_the_end_unless_it_may_switch_off() -> None:
    assert _stepped(_loads(a="low", b="low"), 0.0) == {}
    assert _stepped(_loads(a="low", b="low"), 0.0, may_switch_off=True) == {"a": OFF, "b": OFF}


def test_one_that_does_no_work_is_raised_first_and_shed_last() -> None:
    idle = Load("idle", (Point("low", 1000.0, 0.0), Point("high", 2000.0, 0.0)), current="low")
    assert _stepped([*_loads(a="middle"), idle], 4000.0) == {"idle": "high"}
    assert _stepped([*_loads(a="middle"), idle._replace(current="high")], 3000.0) == {"a": "low"}


def test_one_that_is_off_is_switched_on_only_where_that_is_known() -> None:
    assert _stepped(_loads(a=OFF), 5000.0) == {}
    assert _stepped(_loads(a=OFF), 5000.0, may_switch_off=True) == {"a": "low"}


def test_what_has_no_points_or_is_nowhere_known_stays_out_of_it() -> None:
    loads = [Load("host", span=Span(0.0, 900.0)), Load("new", POINTS), *_loads(a="low")]
    assert _stepped(loads, 2000.0) == {"a": "middle"}


def test_the_order_of_loads_changes_nothing() -> None:
    loads = [load._replace(current=load.points[-1].name) for load in miners(30, seed=2)]
    assert step_by_average_efficiency(loads, 60_000.0) == step_by_average_efficiency(loads[::-1], 60_000.0)


def test_as_a_strategy_it_is_one_cycle_and_may_end_above_the_budget() -> None:
    allotment = allot(_loads(a="high", b="high"), 1000.0, strategy="average-efficiency")
    assert {load: chosen.point.name for load, chosen in allotment.chosen.items() if chosen.point} == {
        "a": "middle",
        "b": "middle",
    }
    assert not allotment.is_feasible
    assert allotment.explanation == "one step of each load is not enough: 4 kW is 3 kW above the budget"
    assert allotment.method == "average-efficiency"


@pytest.mark.parametrize("percent", [45, 55, 65])
def test_the_planner_does_more_work_with_no_more_power_than_where_it_settles(percent: int) -> None:
    loads = [load._replace(current=load.points[-1].name) for load in miners(60, seed=4, can_stop=False)]
    budget_w = most_w(loads) * percent / 100
    for _ in range(40):
        steps = step_by_average_efficiency(loads, budget_w)
        loads = [load._replace(current=steps[load.id].name) if load.id in steps else load for load in loads]
    here = [next(point for point in load.points if point.name == load.current) for load in loads]
    planned = allot([load._replace(current=None) for load in loads], sum(point.power_w for point in here))
    assert planned.work >= 1.03 * sum(point.work for point in here)


def test_one_that_somebody_else_has_switched_off_may_step_up_where_none_is_switched_off() -> None:
    def stepped(target_w: float) -> dict[str, str]:
        loads = _loads(a=OFF, b="low")
        steps = step_by_average_efficiency(loads, target_w, tolerance_w=500.0, may_switch_on=True)
        return {load: point.name for load, point in steps.items()}

    assert stepped(2500.0) == {"a": "low"}
    assert stepped(0.0) == {}
