"""What a query asks for, checked; what cannot be is refused with what can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jouled import wire
from jouled.rows import Selection
from jouled.web.request import RefusedError

# Of one level: far above any host that is well, and below what would take a second to encode.
ROWS_MAX = 20_000
# As the scan interval at most.
INTERVAL_MAX_S = 3600.0


def selection(parameters: Mapping[str, str], computed: Sequence[str]) -> Selection:
    """`level` (some, by comma), `sort` and `limit`."""
    levels = parameters.get("level")
    return Selection(
        levels=None if levels is None else _levels(levels, computed),
        sort=one_of("sort", parameters.get("sort", "watts"), wire.SORTS),
        limit=whole("limit", parameters.get("limit", str(ROWS_MAX)), ROWS_MAX),
    )


def level(parameters: Mapping[str, str], computed: Sequence[str]) -> str:
    """`level`, which must be given, and be one."""
    if "level" not in parameters:
        raise RefusedError(400, "parameter 'level' is missing", computed)
    return _computed(parameters["level"], computed)


def interval_s(parameters: Mapping[str, str]) -> float:
    """`interval`, the least number of seconds between two events; 0 for every tick."""
    text = parameters.get("interval", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= INTERVAL_MAX_S:
        raise RefusedError(400, f"interval {text[:100]!r} is no number of seconds from 0 to {INTERVAL_MAX_S:g}")
    return seconds


def is_now(parameters: Mapping[str, str]) -> bool:
    return one_of("now", parameters.get("now", "0"), ("0", "1")) == "1"


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise RefusedError(400, f"{name} {value[:100]!r} is none", allowed)
    return value


def whole(name: str, text: str, largest: int, digits: int = 9) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= digits and int(text) <= largest):
        raise RefusedError(400, f"{name} {text[:100]!r} is no whole number from 0 to {largest}")
    return int(text)


def _levels(text: str, computed: Sequence[str]) -> tuple[str, ...]:
    names = text.split(",") if text else []
    # Each once, in the order of the ledger: the same question in other words has the same answer.
    asked = {_computed(name, computed) for name in names}
    return tuple(name for name in computed if name in asked)


def _computed(name: str, computed: Sequence[str]) -> str:
    if name in wire.LEVELS and name not in computed:
        raise RefusedError(400, f"level {name!r} is not computed here; see levels in the settings", computed)
    return one_of("level", name, computed)
