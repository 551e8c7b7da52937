"""What the balancer sees, and what it says. Powers are in watts, times in seconds of a clock that nobody can set."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from jouled.balance.fleet.words import Point, Span

# What a load does, as it says itself. Only one that is `running`, `paused` or `off` can be set this cycle:
# `starting` and `tuning` are busy, `held` is somebody else's now (its user's pause, its own thermal switcher),
# `failed` does not work, `away` does not answer, and `suspect` did not do what it was told.
State: TypeAlias = Literal["running", "starting", "tuning", "paused", "off", "held", "failed", "away", "suspect"]
Band: TypeAlias = Literal["emergency", "reduce", "hold", "raise", "no-data"]
# How old what the plant said is: fresh; stale (no raises); held (stepped down); failed (the fallback budget).
Stage: TypeAlias = Literal["fresh", "stale", "held", "failed"]


class Observation(NamedTuple):
    """What a load said of itself when it was last asked. Absence is not zero."""

    at_s: float
    state: State
    # The name of the point that it was read back to be at; None where it was not, or for one with a span.
    point: str | None = None
    # What holds of its cap, for one with a span.
    cap_w: float | None = None
    power_w: float | None = None
    work: float | None = None
    # Why it is busy, held or has failed, in its own words.
    note: str | None = None


class Timing(NamedTuple):
    """How a load answers."""

    # From the order until its power begins to follow.
    dead_s: float
    # From then on until it has settled: a restart, a ramp.
    settle_s: float
    # As dead_s, for being switched off or paused; None is as any other change.
    pause_s: float | None = None
    # How long a change interrupts its work.
    restart_s: float = 0.0


class Member(NamedTuple):
    """A load of the fleet, by what is known and allowed now."""

    id: str
    name: str
    kind: str
    timing: Timing
    # Only those that it may be set to: tuned, between its least and its most, OFF where it may be switched off.
    points: tuple[Point, ...] = ()
    span: Span | None = None
    circuit: str | None = None
    priority: int = 5
    weight: float = 1.0
    # None where it may be steered, or why not: "locked", "no max_preset is set for S19", "disabled".
    unmanaged: str | None = None
    seen: Observation | None = None
    # What it drew at most of late, or would by its name plate: it counts with that while nobody knows.
    worst_w: float | None = None


class Supply(NamedTuple):
    """What the plant gives, judged. `power_w` is what is believed now: None where nothing was ever known."""

    power_w: float | None
    stage: Stage
    # Of the oldest of its sources; None where nothing was ever known.
    age_s: float | None
    # Why the latest readings were not believed, or what is done instead; None where all is well.
    problem: str | None = None
    is_on_battery: bool = False
    # The latest that was believed, as it was read.
    reading_w: float | None = None


class Limit(NamedTuple):
    """Any other bound of the site: a contract, the plan's budget of now, the operator's cap."""

    source: str
    power_w: float
    reason: str = ""
    # Whether what cannot be steered flows through it as well, as through a breaker; or it is for the loads alone.
    is_of_all: bool = True


class Order(NamedTuple):
    """What a load is to be set to: an absolute target. `id` is of this one change."""

    id: str
    load: str
    kind: Literal["shed", "raise", "restore"]
    # None for a load with a span.
    point: Point | None
    power_w: float
    before_point: str | None
    before_w: float | None
    is_urgent: bool
    reason: str


class Applied(NamedTuple):
    """What came of sending an order: None is that the load took it. Whether it does it is seen later."""

    order: Order
    at_s: float
    problem: str | None = None
    # False where it was not sent at all: nobody approved it, or orders are only shown. It is as if never given.
    is_sent: bool = True


class Pending(NamedTuple):
    """A change in flight: it counts with the larger of both powers until it was seen."""

    order: Order
    issued_s: float
    expected_by_s: float
    # A change of the same load whose place this one took: it is still on its way if this one is never sent.
    earlier: Pending | None = None


class Verdict(NamedTuple):
    """What one cycle found. Sums are None where nothing is known of any load."""

    at: datetime
    band: Band
    # What the site's loads may draw, and which bound that is.
    budget_w: float | None
    limited_by: str
    # Aimed at, below the budget by the reserve.
    target_w: float | None
    # What safety counts with: the larger of measured and commanded.
    load_w: float
    measured_w: float | None
    commanded_w: float
    unmanaged_w: float
    stage: Stage | None
    # Nothing is left to shed, and it is still too much; `explanation` says why.
    is_saturated: bool
    explanation: str


class Happening(NamedTuple):
    """Said once, when it begins or ends."""

    kind: str
    severity: Literal["info", "warning", "critical"]
    # The load, or "site".
    source: str
    note: str
