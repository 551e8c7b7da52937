"""What Braiins OS says over its REST interface, 1.7 and before, in our words. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from jouled.balance.site.words import State
from jouled.errors import one_line
from jouled.loads.actuator import Preset
from jouled.loads.miners.exchange import mapping
from jouled.loads.miners.presets import PRESETS_MAX, TYPICAL_J_PER_TH, WATTS_LEAST, WATTS_MAX
from jouled.loads.miners.words import mac_of, number, terahashes

NOTE_CHARS = 200
# `status` of older interfaces, which have no detailed one.
_STATES: dict[int, tuple[State, str | None]] = {
    1: ("off", None),
    2: ("running", None),
    3: ("paused", None),
    4: ("held", "suspended by the miner itself"),
    5: ("held", "restricted by the miner itself"),
}
# Why it is stopped. What is not here, and not its user's pause, is broken.
_STOPPED: dict[str, tuple[State, str | None]] = {
    "unspecified": ("off", None),
    "user_pause": ("paused", None),
    "thermal_pause": ("held", "it paused itself: it is too hot"),
    "dps_cooldown": ("held", "it paused itself: dynamic performance scaling cools it down"),
    "dead_pools": ("failed", "no mining pool answers it"),
    "missing_license": ("failed", "it has no licence"),
    "application_unavailable": ("starting", "its mining program is not there yet"),
}
_FANS = "THERMAL_PAUSE_REASON_BROKEN_FANS"


class Details(NamedTuple):
    """Of /miner/details."""

    mac: str | None
    model: str | None
    firmware: str | None
    name: str | None
    state: State | None
    note: str | None


class Bounds(NamedTuple):
    """What it accepts as a power target, in watts, and as times of quick ramping, in seconds."""

    least_w: float | None = None
    most_w: float | None = None
    ramp_least_s: float | None = None
    ramp_most_s: float | None = None


class Ramping(NamedTuple):
    """How fast it goes down and up, in seconds; None is the firmware's default."""

    down_s: int | None
    up_s: int | None


class Setting(NamedTuple):
    """Of /configuration/miner."""

    ramping: Ramping
    # Its own dynamic performance scaling changes the power target by itself.
    is_scaling: bool


def is_version(content: object) -> bool:
    return all(number(mapping(content).get(part)) is not None for part in ("major", "minor", "patch"))


def details_of(content: object) -> Details:
    details = mapping(content)
    identity = mapping(details, "miner_identity")
    version = _text(mapping(details, "bos_version").get("current"))
    state, note = _state_of(details)
    return Details(
        mac_of(details.get("mac_address")),
        _text(identity.get("miner_model")) or _text(identity.get("name")),
        f"Braiins OS {version}" if version else "Braiins OS",
        _text(details.get("hostname")),
        state,
        note,
    )


def target_of(content: object) -> float | None:
    """The power target of /performance/tuner-state, or of /performance/mode, in watts; None for any other mode."""
    for path in (
        ("mode_state", "powertargetmodestate", "current_target"),
        ("tunermode", "target", "powertarget", "power_target"),
    ):
        if watts := _watts(mapping(content, *path)):
            return watts
    return None


def power_of(content: object) -> float | None:
    """Of /miner/stats, in watts; a zero is taken for not knowing."""
    return _watts(mapping(content, "power_stats", "approximated_consumption")) or None


def work_of(content: object) -> float | None:
    """Of /miner/stats, in TH/s: of the shortest time that it has."""
    rates = mapping(content, "miner_stats", "real_hashrate")
    for name in ("last_15s", "last_30s", "last_1m", "last_5s", "last_5m"):
        if (rate := terahashes(mapping(rates, name).get("gigahash_per_second"), "GH/s")) is not None:
            return rate
    return None


def profile_of(content: object, bounds: Bounds) -> tuple[Preset, ...]:
    """Of /performance/efficiency-profile: its own curve, by power target. Each is held at once, tuned or not."""
    points = mapping(content).get("points")
    found = {}
    for point in points[:PRESETS_MAX] if isinstance(points, list) else []:
        target, drawn = _watts(mapping(point, "power_target")), _watts(mapping(point, "consumption"))
        work = number(mapping(point, "hashrate").get("terahash_per_second"))
        if target and work and _is_within(target, bounds):
            name = f"{target:.0f}"
            found[name] = Preset(name, drawn or target, work, pretty=f"{name} W ~ {work:.1f} TH/s")
    return tuple(sorted(found.values(), key=lambda preset: preset.power_w))


def tuned_targets_of(content: object, bounds: Bounds) -> tuple[Preset, ...]:
    """Of /performance/target-profiles, for firmware without an efficiency profile: what it was tuned for."""
    profiles = mapping(content).get("power_target_profiles")
    found = {}
    for profile in profiles[:PRESETS_MAX] if isinstance(profiles, list) else []:
        target = _watts(mapping(profile, "target"))
        drawn = _watts(mapping(profile, "estimated_power_consumption"))
        work = terahashes(mapping(profile, "measured_hashrate").get("gigahash_per_second"), "GH/s")
        if target and work and _is_within(target, bounds):
            name = f"{target:.0f}"
            found[name] = Preset(name, drawn or target, work, pretty=f"{name} W ~ {work:.1f} TH/s")
    return tuple(sorted(found.values(), key=lambda preset: preset.power_w))


def stepped(bounds: Bounds, steps: int = 8) -> tuple[Preset, ...]:
    """Targets between its bounds, where it tells nothing else: their work is a guess, the same for each watt."""
    if bounds.least_w is None or bounds.most_w is None or bounds.least_w >= bounds.most_w:
        return ()
    width = (bounds.most_w - bounds.least_w) / (steps - 1)
    targets = [round(bounds.least_w + step * width) for step in range(steps)]
    return tuple(Preset(f"{watts}", float(watts), watts / TYPICAL_J_PER_TH, pretty=f"{watts} W") for watts in targets)


def bounds_of(content: object) -> Bounds:
    """Of /configuration/constraints."""
    power = mapping(content, "tuner_constraints", "power_target")
    ramp = mapping(content, "hashboards_constraints", "quick_ramping_time_s")
    return Bounds(
        _watts(mapping(power, "min")),
        _watts(mapping(power, "max")),
        number(ramp.get("min")),
        number(ramp.get("max")),
    )


def setting_of(content: object) -> Setting:
    boards = mapping(content, "hashboard_config")
    ramping = Ramping(
        _seconds(boards.get("quick_ramping_time_down_s")),
        _seconds(boards.get("quick_ramping_time_up_s")),
    )
    return Setting(ramping, mapping(content, "dps").get("enabled") is True)


def is_allowed(ramping: Ramping, bounds: Bounds) -> bool:
    """Whether it says that it takes such times; one that says nothing of them has no quick ramping."""
    least, most = bounds.ramp_least_s, bounds.ramp_most_s
    if least is None or most is None:
        return False
    return all(value is not None and least <= value <= most for value in ramping)


def _state_of(details: dict[str, Any]) -> tuple[State | None, str | None]:
    status = mapping(details, "detailed_status", "status")
    for arm in ("running", "starting", "stopping", "stopped"):
        if arm not in status:
            continue
        reasons = mapping(status, arm, "reason")
        reason = next(iter(reasons), "unspecified")
        words = one_line(str(reason)).replace("_", " ")[:NOTE_CHARS]
        if arm == "running":
            return "running", None if reason in {"normal", "unspecified"} else words
        if arm == "starting":
            return "starting", None if reason in {"none", "unspecified"} else words
        if arm == "stopping":
            return "starting", "it is shutting down"
        return _stopped_by(str(reason), mapping(reasons, str(reason)))
    code = details.get("status")
    if isinstance(code, int) and not isinstance(code, bool) and code in _STATES:
        return _STATES[code]
    return None, "it does not say what it does"


def _stopped_by(reason: str, more: dict[str, Any]) -> tuple[State, str | None]:
    if reason == "thermal_pause" and more.get("reason") == _FANS:
        return "held", "it paused itself: its fans are broken"
    if reason in _STOPPED:
        return _STOPPED[reason]
    errors = more.get("errors")
    said = _text(more.get("message")) or ("; ".join(str(e) for e in errors) if isinstance(errors, list) else None)
    return "failed", one_line(f"{reason.replace('_', ' ')}{'' if said is None else f': {said}'}")[:NOTE_CHARS]


def _is_within(watts: float, bounds: Bounds) -> bool:
    is_enough = bounds.least_w is None or watts >= bounds.least_w
    return is_enough and (bounds.most_w is None or watts <= bounds.most_w) and watts >= WATTS_LEAST


def _watts(content: dict[str, Any]) -> float | None:
    return number(content.get("watt"), most=WATTS_MAX)


def _seconds(value: object) -> int | None:
    seconds = number(value, most=3600.0)
    return None if seconds is None else int(seconds)


def _text(value: object) -> str | None:
    return one_line(value).strip()[:NOTE_CHARS] or None if isinstance(value, str) else None
