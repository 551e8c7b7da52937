from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from jouled.bookkeeping import intensity, sites
from jouled.books.intensity import Mean, Slot
from jouled.errors import InvalidError, NotFoundError
from jouled.store import Store
from jouled.wire.intensity import IntensitySlot, SeriesDraft, SlotDraft
from jouled.wire.problems import Page
from jouled.wire.sites import SiteDraft

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
LATER = START + timedelta(days=1)


def slot(quarters: int, value: int = 100, length: timedelta = QUARTER, **parts: Any) -> Slot:
    start = START + quarters * QUARTER
    made = Slot("DE", "average", start, start + length, value, "energy-charts", False, "good", START)
    return made._replace(**parts)


def put(store: Store, *slots: Slot) -> int:
    return store.write(lambda connection: intensity.put(connection, slots, LATER))


def at(store: Store, when: datetime, kind: str = "average") -> Any:
    row = store.read(lambda connection: intensity.at(connection, "DE", kind, when))
    return None if row is None else row.ug_per_kwh


def test_a_slot_holds_from_its_start_up_to_its_end(store: Store) -> None:
    put(store, slot(0, 100), slot(1, 200))
    assert at(store, START - timedelta(microseconds=1)) is None
    assert at(store, START) == 100
    assert at(store, START + QUARTER) == 200
    assert at(store, START + 2 * QUARTER) is None


def test_the_same_series_again_changes_nothing(store: Store) -> None:
    slots = [slot(index, index) for index in range(1200)]
    assert put(store, *slots) == 1200
    assert put(store, *slots) == 0
    assert put(store, *[one._replace(fetched_at=START + HOUR) for one in slots]) == 0


def test_a_forecast_never_overwrites_what_was_measured_and_is_overwritten_by_it(store: Store) -> None:
    assert put(store, slot(0, 300, is_forecast=True)) == 1
    assert put(store, slot(0, 310, is_forecast=True, fetched_at=START + HOUR)) == 1
    assert at(store, START) == 310
    assert put(store, slot(0, 250, fetched_at=START + HOUR)) == 1
    assert put(store, slot(0, 999, is_forecast=True, fetched_at=START + 2 * HOUR)) == 0
    assert at(store, START) == 250


def test_both_in_one_answer_are_the_measured_one_in_any_order(store: Store) -> None:
    measured, forecast = slot(0, 250), slot(0, 999, is_forecast=True)
    assert put(store, measured, forecast) == 1
    assert put(store, forecast, measured) == 0
    assert at(store, START) == 250


def test_what_was_fetched_earlier_does_not_come_back(store: Store) -> None:
    put(store, slot(0, 250, fetched_at=START + HOUR))
    assert put(store, slot(0, 240, fetched_at=START)) == 0
    assert at(store, START) == 250


def test_average_and_marginal_are_two_series(store: Store) -> None:
    put(store, slot(0, 250), slot(0, 700, kind="marginal", provider="watttime"))
    assert (at(store, START), at(store, START, "marginal")) == (250, 700)
    put(store, slot(1, 700, kind="marginal", provider="watttime"))
    assert at(store, START + QUARTER) is None


def test_of_slots_that_overlap_the_measured_and_then_the_finer_counts(store: Store) -> None:
    put(store, slot(0, 1, HOUR), slot(1, 2), slot(2, 3, is_forecast=True))
    assert [at(store, START + index * QUARTER) for index in range(4)] == [1, 2, 1, 1]


def test_a_slot_of_a_whole_day_is_found_to_its_end(store: Store) -> None:
    put(store, slot(0, 7, timedelta(days=1)))
    assert at(store, START + timedelta(days=1) - timedelta(microseconds=1)) == 7
    assert at(store, START + timedelta(days=1)) is None


def test_a_mean_says_how_much_of_the_range_is_known(store: Store) -> None:
    put(store, slot(0, 100), slot(1, 400, is_forecast=True), slot(2, 400, quality="estimated"))
    found = store.read(lambda connection: intensity.mean(connection, "DE", "average", START, START + HOUR))
    assert found == Mean(300, 0.75, 0.25, 0.25)
    slots = store.read(lambda connection: intensity.between(connection, "DE", "average", START + QUARTER, START + HOUR))
    assert [one.ug_per_kwh for one in slots] == [400, 400]
    with pytest.raises(InvalidError, match="more than 100 days"):
        store.read(lambda connection: intensity.mean(connection, "DE", "average", START, START + timedelta(days=101)))


def test_a_series_is_shown_in_parts(store: Store) -> None:
    put(store, *[slot(index, index * 1_000_000) for index in range(5)])
    shown: list[IntensitySlot] = []
    cursor: str | None = None
    for _ in range(3):
        page: Page[IntensitySlot] = store.read(
            lambda connection, cursor=cursor: intensity.listed(  # type: ignore[misc]  # a lambda with a default
                connection, "DE", "average", start=START, end=START + HOUR, cursor=cursor, limit=2
            )
        )
        shown += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [one.g_per_kwh for one in shown] == [Decimal(index) for index in range(4)]
    assert cursor is None


def series(*slots: SlotDraft) -> SeriesDraft:
    return SeriesDraft("DE", "average", slots)


def test_a_series_put_in_by_hand_is_taken_whole_or_not_at_all(store: Store) -> None:
    first = SlotDraft(START, START + QUARTER, Decimal("241.5"))
    second = SlotDraft(START + QUARTER, START + HOUR, Decimal(200), quality="estimated")
    taken = store.write(lambda connection: intensity.take(connection, series(second, first), START))
    assert (taken.count, taken.changed) == (2, 2)
    assert store.write(lambda connection: intensity.take(connection, series(first), START)).changed == 0
    now = store.read(lambda connection: intensity.now(connection, "DE", "average", START))
    assert (now.g_per_kwh, now.provider) == (Decimal("241.5"), "import")
    overlapping = SlotDraft(START + 2 * HOUR - QUARTER, START + 3 * HOUR, Decimal(1))
    for wrong in (
        series(SlotDraft(START + HOUR, START + 2 * HOUR, Decimal(1)), overlapping),
        series(SlotDraft(START + HOUR, START + HOUR, Decimal(1))),
        series(SlotDraft(START + HOUR, START + timedelta(days=2), Decimal(1))),
    ):
        with pytest.raises(InvalidError):
            store.write(lambda connection, wrong=wrong: intensity.take(connection, wrong, START))  # type: ignore[misc]
    assert at(store, START + HOUR) is None


def test_what_is_not_known_now_is_said_with_the_fix(store: Store) -> None:
    with pytest.raises(NotFoundError, match=r"zone 'DE' is not known now; set carbon\.provider"):
        store.read(lambda connection: intensity.now(connection, "DE", "average", START))


def test_sites_say_which_zones_are_asked_for(store: Store) -> None:
    for name, zone, kind in (("a", "DE", None), ("b", "FR", "average"), ("c", "FR", "marginal"), ("d", None, None)):
        draft = SiteDraft(name, id=name, carbon_zone=zone, carbon_kind=kind)  # type: ignore[arg-type]  # of the tuple above
        store.write(lambda connection, draft=draft: sites.create(connection, draft, START))  # type: ignore[misc]
    assert store.read(lambda connection: intensity.zones_of_sites(connection, "average")) == ["DE", "FR"]
    assert store.read(lambda connection: intensity.sites_of_other_kind(connection, ["DE", "FR"], "average")) == ["c"]
