"""What the balancer knows, as it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from jouled.balance.site.supply import Reading
from jouled.balance.site.words import Member, Pending, Supply, Verdict
from jouled.control.site.facing import Lead
from jouled.control.site.wishes import Wishes
from jouled.wire.balance import BalanceEvent, BalancePoint, BalanceStatus, Mode, PendingChange, SiteStatus

# Above the target by more than this part of it.
OVER = 0.05
# Shown of many: the others are counted.
PENDING_MAX = 1000


class Found(NamedTuple):
    """What the latest cycle looked at, and what it found."""

    verdict: Verdict
    supply: Supply | None
    members: tuple[Member, ...]
    unmanaged_w: float


def status_of(
    found: Found | None,
    reading: Reading | None,
    wishes: Wishes,
    lead: Lead,
    *,
    pending: tuple[PendingChange, ...],
    proposed: int,
    problems: tuple[str, ...],
) -> BalanceStatus:
    """Before the first cycle all that it would say is unknown."""
    verdict = None if found is None else found.verdict
    supply = None if found is None else found.supply
    members = () if found is None else found.members
    others_w = measured_w(members, is_managed=False)
    target_w = None if verdict is None else verdict.target_w
    load_w = None if verdict is None else verdict.load_w
    commanded_w = None if verdict is None else verdict.commanded_w
    all_w = None if verdict is None else verdict.measured_w
    return BalanceStatus(
        plant_generation_kw=kilowatts(generation_w(reading, supply)),
        plant_container_kw=None if reading is None else kilowatts(reading.consumption_w),
        available_power_kw=None if verdict is None else kilowatts(verdict.budget_w),
        safety_margin_percent=wishes.reserve_pct,
        target_power_kw=kilowatts(target_w),
        target_power_w=target_w,
        current_consumption_w=all_w,
        managed_consumption_w=measured_w(members, is_managed=True),
        unmanaged_consumption_w=None if found is None else (others_w or 0.0) + found.unmanaged_w,
        expected_consumption_w=commanded_w,
        expected_delta_w=None if commanded_w is None or all_w is None else commanded_w - all_w,
        managed_miners_count=sum(member.unmanaged is None for member in members),
        status=site_status(load_w, target_w),
        last_reading_at=None if reading is None else reading.sourced_at,
        at=None if verdict is None else verdict.at,
        mode=wishes.mode,
        band="no-data" if verdict is None else verdict.band,
        budget_watts=None if verdict is None else verdict.budget_w,
        limited_by="" if verdict is None else verdict.limited_by,
        load_watts=load_w,
        limit_watts=wishes.limit_w,
        supply_watts=None if supply is None else supply.power_w,
        stage=None if verdict is None else verdict.stage,
        supply_problem=None if supply is None else supply.problem,
        is_saturated=verdict is not None and verdict.is_saturated,
        explanation="the first cycle is not over yet" if verdict is None else verdict.explanation,
        is_leader=lead.is_leader,
        leader=getattr(lead, "leader", None),
        paused=wishes.paused,
        pending=pending,
        loads=counts(members),
        proposed=proposed,
        problems=problems,
    )


def site_status(load_w: float | None, target_w: float | None) -> SiteStatus:
    """PowerHive's word. A target of 0 is one like any other."""
    if load_w is None or target_w is None:
        return "NO_DATA"
    above_w = load_w - target_w
    if above_w <= 0:
        return "OK"
    return "OVER_TARGET" if above_w > OVER * target_w else "WARNING"


def measured_w(members: Iterable[Member], *, is_managed: bool) -> float | None:
    """What they say that they draw. None where nobody says anything."""
    found = [
        member.seen.power_w
        for member in members
        if (member.unmanaged is None) == is_managed and member.seen is not None and member.seen.power_w is not None
    ]
    return sum(found) if found else None


def counts(members: Iterable[Member]) -> dict[str, int]:
    """By what they do."""
    return dict(sorted(Counter("unseen" if one.seen is None else one.seen.state for one in members).items()))


def pending_shown(pending: Mapping[str, Pending], now_s: float, at: datetime) -> tuple[PendingChange, ...]:
    def when(then_s: float) -> datetime:
        return at + timedelta(seconds=then_s - now_s)

    return tuple(
        PendingChange(
            load=load,
            from_preset=change.order.before_point,
            to_preset=None if change.order.point is None else change.order.point.name,
            from_watts=change.order.before_w,
            to_watts=change.order.power_w,
            issued_at=when(change.issued_s),
            expected_by=when(change.expected_by_s),
            is_urgent=change.order.is_urgent,
            reason=change.order.reason,
        )
        for load, change in sorted(pending.items())[:PENDING_MAX]
    )


def point_of(verdict: Verdict, supply: Supply | None, mode: Mode, pending: int) -> BalancePoint:
    return BalancePoint(
        at=verdict.at.replace(second=0, microsecond=0),
        band=verdict.band,
        stage=verdict.stage,
        mode=mode,
        supply_watts=None if supply is None else supply.power_w,
        budget_watts=verdict.budget_w,
        target_watts=verdict.target_w,
        load_watts=verdict.load_w,
        measured_watts=verdict.measured_w,
        unmanaged_watts=verdict.unmanaged_w,
        pending=pending,
        is_saturated=verdict.is_saturated,
    )


def kilowatts(power_w: float | None) -> float | None:
    return None if power_w is None else power_w / 1000


def generation_w(reading: Reading | None, supply: Supply | None) -> float | None:
    if reading is not None:
        return reading.generation_w
    return None if supply is None else supply.reading_w


def line_of(event: BalanceEvent) -> str:
    """`shed aa:bb from 3010 (3010 W) to off (0 W): ...`."""
    verb = event.kind if event.status == "executing" else f"would {event.kind}"
    before = _level(event.old_preset, event.old_power)
    return (
        f"balance: {verb} {event.miner_id} from {before} to {_level(event.new_preset, event.new_power)}: {event.reason}"
    )


def _level(preset: str | None, power_w: float | None) -> str:
    """`3010 (3010 W)`, or of a load without presets its power."""
    power = "its power" if power_w is None else f"{power_w:.0f} W"
    return f"{preset} ({power})" if preset else power
