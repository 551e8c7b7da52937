"""The refresh and the chain, over days: fake providers, Trio's mock clock, and a wall clock that can be set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trio
import trio.testing

from jouled.books.prices import Series, day_of
from jouled.config.market import Market as Settings
from jouled.control.market.market import Market
from jouled.http import AnswerError, BusyError, UnreachableError
from trading import BERLIN, FakeProvider, WallClock, series

MONDAY = date(2026, 5, 4)
TUESDAY = date(2026, 5, 5)
HOUR = timedelta(hours=1)


def berlin(day: date, hour: int, minute: int = 0, second: int = 0, *, fold: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute, second, fold=fold), ZoneInfo(BERLIN)).astimezone(UTC)


class Sim:
    """A market of some providers, without a store, from a local time on."""

    def __init__(self, start: datetime, *providers: FakeProvider, **keys: Any) -> None:
        self.providers = providers or (FakeProvider(),)
        self.clock = WallClock(start)
        self.settings = Settings(providers=tuple(provider.name for provider in self.providers), **keys)
        self.market = Market(self.settings, self.providers, store=None, clock=self.clock, jitter=lambda: 0.5)

    @property
    def asked(self) -> list[tuple[datetime, date]]:
        return self.providers[0].asked

    @property
    def now(self) -> datetime:
        return self.clock()

    def price(self) -> Decimal | None:
        found = self.market.slot(self.now)
        return None if found is None else found[0].price

    async def until(self, at: datetime) -> None:
        await trio.sleep(max(0.0, (at - self.now).total_seconds()))
        await trio.testing.wait_all_tasks_blocked()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.market.run)
            await trio.testing.wait_all_tasks_blocked()
            yield
            nursery.cancel_scope.cancel()


def exact(at: datetime) -> Decimal:
    """What a whole day of the fake says of an instant."""
    slot = series(day_of(at, BERLIN)).at(at)
    assert slot is not None
    assert slot.price is not None
    return slot.price


async def test_every_quarter_hour_of_ten_days_has_its_own_price(autojump_clock: trio.testing.MockClock) -> None:
    start = berlin(date(2026, 3, 25), 10, 7)  # and so over the day of 23 hours
    sim = Sim(start)
    async with sim.running():
        for quarter in range(10 * 96):
            await sim.until(start + quarter * timedelta(minutes=15))
            assert sim.price() == exact(sim.now), sim.now
    days = {day for _, day in sim.asked}
    assert days == {date(2026, 3, 25) + timedelta(days=offset) for offset in range(12)} - {date(2026, 4, 5)}
    # Once at the start, and then twice a day: at the publication, and after midnight.
    assert len(sim.asked) == 1 + 10 + 10


async def test_the_second_day_is_fetched_too_and_the_tenth(autojump_clock: trio.testing.MockClock) -> None:
    sim = Sim(berlin(MONDAY, 15))
    async with sim.running():
        for offset in range(1, 11):
            day = MONDAY + timedelta(days=offset)
            await sim.until(berlin(day, 0, 10))
            assert sim.asked[-1] == (sim.asked[-1][0], day)
            assert berlin(day, 0, 5) <= sim.asked[-1][0] <= berlin(day, 0, 7)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2025, 10, 26), date(2027, 3, 28)])
async def test_days_of_92_and_100_quarters_have_the_price_of_each_instant(
    autojump_clock: trio.testing.MockClock, day: date
) -> None:
    sim = Sim(berlin(day - timedelta(days=1), 23))
    count = 92 if day.month == 3 else 100
    seen = set()
    async with sim.running():
        for quarter in range(count):
            await sim.until(berlin(day, 0) + quarter * timedelta(minutes=15))
            assert day_of(sim.now, BERLIN) == day
            seen.add(sim.price())
    assert len(seen) == count
    assert None not in seen


async def test_the_last_quarter_of_a_day_is_its_own_and_the_first_after_midnight_the_next_days(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sim = Sim(berlin(MONDAY, 14))
    sim.providers[0].make = lambda day, now: series(day, price=str(day.day * 100), at=now)
    async with sim.running():
        for at, price in (
            (berlin(MONDAY, 23, 45), "400.95"),
            (berlin(MONDAY, 23, 59, 59), "400.95"),
            (berlin(TUESDAY, 0), "500.00"),
            # In Berlin it is Tuesday, in UTC Monday still.
            (berlin(TUESDAY, 0, 1), "500.00"),
        ):
            await sim.until(at)
            assert sim.price() == Decimal(price)


async def test_yesterdays_prices_are_never_todays(autojump_clock: trio.testing.MockClock, lines: list[Any]) -> None:
    sim = Sim(berlin(MONDAY, 10))
    async with sim.running():
        sim.providers[0].error = UnreachableError("GET http://x: no answer; check market.url and the network")
        await sim.until(berlin(MONDAY, 23, 59))
        assert sim.price() == exact(sim.now)
        await sim.until(berlin(TUESDAY, 0))
        assert sim.price() is None
        assert sim.market.known(sim.now) == ()
        await sim.until(berlin(TUESDAY, 0, 10))
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "market: GET http://x: no answer; check market.url and the network",
        "no market price of DE-LU is known now: GET http://x: no answer; check market.url and the network",
    ]


async def test_a_provider_that_is_dead_for_three_days_is_said_once_asked_rarely_and_welcomed_back(
    autojump_clock: trio.testing.MockClock, lines: list[Any]
) -> None:
    sim = Sim(berlin(MONDAY, 10))
    provider = sim.providers[0]
    async with sim.running():
        provider.error = UnreachableError("GET http://x: no answer; check market.url and the network")
        await sim.until(berlin(MONDAY + timedelta(days=3), 10))
        assert sim.price() is None
        tries = len(provider.asked)
        assert 50 < tries < 200  # two days' prices, every hour
        provider.error = None
        await sim.until(berlin(MONDAY + timedelta(days=3), 11, 30))
        assert sim.price() == exact(sim.now)
    assert [line["event"] for line in lines if line["log_level"] != "debug"] == [
        "market: GET http://x: no answer; check market.url and the network",
        "no market price of DE-LU is known now: GET http://x: no answer; check market.url and the network",
        "market: the provider answers again",
        "market prices of DE-LU are known again",
    ]


async def test_a_late_publication_is_waited_for_every_five_minutes_without_a_word(
    autojump_clock: trio.testing.MockClock, lines: list[Any]
) -> None:
    provider, other = FakeProvider(), FakeProvider("other")
    provider.late = timedelta(minutes=42)
    sim = Sim(berlin(MONDAY, 10), provider, other)
    async with sim.running():
        await sim.until(berlin(MONDAY, 18))
    asked = [at for at, day in provider.asked if day == TUESDAY]
    assert berlin(MONDAY, 12, 50) <= asked[0] <= berlin(MONDAY, 12, 51)
    assert berlin(MONDAY, 13, 32) <= asked[-1] <= berlin(MONDAY, 13, 38)
    assert len(asked) == 10
    # The other one has them in time, but a late publication is no failure.
    assert other.asked == []
    assert [line for line in lines if line["log_level"] == "warning"] == []


async def test_where_the_first_fails_the_next_is_asked_and_says_so(autojump_clock: trio.testing.MockClock) -> None:
    first, second = FakeProvider("first"), FakeProvider("second", price="80")
    first.error = AnswerError("first: the body is broken; nothing of it is used")
    sim = Sim(berlin(MONDAY, 10, 3), first, second)
    async with sim.running():
        (fresh,) = sim.market.known(sim.now)
        assert (fresh.series.provider, fresh.origin, fresh.age_s) == ("second", "fallback", 0.0)
        await sim.until(berlin(MONDAY, 10, 33))
        (fresh,) = sim.market.known(sim.now)
        assert fresh.age_s == 1800
        # What is whole is asked for no more, until tomorrow's is out.
        assert (len(first.asked), len(second.asked)) == (1, 1)
        first.error = None
        await sim.until(berlin(TUESDAY, 1))
        assert [(fresh.series.provider, fresh.origin) for fresh in sim.market.known(sim.now)] == [("first", "provider")]
    assert sim.market.fetches == {("first", "answer"): 1, ("second", "ok"): 1, ("first", "ok"): 2}


async def test_prices_of_two_currencies_make_no_plan(autojump_clock: trio.testing.MockClock) -> None:
    first, second = FakeProvider("first", price="200"), FakeProvider("second", price="45")
    in_euro = first.make
    first.make = lambda day, now: in_euro(day, now)._replace(currency="PLN")
    first.error = UnreachableError("first: no answer")
    sim = Sim(berlin(MONDAY, 10, 3), first, second)
    async with sim.running():
        # Nobody knows yet what the first one's are in.
        assert [fresh.series.currency for fresh in sim.market.known(sim.now)] == ["EUR"]
        first.error = None
        await sim.until(berlin(MONDAY, 13))
        assert [fresh.series.currency for fresh in sim.market.known(sim.now)] == ["PLN", "PLN"]
        first.error = UnreachableError("first: no answer")
        await sim.until(berlin(date(2026, 5, 6), 1))
        assert sim.market.known(sim.now) == ()
        problem = "second: its prices are in EUR, those of providers before it in PLN"
        assert (sim.market.chain[1].problem or "").startswith(problem)


async def test_of_two_that_have_gaps_the_whole_one_counts(autojump_clock: trio.testing.MockClock) -> None:
    first, second = FakeProvider("first"), FakeProvider("second")

    def with_a_gap(day: date, now: datetime) -> Series:
        whole = series(day, provider="first", at=now)
        return whole._replace(slots=whole.slots[:40])

    first.make = with_a_gap
    sim = Sim(berlin(MONDAY, 8), first, second)
    async with sim.running():
        assert [fresh.series.provider for fresh in sim.market.known(sim.now)] == ["second"]


async def test_preliminary_prices_hold_until_the_final_ones_come_and_are_not_put_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    provider = FakeProvider()
    final_at = berlin(MONDAY, 13, 20)
    provider.make = lambda day, now: series(
        day, price="50" if now < final_at else "51", at=now, quality="preliminary" if now < final_at else "final"
    )
    sim = Sim(berlin(MONDAY, 13), provider)
    async with sim.running():
        assert [(one.series.quality, one.series.revision) for one in sim.market.known(sim.now)] == [
            ("preliminary", 1)
        ] * 2
        await sim.until(berlin(MONDAY, 13, 30))
        assert [(one.series.quality, one.series.revision) for one in sim.market.known(sim.now)] == [("final", 2)] * 2
        provider.make = lambda day, now: series(day, price="1", at=now, quality="preliminary")
        sim.market.refresh_now()
        await trio.testing.wait_all_tasks_blocked()
        assert sim.price() == exact(sim.now) + 1


async def test_who_asks_to_be_left_alone_is(autojump_clock: trio.testing.MockClock) -> None:
    first, second = FakeProvider("first"), FakeProvider("second")
    busy = BusyError("GET http://x: 429; asked too often: make market.refresh longer")
    busy.retry_after_s = 7200.0
    first.error = busy
    second.error = UnreachableError("GET http://y: no answer; check the network")
    sim = Sim(berlin(MONDAY, 10, 1), first, second)
    async with sim.running():
        await sim.until(berlin(MONDAY, 12))
        assert len(first.asked) == 1
        assert len(second.asked) > 10
        first.error = None
        await sim.until(berlin(MONDAY, 13))
        assert first.asked[1][0] >= berlin(MONDAY, 12, 1)
        assert sim.price() == exact(sim.now)


async def test_where_all_want_to_be_left_alone_nobody_is_asked(autojump_clock: trio.testing.MockClock) -> None:
    sim = Sim(berlin(MONDAY, 10, 1))
    busy = BusyError("GET http://x: 429; asked too often: make market.refresh longer")
    busy.retry_after_s = 7200.0
    sim.providers[0].error = busy
    async with sim.running():
        refreshes = sim.market.refreshes
        await sim.until(berlin(MONDAY, 12))
        assert (len(sim.asked), sim.market.refreshes) == (1, refreshes)


async def test_a_defect_of_a_third_partys_provider_is_one_line_and_ends_nothing(
    autojump_clock: trio.testing.MockClock, lines: list[Any]
) -> None:
    first, second = FakeProvider("first"), FakeProvider("second")

    def broken(day: date, now: datetime) -> Series:
        raise KeyError("price")

    first.make = broken
    sim = Sim(berlin(MONDAY, 10), first, second)
    async with sim.running():
        await sim.until(berlin(MONDAY, 15))
        assert sim.price() is not None
    said = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert said == ["market: first: KeyError 'price'; a defect of the provider"]
    assert sim.market.fetches["first", "defect"] == 2


def another_day(whole: Series) -> Series:
    return whole._replace(delivery_day=MONDAY - timedelta(days=1))


def overlapping(whole: Series) -> Series:
    return whole._replace(slots=(whole.slots[1], *whole.slots))


def local(whole: Series) -> Series:
    slot = whole.slots[0]
    return whole._replace(slots=(slot._replace(start=slot.start.astimezone(ZoneInfo(BERLIN))), *whole.slots[1:]))


def unpayable(whole: Series) -> Series:
    return whole._replace(slots=(whole.slots[0]._replace(price=Decimal("NaN")), *whole.slots[1:]))


@pytest.mark.parametrize("spoil", [another_day, overlapping, local, unpayable])
async def test_a_series_that_cannot_be_is_used_in_no_part(
    autojump_clock: trio.testing.MockClock, spoil: Any, lines: list[Any]
) -> None:
    provider = FakeProvider()
    provider.make = lambda day, now: spoil(series(day, at=now))
    sim = Sim(berlin(MONDAY, 10), provider)
    async with sim.running():
        await sim.until(berlin(MONDAY, 12))
        assert sim.market.known(sim.now) == ()
    assert len([line for line in lines if "cannot be" in line["event"] and line["event"].startswith("market:")]) == 1


@pytest.mark.parametrize("step", [HOUR, -HOUR, timedelta(days=9), timedelta(days=-9)])
async def test_a_clock_that_is_set_is_followed(autojump_clock: trio.testing.MockClock, step: timedelta) -> None:
    sim = Sim(berlin(MONDAY, 12, 30))
    async with sim.running():
        await sim.until(berlin(MONDAY, 12, 40))
        sim.clock.step(step)
        await trio.sleep(120)
        assert sim.price() == exact(sim.now)
        tomorrow = day_of(sim.now, BERLIN) + timedelta(days=1)
        has_tomorrow = any(fresh.series.delivery_day == tomorrow for fresh in sim.market.known(sim.now))
        assert has_tomorrow == (step == HOUR)
        # And everything comes in time by the new one.
        await sim.until(berlin(tomorrow, 0, 10))
        assert sim.price() == exact(sim.now)


async def test_after_a_sleep_of_nine_hours_prices_are_there_within_a_minute(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sim = Sim(berlin(MONDAY, 10))
    async with sim.running():
        await sim.until(berlin(MONDAY, 11))
        sim.clock.step(timedelta(hours=14))  # to one o'clock at night: nothing is known of this day yet
        assert sim.price() is None
        await trio.sleep(65)
        assert sim.price() == exact(sim.now)


async def test_the_operators_cron_asks_besides_and_is_never_at_a_full_hour(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sim = Sim(berlin(MONDAY, 10, 3), refresh="0 14,16 * * *", timezone=BERLIN)
    async with sim.running():
        await sim.until(berlin(TUESDAY, 0))
    at_two = [(at, day) for at, day in sim.asked if berlin(MONDAY, 14) <= at < berlin(MONDAY, 14, 3)]
    assert [day for _, day in at_two] == [MONDAY, TUESDAY]
    assert len([at for at, _ in sim.asked if at >= berlin(MONDAY, 13)]) == 4
    for at, _ in sim.asked[1:]:
        assert 30 <= at.timestamp() % 3600 <= 3570


async def test_who_plans_is_woken_when_there_is_something_new(autojump_clock: trio.testing.MockClock) -> None:
    sim = Sim(berlin(MONDAY, 10))
    async with sim.running():
        assert sim.market.fetched.published == 1
        await sim.until(berlin(MONDAY, 13))
        assert sim.market.fetched.published == 2
        assert sim.market.fetched.latest is not None
        assert berlin(MONDAY, 12, 50) <= sim.market.fetched.latest <= berlin(MONDAY, 12, 52)


async def test_a_provider_that_hangs_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    class Hanging(FakeProvider):
        async def fetch(self, delivery_day: date, now: datetime) -> Series:
            await trio.sleep_forever()
            raise AssertionError

    sim = Sim(berlin(MONDAY, 10), Hanging("first"), FakeProvider("second"))
    async with sim.running():
        await sim.until(berlin(MONDAY, 10, 6))
        assert sim.price() == exact(sim.now)
    assert sim.market.fetches["first", "unreachable"] == 1
