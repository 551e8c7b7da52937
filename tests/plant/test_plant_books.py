"""The plant's readings in the store: once, bounded, and gone when their time is over."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import trio
import trio.testing
from sqlalchemy import func, select

from jouled.balance.site.supply import Reading, SupplyRules
from jouled.bookkeeping import events
from jouled.bookkeeping import plant as books
from jouled.config.books import Retention
from jouled.control.plant.feed import PlantFeed
from jouled.http import UnreachableError
from jouled.store import Store
from jouled.store.retention import sweep
from jouled.store.schema.plant import plant_readings

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def kept(at: datetime = NOW, power_w: float = 80_000.0, judgement: str = "accepted", **parts: Any) -> books.Kept:
    reading = Reading(power_w, at, **parts)
    return books.Kept("hydro-1", at, reading, judgement, None, "fresh", power_w, is_first_of_minute=at.second == 0)


def put(store: Store, *rows: books.Kept) -> None:
    for row in rows:
        store.write(partial(books.put, kept=row))


def listed(store: Store, limit: int = 100, cursor: str | None = None) -> Any:
    return store.read(lambda connection: books.listed(connection, plant="hydro-1", cursor=cursor, limit=limit))


def test_a_reading_comes_back_with_the_fields_of_the_original_in_kilowatts(store: Store) -> None:
    sources = (("generation", "turbine-1", 80_000.0), ("consumption", "container-1", 20_000.0))
    put(store, kept(consumption_w=20_000.0, confidence=0.97, sources=sources, collected_at=NOW + timedelta(seconds=1)))
    one = listed(store).items[0]
    assert (one.plant_id, one.total_generation, one.total_container_consumption) == ("hydro-1", 80.0, 20.0)
    assert (one.available_power, one.accepted, one.confidence) == (60.0, True, 0.97)
    assert (one.generation_sources, one.consumption_sources) == ({"turbine-1": 80.0}, {"container-1": 20.0})
    assert (one.recorded_at, one.sourced_at, one.collected_at) == (NOW, NOW, NOW + timedelta(seconds=1))


def test_a_write_that_is_done_again_changes_nothing(store: Store) -> None:
    put(store, kept(), kept(), kept(judgement="ramp"))
    assert [one.judgement for one in listed(store).items] == ["ramp", "accepted"]


def test_what_is_no_number_or_too_much_is_kept_as_nothing_and_bounded(store: Store) -> None:
    many = tuple(("generation", f"turbine-{n}", 1.0) for n in range(1000))
    put(store, kept(power_w=math.inf, judgement="not-finite", confidence=math.nan, sources=many))
    one = listed(store).items[0]
    assert (one.total_generation, one.available_power, one.confidence) == (None, None, None)
    assert len(one.generation_sources) == 64


def test_pages_follow_each_other_newest_first_though_more_comes_meanwhile(store: Store) -> None:
    put(store, *(kept(NOW + timedelta(minutes=n)) for n in range(5)))
    first = listed(store, limit=2)
    put(store, kept(NOW + timedelta(minutes=9)))
    second = listed(store, limit=2, cursor=first.next_cursor)
    third = listed(store, limit=2, cursor=second.next_cursor)
    minutes = [one.recorded_at.minute for part in (first, second, third) for one in part.items]
    assert minutes == [4, 3, 2, 1, 0]
    assert third.next_cursor is None


async def test_of_what_is_old_one_reading_of_a_minute_stays_and_in_the_end_none(store: Store) -> None:
    put(store, *(kept(NOW + timedelta(seconds=15 * n)) for n in range(8)))
    retention = Retention(raw_s=86_400.0, minute_s=10 * 86_400.0)
    await sweep(store, retention, NOW + timedelta(hours=1), pause_s=0.0)
    assert len(listed(store).items) == 8
    await sweep(store, retention, NOW + timedelta(days=2), pause_s=0.0)
    assert [one.recorded_at for one in listed(store).items] == [NOW + timedelta(minutes=1), NOW]
    await sweep(store, retention, NOW + timedelta(days=11), pause_s=0.0)
    assert listed(store).items == ()


class Feed:
    """Of a source that answers what it is told to, over a store."""

    where = "a fake"

    def __init__(self, store: Store) -> None:
        self.at = NOW
        self.power_w = 80_000.0
        self.error: Exception | None = None
        rules = SupplyRules(poll_s=1.0, stale_after_s=3.0, hold_s=4.0)
        self.feed = PlantFeed(
            self, rules, name="hydro-1", clock=lambda: self.at, store=store, asleep=lambda: 0.0, jitter=lambda: 0.5
        )

    async def fetch(self, now: datetime) -> Reading:
        if self.error is not None:
            raise self.error
        return Reading(self.power_w, self.at)

    async def aclose(self) -> None:
        pass

    async def polls(self, seconds: int) -> None:
        """By the wall clock: one of each second."""
        for _ in range(seconds):
            self.at += timedelta(seconds=1)
            await self.feed.poll()


def count_of(store: Store) -> int:
    return store.read(
        lambda connection: connection.execute(select(func.count()).select_from(plant_readings)).scalar_one()
    )


async def test_a_feed_that_is_asked_each_second_is_kept_each_ten_and_what_changes_at_once(store: Store) -> None:
    made = Feed(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.feed.run)
        await made.polls(120)
        made.power_w = -50_000.0
        await made.polls(1)
        nursery.cancel_scope.cancel()
    rows = listed(store).items
    assert rows[0].judgement == "negative"
    assert 12 <= len(rows) <= 15
    first_of_minutes = store.read(
        lambda connection: connection.execute(
            select(func.count()).where(plant_readings.c.is_first_of_minute.is_(True))
        ).scalar_one()
    )
    assert first_of_minutes == 3


async def test_an_outage_and_lies_are_alerts_once_each_and_once_when_they_are_over(store: Store) -> None:
    made = Feed(store)

    def alerts() -> list[str]:
        found = store.read(lambda connection: events.open_alerts(connection, cursor=None, limit=10))
        return [alert.type for alert in found.items]

    async def reached(types: list[str]) -> None:
        with trio.fail_after(60):
            while alerts() != types:  # noqa: ASYNC110  (the store's thread has its own pace)
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        await nursery.start(made.feed.run)
        await made.polls(2)
        made.error = UnreachableError("GET http://plant: no connection; check plant.url")
        await made.polls(5)
        await reached(["plant_failed"])
        made.error = None
        await made.polls(1)
        await reached([])
        made.power_w = -50_000.0
        await made.polls(5)
        await reached(["plant_rejected"])
        made.power_w = 80_000.0
        await made.polls(1)
        await reached([])
        nursery.cancel_scope.cancel()
    told = store.read(lambda connection: events.listed(connection, limit=10)).items
    assert [event.type for event in told] == ["plant_believed", "plant_rejected", "plant_answered", "plant_failed"]
