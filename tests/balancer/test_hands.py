"""Orders on their way to the loads: what holds them up, and what must not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from actuators import PRESETS, FakeActuator
from balanced import NOON, FakeLead, in_place
from jouled.balance.site.words import Applied, Order
from jouled.control.fleet.fleet import Fleet
from jouled.control.site.acting import NO_LEAD, Hands
from jouled.control.site.originals import Originals, directory_of

LEAST = PRESETS[0].point


def shed(load: str = "load-1", *, is_urgent: bool = True) -> Order:
    return Order("order-1", load, "shed", LEAST, LEAST.power_w, "3200", 3200.0, is_urgent, "the plant tripped")


async def hung(work: Callable[[], None]) -> None:
    """A disk that says nothing any more."""
    del work
    await trio.sleep_forever()


@asynccontextmanager
async def hands_of(
    folder: Path, load: FakeActuator, lead: FakeLead, in_thread: Any = in_place
) -> AsyncIterator[tuple[Hands, list[Applied]]]:
    told: list[Applied] = []
    originals = Originals.open(directory_of(str(folder)), in_thread)
    try:
        hands = Hands(Fleet([load]), originals, lead, lambda: NOON, told.append)
        async with trio.open_nursery() as nursery:
            await nursery.start(hands.run)
            yield hands, told
            nursery.cancel_scope.cancel()
    finally:
        originals.close()


async def test_a_disk_that_hangs_does_not_keep_an_urgent_shed(tmp_path: Path, autojump_clock: object) -> None:
    load = FakeActuator()
    async with hands_of(tmp_path, load, FakeLead(), hung) as (hands, _):
        hands.send([shed()])
        await trio.sleep(5)
        assert [order.id for order in load.applied] == ["order-1"]


async def test_a_disk_that_hangs_ends_what_is_not_urgent_with_the_reason(
    tmp_path: Path, autojump_clock: object
) -> None:
    load = FakeActuator()
    async with hands_of(tmp_path, load, FakeLead(), hung) as (hands, told):
        hands.send([shed(is_urgent=False)])
        await trio.sleep(60)
    assert not load.applied
    assert [result.problem is not None and "could not be given back" in result.problem for result in told] == [True]


@pytest.mark.parametrize("is_urgent", [True, False])
async def test_who_lost_the_lead_while_the_load_was_busy_sends_nothing(
    tmp_path: Path, autojump_clock: object, is_urgent: bool
) -> None:
    load, lead = FakeActuator(), FakeLead()
    async with hands_of(tmp_path, load, lead) as (hands, told):
        async with hands._turn(load.id):  # another question to it is under way
            hands.send([shed(is_urgent=is_urgent)])
            await trio.sleep(5)
            lead.is_leader = False
        await trio.sleep(5)
    assert not load.applied
    assert [result.problem for result in told] == [NO_LEAD]
