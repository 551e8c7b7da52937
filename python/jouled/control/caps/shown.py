"""The state of caps as people and programs are shown it: the limits as they are, and what jouled has to do with them."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from jouled.balance.limit_plan import named, power_path
from jouled.balance.limits import LimitZone
from jouled.balance.shown_limits import effective_watts, node_watts, watts_of, zone_state
from jouled.config.caps import Caps as Settings
from jouled.control.caps.turns import Outcome
from jouled.journal import Entry
from jouled.wire.caps import Caps, Lease, LimitState, ZoneState


def caps_of(settings: Settings, leases: tuple[Lease, ...], outcome: Outcome, trouble: str | None) -> Caps:
    """`trouble` is why the latest look could not be done at all."""
    effective = effective_watts(outcome.zones)
    entries = {entry.path: entry for entry in outcome.entries}
    return Caps(
        is_enabled=settings.enabled,
        is_dry_run=settings.dry_run,
        asked_watts=min((lease.watts for lease in leases), default=None),
        effective_watts=node_watts(outcome.zones, effective),
        min_watts=least_w(settings, outcome),
        max_watts=most_w(settings, outcome),
        leases=leases,
        zones=tuple(_zone(zone, effective, entries) for zone in outcome.zones if zone.constraints or zone.problems),
        slices=outcome.slices,
        problems=(*outcome.problems, *(() if trouble is None else (trouble,))),
    )


def least_w(settings: Settings, outcome: Outcome) -> float:
    """What may be asked for at least: by the settings, and by the hardware where it tells."""
    return max(settings.min_w, outcome.least_w or 0.0)


def most_w(settings: Settings, outcome: Outcome) -> float | None:
    known = [most for most in (settings.max_w, outcome.most_w) if most is not None]
    return min(known, default=None)


def _zone(zone: LimitZone, effective: Mapping[str, float], entries: Mapping[str, Entry]) -> ZoneState:
    state = zone_state(zone, effective)
    limits = []
    ceded_to: str | None = None
    for limit in state.limits:
        constraint = named(zone, limit.name)
        entry = None if constraint is None else entries.get(power_path(zone, constraint))
        if entry is not None:
            limit = _limit(limit, entry)  # noqa: PLW2901  (the same limit, told more of)
            ceded_to = ceded_to or entry.ceded_to
        limits.append(limit)
    return replace(state, limits=tuple(limits), ceded_to=ceded_to)


def _limit(limit: LimitState, entry: Entry) -> LimitState:
    return replace(
        limit,
        asked_watts=_watts(entry.wrote),
        original_watts=_watts(entry.original),
        problem=limit.problem or entry.problem,
    )


def _watts(microwatts: str) -> float | None:
    text = microwatts.strip()
    return watts_of(int(text)) if text.isascii() and text.isdigit() else None
