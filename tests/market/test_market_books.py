from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from jouled.bookkeeping import market as books
from jouled.books.prices import Series
from jouled.config.books import Retention
from jouled.errors import InvalidError
from jouled.store import Store
from jouled.store.check import problems
from jouled.store.retention import sweep
from jouled.store.schema.market import market_fetches, market_slots
from trading import series

DAY = date(2026, 5, 4)
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def put(store: Store, one: Series, now: datetime = NOW) -> Series:
    return store.write(lambda connection: books.put(connection, one, now))


def of_day(store: Store, day: date = DAY) -> list[Series]:
    return store.read(lambda connection: books.of_day(connection, "DE-LU", day, ["fake"]))


@pytest.mark.parametrize("day", [DAY, date(2026, 3, 29), date(2026, 10, 25)])
def test_a_series_comes_back_as_it_was(store: Store, day: date) -> None:
    one = series(day, price="-12.345")
    assert len(one.slots) == {DAY: 96, date(2026, 3, 29): 92}.get(day, 100)
    put(store, one)
    assert of_day(store, day) == [one]


def test_what_is_missing_stays_missing_and_zero_zero(store: Store) -> None:
    one = series(DAY)
    slots = (one.slots[0]._replace(price=None), one.slots[1]._replace(price=Decimal(0), volume_mwh=None))
    put(store, one._replace(slots=slots))
    assert of_day(store)[0].slots == slots


def test_the_same_answer_again_only_says_when_it_came(store: Store) -> None:
    put(store, series(DAY))
    later = put(store, series(DAY, at=NOW + timedelta(minutes=5)), NOW + timedelta(minutes=5))
    assert (later.revision, later.fetched_at) == (1, NOW + timedelta(minutes=5))
    assert of_day(store) == [later]
    rows = store.read(lambda connection: connection.execute(market_fetches.select()).all())
    assert [(row.times, row.first_at) for row in rows] == [(2, NOW)]


def test_another_answer_is_a_revision_and_the_first_one_stays(store: Store) -> None:
    put(store, series(DAY, quality="preliminary"))
    assert put(store, series(DAY, price="51")).revision == 2
    assert [(one.revision, one.quality) for one in of_day(store)] == [(2, "final")]
    kept = store.read(lambda connection: books.revisions(connection, "fake", "DE-LU", "day-ahead", DAY))
    assert [(one.revision, one.slots[0].price) for one in kept] == [(1, Decimal(50)), (2, Decimal(51))]


def test_the_same_answer_that_is_read_otherwise_is_a_revision_too(store: Store) -> None:
    one = series(DAY)
    put(store, one)
    assert put(store, one._replace(slots=one.slots[:-1])).revision == 2


def test_a_provider_whose_answers_always_differ_has_a_bounded_number_of_them(store: Store) -> None:
    for number in range(books.REVISIONS_MAX + 3):
        put(store, series(DAY, price=str(number), minutes=60))
    kept = store.read(lambda connection: books.revisions(connection, "fake", "DE-LU", "day-ahead", DAY))
    assert [one.revision for one in kept] == list(range(4, books.REVISIONS_MAX + 4))
    slots = store.read(lambda connection: len(connection.execute(market_slots.select()).all()))
    assert slots == 24 * books.REVISIONS_MAX


def test_a_range_is_answered_with_all_days_that_it_touches(store: Store) -> None:
    for offset in range(4):
        put(store, series(DAY + timedelta(days=offset)))
    put(store, series(DAY, provider="other"))
    midnight = datetime(2026, 5, 4, 22, tzinfo=UTC)  # of Tuesday in Berlin

    def days(start: datetime, end: datetime, **which: str) -> list[date]:
        found = store.read(lambda connection: books.between(connection, "DE-LU", start, end, **which))
        return [one.delivery_day for one in found]

    assert days(midnight, midnight + timedelta(hours=1)) == [DAY + timedelta(days=1)]
    assert days(midnight - timedelta(seconds=1), midnight + timedelta(hours=1)) == [DAY, DAY, DAY + timedelta(days=1)]
    assert days(midnight - timedelta(hours=1), midnight, provider="other") == [DAY]
    assert days(midnight - timedelta(hours=1), midnight, product="IDA1") == []
    with pytest.raises(InvalidError, match="31 days"):
        days(midnight, midnight + timedelta(days=32))
    with pytest.raises(InvalidError, match="after"):
        days(midnight, midnight)


async def test_prices_go_when_their_time_is_over_and_no_slot_stays_behind(store: Store) -> None:
    put(store, series(DAY - timedelta(days=3)))
    put(store, series(DAY))
    await sweep(store, Retention(quarter_hour_s=86_400.0), NOW, pause_s=0.0)
    assert (of_day(store, DAY - timedelta(days=3)), len(of_day(store))) == ([], 1)
    assert len(await store.fetch(lambda connection: connection.execute(market_slots.select()).all())) == 96


def test_the_check_finds_slots_that_overlap_and_slots_that_are_gone(store: Store) -> None:
    put(store, series(DAY))
    assert list(store.read(lambda connection: list(problems(connection)))) == []
    first = series(DAY).slots[0].start
    longer = market_slots.update().where(market_slots.c.start_at == first)
    store.write(lambda connection: connection.execute(longer.values(end_at=first + timedelta(hours=1))))
    last = market_slots.delete().where(market_slots.c.start_at == series(DAY).slots[-1].start)
    store.write(lambda connection: connection.execute(last))
    found = store.read(lambda connection: list(problems(connection)))
    assert any("overlaps" in line for line in found), found
    assert any("of 96 slots 95 are there" in line for line in found), found
