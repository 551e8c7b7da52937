"""Limits as people and programs are shown them: in watts, by zone, with what they add up to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from jouled.balance.limit_plan import Division, enabled_path, plan, power_path
from jouled.balance.limits import Constraint, LimitZone
from jouled.wire.caps import CapPlan, Caps, CapWrite, LimitState, ZoneState

PACKAGE = "package"
LONG_TERM = "long_term"
# "package-1-die-0" is zone package, index 1-0, as the zones' metrics have it.
NUMBERED = re.compile(r"([a-z]+)-(\d+)(?:-die-(\d+))?", re.ASCII)


def label_of(name: str, package: int | None) -> tuple[str, str]:
    """The zone's class and index by its kernel name; what has no number of its own has its package's."""
    found = NUMBERED.fullmatch(name)
    if found is None:
        return name, "0" if package is None else str(package)
    return found[1], found[2] if found[3] is None else f"{found[2]}-{found[3]}"


def watts_of(microwatts: int | None) -> float | None:
    return None if microwatts is None else microwatts / 1e6


def effective_watts(zones: Sequence[LimitZone]) -> Mapping[str, float]:
    """What holds of long_term by the zones' kernel names: the lowest of those registers that act. A name of
    which one register cannot be read is left out: what holds there is not known.
    """
    found: dict[str, list[float | None]] = {}
    for zone in zones:
        for limit in zone.constraints:
            if limit.name == LONG_TERM and zone.enabled is not False:
                found.setdefault(zone.name, []).append(watts_of(limit.power_uw))
    return {
        name: min(value for value in values if value is not None)
        for name, values in found.items()
        if values and None not in values
    }


def node_watts(zones: Sequence[LimitZone], effective: Mapping[str, float]) -> float | None:
    """What the packages' limits add up to; None where one of them has none that is known and acts."""
    names = {zone.name for zone in zones if label_of(zone.name, zone.package)[0] == PACKAGE and zone.parent is None}
    if not names or not names <= effective.keys():
        return None
    return sum(effective[name] for name in names)


def zone_state(zone: LimitZone, effective: Mapping[str, float]) -> ZoneState:
    zone_class, index = label_of(zone.name, zone.package)
    return ZoneState(
        id=zone.id,
        zone=zone_class,
        index=index,
        interface=zone.interface,
        enabled=zone.enabled,
        limits=tuple(map(limit_state, zone.constraints)),
        effective_watts=effective.get(zone.name),
        problems=zone.problems,
    )


def limit_state(limit: Constraint) -> LimitState:
    return LimitState(
        name=limit.name,
        watts=watts_of(limit.power_uw),
        window_seconds=None if limit.window_us is None else limit.window_us / 1e6,
        # 0 is what some firmware says where it says nothing.
        max_watts=watts_of(limit.max_power_uw or None),
        problem=limit.problem,
    )


def caps_of(zones: Iterable[LimitZone], *, min_w: float, max_w: float | None) -> Caps:
    """All of it where nobody keeps caps: limits as they are, and nothing asked for."""
    found = tuple(zones)
    effective = effective_watts(found)
    return Caps(
        is_enabled=False,
        is_dry_run=False,
        asked_watts=None,
        effective_watts=node_watts(found, effective),
        min_watts=min_w,
        max_watts=max_w,
        leases=(),
        zones=tuple(zone_state(zone, effective) for zone in found if zone.constraints or zone.problems),
        slices=(),
    )


def planned(zones: Sequence[LimitZone], watts: float, *, division: Division = "equal") -> CapPlan:
    """What a cap would write where jouled has written nothing yet. Raises InvalidError with the allowed range,
    and UnsupportedError where nothing can be limited.
    """
    made = plan(zones, watts, division=division)
    before = {power_path(zone, limit): str(limit.power_uw) for zone in zones for limit in zone.constraints}
    before |= {enabled_path(zone): "?" if zone.enabled is None else str(int(zone.enabled)) for zone in zones}
    writes = tuple(CapWrite(write.path, write.what, before.get(write.path, "?"), write.value) for write in made.writes)
    return CapPlan(watts, made.expected_w, writes, made.problems)
