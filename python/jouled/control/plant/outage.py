"""Troubles with the plant's feed: each is said once, in the log and as an event, and once when it is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from jouled.balance.site.supply import SupplyState
from jouled.balance.site.words import Supply
from jouled.log import log

if TYPE_CHECKING:
    from jouled.control.market.outage import Condition
    from jouled.store import Store

# So many in a row: one alone happens, and does nothing.
IN_A_ROW = 3


class _Trouble:
    """Told after each poll whether it is so. Without books it is in the log only."""

    def __init__(
        self, store: Store | None, clock: Callable[[], datetime], *, begins: str, ends: str, about: str
    ) -> None:
        self._is_so = False
        self._condition = None if store is None else _condition(store, clock, begins, ends, about)

    async def look(self, begun: str, ended: str, *, is_so: bool, goes_on: str) -> None:
        if is_so and not self._is_so:
            log.warning(begun, goes_on=goes_on)
        elif self._is_so and not is_so:
            log.info(ended)
        self._is_so = is_so
        if self._condition is not None:
            await self._condition.look(begun if is_so else ended, is_so=is_so)


class PlantOutage:
    """The feed does not answer, or answers with what is not believed."""

    def __init__(self, name: str, store: Store | None, clock: Callable[[], datetime]) -> None:
        self._name = name
        self._failed = _Trouble(store, clock, begins="plant_failed", ends="plant_answered", about=name)
        self._lies = _Trouble(store, clock, begins="plant_rejected", ends="plant_believed", about=name)

    def __repr__(self) -> str:
        return f"<PlantOutage {self._name}>"

    async def look(self, state: SupplyState, supply: Supply, unanswered: int) -> None:
        is_lost = supply.stage in {"held", "failed"} and bool(supply.age_s is not None or unanswered)
        await self._failed.look(
            f"plant {self._name}: {supply.problem or 'no reading'}",
            f"plant {self._name} is heard of again",
            is_so=is_lost or unanswered >= IN_A_ROW,
            goes_on="nothing is raised; what it gave is stepped down to balance.fallback",
        )
        await self._lies.look(
            f"plant {self._name}: {state.problem or 'a reading was not believed'}",
            f"what plant {self._name} says is believed again",
            is_so=state.rejected_in_a_row >= IN_A_ROW,
            goes_on="what it said before holds, and grows old",
        )


def _condition(store: Store, clock: Callable[[], datetime], begins: str, ends: str, about: str) -> Condition:
    from jouled.control.market.outage import Condition as OpenCondition

    return OpenCondition(store, clock, begins=begins, ends=ends, about=about)
