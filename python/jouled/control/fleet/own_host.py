"""This host as a load of its own balancer: capped by the keeper of its caps, with no way round over a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import trio

from jouled.balance.fleet.words import Span
from jouled.balance.site.words import Observation, Order, State, Timing
from jouled.control.caps.turns import Power
from jouled.errors import JouledError, one_line
from jouled.loads.actuator import Description, Original
from jouled.loads.node import (
    LAPSED,
    LEASE_S,
    RENEW_PART,
    TIMING,
    has_lapsed,
    is_confirmed,
    lease_of,
    need_of,
    notes_of,
    owner_in,
    reason_of,
    span_of,
)
from jouled.loads.protocol import LoadError
from jouled.wire.caps import CapDraft, Caps, Lease

OWNER = "balance"


class Keeper(Protocol):
    """As control.caps.keeper.CapKeeper."""

    def state(self) -> Caps: ...
    async def hold(self, owner: str, draft: CapDraft) -> Lease: ...
    async def release(self, owner: str) -> bool: ...


class OwnHost:
    """`power` is what the packages draw, of the latest snapshot; None where that is old, or there is none."""

    def __init__(
        self,
        keeper: Keeper,
        power: Callable[[], Power | None],
        *,
        name: str,
        lease_s: float = LEASE_S,
        timing: Timing = TIMING,
        bounds_w: tuple[float | None, float | None] = (None, None),
    ) -> None:
        self._keeper = keeper
        self._power = power
        self._name = name
        self._lease_s = lease_s
        self._timing = timing
        self._bounds_w = bounds_w
        self._asked_s: float | None = None

    def __repr__(self) -> str:
        return f"<OwnHost {self._name}>"

    @property
    def id(self) -> str:
        return self._name

    @property
    def kind(self) -> Literal["host"]:
        return "host"

    async def describe(self) -> Description:
        state = self._keeper.state()
        least_w, most_w = span_of(state, self._bounds_w, f"the load {self._name}")
        return Description(
            id=self.id,
            kind=self.kind,
            name=self._name,
            timing=self._timing,
            span=Span(least_w, most_w, need_of(state, OWNER, self._drawn_w())),
            rated_w=state.max_watts or most_w,
            notes=notes_of(state),
        )

    async def measure(self) -> Observation:
        state = self._keeper.state()
        is_ours = state.is_enabled and not state.is_dry_run
        doing: State = "running" if is_ours else "held"
        note = None if is_ours else "it caps nothing: switch on [caps] enabled, without dry_run"
        return Observation(trio.current_time(), doing, cap_w=state.effective_watts, power_w=self._drawn_w(), note=note)

    async def original(self) -> Original:
        return {"owner": OWNER}

    async def apply(self, order: Order) -> None:
        await self._hold(order.power_w, one_line(order.reason)[:256] or None)

    async def confirm(self, order: Order) -> bool:
        return is_confirmed(self._keeper.state(), OWNER, order.power_w)

    async def renew(self) -> bool:
        lease = lease_of(self._keeper.state(), OWNER)
        if lease is None:
            return False
        if self._asked_s is not None and trio.current_time() - self._asked_s < self._lease_s / RENEW_PART:
            return False
        await self._hold(lease.watts, reason_of(self._keeper.state(), OWNER))
        return True

    async def give_back(self, original: Original) -> None:
        owner = owner_in(original, OWNER)
        try:
            if has_lapsed(self._keeper.state(), owner):
                await self._keeper.release(LAPSED)
            await self._keeper.release(owner)
        except JouledError as error:
            raise LoadError(f"the load {self._name}: {error}") from error
        self._asked_s = None

    async def aclose(self) -> None:
        """The keeper is the daemon's."""

    def _drawn_w(self) -> float | None:
        power = self._power()
        return None if power is None else power.node_w

    async def _hold(self, watts: float, reason: str | None) -> None:
        began_s = trio.current_time()
        try:
            await self._keeper.hold(OWNER, CapDraft(round(watts, 3), self._lease_s, reason))
        except JouledError as error:
            raise LoadError(f"the load {self._name}: {error}") from error
        self._asked_s = began_s
