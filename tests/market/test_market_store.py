"""The market beside its store: what an earlier daemon has left, and an outage as an alert."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import trio

from jouled.bookkeeping import events
from jouled.bookkeeping import market as books
from jouled.config.market import Market as Settings
from jouled.control.market.market import Market
from jouled.errors import StoreError
from jouled.http import UnreachableError
from jouled.store import Store
from trading import FakeProvider, series

MONDAY = date(2026, 5, 4)
NOW = datetime(2026, 5, 4, 9, 7, tzinfo=UTC)
AWAY = UnreachableError("GET http://x: no answer; check market.url and the network")


def market_of(store: Store, *providers: FakeProvider, now: datetime = NOW, **keys: Any) -> Market:
    settings = Settings(providers=tuple(provider.name for provider in providers), **keys)
    return Market(settings, providers, store=store, clock=lambda: now, jitter=lambda: 0.5)


def put(store: Store, *kept: Any) -> None:
    for one in kept:
        store.write(lambda connection, one=one: books.put(connection, one, NOW))  # type: ignore[misc]


async def until(is_so: Callable[[], Any]) -> None:
    with trio.fail_after(60):
        while not is_so():  # noqa: ASYNC110  (the store's threads tell nobody)
            await trio.sleep(0.01)


@asynccontextmanager
async def running(market: Market) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        await until(lambda: market.next_at is not None)
        yield
        nursery.cancel_scope.cancel()


def alerts(store: Store) -> list[str]:
    return sorted(alert.type for alert in store.read(events.open_alerts).items)


async def test_what_was_fetched_is_in_the_store_and_the_same_again_is_no_revision(store: Store) -> None:
    async with running(market_of(store, FakeProvider())):
        pass
    provider = FakeProvider()
    async with running(market_of(store, provider, now=NOW + timedelta(minutes=7))):
        pass
    (kept,) = store.read(lambda connection: books.revisions(connection, "fake", "DE-LU", "day-ahead", MONDAY))
    assert (kept.slots, kept.revision) == (series(MONDAY).slots, 1)
    assert kept.fetched_at == NOW + timedelta(minutes=7)


async def test_what_an_earlier_daemon_left_stands_in_and_says_so(store: Store) -> None:
    put(store, series(MONDAY, at=NOW - timedelta(hours=20)))
    provider = FakeProvider()
    provider.error = AWAY
    market = market_of(store, provider)
    async with running(market):
        (fresh,) = market.known(NOW)
    assert (fresh.origin, fresh.age_s) == ("persisted", 20 * 3600)
    assert alerts(store) == ["market_failed"]


async def test_a_fallback_that_answers_is_preferred_to_what_was_left(store: Store) -> None:
    put(store, series(MONDAY, at=NOW - timedelta(hours=20)))
    first, second = FakeProvider(), FakeProvider("second")
    first.error = AWAY
    market = market_of(store, first, second)
    async with running(market):
        assert [(one.series.provider, one.origin) for one in market.known(NOW)] == [("second", "fallback")]


async def test_what_is_older_than_the_operator_wants_stands_in_for_nothing(store: Store) -> None:
    put(store, series(MONDAY, at=NOW - timedelta(hours=37)))
    provider = FakeProvider()
    provider.error = AWAY
    market = market_of(store, provider)
    async with running(market):
        assert market.known(NOW) == ()


async def test_yesterdays_prices_in_the_store_are_not_todays(store: Store) -> None:
    put(store, series(MONDAY - timedelta(days=1), at=NOW - timedelta(hours=1)))
    provider = FakeProvider()
    provider.error = AWAY
    market = market_of(store, provider)
    async with running(market):
        assert (market.known(NOW), market.slot(NOW), market.fetched.published) == ((), None, 0)
        assert await market.series(MONDAY) == ()
        # Whoever asks for yesterday by name is given yesterday.
        assert [one.delivery_day for one in await market.series(MONDAY - timedelta(days=1))] == [
            MONDAY - timedelta(days=1)
        ]
        # So is who plans what began yesterday.
        (fresh,) = market.known(NOW, NOW - timedelta(days=1))
        assert (fresh.series.delivery_day, fresh.origin) == (MONDAY - timedelta(days=1), "persisted")


async def test_prices_of_another_provider_or_zone_are_not_taken_from_the_store(store: Store) -> None:
    put(store, series(MONDAY, provider="other", at=NOW), series(MONDAY, at=NOW)._replace(zone="FR"))
    provider = FakeProvider()
    provider.error = AWAY
    market = market_of(store, provider)
    async with running(market):
        assert market.known(NOW) == ()


async def test_an_outage_is_one_alert_and_its_end_closes_it_also_of_an_earlier_daemon(store: Store) -> None:
    provider = FakeProvider()
    provider.error = AWAY
    for _ in range(2):  # as often as the daemon is started meanwhile
        async with running(market_of(store, provider)):
            await until(lambda: alerts(store) == ["market_failed", "market_missing"])
    provider.error = None
    async with running(market_of(store, provider)):
        await until(lambda: alerts(store) == [])
    told = store.read(events.listed).items
    assert [event.type for event in told] == ["market_known", "market_answered", "market_missing", "market_failed"]
    assert told[-1].note == str(AWAY)
    assert told[-2].note == f"no market price of DE-LU is known: {AWAY}"


class DeadStore(Store):
    """One that is away for good."""

    def __init__(self) -> None:
        """Opens nothing."""

    async def fetch(self, query: Any) -> Any:
        raise StoreError("the store is away")

    async def commit(self, work: Any) -> Any:
        raise StoreError("the store is away")


class ComingStore(DeadStore):
    """Another store, once it is there."""

    def __init__(self, behind: Store) -> None:
        self.behind = behind
        self.is_there = False

    async def fetch(self, query: Any) -> Any:
        return await (self.behind.fetch(query) if self.is_there else super().fetch(query))

    async def commit(self, work: Any) -> Any:
        return await (self.behind.commit(work) if self.is_there else super().commit(work))


async def test_a_store_that_comes_later_is_read_and_written_then(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jouled.control.market.market.LOOK_S", 0.01)
    put(store, series(MONDAY, provider="dead", at=NOW - timedelta(hours=20)))
    dead, other = FakeProvider("dead"), FakeProvider("other")
    dead.error = AWAY
    # It answers, and has no slot.
    other.make = lambda day, now: series(day, provider="other", at=now)._replace(slots=())
    coming = ComingStore(store)
    market = market_of(coming, dead, other)
    async with running(market):
        assert market.slot(NOW) is None
        coming.is_there = True
        await until(lambda: market.slot(NOW) is not None)
        (fresh,) = market.known(NOW)
        assert (fresh.series.provider, fresh.origin) == ("dead", "persisted")
        await until(lambda: store.read(lambda c: books.of_day(c, "DE-LU", MONDAY, ["other"])))


class HangingStore(DeadStore):
    """One that takes everything and answers nothing."""

    async def fetch(self, query: Any) -> Any:
        await trio.sleep_forever()

    async def commit(self, work: Any) -> Any:
        await trio.sleep_forever()


@pytest.mark.parametrize("kind", [DeadStore, HangingStore])
async def test_a_store_that_is_away_or_hangs_keeps_prices_from_nobody(
    kind: type[Store], autojump_clock: trio.testing.MockClock
) -> None:
    market = market_of(kind(), FakeProvider())
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        with trio.fail_after(60):
            await anext(aiter(market.fetched.subscribe()))
        assert market.slot(NOW) is not None
        nursery.cancel_scope.cancel()
