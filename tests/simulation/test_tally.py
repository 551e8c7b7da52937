"""What is counted of a simulated day."""

from __future__ import annotations

import pytest

from jouled.balance.fleet.words import OFF
from jouled.balance.site.words import Member, Observation, Timing
from jouled.simulation.families import TABLES
from jouled.simulation.names import Strategy, expanded
from jouled.simulation.outcome import CHANGES_MAX, Change, Outcome
from jouled.simulation.strategies import Known
from jouled.simulation.tally import Tally


def tally(step_s: float = 1.0) -> Tally:
    return Tally(Strategy("ours", 0.1), step_s, 2)


def ended(one: Tally) -> Outcome:
    return one.run(0, None, has_carbon=False).outcome


def test_turns_are_counted_and_cycles_that_order_nothing_are_none() -> None:
    one = tally()
    for delta_w in (100.0, 0.0, 50.0, -20.0, 0.0, -5.0, 30.0, 40.0):
        one.decided(delta_w)
    assert ended(one).reversals == 2


def test_minutes_keep_the_highest_load_and_the_lowest_supply() -> None:
    one = tally()
    for second in range(120):
        one.step(100.0 - (second == 30), 50.0 + (second == 90), 1.0, 90.0)
    minutes = one.run(0, None, has_carbon=False).minutes
    assert [(minute.supply_w, minute.load_w) for minute in minutes] == [(99.0, 50.0), (100.0, 51.0)]


def test_the_longest_time_above_is_of_one_stretch() -> None:
    one = tally(2.0)
    for is_over in (True, True, False, True, True, True, False):
        one.step(100.0, 150.0 if is_over else 50.0, 1.0, 90.0)
    found = ended(one)
    assert (found.over_minutes * 60, found.longest_over_s, found.worst_pct) == pytest.approx((10.0, 6.0, 50.0))


def test_what_failed_is_no_change_and_only_so_many_are_kept() -> None:
    one = tally()
    for number in range(CHANGES_MAX + 5):
        one.change(
            Change(0.0, f"m{number % 2}", "a", "b", 10.0, 4.0, "reduce: because", "no answer" if number == 0 else None)
        )
    run = one.run(0, None, has_carbon=False)
    assert (run.outcome.changes, run.outcome.failed_changes) == (CHANGES_MAX + 4, 1)
    assert run.outcome.shed_kw == {"reduce": pytest.approx(6 * (CHANGES_MAX + 4) / 1000)}
    assert run.outcome.most_changes_of_a_load == CHANGES_MAX // 2 + 2
    assert len(run.changes) == CHANGES_MAX


def test_reserves_are_for_ours_and_each_strategy_runs_once() -> None:
    found = expanded(("ours", "ours@8", "original-code"), (8.0, 10.0))
    assert found == (Strategy("ours", 0.08), Strategy("ours", 0.1), Strategy("original-code", 0.08))


def test_a_load_that_is_away_counts_with_the_most_it_drew_there_and_one_that_was_off_with_the_most_it_can() -> None:
    member = Member("m", "m", "s19", Timing(2.0, 120.0), TABLES["s19"])
    seen = [
        Observation(0.0, "running", "1500", None, 1600.0, 63.0),
        Observation(1.0, "running", "1500", None, 1450.0, 63.0),
        Observation(2.0, "away"),
        Observation(3.0, "off", OFF, None, 0.0, 0.0),
        Observation(4.0, "away"),
    ]
    known = Known(member)
    assert [known.member(one).worst_w for one in seen] == [1600.0, 1600.0, 1600.0, 4690.0, 4690.0]
