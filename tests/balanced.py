"""A balancer over loads in memory, with a plant that says what the test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import trio

from actuators import FakeActuator
from jouled.balance.site.supply import Reading
from jouled.balance.site.words import Stage, Supply
from jouled.config import Config
from jouled.config.balance import Balance
from jouled.config.books import Node
from jouled.control.fleet.fleet import Fleet, Polling
from jouled.control.site.balancer import Balancer
from jouled.control.site.originals import Originals, directory_of
from jouled.feed import Feed

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def wall() -> datetime:
    """Goes as Trio's clock does."""
    return NOON + timedelta(seconds=trio.current_time() - _BEGAN[0])


_BEGAN = [0.0]


async def in_place(work: Callable[[], None]) -> None:
    """The clock that jumps does not wait for threads."""
    work()


class FakePlant:
    """Gives `power_w`, of `stage`; each `say` is news."""

    def __init__(self, power_w: float | None, stage: Stage = "fresh") -> None:
        self.changed: Feed[Any] = Feed()
        self.power_w = power_w
        self.stage: Stage = stage
        self.problem: str | None = None
        self.consumption_w: float | None = None
        self.say(power_w, stage)

    def say(self, power_w: float | None, stage: Stage = "fresh", problem: str | None = None) -> None:
        self.power_w, self.stage, self.problem = power_w, stage, problem
        self.changed.publish(power_w)

    @property
    def latest(self) -> Reading | None:
        return None if self.power_w is None else Reading(self.power_w, wall(), self.consumption_w)

    def supply(self, now_s: float) -> Supply:
        return Supply(self.power_w, self.stage, 0.0 if self.power_w is not None else None, self.problem)


class FakeLead:
    """Leads as long as the test wants."""

    def __init__(self, *, is_leader: bool = True) -> None:
        self.is_leader = is_leader
        self.leader: str | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    async def give_up(self) -> None:
        self.is_leader = False


def settings(**keys: Any) -> Config:
    """Quick to raise, so that a test need not go through hours; each key of [balance] may be another."""
    usual = {"enabled": True, "cycle_s": 5.0, "raise_after_s": 30.0, "dwell_s": 60.0, "smooth_s": 30.0}
    names = {field.name: field.encode_name for field in msgspec.structs.fields(Balance)}
    balance = msgspec.convert({names[key]: value for key, value in {**usual, **keys}.items()}, Balance)
    return Config(node=Node(name="controller", site="site-1"), balance=balance)


@asynccontextmanager
async def balancing(
    folder: Path,
    loads: Sequence[FakeActuator],
    plant: FakePlant | None = None,
    *,
    config: Config | None = None,
    ends: bool = True,
    poll_s: float = 5.0,
    soon_s: float = 1.0,
    **kinds: Any,
) -> AsyncIterator[Balancer]:
    """Runs until the block is left; then it ends as the daemon ends it, but where it is killed (`ends` false)."""
    _BEGAN[0] = trio.current_time()
    config = config or settings()
    cycle_s = config.balance.cycle_s
    polling = Polling(poll_s=min(poll_s, cycle_s), soon_s=min(soon_s, cycle_s))
    fleet = Fleet(
        loads,
        config=config,
        polling=polling,
        clock=wall,
        jitter=lambda: 0.5,
    )
    originals = Originals.open(directory_of(str(folder)), in_place)
    balancer = Balancer(config, fleet, originals, site="site-1", plant=plant, clock=wall, **kinds)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(balancer.tell_books)
            async with trio.open_nursery() as sources:
                await sources.start(balancer.run)
                yield balancer
                sources.cancel_scope.cancel()
            if ends:
                await balancer.end()
            else:
                nursery.cancel_scope.cancel()
    finally:
        originals.close()


def fleet_of(count: int, point: str = "3200", **kinds: Any) -> list[FakeActuator]:
    return [FakeActuator(f"miner-{number:04}", point=point, **kinds) for number in range(count)]


def drawn_w(loads: Sequence[FakeActuator]) -> float:
    return sum(load.power_w(trio.current_time()) for load in loads)
