"""What VNish firmware says, in our words. Pure: a function of an answer's JSON, whatever that holds."""

from __future__ import annotations

from typing import Any, NamedTuple

from jouled.balance.site.words import State
from jouled.errors import one_line
from jouled.loads.miners.exchange import mapping
from jouled.loads.miners.presets import WATTS_MAX
from jouled.loads.miners.words import mac_of, number, terahashes

FIRMWARE = "vnish"
# As it names what it does. What is not here is not ours to touch.
_STATES: dict[str, State] = {
    "running": "running",
    "mining": "running",
    "initializing": "starting",
    "starting": "starting",
    "restarting": "starting",
    "shutting-down": "starting",
    "auto-tuning": "tuning",
    "autotuning": "tuning",
    "tuning": "tuning",
    "stopped": "off",
    "paused": "paused",
    "suspended": "paused",
    "failure": "failed",
    "failed": "failed",
}
# Of the states above, those whose name says less than the firmware's own.
_TELLING = frozenset({"restarting", "shutting-down"})
NOTE_CHARS = 200


class Info(NamedTuple):
    """Of /info, which needs no password."""

    mac: str | None
    model: str | None
    firmware: str | None
    name: str | None
    # Of its hash rates, as it names it.
    unit: str | None


class Status(NamedTuple):
    """Of /status, and of the same inside of /summary. `state` is None where it says nothing."""

    state: State | None
    note: str | None
    is_restart_required: bool = False
    is_reboot_required: bool = False


class Performance(NamedTuple):
    """Of /perf-summary: what it runs at, and its own switcher of presets."""

    preset: str | None
    is_switching: bool
    # Between which presets it switches by itself.
    switched: str


def info_of(content: object) -> Info | None:
    """None for what is no VNish."""
    info = mapping(content)
    if str(info.get("fw_name", "")).strip().lower() != FIRMWARE:
        return None
    network = mapping(info, "system", "network_status")
    version = _text(info.get("fw_version"))
    return Info(
        mac_of(network.get("mac")),
        _text(info.get("miner")) or _text(info.get("model")),
        f"Vnish {version}" if version else "Vnish",
        _text(network.get("hostname")),
        _text(info.get("hr_measure")),
    )


def status_of(content: object) -> Status:
    status = mapping(content)
    named = _text(status.get("miner_state"))
    if named is None:
        return Status(None, "it does not say what it does")
    word = named.lower().replace("_", "-").replace(" ", "-")
    state: State = _STATES.get(word, "held")
    said = _text(status.get("description"))
    note = f"it says {word}" if word in _TELLING or word not in _STATES else None
    if state == "failed":
        code = number(status.get("failure_code"))
        note = f"failure{'' if not code else f' {code:g}'}: {said or 'it does not say why'}"
    return Status(
        state,
        note,
        status.get("restart_required") is True,
        status.get("reboot_required") is True,
    )


def performance_of(content: object) -> Performance:
    """`current_preset` is a name, or an object with one."""
    summary = mapping(content)
    current = summary.get("current_preset")
    if isinstance(current, dict):
        current = current.get("name") or current.get("preset")
    switcher = mapping(summary, "preset_switcher")
    bounds = [_text(switcher.get(name)) or "any" for name in ("min_preset", "top_preset")]
    return Performance(_text(current), switcher.get("enabled") is True, " to ".join(bounds))


def summary_status(content: object) -> Status:
    return status_of(mapping(content, "miner", "miner_status"))


def power_of(content: object) -> float | None:
    """In watts, of /summary. What runs does not draw nothing: a zero is taken for not knowing."""
    miner = mapping(content, "miner")
    for name in ("power_consumption", "power_usage"):
        if watts := number(miner.get(name), most=WATTS_MAX):
            return watts
    return None


def work_of(content: object, unit: str | None) -> float | None:
    """In TH/s, of /summary."""
    miner = mapping(content, "miner")
    for name in ("instant_hashrate", "hr_realtime", "average_hashrate", "hr_average"):
        if (rate := terahashes(miner.get(name), unit)) is not None:
            return rate
    return None


def configured_preset(content: object) -> str | None:
    """Of /settings; some firmware answers it with nothing."""
    return _text(mapping(content, "miner", "overclock").get("preset"))


def has_modded_psu(content: object) -> bool:
    return mapping(content, "miner", "overclock").get("modded_psu") is True


def listed_presets(content: object) -> list[Any]:
    """A list, or an object that holds it."""
    entries = content.get("presets") if isinstance(content, dict) else content
    return entries if isinstance(entries, list) else []


def listed_key(content: object, description: str, chars: int) -> str | None:
    """The API key of that description."""
    for entry in content if isinstance(content, list) else []:
        key = entry.get("key") if isinstance(entry, dict) else None
        if isinstance(key, str) and entry.get("description") == description and len(key) == chars:
            return key
    return None


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return one_line(str(value)).strip()[:NOTE_CHARS] or None
