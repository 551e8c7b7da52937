"""The loop follows the slots, whatever the clocks do, and never takes the highest budget for want of data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import pytest
import trio
from structlog.testing import capture_logs

from jouled.balance.planner import Rules
from jouled.balance.steps import Step, line_of, period_of
from jouled.balance.strategies import Range
from jouled.books.intensity import Slot as CarbonSlot
from jouled.books.prices import Series
from jouled.books.tariff import Tariff
from jouled.control.plan.planning import Planning
from jouled.control.plan.steering import OWNER, Steering
from jouled.errors import ConflictError, StoreError
from jouled.feed import Feed
from jouled.wire.caps import CapDraft, Lease
from planned import BERLIN, QUARTER, at, grams, quarters, series

POWER = Range(10.0, 50.0)
STABILISATION_S = 300.0


class Known(NamedTuple):
    series: Series


class FakeMarket:
    """Knows what it was given, and only of the delivery days of now and tomorrow."""

    def __init__(self, *known: Series) -> None:
        self.all = list(known)
        self.fetched: Feed[datetime] = Feed()

    def known(self, now: datetime, since: datetime | None = None) -> list[Known]:
        return [
            Known(one)
            for one in self.all
            if one.bounds[0] - timedelta(days=1) <= now and (since or now) < one.bounds[1]
        ]

    async def series(self, day: date) -> list[Series]:
        return [one for one in self.all if one.delivery_day == day]


class FakeCaps:
    """Takes every cap, with the instant of its asking, and notes it."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.asked: list[tuple[datetime, float | None]] = []
        self.drafts: list[CapDraft] = []
        self.refusal: Exception | None = None
        self._clock = clock

    async def hold(self, owner: str, draft: CapDraft) -> Lease:
        assert owner == OWNER
        if self.refusal is not None:
            raise self.refusal
        now = self._clock()
        self.asked.append((now, draft.watts))
        self.drafts.append(draft)
        return Lease(owner, draft.watts, now + timedelta(seconds=draft.ttl_seconds), now, draft.reason)

    async def release(self, owner: str) -> bool:
        assert owner == OWNER
        self.asked.append((self._clock(), None))
        return True

    @property
    def changes(self) -> list[tuple[datetime, float | None]]:
        """Without those that only renew."""
        found: list[tuple[datetime, float | None]] = []
        for when, watts in self.asked:
            if not found or found[-1][1] != watts:
                found.append((when, watts))
        return found


class Wall:
    """Goes as Trio's clock does, but where it is set."""

    def __init__(self, now: datetime) -> None:
        self._zero = now - timedelta(seconds=trio.current_time())

    def __call__(self) -> datetime:
        return self._zero + timedelta(seconds=trio.current_time())

    def step(self, by: timedelta) -> None:
        self._zero += by


class Loop:
    """A steering with everything around it made up."""

    def __init__(self, now: str, market: FakeMarket, rules: Rules, power: Range | None = POWER) -> None:
        self.wall = Wall(at(now))
        self.caps = FakeCaps(self.wall)
        self.steps: list[Step] = []
        self.market = market
        self.power = power
        self.carbon: Callable[[], list[CarbonSlot]] = list
        self.planning = Planning(rules, lambda: self.power, lambda: 10.0, market=market, carbon=self._carbon)
        self.steering = Steering(
            self.planning,
            self.caps,
            self.wall,
            stabilisation_s=STABILISATION_S,
            lease_max_s=86_400.0,
            news=market.fetched,
            tell=self.steps.append,
        )

    async def _carbon(self, start: datetime, end: datetime) -> list[CarbonSlot]:
        return [slot for slot in self.carbon() if slot.start < end and slot.end > start]

    async def go(self, length: timedelta) -> None:
        with trio.move_on_after(length.total_seconds()):
            await self.steering.run()


def rules(*strategies: str, missing: str = "min") -> Rules:
    return Rules(strategies, Tariff(BERLIN), "none" if missing == "none" else "min")


def volumes(day: date) -> Series:
    """The n-th of the day is n, from 1 on: each quarter-hour has a budget of its own."""
    number = quarters(day)
    return series(day, [1] * number, range(1, number + 1))


def by_volume(n: int, number: int) -> float:
    return max(10.0, round(n / number * 50e6) / 1e6)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2026, 7, 1)])
async def test_every_quarter_of_a_day_has_its_budget_the_last_one_too(autojump_clock: object, day: date) -> None:
    number = quarters(day)
    whole = volumes(day)
    start, end = whole.bounds
    loop = Loop(
        f"{start:%Y-%m-%d %H:%M}", FakeMarket(whole, volumes(day + timedelta(days=1))), rules("volume-proportional")
    )
    with capture_logs() as logs:
        await loop.go(end - start + timedelta(minutes=20))
    expected = [by_volume(n, number) for n in range(1, number + 1)]
    held = [
        next(w for when, w in reversed(loop.caps.asked) if when <= start + (n + 1) * QUARTER - timedelta(seconds=1))
        for n in range(number)
    ]
    assert held == expected
    # Punctually, though nobody looks oftener than each five minutes.
    for n in range(number // 4, number):
        assert (start + n * QUARTER, expected[n]) in loop.caps.asked
    lines = [entry["event"] for entry in logs if entry["event"].startswith("Power calculation")]
    assert (
        "Power calculation: period=23:45-24:00, source=50000000 µW, max=50000000 µW, min=10000000 µW, applied=50000000 µW"
        in lines
    )
    # The first minutes after midnight are of the new day.
    after = next(watts for when, watts in loop.caps.asked if when >= end)
    assert after == 10.0
    assert "period=00:00-00:15" in lines[-2 if "00:15-00:30" in lines[-1] else -1]


async def test_a_cap_outlives_two_looks_that_fail(autojump_clock: object) -> None:
    loop = Loop("2026-07-01 10:00", FakeMarket(volumes(date(2026, 7, 1))), rules("volume-proportional"))
    await loop.go(timedelta(minutes=12))
    assert [draft.ttl_seconds for draft in loop.caps.drafts] == [900.0] * 3
    assert loop.caps.drafts[0].reason == "volume-proportional: 49 MWh is 51.04 % of the day's max"


async def test_a_lease_is_never_longer_than_a_reload_allows(autojump_clock: object) -> None:
    loop = Loop("2026-07-01 10:00", FakeMarket(volumes(date(2026, 7, 1))), rules("volume-proportional"))
    await loop.go(timedelta(minutes=1))
    loop.steering.allow(60.0)
    await loop.go(timedelta(minutes=1))
    assert [draft.ttl_seconds for draft in loop.caps.drafts] == [900.0, 60.0, 60.0, 60.0]


async def test_without_a_plan_of_now_the_lowest_budget_holds_and_never_the_highest(autojump_clock: object) -> None:
    # Of the first of July only: then the provider is dead for three days.
    day = date(2026, 7, 1)
    loop = Loop("2026-07-01 21:00", FakeMarket(volumes(day)), rules("volume-proportional"))
    await loop.go(timedelta(days=3))
    midnight = volumes(day).bounds[1]
    after = [watts for when, watts in loop.caps.asked if when >= midnight]
    assert set(after) == {10.0}
    # It is asked for again and again, for as long as nothing is known.
    assert len(after) == 3 * 24 * 12 - 12
    assert [step.budget.power_w for step in loop.steps][-1] == 10.0
    assert "too little is known of this time, so the lowest budget" in loop.steps[-1].budget.reason


async def test_with_the_other_policy_there_is_no_cap_where_nothing_is_known(autojump_clock: object) -> None:
    loop = Loop("2026-07-01 21:50", FakeMarket(volumes(date(2026, 7, 1))), rules("price-rank", missing="none"))
    await loop.go(timedelta(minutes=30))
    assert loop.caps.changes == [(at("2026-07-01 21:50"), 50.0), (at("2026-07-01 22:00"), None)]


async def test_new_prices_count_at_once(autojump_clock: object) -> None:
    market = FakeMarket()
    loop = Loop("2026-07-01 10:00", market, rules("volume-proportional"))
    async with trio.open_nursery() as nursery:
        await nursery.start(loop.steering.run)
        assert loop.caps.changes == [(at("2026-07-01 10:00"), 10.0)]
        await trio.sleep(7)
        market.all.append(volumes(date(2026, 7, 1)))
        market.fetched.publish(loop.wall())
        await trio.testing.wait_all_tasks_blocked()
        assert loop.caps.changes[1:] == [(at("2026-07-01 10:00") + timedelta(seconds=7), by_volume(49, 96))]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("hours", [1, -1, 9])
async def test_a_clock_that_is_set_or_a_night_that_was_slept_is_seen_within_seconds(
    autojump_clock: object, hours: int
) -> None:
    loop = Loop("2026-07-01 10:00", FakeMarket(volumes(date(2026, 7, 1))), rules("volume-proportional"))
    async with trio.open_nursery() as nursery:
        await nursery.start(loop.steering.run)
        await trio.sleep(21)
        loop.wall.step(timedelta(hours=hours))
        await trio.sleep(6)
        assert loop.caps.asked[-1][1] == by_volume(49 + 4 * hours, 96)
        nursery.cancel_scope.cancel()


async def test_a_refused_cap_is_said_once_and_tried_again(autojump_clock: object) -> None:
    loop = Loop("2026-07-01 10:00", FakeMarket(), rules("price-rank"))
    loop.caps.refusal = ConflictError("the daemon stops")
    with capture_logs() as logs:
        await loop.go(timedelta(minutes=12))
        assert loop.steering.counters.failures_total == 3
        loop.caps.refusal = None
        await loop.go(timedelta(minutes=1))
    said = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert said == ["the plan's cap is not in force: the daemon stops"]
    assert [(step.problem, step.applied_w) for step in loop.steps] == [("the daemon stops", None), (None, 10.0)]
    assert loop.steering.counters.adjustments_total == 1


async def test_a_budget_that_stays_is_one_decision_with_its_inputs(autojump_clock: object) -> None:
    day = date(2026, 7, 1)
    prices = [10] * 48 + [20] * 48
    loop = Loop("2026-07-01 08:00", FakeMarket(series(day, prices)), rules("price-rank"))
    await loop.go(timedelta(hours=6))
    assert [(step.at, step.budget.power_w, step.applied_w) for step in loop.steps] == [
        (at("2026-07-01 08:00"), 50.0, 50.0),
        (at("2026-07-01 10:00"), 10.0, 10.0),
    ]
    assert loop.steps[1].budget.inputs["price-rank"] == {"power_w": 10.0, "value": 20.0, "rank": 49, "of": 96}
    assert loop.steering.counters.adjustments_total == 2


@pytest.mark.parametrize(("missing", "expected"), [("min", 10.0), ("none", None)])
async def test_where_nobody_knows_the_highest_budget_the_policy_decides(
    autojump_clock: object, missing: str, expected: float | None
) -> None:
    loop = Loop("2026-07-01 08:00", FakeMarket(volumes(date(2026, 7, 1))), rules("price-rank", missing=missing), None)
    with capture_logs() as logs:
        await loop.go(timedelta(minutes=12))
        assert loop.caps.changes == [(at("2026-07-01 08:00"), expected)]
        loop.power = POWER
        await loop.go(timedelta(minutes=1))
    assert loop.caps.changes[-1][1] == 50.0
    warned = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert warned == ["the highest budget is not known: the hardware tells none; set plan.max"]


async def test_carbon_that_was_read_holds_while_the_store_is_away(autojump_clock: object) -> None:
    start = at("2026-06-30 22:00")
    loop = Loop("2026-07-01 00:00", FakeMarket(), rules("carbon-rank"))
    loop.carbon = lambda: list(grams(list(range(24)), start))
    await loop.planning.look_at_carbon(loop.wall())

    def away() -> list[CarbonSlot]:
        raise StoreError("the store is away")

    loop.carbon = away
    await loop.planning.look_at_carbon(loop.wall())
    await loop.go(timedelta(seconds=3601))
    assert [watts for _, watts in loop.caps.changes] == pytest.approx([50 - 40 * 2 / 23, 50 - 40 * 3 / 23])


def test_labels_are_of_local_time_and_a_day_ends_at_24() -> None:
    assert period_of(at("2026-07-01 12:30"), at("2026-07-01 12:45"), BERLIN) == "14:30-14:45"
    assert period_of(at("2026-07-01 21:45"), at("2026-07-01 22:00"), BERLIN) == "23:45-24:00"
    assert period_of(at("2026-07-01 22:00"), at("2026-07-01 22:15"), BERLIN) == "00:00-00:15"
    assert period_of(at("2026-10-24 22:00"), at("2026-10-25 23:00"), BERLIN) == "00:00-24:00"
    # Twice at the end of October, with another offset; and as the market has it where the clock is put forward.
    assert period_of(at("2026-10-25 00:45"), at("2026-10-25 01:00"), BERLIN) == "02:45-03:00"
    assert period_of(at("2026-03-29 00:45"), at("2026-03-29 01:00"), BERLIN) == "01:45-02:00"


def test_the_line_is_the_one_of_the_original_s_documents() -> None:
    from jouled.balance.schedule import Budget

    start = datetime(2025, 10, 9, 12, 30, tzinfo=UTC)
    inputs = {"volume-proportional": {"source_w": 32.769231}}
    budget = Budget(start, start + QUARTER, 32.769231, "", inputs)
    assert line_of(budget, POWER, 32.769231, "Europe/Paris") == (
        "Power calculation: period=14:30-14:45, source=32769231 µW, max=50000000 µW, min=10000000 µW, applied=32769231 µW"
    )
    low = budget._replace(power_w=10.0, inputs={"volume-proportional": {"source_w": 0.0}})
    assert line_of(low, POWER, 10.0, "Europe/Paris").endswith(
        "source=0 µW, max=50000000 µW, min=10000000 µW, applied=10000000 µW"
    )
