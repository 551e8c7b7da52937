"""The names of strategies, as scenarios and flags give them: `ours`, `ours@8`, `original-code+off`."""

from __future__ import annotations

from typing import NamedTuple

from jouled.config.refused import KeyPath, RefusedError

OURS = "ours"
NAMES = {
    OURS: "bands, the marginal planner, off state",
    "ours-without-off": "the same, but nothing is ever switched off",
    "average-efficiency": "our bands; loads chosen by average watts per work, a step at a time",
    "original-doc": "PowerHive's document: every 15 s, 500 W tolerance, 30 s cooldown",
    "original-doc+off": "the same, with an off state",
    "original-code": "PowerHive's program: every 5 s, 2000 W tolerance, 30 s cooldown",
    "original-code+off": "the same, with an off state",
    "original-code+off-first": "the same; what is off is raised first, as with miners that report GH/s",
}
# Those that are compared at each reserve; the others run once, at the first.
RESERVED = (OURS, "ours-without-off", "average-efficiency")


class Strategy(NamedTuple):
    """Who balances, and how much is held back, as a part of one."""

    name: str
    reserve: float

    @property
    def title(self) -> str:
        return f"{self.name} {self.reserve * 100:g} %"


def refuse_unknown(text: str, place: KeyPath = ()) -> None:
    name, mark, percent = text.partition("@")
    if name not in NAMES:
        raise RefusedError(place, f"{text!r} is not known; allowed: {', '.join(NAMES)}, each with @PERCENT or without")
    if mark and not _is_percent(percent):
        raise RefusedError(place, f"{text!r}: {percent!r} is no reserve; write 0 to 50 percent, as in {name}@10")


def expanded(texts: tuple[str, ...], reserves_pct: tuple[float, ...]) -> tuple[Strategy, ...]:
    """Each name at each reserve where it has none of its own."""
    found: list[Strategy] = []
    for text in texts:
        refuse_unknown(text)
        name, mark, percent = text.partition("@")
        wanted = (float(percent),) if mark else reserves_pct if name in RESERVED else reserves_pct[:1]
        found += [Strategy(name, one / 100) for one in wanted]
    return tuple(dict.fromkeys(found))


def _is_percent(text: str) -> bool:
    try:
        return 0 <= float(text) <= 50
    except ValueError:
        return False
