"""The plan as the daemon runs it: from its settings, with the books that keep each decision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import trio

from jouled.balance.steps import Step
from jouled.balance.strategies import Range
from jouled.config import Config
from jouled.config.plan import OF_THE_MARKET
from jouled.control.plan.planning import Carbon, Planning
from jouled.control.plan.rules import least_w, range_of, rules_of
from jouled.control.plan.steering import Steering, ignore

if TYPE_CHECKING:  # a host without books, or without a market, imports none of them
    from jouled.books.intensity import Slot as CarbonSlot
    from jouled.control.caps.keeper import CapKeeper
    from jouled.control.market.market import Market
    from jouled.store import Store
    from jouled.store.buffer import Backlog

# Forecasts are made anew every half an hour.
CARBON_REFRESH_S = 60.0
# Prices that are asked for at the start come within this, or the policy holds until they do.
FIRST_PRICES_S = 10.0
# Of decisions that wait for a store that is away: more than a week of quarter-hours.
DECISIONS_MAX = 1000


class Steered:
    """`run` is a source of the daemon and `tell_books` a sink; `close` comes between their ends.

    Without `keeper`, and where capping is off, nothing is steered: the plan is only shown.
    """

    def __init__(
        self,
        config: Config,
        keeper: CapKeeper | None,
        market: Market | None,
        store: Store | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._keeper = keeper
        self._hardware = hardware_range(config) if keeper is None else None
        self._clock = clock
        self._news = None if market is None else market.fetched
        self._backlog: Backlog | None = None
        is_in_force = keeper is not None and config.caps.enabled and bool(config.plan.strategies)
        self.planning = Planning(
            rules_of(config),
            self._range,
            lambda: least_w(self._config.plan, self._bounds()[0]),
            market=market,
            carbon=carbon_of(config, store),
            is_in_force=is_in_force,
        )
        self.steering = self._open_steering(keeper, store) if keeper is not None and is_in_force else None

    def __repr__(self) -> str:
        return f"<Steered {self.planning!r}>"

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Whatever fails here ends the daemon, which gives back."""
        task_status.started()
        if self.steering is None:
            return
        await self._await_prices()
        await self.planning.look_at_carbon(self._clock())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_carbon)
            await self.steering.run()

    async def tell_books(self) -> None:
        """Until the end, and a little longer where the store is away."""
        if self._backlog is not None:
            await self._backlog.run()

    def close(self) -> None:
        if self._backlog is not None:
            self._backlog.close()

    def apply(self, config: Config) -> None:
        """What a reload can change: the range, and how long a lease may be."""
        self._config = config
        if self.steering is not None:
            self.steering.allow(config.caps.lease_max_s)

    async def _await_prices(self) -> None:
        """So that a daemon that is started anew does not hold the host down until it has asked."""
        if self._news is None or OF_THE_MARKET.isdisjoint(self._config.plan.strategies):
            return
        with trio.move_on_after(FIRST_PRICES_S):
            while not self._news.published:
                await self._news.changed()

    async def _follow_carbon(self) -> None:
        while self.planning.follows_carbon:
            await trio.sleep(CARBON_REFRESH_S)
            await self.planning.look_at_carbon(self._clock())

    def _open_steering(self, keeper: CapKeeper, store: Store | None) -> Steering:
        if store is not None:
            from jouled.store.buffer import Backlog as OpenBacklog

            self._backlog = OpenBacklog(store, limit=DECISIONS_MAX)
        return Steering(
            self.planning,
            keeper,
            self._clock,
            stabilisation_s=self._config.plan.stabilisation_s,
            lease_max_s=self._config.caps.lease_max_s,
            news=self._news,
            tell=ignore if self._backlog is None else self._keep,
        )

    def _keep(self, step: Step) -> None:
        from jouled.bookkeeping import cap_decisions
        from jouled.bookkeeping.recorder import node_name

        assert self._backlog is not None  # noqa: S101  (it is only told where there are books)
        self._backlog.put(partial(cap_decisions.put, step=step, node=node_name(self._config)))

    def _bounds(self) -> tuple[float, float | None]:
        """What may be asked for, as it is known now."""
        if self._keeper is None:
            return self._config.caps.min_w, self._hardware
        state = self._keeper.state()
        return state.min_watts, state.max_watts

    def _range(self) -> Range | None:
        return range_of(self._config.plan, *self._bounds())


def hardware_range(config: Config) -> float | None:
    """The most that may be asked for by the settings and the hardware; None where nobody tells."""
    from jouled.balance.limit_plan import bounds
    from jouled.errors import JouledError
    from jouled.loads.rapl import read

    known = [] if config.caps.max_w is None else [config.caps.max_w]
    with suppress(JouledError):
        most_w = bounds(read(config.sysfs)).max_w
        known += [] if most_w is None else [most_w]
    return min(known, default=None)


def carbon_of(config: Config, store: Store | None) -> Carbon | None:
    """The intensity of this host's zone, from the books."""
    zone = config.carbon.zone
    if store is None or zone is None:
        return None

    async def between(start: datetime, end: datetime) -> list[CarbonSlot]:
        from jouled.bookkeeping import intensity

        return await store.fetch(lambda connection: intensity.between(connection, zone, config.carbon.kind, start, end))

    return between
