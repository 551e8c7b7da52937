"""Loads that nothing is done to: a real one that is only measured, and one that is only imagined."""

from __future__ import annotations

from typing import Literal

import trio

from jouled.balance.fleet.words import OFF, Span
from jouled.balance.site.words import Observation, Order, State, Timing
from jouled.loads.actuator import Actuator, Description, Original
from jouled.log import log

# What an imagined load draws of what it may.
DRAWS = 0.97
TIMING = Timing(dead_s=1.0, settle_s=4.0)


class DryRun:
    """Measures the `inner` one really. What it would be set to is said, and taken as set; its power goes its own way."""

    def __init__(self, inner: Actuator) -> None:
        self._inner = inner
        self._told: Order | None = None

    def __repr__(self) -> str:
        return f"<DryRun {self._inner!r}>"

    @property
    def id(self) -> str:
        return self._inner.id

    @property
    def kind(self) -> str:
        return self._inner.kind

    async def describe(self) -> Description:
        found = await self._inner.describe()
        return found._replace(notes=("dry run: nothing is set", *found.notes))

    async def measure(self) -> Observation:
        seen, told = await self._inner.measure(), self._told
        if told is None or seen.state not in {"running", "paused", "off"}:
            return seen
        # Off, too, is only said: it runs, and draws what it draws.
        if told.point is not None:
            return seen._replace(point=told.point.name)
        return seen._replace(cap_w=told.power_w)

    async def original(self) -> Original:
        return {}

    async def apply(self, order: Order) -> None:
        self._told = order
        to = f"{order.power_w:g} W" if order.point is None else f"{order.point.name} ({order.power_w:g} W)"
        log.info(f"balance: dry run: {self.id} would be set to {to}", reason=order.reason)

    async def confirm(self, order: Order) -> bool:
        told = self._told
        return told is not None and (told.point, told.power_w) == (order.point, order.power_w)

    async def give_back(self, original: Original) -> None:
        """Nothing was changed."""
        del original
        self._told = None

    async def aclose(self) -> None:
        await self._inner.aclose()


class PretendLoad:
    """For trying the balancer out: it takes any power of `span`, and draws almost all that it is given."""

    def __init__(self, name: str, span: Span, *, timing: Timing = TIMING, can_be_off: bool = False) -> None:
        self._name = name
        self._span = span
        self._timing = timing
        self._can_be_off = can_be_off
        self._cap_w = span.ceiling_w
        self._before_w = DRAWS * span.ceiling_w
        self._set_s: float | None = None

    def __repr__(self) -> str:
        return f"<PretendLoad {self._name} at {self._cap_w:g} W>"

    @property
    def id(self) -> str:
        return self._name

    @property
    def kind(self) -> Literal["dry-run"]:
        return "dry-run"

    async def describe(self) -> Description:
        return Description(
            id=self.id,
            kind=self.kind,
            name=self._name,
            timing=self._timing,
            span=self._span,
            can_be_off=self._can_be_off,
            rated_w=self._span.ceiling_w,
            notes=("it is only imagined",),
        )

    async def measure(self) -> Observation:
        state: State = "off" if self._cap_w == 0 else "running"
        point = OFF if state == "off" else None
        return Observation(trio.current_time(), state, point, self._cap_w, round(self._draws_w(), 3))

    async def original(self) -> Original:
        return {"watts": self._cap_w}

    async def apply(self, order: Order) -> None:
        self._set(order.power_w)

    async def confirm(self, order: Order) -> bool:
        return self._cap_w == order.power_w

    async def give_back(self, original: Original) -> None:
        watts = original.get("watts")
        self._set(float(watts) if isinstance(watts, int | float) else self._span.ceiling_w)

    async def aclose(self) -> None:
        """There is nothing behind it."""

    def _set(self, watts: float) -> None:
        if watts == self._cap_w:  # told again: it is on its way already
            return
        self._before_w, self._cap_w, self._set_s = self._draws_w(), watts, trio.current_time()

    def _draws_w(self) -> float:
        """As before for the dead time, then by a ramp to what it may draw."""
        aim_w = DRAWS * self._cap_w
        if self._set_s is None:
            return aim_w
        gone_s = trio.current_time() - self._set_s - self._timing.dead_s
        part = 1.0 if self._timing.settle_s == 0 else gone_s / self._timing.settle_s
        return self._before_w + (aim_w - self._before_w) * min(1.0, max(0.0, part))
