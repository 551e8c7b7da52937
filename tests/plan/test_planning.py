"""The plan as the daemon holds it: over midnight, over delivery days of another zone, and of days known in part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta

import pytest
import trio

from jouled.balance.cheapest_hours import Need
from jouled.balance.planner import Rules, Signals, schedule
from jouled.balance.strategies import Range
from jouled.books.prices import Series
from jouled.books.tariff import Tariff
from jouled.control.market.known import Fresh, Known
from jouled.control.plan.planning import Planning
from planned import BERLIN, HOUR, QUARTER, at, grams, series

POWER = Range(10.0, 100.0)
WEDNESDAY = date(2026, 7, 1)
THURSDAY = date(2026, 7, 2)
# The cheapest hours of Wednesday are from 14:00 to 16:00 in Berlin; Thursday's cost the same all day.
AFTERNOON = [1 if 14 <= hour < 16 else 100 for hour in range(24)]
TWO_DAYS = (series(WEDNESDAY, AFTERNOON, length=HOUR), series(THURSDAY, [50] * 24, length=HOUR))


class Held:
    """What the daemon holds in memory."""

    def __init__(self, days: Iterable[Series]) -> None:
        self.held = Known(36 * 3600.0)
        for one in days:
            self.held.put(one, 0)

    def known(self, now: datetime, since: datetime | None = None) -> tuple[Fresh, ...]:
        return self.held.at(now, since)

    async def series(self, day: date) -> list[Series]:
        return [fresh.series for fresh in self.held.of_day(day, at("2026-07-01 00:00"))]


def planning(rules: Rules, days: Iterable[Series] = TWO_DAYS) -> Planning:
    return Planning(rules, lambda: POWER, lambda: 10.0, market=Held(days))


def of_need(energy_wh: float) -> Rules:
    return Rules(("cheapest-hours",), Tariff(BERLIN), need=Need(energy_wh, time(7)))


@pytest.mark.parametrize(("energy_wh", "hours"), [(200, 2), (1000, 10)])
def test_energy_that_was_taken_before_midnight_is_not_taken_again_after_it(energy_wh: float, hours: int) -> None:
    plan = planning(of_need(energy_wh))
    window = [at("2026-07-01 05:00") + index * HOUR for index in range(24)]
    assert [plan.budget(now).power_w for now in window].count(POWER.max_w) == hours


def test_what_is_in_force_is_what_is_shown() -> None:
    plan = planning(of_need(1000))
    start = at("2026-07-01 22:00")
    shown = trio.run(plan.shown, start, start + 24 * HOUR).slots
    assert [slot.watts for slot in shown] == [plan.budget(slot.start).power_w for slot in shown]


def test_yesterdays_prices_are_no_budget_of_today() -> None:
    plan = planning(Rules(("price-rank",), Tariff(BERLIN)), TWO_DAYS[:1])
    assert plan.budget(at("2026-07-01 21:45")).inputs["strategy"] == "price-rank"
    after = plan.budget(at("2026-07-01 22:00"))
    assert (after.power_w, after.inputs["missing"]) == (10.0, ["price-rank"])


@pytest.mark.parametrize(("timezone", "hours"), [("Europe/Helsinki", 24), ("Europe/Helsinki", 2), ("Asia/Kolkata", 1)])
def test_a_time_that_is_billed_may_lie_in_two_delivery_days(timezone: str, hours: int) -> None:
    rules = Rules(("price-rank",), Tariff(timezone, billing=timedelta(hours=hours)))
    plan = planning(rules)
    # Midnight in Berlin, where Thursday's prices begin, and long after Wednesday's are over.
    for now in (at("2026-07-01 22:00"), at("2026-07-01 23:45"), at("2026-07-02 12:00")):
        assert "missing" not in plan.budget(now).inputs, now


@pytest.mark.parametrize(
    ("strategy", "signals"),
    [
        ("carbon-rank", Signals((), grams([900], at("2026-07-01 10:00")))),
        ("price-rank", Signals((series(WEDNESDAY, [None] * 12 + [900], length=HOUR),))),
        ("volume-proportional", Signals((series(WEDNESDAY, [], [None] * 12 + [5], length=HOUR),))),
        ("volume-proportional", Signals((series(WEDNESDAY, [1] * 13, [None] * 12 + [5], length=HOUR),))),
    ],
)
@pytest.mark.parametrize("over", ["day", "next-24h"])
def test_of_a_day_known_in_small_part_no_slot_has_the_highest_budget(
    strategy: str, signals: Signals, over: str
) -> None:
    rules = Rules((strategy,), Tariff(BERLIN), rank_over="day" if over == "day" else "next-24h")
    assert watts(rules, signals) == {10.0}


def test_half_a_day_is_enough_to_compare_its_slots() -> None:
    afternoon = series(WEDNESDAY, [None] * 12 + [2] * 6 + [1] * 6, [None] * 12 + [6] * 6 + [3] * 6, length=HOUR)
    assert watts(Rules(("price-rank",), Tariff(BERLIN)), Signals((afternoon,))) == {10.0, 100.0}
    assert watts(Rules(("volume-proportional",), Tariff(BERLIN)), Signals((afternoon,))) == {10.0, 50.0, 100.0}


def watts(rules: Rules, signals: Signals) -> set[float | None]:
    start = at("2026-06-30 22:00")
    found: Sequence[float | None] = [
        budget.power_w for budget in schedule(rules, signals, start, start + 96 * QUARTER, POWER).budgets
    ]
    return set(found)
