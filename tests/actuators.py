"""A load in memory, as a device behaves: it takes its time, and it fails as the test tells it to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import trio

from jouled.balance.fleet.words import OFF, Span
from jouled.balance.site.words import Observation, Order, State, Timing
from jouled.loads.actuator import Description, Original, Preset
from jouled.loads.protocol import LoadError

# Some of a miner's: each step costs more than the one before it.
PRESETS = (
    Preset("1100", 1100.0, 53.0),
    Preset("1500", 1500.0, 63.0),
    Preset("2100", 2100.0, 78.0),
    Preset("2620", 2620.0, 91.0),
    Preset("3200", 3200.0, 102.0),
)
QUICK = Timing(dead_s=1.0, settle_s=2.0)


class FakeActuator:
    """At `point`, or under `cap_w`, drawing what that takes, by Trio's clock.

    What a test may set: `state` (what it says instead of running or off), `is_away` (no answer), `hangs` (no end of
    any call), `slow_s` (each call takes so long), `refuses` (each order fails with these words), `is_deaf` (it takes
    an order and does nothing), `draws_w` (what it draws, whatever it is set to), `factor` (real watts per nominal
    one), `tells_power` and `tells_point`. What it was asked is in `calls` and `applied`.
    """

    def __init__(
        self,
        id: str = "load-1",  # noqa: A002  (the actuator's own word)
        *,
        kind: str = "fake",
        name: str | None = None,
        model: str | None = None,
        address: str | None = None,
        presets: Sequence[Preset] = PRESETS,
        span: Span | None = None,
        point: str | None = None,
        timing: Timing = QUICK,
        can_be_off: bool = True,
        rated_w: float | None = None,
        need_w: float | None = None,
    ) -> None:
        self.id = id
        self.kind = kind
        self.name = name or id
        self.model = model
        self.address = address
        self.presets = () if span is not None else tuple(presets)
        self.span = span
        self.timing = timing
        self.can_be_off = can_be_off
        self.rated_w = rated_w
        # Of one with a span: what it draws uncapped.
        self.need_w = need_w
        self.notes: tuple[str, ...] = ()
        self.point = None if span is not None else (point or self.presets[-1].name)
        self.cap_w: float | None = None

        self.state: State | None = None
        self.note: str | None = None
        self.is_away = False
        self.hangs = False
        self.slow_s = 0.0
        self.refuses: str | None = None
        self.is_deaf = False
        self.draws_w: float | None = None
        self.factor = 1.0
        self.tells_power = True
        self.tells_point = True

        self.applied: list[Order] = []
        self.given_back: list[Original] = []
        self.calls: Counter[str] = Counter()
        self.is_closed = False
        self._from_w = self.settled_w
        self._changed_s: float | None = None
        self._pause_s = timing.dead_s

    def __repr__(self) -> str:
        return f"<FakeActuator {self.id} {self.point or self.cap_w}>"

    @property
    def settled_w(self) -> float:
        """What it will draw once it has done what it was told."""
        if self.draws_w is not None:
            return self.draws_w
        if self.span is not None:
            need_w = self.span.ceiling_w if self.need_w is None else self.need_w
            return need_w if self.cap_w is None else min(need_w, self.cap_w)
        return self.factor * next((preset.power_w for preset in self.presets if preset.name == self.point), 0.0)

    def power_w(self, now_s: float) -> float:
        """What it draws at that time: as before, then in a straight line to what it was set to."""
        if self._changed_s is None or self.draws_w is not None:
            return self.settled_w
        into_s = now_s - self._changed_s - self._pause_s
        if into_s <= 0:
            return self._from_w
        share = 1.0 if into_s >= self.timing.settle_s else into_s / self.timing.settle_s
        return self._from_w + share * (self.settled_w - self._from_w)

    def set_point(self, name: str) -> None:
        """By its user, at the device itself."""
        self._begin(name, None)

    async def describe(self) -> Description:
        await self._answer("describe")
        return Description(
            self.id,
            self.kind,
            self.name,
            self.timing,
            model=self.model,
            address=self.address,
            presets=self.presets,
            span=self.span,
            can_be_off=self.can_be_off,
            rated_w=self.rated_w,
            notes=self.notes,
        )

    async def measure(self) -> Observation:
        self.calls["measure"] += 1
        await self._wait()
        now_s = trio.current_time()
        if self.is_away:
            return Observation(now_s, "away", note="no answer")
        power_w = self.power_w(now_s)
        preset = next((preset for preset in self.presets if preset.name == self.point), None)
        return Observation(
            now_s,
            self.state or ("off" if self.point == OFF else "running"),
            point=self.point if self.tells_point else None,
            cap_w=self.cap_w,
            power_w=power_w if self.tells_power else None,
            work=None if preset is None else preset.work,
            note=self.note,
        )

    async def original(self) -> Original:
        await self._answer("original")
        return {"point": self.point, "cap_w": self.cap_w}

    async def apply(self, order: Order) -> None:
        await self._answer("apply")
        self.applied.append(order)
        if self.refuses is not None:
            raise LoadError(f"{self.id}: {self.refuses}")
        if not self.is_deaf:
            self._begin(None if order.point is None else order.point.name, order.power_w)

    async def confirm(self, order: Order) -> bool:
        await self._answer("confirm")
        if order.point is not None:
            return self.point == order.point.name
        return self.cap_w == order.power_w

    async def give_back(self, original: Original) -> None:
        await self._answer("give_back")
        self.given_back.append(original)
        if self.refuses is not None:
            raise LoadError(f"{self.id}: {self.refuses}")
        self._begin(original["point"], original["cap_w"])

    async def aclose(self) -> None:
        self.is_closed = True

    def _begin(self, point: str | None, cap_w: float | None) -> None:
        try:
            now_s = trio.current_time()
        except RuntimeError:  # before the loop began
            now_s = 0.0
        self._from_w = self.power_w(now_s)
        self._changed_s = now_s
        if self.span is not None:
            self.cap_w = cap_w
        else:
            self.point = point
        timing = self.timing
        self._pause_s = timing.pause_s if point == OFF and timing.pause_s is not None else timing.dead_s

    async def _answer(self, call: str) -> None:
        self.calls[call] += 1
        await self._wait()
        if self.is_away:
            raise LoadError(f"{self.id}: no answer; look whether it is switched on")

    async def _wait(self) -> None:
        if self.hangs:
            await trio.sleep_forever()
        await trio.sleep(self.slow_s)
