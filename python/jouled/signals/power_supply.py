"""Batteries of the kernel: /sys/class/power_supply."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jouled.signals.supply import Supply
from jouled.wire.devices import PowerDraft, Status

# More than any host has; a tree that goes on is no power_supply.
SUPPLIES_MAX = 64
TEXT_MAX = 256
STATUSES: dict[str, Status] = {
    "charging": "charging",
    "discharging": "discharging",
    "full": "full",
    "not charging": "idle",
}
NAMES = (
    "type",
    "scope",
    "present",
    "status",
    "capacity",
    "capacity_level",
    "energy_now",
    "energy_full",
    "charge_now",
    "charge_full",
    "voltage_now",
    "voltage_min_design",
    "current_now",
    "power_now",
)


def read_batteries(sysfs: str | Path = "/sys") -> list[Supply]:
    """The host's own batteries, by name: none, where it has none. Mice and phones are not its supply."""
    folder = Path(sysfs) / "class/power_supply"
    try:
        names = sorted(path.name for path in folder.iterdir())[:SUPPLIES_MAX]
    except OSError:
        return []
    found = ((name, _attributes(folder / name)) for name in names)
    return [battery for name, attributes in found if (battery := battery_of(name, attributes)) is not None]


def _attributes(folder: Path) -> dict[str, str]:
    """What can be read: drivers answer ENODATA and EIO for what they do not know just now."""
    found = {}
    for name in NAMES:
        try:
            with (folder / name).open(encoding="ascii", errors="replace") as file:
                found[name] = file.read(TEXT_MAX).strip()
        except OSError:
            continue
    return found


def battery_of(name: str, attributes: Mapping[str, str]) -> Supply | None:
    """None for what is no battery of the host, or says nothing."""
    if attributes.get("type", "").lower() != "battery" or attributes.get("scope", "").lower() == "device":
        return None
    if attributes.get("present") == "0":
        return None
    volts = _micro(attributes, "voltage_now")
    amperes = _micro(attributes, "current_now")
    status = STATUSES.get(attributes.get("status", "").lower())
    # A magnitude is never negative: then the sign is the direction that the kernel's ABI means.
    if status is None and amperes is not None and amperes < 0:
        status = "discharging"
    draft = PowerDraft(
        voltage=volts,
        wattage=_power_w(attributes, status, volts, amperes),
        charge_pct=_charge_pct(attributes),
        status=status,
        is_low=attributes.get("capacity_level", "").lower() == "critical",
    )
    if draft.wattage is None and draft.charge_pct is None and status is None:
        return None
    return Supply(name, "battery", _capacity_wh(attributes, volts), draft)


def _power_w(
    attributes: Mapping[str, str], status: Status | None, volts: float | None, amperes: float | None
) -> float | None:
    """Its amount: which way it flows is in the status, and without one not known."""
    if status is None:
        return None
    if status in {"full", "idle"}:
        return 0.0
    watts = _micro(attributes, "power_now")
    if watts is None and volts is not None and amperes is not None:
        watts = volts * amperes
    return None if watts is None else abs(watts)


def _charge_pct(attributes: Mapping[str, str]) -> float | None:
    """Of what it holds when full now, finer than the whole percents of `capacity` where that is told."""
    for kind in ("energy", "charge"):
        now, full = _micro(attributes, f"{kind}_now"), _micro(attributes, f"{kind}_full")
        if now is not None and full:
            return min(100.0, max(0.0, round(now / full * 100, 3)))
    capacity = _number(attributes, "capacity")
    return None if capacity is None else min(100.0, max(0.0, capacity))


def _capacity_wh(attributes: Mapping[str, str], volts: float | None) -> float | None:
    energy_wh = _micro(attributes, "energy_full")
    if energy_wh is None:
        charge_ah = _micro(attributes, "charge_full")
        nominal_v = _micro(attributes, "voltage_min_design") or volts
        energy_wh = None if charge_ah is None or nominal_v is None else charge_ah * nominal_v
    return energy_wh if energy_wh is not None and energy_wh > 0 else None


def _micro(attributes: Mapping[str, str], name: str) -> float | None:
    number = _number(attributes, name)
    return None if number is None else number / 1e6


def _number(attributes: Mapping[str, str], name: str) -> float | None:
    try:
        return float(int(attributes[name]))
    except (KeyError, ValueError):
        return None
