"""The balancer as the API shows it, where another daemon leads, and where the store is away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio

from balanced import NOON, FakeLead, FakePlant, balancing, fleet_of, wall
from jouled.errors import ConflictError, InvalidError, StoreError
from jouled.web.api.balance_shown import BalanceShown
from jouled.web.api.no_store import NoStore
from jouled.wire.balance import BalancePoint


async def away(query: Callable[[Any], Any]) -> NoReturn:
    raise StoreError("the store does not answer")


class Away:
    fetch = staticmethod(away)


async def test_who_does_not_lead_decides_nothing_and_names_who_does(tmp_path: Path, autojump_clock: object) -> None:
    lead = FakeLead(is_leader=False)
    lead.leader = "node-2"
    async with balancing(tmp_path, fleet_of(2), FakePlant(40_000.0), lead=lead) as balancer:
        await trio.sleep(10)
        shown = BalanceShown(balancer)
        with pytest.raises(ConflictError, match="node-2 leads this site"):
            _ = shown.deciding
        # Any of them may be told what all go by.
        assert shown.acting is balancer
        with pytest.raises(StoreError):
            await shown.proposed(Away())  # type: ignore[arg-type]  # what is asked of it


async def test_where_the_store_is_away_the_latest_are_shown_from_memory(tmp_path: Path, autojump_clock: object) -> None:
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, fleet_of(10), plant) as balancer:
        shown: Any = BalanceShown(balancer)
        with pytest.raises(StoreError):
            await shown.events(Away(), None, 10, None)
        plant.say(20_000.0)
        await trio.sleep(60)
        page = await shown.events(Away(), None, 2, None)
        assert (page.count, page.next_cursor) == (2, None)
        assert all(event.kind == "shed" for event in page.items)
        with pytest.raises(StoreError):
            await shown.events(Away(), None, 2, "MQ")
        minutes = await shown.series(Away(), None, wall() + timedelta(minutes=1), 10, None)
        assert minutes.items[0].at == NOON


async def test_minutes_in_memory_come_in_pages(tmp_path: Path, autojump_clock: object) -> None:
    async with balancing(tmp_path, fleet_of(1), FakePlant(40_000.0)) as balancer:
        await trio.sleep(300)
        shown, store, end = BalanceShown(balancer), NoStore(), wall() + timedelta(minutes=1)
        found: list[BalancePoint] = []
        cursor = None
        while True:
            page = await shown.series(store, None, end, 2, cursor)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        assert [point.at for point in found] == [NOON + timedelta(minutes=number) for number in range(len(found))]
        assert len(found) >= 5
        with pytest.raises(InvalidError, match="1970 to 9000"):
            await shown.series(store, None, end.replace(year=9999), 2, None)
        with pytest.raises(InvalidError, match="cursor"):
            await shown.series(store, None, end, 2, "IjIwMjYtMDMtMDFUMTI6MDA6MDAi")
