"""Control as the daemon runs it: the keeper of caps, what it is told of power, and whom it tells."""

from __future__ import annotations

from datetime import UTC, datetime

import trio

from jouled.config import Config
from jouled.control.caps.keeper import CapKeeper, ignore
from jouled.control.caps.opening import Opened
from jouled.control.caps.power import Measured
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.sampler import Sampler
from jouled.store import Store


class Control:
    """`run` is a source of the daemon and `tell_books` a sink; `end` comes between their ends."""

    def __init__(
        self, config: Config, opened: Opened, feed: Feed[Snapshot], sampler: Sampler, store: Store | None
    ) -> None:
        measured = Measured(feed, lambda: sampler.is_fresh, config.caps.slices)
        self.observe = measured.observe
        self.power = measured
        self._events = None
        if store is not None:
            from jouled.bookkeeping.recorder import node_name
            from jouled.control.caps.events import CapEvents

            self._events = CapEvents(store, lambda: datetime.now(UTC), node=node_name(config))
        self.keeper = CapKeeper(
            config.caps,
            opened.hands,
            leases=opened.leases,
            power=measured,
            tell=ignore if self._events is None else self._events.tell,
        )

    def __repr__(self) -> str:
        return f"<Control {self.keeper!r}>"

    @property
    def is_live(self) -> bool:
        return self.keeper.is_live

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Whatever fails here ends the daemon, which gives back."""
        await self.keeper.run(task_status)

    async def tell_books(self) -> None:
        """Until the end, and a little longer where the store is away."""
        if self._events is not None:
            await self._events.run()

    async def end(self) -> None:
        """Gives the limits back. Waits for nobody: neither for the store nor for clients."""
        try:
            await self.keeper.give_back()
        finally:
            if self._events is not None:
                self._events.close()

    def apply(self, config: Config) -> None:
        self.keeper.apply(config.caps)
