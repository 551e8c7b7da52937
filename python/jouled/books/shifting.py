"""Which load should go where: pure, from the loads of a site's zones to what is worth proposing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from jouled.books.load import Bands, utilization_pct

# Below it a shift is not worth anybody's attention.
LEAST_W = 1.0
OVER_CAPACITY = "over_capacity"
PEAK_SHAVING = "peak_shaving"
SCALE_DOWN_IN = timedelta(minutes=5)
SHIFT_IN = timedelta(minutes=1)


class Place(NamedTuple):
    """A zone as a place for load, in watts. `load_w` is None where it is not known, or not any more."""

    id: str
    name: str
    capacity_w: float
    load_w: float | None
    min_load_w: float = 0.0
    max_load_w: float | None = None
    can_shed: bool = False

    @property
    def utilization_pct(self) -> float | None:
        return utilization_pct(self.load_w, self.capacity_w)

    def free_w(self, bands: Bands) -> float:
        """What it can take and stay within its band and below its limit."""
        limit_w = self.capacity_w * bands.band_high_pct / 100
        if self.max_load_w is not None:
            limit_w = min(limit_w, self.max_load_w)
        return 0.0 if self.load_w is None else max(0.0, limit_w - self.load_w)


class Proposal(NamedTuple):
    """What is worth a decision, and what it is made from."""

    decision_type: str
    source: str
    target: str | None
    amount_w: float
    reason: str
    condition: str
    priority: int
    starts_in: timedelta
    inputs: dict[str, Any]
    expected: dict[str, Any]


class Open(NamedTuple):
    """A decision that is not at its end yet. What it will bring its target is not free any more."""

    source: str | None
    target: str | None
    condition: str | None
    amount_w: float


def proposals(places: Sequence[Place], still_open: Collection[Open], bands: Bands) -> tuple[list[Proposal], list[str]]:
    """What is worth proposing, and why there is not more."""
    loads = {place.id: place for place in places}
    for decision in still_open:
        if decision.target in loads:
            loads[decision.target] = _moved(loads[decision.target], decision.amount_w)
    made: list[Proposal] = []
    reasons: list[str] = []
    # The fullest first: it has the first choice of where to go.
    for place in sorted(places, key=lambda place: (-(place.utilization_pct or 0.0), place.id)):
        if place.load_w is None:
            reasons.append(f"the load of zone {place.id} is not known")
            continue
        for propose in (_excess, _shift):
            decided, reason = propose(place, loads, still_open, bands)
            if reason:
                reasons.append(reason)
            if decided is not None:
                made.append(decided)
                loads[place.id] = _moved(loads[place.id], -decided.amount_w)
                if decided.target is not None:
                    loads[decided.target] = _moved(loads[decided.target], decided.amount_w)
    if not made and not reasons:
        reasons = [
            "the site has no zones"
            if not places
            else f"no zone is above its capacity, or sheds above {bands.scale_up_pct:g} %"
        ]
    return made, reasons


def best_target(source: str, places: Collection[Place], bands: Bands) -> Place | None:
    """The zone with the most free capacity, None where none has any."""
    free = [place for place in places if place.id != source and place.free_w(bands) >= LEAST_W]
    return min(free, key=lambda place: (-place.free_w(bands), place.id), default=None)


def _excess(
    place: Place, _: dict[str, Place], still_open: Collection[Open], bands: Bands
) -> tuple[Proposal | None, str | None]:
    """More than the zone's capacity: that much has to go."""
    assert place.load_w is not None  # noqa: S101  (the caller skips those)
    excess_w = place.load_w - place.capacity_w
    if excess_w < LEAST_W:
        return None, None
    if _is_open(place.id, OVER_CAPACITY, still_open):
        return None, f"a decision about zone {place.id} over its capacity is open already"
    reason = f"{place.name} takes {_kw(place.load_w)} of a capacity of {_kw(place.capacity_w)}"
    expected = {"source": _effect(place, -excess_w)}
    return (
        Proposal(
            "scale_down", place.id, None, excess_w, reason, OVER_CAPACITY, 1, SCALE_DOWN_IN,
            _inputs(place, None, bands), expected,
        ),
        None,
    )  # fmt: skip


def _shift(
    place: Place, loads: dict[str, Place], still_open: Collection[Open], bands: Bands
) -> tuple[Proposal | None, str | None]:
    """Above the border at which something has to happen: what brings it back into its band, if that can go
    somewhere. It is seen without what goes away over its capacity.
    """
    utilization = place.utilization_pct
    here = loads[place.id]
    if not place.can_shed or utilization is None or utilization <= bands.scale_up_pct or here.load_w is None:
        return None, None
    above_w = min(here.load_w, place.capacity_w) - place.capacity_w * bands.band_high_pct / 100
    wanted_w = min(above_w, here.load_w - place.min_load_w)
    if wanted_w < LEAST_W:
        return None, f"zone {place.id} is at {utilization:.1f} %, and at its least load"
    if _is_open(place.id, PEAK_SHAVING, still_open):
        return None, f"a decision to shift load from zone {place.id} is open already"
    target = best_target(place.id, loads.values(), bands)
    if target is None:
        return None, f"zone {place.id} is at {utilization:.1f} %, but no other zone has free capacity within its band"
    amount_w = min(wanted_w, target.free_w(bands))
    reason = (
        f"{place.name} is at {utilization:.1f} % of its capacity; {target.name} has {_kw(target.free_w(bands))} free"
    )
    expected = {"source": _effect(here, -amount_w), "target": _effect(target, amount_w)}
    return (
        Proposal(
            "shift_load", place.id, target.id, amount_w, reason, PEAK_SHAVING, 2, SHIFT_IN,
            _inputs(place, target, bands), expected,
        ),
        None,
    )  # fmt: skip


def _is_open(source: str, condition: str, still_open: Collection[Open]) -> bool:
    return any(decision.source == source and decision.condition == condition for decision in still_open)


def _moved(place: Place, by_w: float) -> Place:
    return place if place.load_w is None else place._replace(load_w=place.load_w + by_w)


def _effect(place: Place, by_w: float) -> dict[str, Any]:
    load_w = place.load_w or 0.0
    return {"zone_id": place.id, "before_kw": load_w / 1000, "after_kw": (load_w + by_w) / 1000}


def _inputs(source: Place, target: Place | None, bands: Bands) -> dict[str, Any]:
    read = {"source": _facts(source), "bands": dict(bands._asdict())}
    return read if target is None else {**read, "target": _facts(target)}


def _facts(place: Place) -> dict[str, Any]:
    return {
        "zone_id": place.id,
        "capacity_kw": place.capacity_w / 1000,
        "load_kw": None if place.load_w is None else place.load_w / 1000,
        "min_load_kw": place.min_load_w / 1000,
        "max_load_kw": None if place.max_load_w is None else place.max_load_w / 1000,
    }


def _kw(power_w: float) -> str:
    return f"{power_w / 1000:.3f} kW"
