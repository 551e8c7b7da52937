"""What the families of miners share: who they are, and units of their work."""

from __future__ import annotations

import math
import re

_SCALES = {"": 1e-12, "k": 1e-9, "m": 1e-6, "g": 1e-3, "t": 1.0, "p": 1e3, "e": 1e6}
_UNIT = re.compile(r"\s*([kmgtpe]?)(?:h|hash|sol)(?:es)?(?:/s|ps)?\s*", re.IGNORECASE)
_MAC = re.compile(r"(?:[0-9a-f]{2}[:-]?){5}[0-9a-f]{2}", re.IGNORECASE)
# What devices show that have none of their own: they must not be taken for one and the same.
_NO_MACS = frozenset({"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"})


def mac_of(text: object) -> str | None:
    """In lower case with colons. None for what is no MAC, and for one that nobody has for himself."""
    if not isinstance(text, str) or not _MAC.fullmatch(text.strip()):
        return None
    digits = re.sub(r"[:-]", "", text.strip().lower())
    mac = ":".join(digits[place : place + 2] for place in range(0, 12, 2))
    return None if mac in _NO_MACS else mac


def number(value: object, *, most: float = math.inf) -> float | None:
    """A number of a device's answer that can be: finite, not negative, `most` at most. None otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= most and math.isfinite(value) else None


def terahashes(value: object, unit: str | None) -> float | None:
    """A hash rate in TH/s. `unit` is as the device names it: "GH/s", "MH", "Th/s". None where it names none known."""
    rate, match = number(value), _UNIT.fullmatch(unit or "")
    return None if rate is None or match is None else rate * _SCALES[match[1].lower()]


def base_url(address: str) -> str:
    """Of where a device answers: `10.20.0.5`, `10.20.0.5:8080`, `fd00::5`, or the start of its URL."""
    address = address.strip().rstrip("/")
    if "://" in address:
        return address
    if address.count(":") > 1 and not address.startswith("["):
        address = f"[{address}]"
    return f"http://{address}"
