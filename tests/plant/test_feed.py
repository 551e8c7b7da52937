"""The plant's feed as the daemon polls it: a server that lies, hangs and dies, over real HTTP; and fakes for time."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
import trio.testing

from jouled.balance.site.supply import Reading, SupplyRules
from jouled.control.plant.feed import PlantFeed
from jouled.http import BusyError, UnreachableError
from jouled.signals.plant.aggregator import Aggregator
from jouled.signals.plant.protocol import Secrets
from plant.aggregator import LIES, FakeAggregator, Hydro, Trip
from trading import WallClock

KW = 1000.0
START = datetime(2026, 3, 4, 12, tzinfo=UTC)
RULES = SupplyRules(rated_w=200 * KW, fallback_w=10 * KW)
KEY = "a-key-of-the-plant"


class FakeSource:
    """Answers with `power_w`, as new as its clock says, or as `act` does."""

    where = "a fake"

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.power_w = 100 * KW
        self.act: Callable[[], Any] | None = None
        self.asked_s: list[float] = []
        self.is_closed = False
        self._clock = clock

    async def fetch(self, now: datetime) -> Reading:
        self.asked_s.append(trio.current_time())
        if self.act is not None:
            found = self.act()
            if hasattr(found, "__await__"):
                found = await found
            if isinstance(found, Reading):
                return found
        return Reading(self.power_w, self._clock())

    async def aclose(self) -> None:
        self.is_closed = True


class Slept:
    """How long the host has slept."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Site:
    """A feed over a fake source, with clocks that go with Trio's."""

    def __init__(self, rules: SupplyRules = RULES) -> None:
        self.clock = WallClock(START)
        self.source = FakeSource(self.clock)
        self.slept = Slept()
        self.feed = PlantFeed(
            self.source, rules, name="hydro-1", clock=self.clock, asleep=self.slept, jitter=lambda: 0.5
        )


@asynccontextmanager
async def running(feed: PlantFeed) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(feed.run)
        yield
        nursery.cancel_scope.cancel()


@pytest.fixture
def fake() -> Iterator[FakeAggregator]:
    with FakeAggregator() as aggregator:
        yield aggregator


@asynccontextmanager
async def over_http(fake: FakeAggregator, rules: SupplyRules = RULES) -> AsyncIterator[PlantFeed]:
    source = Aggregator(fake.url, fake.plant, fake.unit, Secrets(key=fake.key))
    feed = PlantFeed(source, rules, name=fake.plant, clock=lambda: datetime.now(UTC), asleep=lambda: 0.0)
    try:
        yield feed
    finally:
        await source.aclose()


async def test_a_reading_of_the_aggregator_becomes_a_supply(fake: FakeAggregator) -> None:
    async with over_http(fake) as feed:
        await feed.poll()
        supply = feed.supply()
    assert (supply.stage, supply.problem) == ("fresh", None)
    assert supply.power_w == pytest.approx(150 * KW)
    assert feed.latest is not None
    assert feed.latest.consumption_w == pytest.approx(20 * KW)
    assert feed.results == {"ok": 1}


@pytest.mark.parametrize("unit", ["W", "kW", "MW"])
async def test_the_unit_is_what_the_settings_say_whatever_fields_are_called(unit: str) -> None:
    with FakeAggregator(150 * KW, unit=unit) as fake:
        async with over_http(fake) as feed:
            await feed.poll()
            assert feed.supply().power_w == pytest.approx(150 * KW)


# Those that leave something of a reading to be believed are tested by themselves.
@pytest.mark.parametrize("lie", sorted(set(LIES) - {"slow", "frozen", "restamped", "failing-source", "flapping"}))
async def test_no_lie_raises_the_supply_or_ends_the_polling(fake: FakeAggregator, lie: str) -> None:
    async with over_http(fake) as feed:
        await feed.poll()
        fake.lie = lie
        for _ in range(2):
            await feed.poll()
            assert feed.supply().power_w == pytest.approx(150 * KW)
            assert feed.supply().problem is not None
        assert feed.latest is not None
        assert feed.latest.generation_w == pytest.approx(150 * KW)
        fake.lie = None
        feed._alone_until_s = None
        await feed.poll()
        assert feed.supply().stage == "fresh"
        assert sum(feed.results.values()) == 4


async def test_a_feed_that_flaps_is_never_above_what_the_plant_gives(fake: FakeAggregator) -> None:
    async with over_http(fake) as feed:
        await feed.poll()
        fake.lie = "flapping"
        for _ in range(20):
            await feed.poll()
            assert (feed.supply().power_w or 0.0) <= 150 * KW * 1.001
        assert feed.rejected["negative"] >= 1
        assert feed.rejected["above-rated"] >= 1


@pytest.mark.parametrize("lie", ["frozen", "restamped"])
async def test_a_frozen_feed_grows_old(fake: FakeAggregator, lie: str) -> None:
    async with over_http(fake) as feed:
        await feed.poll()
        fake.lie = lie
        before = feed.supply().age_s
        for _ in range(3):
            await feed.poll()
        assert feed.results == {"ok": 1, "repeated": 3}
        assert (feed.supply().age_s or 0.0) > (before or 0.0)
        assert feed.supply(trio.current_time() + 130).stage == "held"


async def test_a_source_that_failed_is_left_out_and_said(fake: FakeAggregator) -> None:
    async with over_http(fake) as feed:
        fake.lie = "failing-source"
        await feed.poll()
        assert feed.supply().power_w == pytest.approx(90 * KW)
        assert feed.latest is not None
        assert feed.latest.notes == ("turbine-2 is left out: its status is timeout",)


async def test_a_key_that_is_wrong_is_never_shown_though_the_server_says_it_back(
    fake: FakeAggregator, lines: list[Any]
) -> None:
    source = Aggregator(fake.url, fake.plant, "kW", Secrets(key="a-secret-that-is-wrong"))
    feed = PlantFeed(source, RULES, name="hydro-1", clock=lambda: datetime.now(UTC), asleep=lambda: 0.0)
    await feed.poll()
    await source.aclose()
    assert fake.keys_seen == {"Bearer a-secret-that-is-wrong"}
    assert feed.results == {"refused": 1}
    problem = feed.supply().problem
    assert problem is not None
    assert "401" in problem
    assert "plant.key" in problem
    assert "a-secret" not in problem + repr(feed) + repr(source) + repr(lines)


async def test_a_plant_that_is_not_known_there_is_said_with_what_to_set(fake: FakeAggregator) -> None:
    source = Aggregator(fake.url, "hydro-2", "kW", Secrets(key=fake.key))
    feed = PlantFeed(source, RULES, name="hydro-2", clock=lambda: datetime.now(UTC), asleep=lambda: 0.0)
    await feed.poll()
    await source.aclose()
    assert "check plant.id and plant.url" in (feed.supply().problem or "")


async def test_a_server_that_is_gone_and_comes_back_is_asked_all_the_while() -> None:
    with FakeAggregator() as fake:
        async with over_http(fake) as feed:
            await feed.poll()
            fake.lie = "drop"
            for _ in range(4):
                await feed.poll()
            assert feed.unanswered_in_a_row == 4
            assert feed.supply().power_w == pytest.approx(150 * KW)
            fake.lie = None
            await feed.poll()
            assert feed.unanswered_in_a_row == 0


def test_the_fake_answers_as_the_real_one_does(fake: FakeAggregator) -> None:
    def ask(path: str, body: Any = None, key: str | None = KEY) -> tuple[int, Any]:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        base = fake.url.removesuffix("/api/readings")
        request = urllib.request.Request(base + path, None if body is None else json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    assert ask("/health", key=None) == (200, {"status": "ok"})
    assert ask("/api/readings?plant_id=hydro-1", key=None)[0] == 401
    assert ask("/api/readings?plant_id=other")[0] == 400
    assert ask("/data/consumption", {"expected_consumption_mw": 35.0})[0] == 200
    status, body = ask("/api/readings?plant_id=hydro-1")
    assert status == 200
    assert set(body["reading"]) == {
        "id",
        "plant_id",
        "collection_timestamp",
        "generation",
        "consumption",
        "totals",
        "trust",
    }
    assert body["reading"]["totals"]["consumption_mw"] == 35.0


def test_the_plant_of_the_fake_goes_through_a_day_with_its_trips() -> None:
    hydro = Hydro(200 * KW, [Trip(3600.0, 1800.0, 70 * KW)])
    assert hydro(3599.0) - hydro(3600.0) == pytest.approx(70 * KW, abs=5 * KW)
    assert hydro(7200.0) == hydro(7200.0)
    day_w = [hydro(at_s) for at_s in range(0, 86_400, 600)]
    assert 0 < min(day_w) < max(day_w) < 200 * KW


async def test_it_is_asked_at_once_and_then_each_poll(autojump_clock: trio.testing.MockClock) -> None:
    site = Site()
    async with running(site.feed):
        await trio.sleep(61)
    assert site.source.asked_s == pytest.approx([0.0, 15.0, 30.0, 45.0, 60.0], abs=0.01)
    assert site.source.is_closed


async def test_a_server_that_hangs_does_not_keep_the_next_question(autojump_clock: trio.testing.MockClock) -> None:
    site = Site(RULES._replace(poll_s=5.0))
    is_first = True

    async def hang() -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            await trio.sleep(12)

    site.source.act = hang
    async with running(site.feed):
        await trio.sleep(6)
        assert site.feed.supply().stage == "fresh"
        site.source.power_w = 30 * KW
        await trio.sleep(5)
        assert site.feed.supply().power_w == 30 * KW
        # What the first question is answered at last is older than what is known.
        site.source.power_w = 90 * KW
        await trio.sleep(2)
        assert site.feed.supply().power_w == 30 * KW


async def test_of_a_server_that_only_hangs_no_more_than_three_questions_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    site = Site(RULES._replace(poll_s=1.0))
    site.source.act = trio.sleep_forever
    async with running(site.feed):
        await trio.sleep(19)
        assert len(site.source.asked_s) == 3
        await trio.sleep(31)
    assert site.feed.results == {"unreachable": 6}
    assert "no answer within 20 s" in (site.feed.supply().problem or "")


async def test_whatever_a_source_raises_the_polling_goes_on(
    autojump_clock: trio.testing.MockClock, lines: list[Any]
) -> None:
    site = Site()

    def fail() -> None:
        raise ZeroDivisionError("of a kind that nobody thought of")

    site.source.act = fail
    async with running(site.feed):
        await trio.sleep(31)
        site.source.act = None
        await trio.sleep(15)
        assert site.feed.supply().stage == "fresh"
    assert site.feed.results == {"defect": 3, "ok": 1}


async def test_who_says_that_it_is_asked_too_often_is_left_alone_for_a_minute_at_most(
    autojump_clock: trio.testing.MockClock,
) -> None:
    site = Site()

    def refuse() -> None:
        error = BusyError("429; asked too often")
        error.retry_after_s = 86_400.0
        raise error

    site.source.act = refuse
    async with running(site.feed):
        await trio.sleep(59)
        assert len(site.source.asked_s) == 1
        await trio.sleep(3)
        assert len(site.source.asked_s) == 2


async def test_a_plant_that_goes_silent_is_stepped_down_to_the_fallback_and_believed_when_it_returns(
    autojump_clock: trio.testing.MockClock, lines: list[Any]
) -> None:
    site = Site()

    def silence() -> None:
        raise UnreachableError("GET http://plant: no connection; check plant.url and the network")

    async with running(site.feed):
        await trio.sleep(50)
        site.source.act = silence
        seen = []
        for _ in range(60):
            await trio.sleep(15)
            supply = site.feed.supply()
            seen.append((supply.stage, supply.power_w or 0.0))
        assert [stage for stage, _ in dict(seen).items()] == ["fresh", "stale", "held", "failed"]
        powers_w = [power_w for _, power_w in seen]
        assert powers_w == sorted(powers_w, reverse=True)
        assert powers_w[-1] == 10 * KW
        site.source.act = None
        await trio.sleep(15)
        assert site.feed.supply().stage == "fresh"
        await trio.testing.wait_all_tasks_blocked()
    said = [line["event"] for line in lines if line["log_level"] in {"warning", "info"}]
    assert len(said) == 2
    assert "no connection" in said[0]
    assert said[1] == "plant hydro-1 is heard of again"


async def test_a_feed_that_lies_is_said_once_and_once_when_it_is_over(
    autojump_clock: trio.testing.MockClock, lines: list[Any]
) -> None:
    site = Site()
    async with running(site.feed):
        await trio.sleep(16)
        site.source.power_w = -50 * KW
        await trio.sleep(100)
        site.source.power_w = 100 * KW
        await trio.sleep(15)
        await trio.testing.wait_all_tasks_blocked()
    said = [line["event"] for line in lines if "not believed" in line["event"] or "is believed again" in line["event"]]
    assert len(said) == 2
    assert "a generation of -50000 W is negative" in said[0]


async def test_after_a_sleep_of_the_host_what_is_known_is_old(autojump_clock: trio.testing.MockClock) -> None:
    site = Site()
    async with running(site.feed):
        await trio.sleep(1)
        assert site.feed.supply().stage == "fresh"
        site.slept.seconds += 3600.0
        site.clock.step(timedelta(hours=1))
        assert site.feed.supply().stage == "failed"
        await trio.sleep(15)
        assert site.feed.supply().stage == "fresh"


async def test_whoever_acts_on_the_plant_hears_of_each_poll(autojump_clock: trio.testing.MockClock) -> None:
    site = Site()
    heard: list[tuple[int, str, float | None]] = []

    async def listen() -> None:
        async for one in site.feed.changed.subscribe():
            heard.append((one.number, one.judgement, one.supply.power_w))  # noqa: PERF401  (it does not end)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        async with running(site.feed):
            await trio.sleep(16)
            site.source.power_w = -1000 * KW
            await trio.sleep(15)
        nursery.cancel_scope.cancel()
    assert heard == [(1, "accepted", 100 * KW), (2, "accepted", 100 * KW), (3, "negative", 100 * KW)]


async def test_what_is_remembered_has_a_limit(autojump_clock: trio.testing.MockClock) -> None:
    site = Site(RULES._replace(poll_s=1.0))
    async with running(site.feed):
        await trio.sleep(1500)
    assert len(site.feed.history) == 1000
    assert site.feed.history[-1].number > 1000
