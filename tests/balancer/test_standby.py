"""Of several daemons of one site: what those that stand by leave alone, and what whoever takes over knows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import trio
from msgspec.structs import replace
from sqlalchemy import Connection

from actuators import FakeActuator
from balanced import NOON, FakeLead, FakePlant, balancing, fleet_of
from jouled.bookkeeping import balance as books
from jouled.bookkeeping import fleet as fleet_books
from jouled.bookkeeping.fleet import StatusRow
from jouled.store import Store
from jouled.wire.balance import BalanceEvent


def shed(load: str, status: str, order: str = "order-1") -> BalanceEvent:
    return BalanceEvent(
        id=f"decision-{load}",
        miner_id=load,
        old_preset="3200",
        new_preset="off",
        old_power=3200.0,
        new_power=0.0,
        reason="emergency: 32000 W of 20000 W",
        total_consumption_before=32_000.0,
        total_consumption_after=28_800.0,
        available_power=20_000.0,
        target_power=18_000.0,
        success=None,
        error_message=None,
        recorded_at=NOON.replace(hour=11),
        kind="shed",
        status=status,  # type: ignore[arg-type]  # one of its words
        mode="auto",
        is_urgent=True,
        inputs={"order": order},
        expected={"watts": 0.0},
        observed={},
    )


async def status_of(store: Store, load: str) -> str:
    page = await store.fetch(partial(books.events, load=load))
    return page.items[0].status


async def test_one_that_stands_by_ends_nothing_of_whoever_leads(store: Store, tmp_path: Path) -> None:
    await store.commit(lambda connection: books.put(connection, shed("miner-0000", "executing"), "site-1"))
    lead = FakeLead(is_leader=False)
    async with balancing(tmp_path, fleet_of(2), FakePlant(40_000.0), lead=lead, store=store):
        await trio.sleep(0.5)
    # Its books are written by now.
    assert await status_of(store, "miner-0000") == "executing"
    async with balancing(tmp_path / "other", fleet_of(2), FakePlant(40_000.0), lead=FakeLead(), store=store):
        pass
    assert await status_of(store, "miner-0000") == "failed"


async def test_what_is_under_way_as_the_lead_is_lost_is_broken_off_at_once(
    tmp_path: Path, autojump_clock: object
) -> None:
    loads, lead, plant = fleet_of(1), FakeLead(), FakePlant(40_000.0)
    (load,) = loads
    async with balancing(tmp_path, loads, plant, lead=lead):
        await trio.sleep(30)
        load.slow_s = 5.0
        plant.say(1_500.0)
        applied = load.calls["apply"]
        while load.calls["apply"] == applied:  # noqa: ASYNC110  (it has no event)
            await trio.sleep(0.01)
        await trio.sleep(4.5)
        lead.is_leader = False
        await trio.sleep(20)
    assert not load.applied


class PausedMiner(FakeActuator):
    """Off, and not by the daemon that looks at it: so it is held, until that daemon hears by whom."""

    def __init__(self, id: str) -> None:  # noqa: A002  (as its base has it)
        super().__init__(id, point="off")
        self.state, self.adopted = "held", list[str | None]()

    def adopt(self, point: str | None) -> None:
        self.adopted.append(point)
        self.state = None


async def test_whoever_takes_over_knows_what_the_one_before_has_switched_off(store: Store, tmp_path: Path) -> None:
    """Nobody else would ever start these again."""

    def write(connection: Connection) -> None:
        for number, status in enumerate(("completed", "executing", "failed", "completed", "expired", "completed")):
            books.put(connection, shed(f"miner-{number:04}", status), "site-1")
        raised = replace(shed("miner-0003", "completed"), id="later", kind="raise", new_preset="1100")
        books.put(connection, raised, "site-1")
        # Its user has started it, and stopped it again.
        fleet_books.add_statuses(connection, [StatusRow("miner-0005", NOON, "running", "3200")])
        books.put(connection, shed("miner-0006", "completed"), "another site")

    await store.commit(write)
    loads, lead = [PausedMiner(f"miner-{number:04}") for number in range(7)], FakeLead(is_leader=False)
    async with balancing(tmp_path, loads, FakePlant(0.0), lead=lead, store=store):
        await trio.sleep(0.5)
        assert not any(load.adopted for load in loads)
        lead.is_leader = True
        with trio.fail_after(30):
            while not all(load.adopted for load in loads[:3]):  # noqa: ASYNC110  (it has no event)
                await trio.sleep(0.05)
    assert [load.adopted for load in loads] == [["off"], ["off"], ["off"], [], [], [], []]
