"""A small site that needs no clock: loads with dead time, ramp and moods, a plant, and the balancer's cycles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from jouled.balance.fleet.words import OFF, Circuit, Point, Span
from jouled.balance.site.cycle import BalanceState, Inputs, Metered, Outcome, Rules, cycle
from jouled.balance.site.words import (
    Applied,
    Happening,
    Limit,
    Member,
    Observation,
    Order,
    Stage,
    State,
    Supply,
    Timing,
    Verdict,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
OFF_POINT = Point(OFF, 0.0, 0.0)
# As a miner of the S19 family lists them.
S19 = (
    OFF_POINT,
    Point("1100", 1100.0, 53.0),
    Point("1500", 1500.0, 63.0),
    Point("1900", 1900.0, 73.0),
    Point("2350", 2350.0, 85.0),
    Point("2950", 2950.0, 99.0),
    Point("3350", 3350.0, 105.0),
)
QUICK = Timing(dead_s=2.0, settle_s=3.0, pause_s=2.0)
MINER = Timing(dead_s=60.0, settle_s=60.0, pause_s=15.0, restart_s=60.0)


@dataclass
class FakeLoad:
    """One that follows its orders after its dead time, or does not, by its mood."""

    id: str
    points: tuple[Point, ...] = S19
    timing: Timing = MINER
    at: str = "3350"
    span: Span | None = None
    cap_w: float | None = None
    circuit: str | None = None
    priority: int = 5
    unmanaged: str | None = None
    worst_w: float | None = None
    # What it draws by what its point says.
    drift: float = 1.0
    # "", "rejects" (an error), "ignores" (silence), "away" (does not answer), "lies" (reads back, does nothing).
    mood: str = ""
    # Its own word, where it says another than it does.
    state: State | None = None
    draws_w: float = 0.0
    orders: list[Order] = field(default_factory=list)
    due: tuple[float, Order] | None = None
    settles_s: float = 0.0
    noise: Callable[[float], float] = lambda _now_s: 0.0

    def __post_init__(self) -> None:
        self.draws_w = self.wants_w

    @property
    def wants_w(self) -> float:
        if self.span is not None:
            need_w = self.span.ceiling_w if self.span.need_w is None else self.span.need_w
            return min(need_w, self.span.ceiling_w if self.cap_w is None else self.cap_w)
        return next(point.power_w for point in self.points if point.name == self.at) * self.drift

    def take(self, order: Order, now_s: float) -> str | None:
        self.orders.append(order)
        if self.mood == "rejects":
            return "HTTP 500"
        if self.mood == "away":
            return "no answer"
        if self.mood == "ignores":
            return None
        is_off = order.point is not None and order.point.name == OFF
        dead_s = self.timing.pause_s if is_off and self.timing.pause_s is not None else self.timing.dead_s
        self.due = (now_s + dead_s, order)
        return None

    def step(self, now_s: float) -> None:
        if self.due is not None and now_s >= self.due[0]:
            order, self.due = self.due[1], None
            if self.mood == "lies":
                self.at = order.point.name if order.point is not None else self.at
                return
            if order.point is not None:
                self.at = order.point.name
            else:
                self.cap_w = order.power_w
            self.settles_s = now_s + (0.0 if self.at == OFF else self.timing.settle_s)
        if self.mood != "lies" and now_s >= self.settles_s:
            self.draws_w = self.wants_w

    def seen(self, now_s: float) -> Observation:
        if self.mood == "away":
            return Observation(now_s, "away")
        is_off = self.span is None and self.at == OFF
        state: State = self.state or ("off" if is_off else "starting" if now_s < self.settles_s else "running")
        power_w = max(0.0, self.draws_w * (1.0 + self.noise(now_s)))
        return Observation(now_s, state, None if self.span is not None else self.at, self.cap_w, power_w)

    def member(self, now_s: float) -> Member:
        return Member(
            self.id,
            self.id,
            "fake",
            self.timing,
            () if self.span is not None else self.points,
            self.span,
            self.circuit,
            self.priority,
            1.0,
            self.unmanaged,
            self.seen(now_s),
            self.worst_w,
        )


@dataclass
class World:
    """Cycles at a constant distance. `supply_w` is what the plant gives, or how much by the time."""

    loads: list[FakeLoad]
    supply_w: float | Callable[[float], float] | None = None
    rules: Rules = Rules()  # noqa: RUF009  (it cannot be changed)
    limits: tuple[Limit, ...] = ()
    circuits: tuple[Circuit, ...] = ()
    stage: Stage = "fresh"
    unmanaged_w: float = 0.0
    is_on_battery: bool = False
    is_paused: bool = False
    metered: Callable[[World], tuple[float | None, float | None]] = lambda _world: (None, None)
    meters: tuple[Metered, ...] = ()
    sends: bool = True
    # Instead of `supply_w`, where the test judges a feed by itself.
    judged: Supply | None = None
    now_s: float = 1000.0
    state: BalanceState = BalanceState()  # noqa: RUF009  (it cannot be changed)
    applied: list[Applied] = field(default_factory=list)
    orders: list[tuple[float, Order]] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    powers: list[float] = field(default_factory=list)
    verdict: Verdict | None = None

    @property
    def power_w(self) -> float:
        """What the loads really draw."""
        return sum(load.draws_w for load in self.loads)

    @property
    def given_w(self) -> float | None:
        return self.supply_w(self.now_s) if callable(self.supply_w) else self.supply_w

    def supply(self) -> Supply | None:
        if self.judged is not None or self.supply_w is None:
            return self.judged
        age_s = {"fresh": 1.0, "stale": 60.0, "held": 300.0, "failed": 900.0}[self.stage]
        return Supply(self.given_w, self.stage, age_s, None, self.is_on_battery)

    def load(self, name: str) -> FakeLoad:
        return next(load for load in self.loads if load.id == name)

    def inputs(self) -> Inputs:
        metered_w, metered_age_s = self.metered(self)
        return Inputs(
            self.now_s,
            START + timedelta(seconds=self.now_s),
            self.supply(),
            tuple(load.member(self.now_s) for load in self.loads),
            self.limits,
            self.circuits,
            metered_w,
            metered_age_s,
            self.unmanaged_w,
            tuple(self.applied),
            self.is_paused,
            self.meters,
        )

    def cycle(self) -> Outcome:
        """Look, decide, send; then time goes on until the next one."""
        for load in self.loads:
            load.step(self.now_s)
        outcome = cycle(self.state, self.inputs(), self.rules)
        self.applied = []
        self.state, self.verdict = outcome.state, outcome.verdict
        self.happenings += outcome.happenings
        for order in outcome.orders:
            self.orders.append((self.now_s, order))
            if not self.sends:
                self.applied.append(Applied(order, self.now_s, is_sent=False))
                continue
            problem = self.load(order.load).take(order, self.now_s)
            self.applied.append(Applied(order, self.now_s, problem))
        self.powers.append(self.power_w)
        self.now_s += self.rules.cycle_s
        return outcome

    def run(self, seconds: float) -> Outcome:
        end_s = self.now_s + seconds
        outcome = self.cycle()
        while self.now_s < end_s:
            outcome = self.cycle()
        return outcome

    def kinds(self) -> list[str]:
        return [happening.kind for happening in self.happenings]


def miners(count: int, **words: object) -> list[FakeLoad]:
    return [FakeLoad(f"m{index:02}", **words) for index in range(count)]  # type: ignore[arg-type]
