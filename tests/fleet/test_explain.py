"""What is said of a change."""

from __future__ import annotations

from jouled.balance.fleet.allot import allot
from jouled.balance.fleet.explain import explain
from jouled.balance.fleet.words import OFF, Load, Point, in_watts
from miner_fleets import S19, STOPPED

GOOD = (STOPPED, Point("low", 1000.0, 60.0), Point("high", 2000.0, 110.0))
BAD = (STOPPED, Point("low", 1000.0, 30.0), Point("high", 2000.0, 45.0))


def _said(loads: list[Load], budget_w: float) -> dict[str, str]:
    return explain(loads, allot(loads, budget_w))


def test_what_is_shed_is_the_least_work_per_watt() -> None:
    loads = [Load("bad", BAD, current="high"), Load("good", GOOD, current="high")]
    assert _said(loads, 3000.0) == {"bad": "sheds 1 kW for 15 TH/s: the least work per watt of 2"}


def test_what_is_taken_is_the_most_work_per_watt() -> None:
    loads = [Load("bad", BAD, current="low"), Load("good", GOOD, current="low")]
    assert _said(loads, 3000.0) == {"good": "takes 1 kW for 50 TH/s: the most work per watt of 2"}


def test_what_goes_off_and_on_is_said_to() -> None:
    assert _said([Load("a", GOOD, current="low")], 0.0) == {"a": "is switched off: sheds 1 kW for 60 TH/s"}
    assert _said([Load("a", GOOD, current=OFF)], 1000.0) == {"a": "is switched on: takes 1 kW for 60 TH/s"}


def test_a_priority_is_named_where_there_are_several() -> None:
    loads = [Load("bad", BAD, current="high", priority=9), Load("good", GOOD, current="high")]
    assert _said(loads, 3000.0) == {"good": "sheds 1 kW for 50 TH/s, at priority 5"}


def test_more_work_for_less_power_is_no_price() -> None:
    points = (Point("hot", 2000.0, 50.0), Point("cool", 1500.0, 55.0), Point("same", 1500.0, 50.0))
    assert _said([Load("a", points, current="hot")], 9000.0) == {"a": "sheds 500 W and gains 5 TH/s"}


def test_who_stays_is_not_spoken_of() -> None:
    points = tuple(Point(f"{watts:.0f}", watts, work) for watts, work in S19)
    assert _said([Load("a", points, current="4690"), Load("new", points)], 1e6) == {}


def test_another_unit_can_be_named() -> None:
    loads = [Load("a", GOOD, current="high")]
    assert explain(loads, allot(loads, 1000.0), unit="MH/s") == {"a": "sheds 1 kW for 50 MH/s"}


def test_watts_are_told_as_people_do() -> None:
    assert [in_watts(w) for w in (0.0, 950.0, 12_500.0, -1234.0, 2e6)] == [
        "0 W",
        "950 W",
        "12.5 kW",
        "-1.234 kW",
        "2 MW",
    ]
