from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

from answering import Server, answering
from jouled.bookkeeping import intensity, sites
from jouled.bookkeeping.carbon_refresh import Refresh, pause_s, refresh
from jouled.books.intensity import Slot
from jouled.config.books import Carbon
from jouled.errors import ConfigError
from jouled.http import BusyError, SignalError, UnreachableError
from jouled.signals.carbon.fetched import Fetched
from jouled.store import Store
from jouled.wire.sites import SiteDraft

NOW = datetime(2026, 5, 4, 12, 7, tzinfo=UTC)
SETTINGS = Carbon(provider="energy-charts", zone="DE")


class FakeProvider:
    name = "energy-charts"

    def __init__(self, *answers: Fetched | SignalError) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def fetch(self, zone: str, now: datetime) -> Fetched:
        self.asked.append(zone)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, SignalError):
            raise answer
        return Fetched([slot._replace(zone=zone) for slot in answer.slots], answer.problems)


def hour(at: datetime, value: int) -> Slot:
    return Slot("DE", "average", at, at + timedelta(hours=1), value, "energy-charts", False, "good", NOW)


KNOWN = Fetched([hour(NOW - timedelta(minutes=7), 300)])


def refreshing(store: Store, provider: FakeProvider, settings: Carbon = SETTINGS, now: datetime = NOW) -> Refresh:
    return Refresh(settings, store, provider, lambda: now, jitter=lambda: 0.5)


def known(store: Store, zone: str = "DE") -> Any:
    row = store.read(lambda connection: intensity.at(connection, zone, "average", NOW))
    return None if row is None else row.ug_per_kwh


async def test_what_a_provider_gives_is_kept(store: Store, lines: list[Any]) -> None:
    assert await refreshing(store, FakeProvider(KNOWN)).once() == 900.0
    assert known(store) == 300
    assert not lines


async def test_a_provider_that_fails_is_said_once_asked_more_rarely_and_welcomed_back(
    store: Store, lines: list[Any]
) -> None:
    away = UnreachableError("GET http://x: no answer; check carbon.url and the network")
    task = refreshing(store, FakeProvider(away, away, away, KNOWN))
    assert [await task.once() for _ in range(3)] == [60.0, 120.0, 240.0]
    assert await task.once() == 900.0
    assert known(store) == 300
    assert [line["event"] for line in lines] == [
        "carbon: GET http://x: no answer; check carbon.url and the network",
        "carbon intensity is not known now: emission factors stand in",
        "carbon intensity comes again",
    ]


async def test_a_series_that_ends_is_said_once(store: Store, lines: list[Any]) -> None:
    later = NOW + timedelta(hours=3)
    task = refreshing(store, FakeProvider(KNOWN), now=later)
    for _ in range(3):
        await task.once()
    assert [line["event"] for line in lines] == ["carbon intensity is not known now: emission factors stand in"]


async def test_a_provider_is_left_alone_as_long_as_it_asks(store: Store) -> None:
    busy = BusyError("429")
    busy.retry_after_s = 7200.0
    assert await refreshing(store, FakeProvider(busy)).once() == 7200.0


async def test_without_a_zone_the_sites_say_which(store: Store, lines: list[Any]) -> None:
    settings = Carbon(provider="energy-charts")
    task = refreshing(store, FakeProvider(KNOWN), settings)
    await task.once()
    assert [line["event"] for line in lines] == ["carbon.zone is not set and no site names a carbon_zone; set either"]
    for name, zone in (("a", "DE"), ("b", "FR")):
        draft = SiteDraft(name, id=name, carbon_zone=zone)
        await store.commit(lambda connection, draft=draft: sites.create(connection, draft, NOW))  # type: ignore[misc]
    await task.once()
    assert (known(store, "DE"), known(store, "FR")) == (300, 300)


async def test_a_site_that_asks_for_marginal_is_not_given_average_and_that_is_said(
    store: Store, lines: list[Any]
) -> None:
    draft = SiteDraft("a", id="a", carbon_zone="DE", carbon_kind="marginal")
    await store.commit(lambda connection: sites.create(connection, draft, NOW))
    task = refreshing(store, FakeProvider(KNOWN))
    await task.once()
    await task.once()
    assert [line["event"] for line in lines] == [
        (
            "site a asks for the intensity that energy-charts does not give; set its carbon_kind to average,"
            " or carbon.provider: until then it has emission factors"
        )
    ]
    assert store.read(lambda connection: intensity.at(connection, "DE", "marginal", NOW)) is None


async def test_what_could_not_be_had_beside_the_rest_is_said_once(store: Store, lines: list[Any]) -> None:
    task = refreshing(store, FakeProvider(Fetched(KNOWN.slots, ("GET http://x/forecast: 403",))))
    await task.once()
    await task.once()
    assert [line["event"] for line in lines] == ["carbon: GET http://x/forecast: 403"]
    assert known(store) == 300


@pytest.mark.parametrize("refresh_s", [60.0, 300.0, 900.0, 3600.0])
def test_nobody_is_asked_at_a_full_hour(refresh_s: float) -> None:
    hour_start = datetime(2026, 5, 4, 12, tzinfo=UTC)
    for second in range(0, 3600, 7):
        for tenth in range(11):
            now = hour_start + timedelta(seconds=second)
            wait_s = pause_s(refresh_s, now, tenth / 10)
            in_hour_s = (now.timestamp() + wait_s) % 3600
            assert 30 <= in_hour_s <= 3570
            assert 0.9 * refresh_s <= wait_s <= 1.1 * refresh_s + 90


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as server:
        yield server


async def test_the_task_asks_at_its_start_and_keeps_what_it_gets(store: Store, server: Server) -> None:
    body = (Path(__file__).parents[1] / "signals/fixtures/energy_charts.json").read_bytes()
    server.tell("/co2eq", body)
    at = datetime(2026, 6, 30, 22, 5, tzinfo=UTC)
    settings = Carbon(provider="energy-charts", zone="DE", url=server.url)
    async with trio.open_nursery() as nursery:
        await nursery.start(refresh, settings, store, lambda: at)
        with trio.fail_after(60):
            while await store.fetch(lambda connection: intensity.at(connection, "DE", "average", at)) is None:  # noqa: ASYNC110  (it is in the store)
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    row = store.read(lambda connection: intensity.at(connection, "DE", "average", at))
    assert row is not None
    assert (row.ug_per_kwh, row.provider) == (312_400_000, "energy-charts")


async def test_a_zone_that_the_provider_does_not_know_ends_the_start(tmp_path: Path) -> None:
    settings = Carbon(provider="energinet", zone="SE4")
    with Store(state_dir=str(tmp_path)) as store, pytest.raises(ConfigError, match="write DK1 or DK2"):
        await refresh(settings, store, lambda: NOW)
