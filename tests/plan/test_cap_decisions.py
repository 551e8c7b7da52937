"""Decisions of the node's power in the books, on both engines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jouled.balance.schedule import Budget
from jouled.balance.steps import Step
from jouled.bookkeeping import cap_decisions
from jouled.errors import InvalidError
from jouled.store import Store
from planned import QUARTER, at

START = at("2026-03-04 12:00")


def step(number: int, power_w: float | None = 40.0, problem: str | None = None) -> Step:
    start = START + number * QUARTER
    budget = Budget(start, start + QUARTER, power_w, f"rank {number}", {"price-rank": {"value": -1.5, "rank": number}})
    return Step(f"step-{number}", start, budget, None if problem else power_w, problem)


def test_a_decision_is_kept_with_its_inputs_and_once(store: Store) -> None:
    for _ in range(2):
        store.write(lambda connection: cap_decisions.put(connection, step(1), "n1"))
    store.write(lambda connection: cap_decisions.put(connection, step(2, None), "n1"))
    store.write(lambda connection: cap_decisions.put(connection, step(3, problem="x" * 5000), "n1"))
    found = store.read(
        lambda connection: cap_decisions.listed(
            connection, start=START, end=START + timedelta(days=1), cursor=None, limit=100
        )
    )
    assert [one.id for one in found.items] == ["step-3", "step-2", "step-1"]
    refused, none, first = found.items
    assert (first.watts, first.applied_watts, first.problem) == (40.0, 40.0, None)
    assert first.inputs == {"price-rank": {"value": -1.5, "rank": 1}}
    assert (first.at, first.start, first.end) == (START + QUARTER, START + QUARTER, START + 2 * QUARTER)
    assert (none.watts, none.applied_watts) == (None, None)
    assert (refused.applied_watts, len(refused.problem or "")) == (None, 1024)


def test_pages_go_on_where_the_last_one_ended(store: Store) -> None:
    for number in range(5):
        store.write(lambda connection, number=number: cap_decisions.put(connection, step(number), "n1"))  # type: ignore[misc]  # of a default
    cursor, ids = None, []
    while True:
        found = store.read(
            lambda connection, cursor=cursor: cap_decisions.listed(  # type: ignore[misc]  # as above
                connection, start=START, end=START + timedelta(hours=1), cursor=cursor, limit=2
            )
        )
        ids += [one.id for one in found.items]
        cursor = found.next_cursor
        if cursor is None:
            break
    assert ids == ["step-3", "step-2", "step-1", "step-0"]
    with pytest.raises(InvalidError, match="`to` must be after `from`"):
        store.read(lambda connection: cap_decisions.listed(connection, start=START, end=START, cursor=None, limit=1))
