"""Carbon budgets: how much of an amount is used, and which threshold that has passed."""

from __future__ import annotations

from typing import Literal, NamedTuple

Status = Literal["normal", "warning", "critical", "exceeded"]
RANKS: dict[str, int] = {"normal": 0, "warning": 1, "critical": 2, "exceeded": 3}

WARNING_PCT = 80.0
CRITICAL_PCT = 95.0
EXCEEDED_PCT = 100.0


class Limits(NamedTuple):
    """An amount in micrograms, more than none, and the parts of it in percent at which somebody should know."""

    amount_ug: int
    warning_pct: float = WARNING_PCT
    critical_pct: float = CRITICAL_PCT


def refused(limits: Limits) -> str | None:
    """Why there cannot be such a budget."""
    if limits.amount_ug <= 0:
        return "a budget of nothing has no part that could be used; give an amount above 0 kg"
    if not 0 < limits.warning_pct <= limits.critical_pct <= EXCEEDED_PCT:
        return (
            f"thresholds {limits.warning_pct:g} and {limits.critical_pct:g} are not in order: "
            f"0 < warning_threshold <= critical_threshold <= 100"
        )
    return None


def used_pct(used_ug: int, amount_ug: int) -> float:
    """May be far above 100. Multiplied before it is divided: 29 of 100 are 29 %, not 28.999999999999996."""
    return used_ug * 100 / amount_ug


def status_of(used_ug: int, limits: Limits) -> Status:
    """A threshold is passed where it is reached."""
    if used_ug >= limits.amount_ug:
        return "exceeded"
    used = used_pct(used_ug, limits.amount_ug)
    if used >= limits.critical_pct:
        return "critical"
    return "warning" if used >= limits.warning_pct else "normal"


def is_crossing(before: str, after: str) -> bool:
    """Within a period only upwards: what was emitted stays emitted."""
    return RANKS[after] > RANKS[before]
