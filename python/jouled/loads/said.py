"""What a program, or a service over HTTP, says of itself as a load, and what it is told: both are JSON in these words."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import trio
from msgspec import Meta, Struct

from jouled.balance.fleet.words import OFF, Span
from jouled.balance.site.words import Observation, Order, State, Timing
from jouled.errors import one_line
from jouled.loads.actuator import Description, Original, Preset
from jouled.loads.protocol import LoadError

PRESETS_MAX = 64
NOTES_MAX = 4
TEXT_MAX = 200
# A cap is read back within a watt, or a hundredth where its steps are coarser.
STEP_W = 1.0
STEP_PART = 0.01
# For one that does not say: its power follows within some seconds.
TIMING = Timing(dead_s=2.0, settle_s=5.0)

Watts = Annotated[float, Meta(ge=0, le=1e9)]
Work = Annotated[float, Meta(ge=0, le=1e15)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class SaidPreset(Struct, frozen=True):
    """One way in which it can run."""

    name: Name
    watts: Watts
    work: Work = 0.0
    is_tuned: bool = True


class Said(Struct, frozen=True):
    """All that it may say; what it leaves out is not known. What it can do has to be there when it is described:
    `presets`, or `min_watts` and `max_watts`; and `state` when it is measured.
    """

    presets: Annotated[tuple[SaidPreset, ...], Meta(max_length=PRESETS_MAX)] = ()
    min_watts: Watts | None = None
    max_watts: Watts | None = None
    need_watts: Watts | None = None
    rated_watts: Watts | None = None
    can_be_off: bool = False
    dead_seconds: Seconds | None = None
    settle_seconds: Seconds | None = None
    restart_seconds: Seconds = 0.0
    model: str | None = None
    firmware: str | None = None
    notes: tuple[str, ...] = ()

    state: State | None = None
    preset: str | None = None
    cap_watts: Watts | None = None
    watts: Watts | None = None
    work: Work | None = None
    note: str | None = None


class Target(Struct, frozen=True):
    """What it is to be set to: an absolute target, by the name of a preset ("off" is off) or by watts alone."""

    id: str
    preset: str | None
    watts: float
    is_urgent: bool
    reason: str


def said_in(content: bytes, where: str) -> Said:
    """Raises LoadError."""
    try:
        return msgspec.json.decode(content, type=Said)
    except msgspec.DecodeError as error:
        raise LoadError(f"{where}: {one_line(str(error))}; it must answer in the words of a load") from error


def target_of(order: Order) -> Target:
    point = None if order.point is None else order.point.name
    return Target(order.id, point, round(order.power_w, 3), order.is_urgent, order.reason)


class Bounds(Struct, frozen=True):
    """What the operator says of it; None is as it says itself."""

    min_w: float | None = None
    max_w: float | None = None
    dead_s: float | None = None
    settle_s: float | None = None

    def allows(self, watts: float) -> bool:
        return (self.min_w is None or watts >= self.min_w) and (self.max_w is None or watts <= self.max_w)

    def timing(self, said: Said) -> Timing:
        dead_s = _first(self.dead_s, said.dead_seconds, TIMING.dead_s)
        settle_s = _first(self.settle_s, said.settle_seconds, TIMING.settle_s)
        return Timing(dead_s, settle_s, restart_s=said.restart_seconds)


def description_of(said: Said, name: str, kind: str, address: str, bounds: Bounds) -> Description:
    """Raises LoadError where it cannot be set to anything."""
    presets = tuple(
        Preset(one.name, one.watts, one.work, one.is_tuned) for one in said.presets if bounds.allows(one.watts)
    )
    span = None if said.presets else _span(said, name, bounds)
    if said.presets and not presets:
        raise LoadError(f"the load {name}: none of its presets is within its min and max; set these otherwise")
    return Description(
        id=name,
        kind=kind,
        name=name,
        timing=bounds.timing(said),
        model=_text(said.model),
        firmware=_text(said.firmware),
        address=address,
        presets=presets,
        span=span,
        can_be_off=said.can_be_off,
        rated_w=said.rated_watts,
        notes=tuple(one_line(note)[:TEXT_MAX] for note in said.notes[:NOTES_MAX]),
    )


def observation_of(said: Said) -> Observation:
    at_s = trio.current_time()
    if said.state is None:
        return Observation(at_s, "failed", power_w=said.watts, note="it does not say its state")
    point = OFF if said.state == "off" else said.preset
    return Observation(
        at_s,
        said.state,
        point,
        said.cap_watts,
        said.watts,
        said.work,
        None if said.note is None else _text(said.note),
    )


def is_set(said: Said, order: Order) -> bool:
    """Read back: at this preset, or at this cap."""
    if order.point is not None:
        is_off = order.point.name == OFF and said.state == "off"
        return is_off or said.preset == order.point.name
    if said.cap_watts is None:
        return False
    return abs(said.cap_watts - order.power_w) <= max(STEP_W, STEP_PART * order.power_w)


def original_of(said: Said) -> Original:
    """What it is told when it is given back: null is that there was no cap, or no preset."""
    return {"preset": OFF if said.state == "off" else said.preset, "watts": said.cap_watts}


def is_as(said: Said, original: Original) -> bool:
    """Whether it is as it was. What was not known then is not asked for."""
    preset, watts = original.get("preset"), original.get("watts")
    if isinstance(preset, str) and not (said.preset == preset or (preset == OFF and said.state == "off")):
        return False
    if isinstance(watts, int | float):
        return said.cap_watts is not None and abs(said.cap_watts - watts) <= max(STEP_W, STEP_PART * watts)
    return True


def _span(said: Said, name: str, bounds: Bounds) -> Span:
    least_w = max(said.min_watts or 0.0, bounds.min_w or 0.0)
    known = [watts for watts in (said.max_watts, bounds.max_w) if watts is not None]
    if not known:
        raise LoadError(f"the load {name}: it says neither presets nor max_watts; let it, or set its max")
    most_w = min(known)
    if most_w < least_w:
        raise LoadError(
            f"the load {name}: its most, {most_w:g} W, is below its least, {least_w:g} W; set these otherwise"
        )
    return Span(least_w, most_w, said.need_watts)


def _first(*known: Any) -> float:
    return float(next(one for one in known if one is not None))


def _text(text: str | None) -> str | None:
    return None if text is None else one_line(text)[:TEXT_MAX]
