"""What the balancer needs of those around it: the fleet, the plant, the plan, and whoever says who leads."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

import trio

from jouled.balance.schedule import Budget
from jouled.balance.site.supply import Reading
from jouled.balance.site.words import Member, Supply
from jouled.feed import Feed
from jouled.loads.actuator import Actuator


class Fleet(Protocol):
    """The loads, looked at all the time."""

    @property
    def problems(self) -> tuple[str, ...]: ...
    async def run(self, task_status: trio.TaskStatus[None] = ...) -> None: ...
    def members(self, now_s: float) -> tuple[Member, ...]: ...
    def actuator(self, load_id: str) -> Actuator | None: ...
    async def look(self, load_id: str) -> Any: ...
    def hurry(self, load_id: str, for_s: float) -> None: ...
    async def aclose(self) -> None: ...


class Plant(Protocol):
    """The feed of the plant, judged."""

    @property
    def changed(self) -> Feed[Any]: ...
    @property
    def latest(self) -> Reading | None: ...
    def supply(self, now_s: float) -> Supply: ...


class Plan(Protocol):
    """What market or carbon allow now."""

    def budget(self, now: datetime) -> Budget: ...
    async def look_at_carbon(self, now: datetime) -> None: ...


class Lead(Protocol):
    """Which of several daemons acts."""

    @property
    def is_leader(self) -> bool: ...
    async def run(self, task_status: trio.TaskStatus[None] = ...) -> None: ...
    async def give_up(self) -> None:
        """After `run` was cancelled, and the loads were left as they are to be left."""
        ...


class AloneInLead:
    """There is no other daemon of this site."""

    is_leader = True

    def __repr__(self) -> str:
        return "<AloneInLead>"

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    async def give_up(self) -> None:
        """There is nobody to take it."""
