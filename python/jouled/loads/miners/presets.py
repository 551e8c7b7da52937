"""Presets as devices list them: their watts and their work, wherever these are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from jouled.balance.fleet.words import OFF
from jouled.loads.actuator import Preset
from jouled.loads.miners.words import number, terahashes

# What a preset is called that is none: the stock clock, which is most power and not off.
DISABLED = "disabled"
# Nothing that is one miner draws more, or less than a fan.
WATTS_MAX = 20_000.0
WATTS_LEAST = 10.0
# Where a device names no work rate at all: an older miner's, so that it is not preferred by ignorance.
TYPICAL_J_PER_TH = 35.0
PRESETS_MAX = 100

_WATTS = re.compile(r"(?<![\d.])(\d{2,5}(?:\.\d+)?)\s*w(?:atts?)?\b", re.IGNORECASE)
_PLAIN = re.compile(r"\d{2,5}(?:\.\d+)?")
_WORK = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)\s*([kmgtpe]?h(?:/s)?)\b", re.IGNORECASE)


def watts_in(text: str) -> float | None:
    """Of "1100 watt ~ 53 TH", "3010W" and "1100"; None for a name such as "eco"."""
    match = _WATTS.search(text)
    plain = text.strip()
    watts = match[1] if match else plain if _PLAIN.fullmatch(plain) else None
    return None if watts is None else number(float(watts), most=WATTS_MAX)


def work_in(text: str) -> float | None:
    """In TH/s."""
    match = _WORK.search(text)
    return terahashes(float(match[1]), match[2]) if match else None


def parsed(entries: Iterable[Any], *, has_modded_psu: bool = False) -> tuple[Preset, ...]:
    """Of a list of VNish, in the order of power. What is `disabled`, has no watts, or needs a power supply that it
    has not, is none.
    """
    found: dict[str, tuple[Preset, float | None]] = {}
    for entry in list(entries)[:PRESETS_MAX]:
        if not isinstance(entry, dict) or (entry.get("modded_psu_required") is True and not has_modded_psu):
            continue
        name, pretty = entry.get("name"), entry.get("pretty")
        if not isinstance(name, str) or not name or name.lower() == DISABLED or name == OFF:
            continue
        pretty = pretty if isinstance(pretty, str) else ""
        watts = _watts_of(entry, name, pretty)
        if watts is not None and watts >= WATTS_LEAST:
            work = work_in(pretty) or work_in(name)
            found[name] = (Preset(name, watts, work or 0.0, entry.get("status") == "tuned", pretty), work)
    return tuple(sorted(_with_work(found.values()), key=lambda preset: (preset.power_w, preset.name)))


def _watts_of(entry: dict[str, Any], name: str, pretty: str) -> float | None:
    settings = entry.get("tune_settings")
    if isinstance(settings, dict):
        for key in ("power", "target_power"):
            if watts := number(settings.get(key), most=WATTS_MAX):
                return watts
    return watts_in(pretty) or watts_in(name)


def _with_work(found: Iterable[tuple[Preset, float | None]]) -> list[Preset]:
    """One without a work rate gets that of its neighbours by their efficiency."""
    every = list(found)
    known = [(preset.power_w, preset.power_w / work) for preset, work in every if work]
    filled = []
    for preset, work in every:
        near = min(known, key=lambda pair: abs(pair[0] - preset.power_w), default=(0.0, TYPICAL_J_PER_TH))
        filled.append(preset if work else preset._replace(work=preset.power_w / near[1]))
    return filled
