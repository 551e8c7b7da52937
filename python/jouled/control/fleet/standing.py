"""What a load may be set to: from what it is, and from what the operator allows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jouled.balance.fleet.words import OFF, Point
from jouled.loads.actuator import Description, Preset

# Those that have models, whose most is to be set before they are steered.
MINERS = frozenset({"vnish", "braiins", "pyasic"})


class Standing(NamedTuple):
    """What the operator says of one load. A preset that is None is as its model says."""

    enabled: bool = True
    locked: bool = False
    priority: int | None = None
    circuit: str | None = None
    min_preset: str | None = None
    max_preset: str | None = None


class Bounds(NamedTuple):
    """Of a model: the least and the most preset that its miners may be set to. None is not said."""

    min_preset: str | None = None
    max_preset: str | None = None


class Allowed(NamedTuple):
    """The presets that a load may be set to, or why it is not steered."""

    presets: tuple[Preset, ...]
    unmanaged: str | None


def allowed(description: Description, standing: Standing, model: Bounds, *, may_tune: bool = False) -> Allowed:
    """Between its least and its most, the cheapest first. What is not tuned is left out: it would be tuned for hours."""
    if not standing.enabled:
        return Allowed((), "disabled: joulectl miners set --enable lets it be steered")
    if standing.locked:
        return Allowed((), "locked: it stays as it is until it is unlocked")
    if description.span is not None:
        return Allowed((), None)
    least, most = standing.min_preset or model.min_preset, standing.max_preset or model.max_preset
    if most is None and description.kind in MINERS and any(preset.name != OFF for preset in description.presets):
        of_what = f"model {description.model}" if description.model else "it"
        return Allowed((), f"no max_preset is set for {of_what}: joulectl miners model sets it")
    return _between(description, least, most, may_tune=may_tune)


def _between(description: Description, least: str | None, most: str | None, *, may_tune: bool) -> Allowed:
    listed = [preset for preset in description.presets if preset.name != OFF]
    if not listed:
        return Allowed((), "it lists no presets, so nobody knows what it may be set to")
    for word, name in (("min_preset", least), ("max_preset", most)):
        if name is not None and power_of(name, listed) is None:
            return Allowed((), f"{word} {name} is none of its presets: {', '.join(preset.name for preset in listed)}")
    least_w = 0.0 if least is None else power_of(least, listed) or 0.0
    most_w = float("inf") if most is None else power_of(most, listed) or 0.0
    within = sorted(
        (preset for preset in listed if least_w <= preset.power_w <= most_w), key=lambda one: (one.power_w, one.name)
    )
    usable = tuple(preset for preset in within if preset.is_tuned or may_tune)
    if not usable:
        why = "none of its presets is tuned" if within else f"no preset lies between {least} and {most}"
        return Allowed((), f"{why}, from its least to its most; tune one there, or set others")
    return Allowed(usable, None)


def power_of(name: str, presets: Sequence[Preset]) -> float | None:
    """A preset's power: by its name, or where a device lists others, by watts. None for what is neither."""
    for preset in presets:
        if preset.name == name:
            return preset.power_w
    text = name.strip().upper().removesuffix("W").strip()
    return float(text) if text.isascii() and text.isdigit() else None


def points(
    presets: Sequence[Preset], *, can_be_off: bool, off_w: float = 0.0, power: float = 1.0, work: float = 1.0
) -> tuple[Point, ...]:
    """As the planner sees them, in watts as they are measured: `power` and `work` are measured by nominal."""
    found = [Point(OFF, off_w, 0.0)] if can_be_off else []
    found += [Point(preset.name, round(preset.power_w * power, 1), preset.work * work) for preset in presets]
    return tuple(found)
