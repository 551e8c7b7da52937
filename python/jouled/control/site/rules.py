"""The settings of the balancer as the rules that its pure functions take."""

from __future__ import annotations

from jouled.balance.site.rules import Rules
from jouled.config.balance import Balance


def rules_of(settings: Balance, reserve_pct: float | None = None) -> Rules:
    """Of settings that have been checked; `reserve_pct` is what holds instead of the file's."""
    pct = settings.reserve_pct if reserve_pct is None else reserve_pct
    return Rules(
        reserve=pct / 100,
        emergency=settings.emergency_pct / 100,
        reduce=settings.reduce_pct / 100,
        deadband=settings.deadband_pct / 100,
        raise_after_s=settings.raise_after_s,
        ewma_s=settings.smooth_s,
        ramp_w_per_min=settings.ramp_w_per_min,
        dwell_s=settings.dwell_s,
        changes_per_hour=settings.changes_per_hour,
        load_changes_per_hour=settings.load_changes_per_hour,
        parallel=settings.parallel,
        stale_s=settings.stale_s,
        strategy=settings.strategy,
        cycle_s=settings.cycle_s,
    )
