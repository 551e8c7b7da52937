"""The plant's readings for the store, written behind: the balancer waits for no disk."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from jouled.bookkeeping import plant as books
from jouled.store.buffer import Backlog

if TYPE_CHECKING:  # the one that tells it imports it
    from jouled.control.plant.feed import Judged
    from jouled.store import Store

# Of readings that wait for a store that is away: four hours of them.
WAITING_MAX = 1000
# A feed that is polled more often than this is kept so often, unless what became of its readings is another.
EVERY = timedelta(seconds=10)
# What flaps is kept so often.
AT_MOST_EVERY = timedelta(seconds=1)


class PlantBooks:
    """What a minute had first is kept for longer, see the retention."""

    def __init__(self, store: Store, plant: str) -> None:
        self._plant = plant
        self._backlog = Backlog(store, limit=WAITING_MAX)
        self._kept_at: datetime | None = None
        self._minute: datetime | None = None
        self._judgement: str | None = None

    def __repr__(self) -> str:
        return f"<PlantBooks {self._backlog!r}>"

    async def run(self) -> None:
        await self._backlog.run()

    async def end(self) -> None:
        """Once `run` has ended: what still waits is written, if the store is there."""
        self._backlog.close()
        await self._backlog.run()

    def keep(self, one: Judged) -> None:
        """Never waits."""
        if one.reading is None or not self._is_due(one):
            return
        minute = one.at.replace(second=0, microsecond=0)
        is_first = minute != self._minute
        self._kept_at, self._judgement, self._minute = one.at, one.judgement, minute
        row = books.Kept(
            plant=self._plant,
            recorded_at=one.at,
            reading=one.reading,
            judgement=one.judgement,
            problem=one.problem,
            stage=one.supply.stage,
            supply_w=one.supply.power_w,
            is_first_of_minute=is_first,
        )
        self._backlog.put(partial(books.put, kept=row))

    def _is_due(self, one: Judged) -> bool:
        if self._kept_at is None:
            return True
        # A clock that was set back must not end the keeping.
        passed = abs(one.at - self._kept_at)
        return passed >= (EVERY if one.judgement == self._judgement else AT_MOST_EVERY)
