"""Carbon budgets: periods that begin by themselves, and alerts that come once."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import trio
from sqlalchemy import Connection

from jouled.bookkeeping import budgets, emissions, events
from jouled.bookkeeping.rollover import roll_over
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store import Store
from jouled.wire.carbon import Budget, FactorsDraft
from jouled.wire.carbon import BudgetDraft as Draft
from metered import NOW, ago, books, draft, ingest, make_meter, make_site, mill

_minutes = itertools.count()


def budget(connection: Connection, kg: float = 10.0, kind: Any = "daily", now: datetime = NOW, **fields: Any) -> Budget:
    return budgets.create(connection, Draft(facility_id="mill", budget_period=kind, budget_amount=kg, **fields), now)


def emit(store: Store, kg: float, at: datetime = NOW, now: datetime | None = None) -> None:
    """Of coal, of which a kilowatt-hour is 0.95 kg."""
    reading = draft(kg / 0.95, at - timedelta(microseconds=next(_minutes)), energy_source="coal")
    store.write(lambda connection: ingest(connection, reading, now=now or max(at, NOW)))


def told(store: Store) -> list[str]:
    """Oldest first."""
    return [event.type for event in reversed(store.read(events.listed).items)]


def alerts(store: Store) -> list[str]:
    return [alert.type for alert in store.read(events.open_alerts).items]


def now_of(store: Store, name: str = "mill", now: datetime = NOW) -> Budget:
    return store.read(lambda connection: budgets.of_site(connection, name, None, now))


@pytest.fixture(autouse=True)
def _the_mill(store: Store) -> None:
    store.write(mill)


def test_each_threshold_makes_one_event_however_many_readings_follow(store: Store) -> None:
    store.write(budget)
    for _ in range(24):
        emit(store, 0.5)

    assert told(store) == ["carbon_budget_warning", "carbon_budget_critical", "carbon_budget_exceeded"]
    assert alerts(store) == ["carbon_budget_exceeded"]


def test_a_leap_over_all_thresholds_is_one_event(store: Store) -> None:
    store.write(budget)
    emit(store, 50)

    assert told(store) == ["carbon_budget_exceeded"]
    assert now_of(store).usage_percentage == pytest.approx(500)


def test_exceeded_is_said_where_it_is_and_not_at_95_percent(store: Store) -> None:
    """It was: "has exceeded" at 95 %, and the status exceeded never set."""
    store.write(budget)
    emit(store, 9.6)
    assert (now_of(store).status, told(store)) == ("critical", ["carbon_budget_critical"])
    emit(store, 0.4)

    assert now_of(store).status == "exceeded"
    assert now_of(store).remaining_amount == 0


def test_thresholds_of_the_budget_count_and_not_those_of_the_program(store: Store) -> None:
    store.write(lambda connection: budget(connection, warning_threshold=10, critical_threshold=20))
    emit(store, 1.5)

    assert now_of(store).status == "warning"


def test_more_than_1000_percent_are_kept(store: Store) -> None:
    """It was: DECIMAL(5,2), which ends at 999.99."""
    store.write(lambda connection: budget(connection, kg=0.001))
    emit(store, 100)

    assert now_of(store).usage_percentage == pytest.approx(10_000_000)


@pytest.mark.parametrize("fields", [{"kg": 0.0}, {"kg": 1e-12}, {"warning_threshold": 96.0}])
def test_a_budget_of_nothing_or_out_of_order_is_refused(store: Store, fields: dict[str, Any]) -> None:
    """It was: a division by zero."""
    with pytest.raises(InvalidError):
        store.write(lambda connection: budget(connection, **fields))


def test_a_budget_of_no_site_is_refused(store: Store) -> None:
    with pytest.raises(InvalidError, match="no site"):
        store.write(lambda connection: budgets.create(connection, Draft("nowhere", "daily", 1.0), NOW))


def test_a_second_budget_does_not_reset_the_running_one(store: Store) -> None:
    """It was: one counter per site, which the new budget set to nothing; and ids that collided within a day."""
    first = store.write(budget)
    emit(store, 3)
    second = store.write(lambda connection: budget(connection, kg=20))
    emit(store, 1)

    assert first.id != second.id
    assert second.used_amount == pytest.approx(3)
    assert now_of(store, first.id).used_amount == pytest.approx(4)
    assert now_of(store, second.id).used_amount == pytest.approx(4)


def test_a_new_period_begins_at_zero_and_the_last_one_stays(store: Store) -> None:
    """It was: one counter that never rolled over."""
    made = store.write(budget)
    emit(store, 9)
    tomorrow = NOW + timedelta(days=1)
    emit(store, 2, tomorrow, tomorrow)
    periods = store.read(lambda connection: budgets.periods(connection, made.id, tomorrow, None, 10)).items

    assert now_of(store, now=tomorrow).used_amount == pytest.approx(2)
    assert [round(period.used_amount, 3) for period in periods] == [2, 9]


def test_without_any_reading_the_new_period_begins_too_and_its_alert_closes(store: Store) -> None:
    store.write(budget)
    emit(store, 9)
    assert alerts(store) == ["carbon_budget_warning"]
    tomorrow = NOW + timedelta(days=1)

    assert now_of(store, now=tomorrow).status == "normal"
    assert store.write(lambda connection: budgets.roll_over(connection, tomorrow)) == 1
    assert store.write(lambda connection: budgets.roll_over(connection, tomorrow)) == 0
    assert alerts(store) == []
    assert told(store) == ["carbon_budget_warning", "carbon_budget_period_over"]


def test_a_period_that_begins_anew_may_be_exceeded_anew(store: Store) -> None:
    store.write(budget)
    emit(store, 11)
    tomorrow = NOW + timedelta(days=1)
    store.write(lambda connection: budgets.roll_over(connection, tomorrow))
    emit(store, 11, tomorrow, tomorrow)

    assert told(store).count("carbon_budget_exceeded") == 2


def test_a_late_reading_counts_for_its_own_period(store: Store) -> None:
    store.write(lambda connection: budget(connection, now=ago(days=3)))
    store.write(lambda connection: budgets.roll_over(connection, NOW))
    emit(store, 12, ago(days=2), NOW)

    assert now_of(store).used_amount == 0
    assert told(store) == ["carbon_budget_exceeded"]
    assert alerts(store) == [], "what is over has no alert that is open"


def test_before_a_budget_was_made_it_had_no_periods(store: Store) -> None:
    made = store.write(budget)
    emit(store, 12, ago(days=5), NOW)

    assert len(store.read(lambda connection: budgets.periods(connection, made.id, NOW, None, 10)).items) == 1
    assert told(store) == []


def test_what_was_emitted_in_the_running_period_before_is_used_of_a_new_budget(store: Store) -> None:
    emit(store, 9, ago(hours=2))
    emit(store, 9, ago(hours=30))
    made = store.write(budget)

    assert made.status == "warning"
    assert made.used_amount == pytest.approx(9)
    assert alerts(store) == ["carbon_budget_warning"]


def test_periods_follow_the_sites_clock_over_the_night_of_23_hours(store: Store) -> None:
    evening = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
    store.write(lambda connection: budget(connection, now=evening))
    later = datetime(2026, 3, 29, 21, 0, tzinfo=UTC)
    for at in (evening, datetime(2026, 3, 28, 23, 0, tzinfo=UTC), datetime(2026, 3, 29, 21, 0, tzinfo=UTC)):
        emit(store, 1, at + timedelta(minutes=1), later + timedelta(hours=1))
    first, second = now_of(store, now=evening), now_of(store, now=later)

    assert first.used_amount == pytest.approx(1)
    assert second.used_amount == pytest.approx(2)
    assert second.period_end - second.period_start == timedelta(hours=23)


def test_a_closed_budget_is_fed_no_more_and_stays_as_it_was(store: Store) -> None:
    made = store.write(budget)
    emit(store, 9)
    closed = store.write(lambda connection: budgets.close(connection, made.id, NOW))
    emit(store, 9)

    assert not closed.is_active
    assert closed.used_amount == pytest.approx(9)
    assert now_of(store, made.id, NOW + timedelta(days=40)).used_amount == pytest.approx(9)
    assert alerts(store) == []
    with pytest.raises(ConflictError):
        store.write(lambda connection: budgets.close(connection, made.id, NOW))
    with pytest.raises(NotFoundError, match="no budget configured for this facility"):
        now_of(store)


def test_the_status_of_a_site_is_its_worst_budgets(store: Store) -> None:
    store.write(lambda connection: budget(connection, kg=10))
    store.write(lambda connection: budget(connection, kg=1000, kind="yearly"))
    emit(store, 9)
    said = store.read(lambda connection: budgets.status_of_site(connection, "mill", NOW))

    assert (said.status, said.budget.budget_period) == ("warning", "daily")
    assert now_of(store).budget_period in {"daily", "yearly"}


def test_other_sites_are_not_fed(store: Store) -> None:
    store.write(lambda connection: make_site(connection, "other"))
    store.write(lambda connection: budgets.create(connection, Draft("other", "daily", 1.0), NOW))
    emit(store, 9)

    assert now_of(store, "other").used_amount == 0


def test_the_same_reading_twice_is_used_once(store: Store) -> None:
    """It was: POST /carbon/process of a retry counted again."""
    store.write(budget)
    for _ in range(3):
        store.write(lambda connection: ingest(connection, draft(1.0)))

    assert now_of(store).used_amount == pytest.approx(0.42)


def test_a_budget_id_that_is_there_is_a_conflict(store: Store) -> None:
    store.write(lambda connection: budget(connection, id="b"))
    with pytest.raises(ConflictError):
        store.write(lambda connection: budget(connection, id="b"))


def test_lists_are_of_a_site_and_of_those_that_run(store: Store) -> None:
    for number in range(5):
        store.write(partial(budget, id=f"b{number}"))
    store.write(lambda connection: budgets.close(connection, "b2", NOW))

    def ids(cursor: str | None = None, is_active: bool | None = None) -> tuple[list[str], str | None]:
        page = store.read(lambda connection: budgets.listed(connection, "mill", is_active, NOW, cursor=cursor, limit=3))
        return [one.id for one in page.items], page.next_cursor

    first, cursor = ids()
    assert first == ["b0", "b1", "b2"]
    assert ids(cursor) == (["b3", "b4"], None)
    assert ids(is_active=False) == (["b2"], None)


async def test_the_daemon_begins_periods_by_itself(store: Store, autojump_clock: trio.testing.MockClock) -> None:
    made = store.write(budget)
    days = iter([NOW, NOW + timedelta(days=1), NOW + timedelta(days=2)])
    done = trio.Event()

    def clock() -> datetime:
        try:
            return next(days)
        except StopIteration:
            done.set()
            return NOW + timedelta(days=2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(roll_over, store, clock, 0.01)
        await done.wait()
        nursery.cancel_scope.cancel()
    periods = store.read(lambda connection: budgets.periods(connection, made.id, NOW, None, 10)).items

    assert len(periods) == 3


def test_a_use_beyond_64_bits_is_refused_and_changes_nothing(store: Store) -> None:
    factors = FactorsDraft("lignite", ago(days=400), {"coal": 5.0})
    store.write(lambda connection: make_meter(connection, "furnace", energy_source="coal"))
    store.write(lambda connection: emissions.add_version(connection, factors, NOW))
    store.write(lambda connection: budgets.create(connection, Draft("mill", "yearly", 1.0), NOW))

    def burn(day: int) -> None:
        burnt = [draft(1e6, ago(days=day, seconds=second), "furnace") for second in range(900)]
        store.write(lambda connection: ingest(connection, *burnt))

    burn(0)
    burn(1)
    before = store.read(books)
    with pytest.raises(InvalidError, match="9 gigatonnes"):
        burn(2)
    assert store.read(books) == before
