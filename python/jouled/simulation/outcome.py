"""What came of a simulated day under one strategy: sums, plots by the minute, and each change."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from jouled.simulation.names import Strategy

# What a page can show and a person can read; beyond it only their number is kept.
CHANGES_MAX = 20_000
SHOWN_CHANGES_MAX = 400


class Change(Struct, frozen=True):
    """One order, and what became of it."""

    at_s: float
    load: str
    before: str
    after: str
    before_w: float
    after_w: float
    reason: str
    problem: str | None = None


class Minute(NamedTuple):
    """Of the plots: means of a minute, but the highest load and the lowest supply, so that no peak is lost."""

    supply_w: float
    target_w: float | None
    load_w: float
    changes: int
    # What orders of this minute took away.
    shed_w: float


class Outcome(Struct, frozen=True):
    """What came of it. `over` is the load above what plant and contract gave."""

    strategy: str
    reserve_pct: float
    hours: float
    over_minutes: float
    over_kwh: float
    # The worst instant: how much of the supply the load was above it, in percent; 0 where it never was.
    worst_pct: float
    longest_over_s: float
    # Of energy: what was drawn, and what of the supply was left.
    energy_kwh: float
    unserved_kwh: float
    work_th_h: float
    changes: int
    changes_per_day: float
    changes_per_load_day: float
    most_changes_of_a_load: int
    restarts: int
    failed_changes: int
    # How often the sum of ordered power turned from up to down or from down to up.
    reversals: int
    saturated_minutes: float
    cost: float | None
    currency: str | None
    carbon_kg: float | None
    # Reason of what was shed, and kW that were shed for it, summed over orders.
    shed_kw: dict[str, float]
    # Reason: number of changes.
    changes_by_reason: dict[str, int]

    @property
    def title(self) -> str:
        return Strategy(self.strategy, self.reserve_pct / 100).title


class Run(NamedTuple):
    """An outcome with what plots need."""

    outcome: Outcome
    minutes: tuple[Minute, ...]
    changes: tuple[Change, ...]
