"""Kinds of miners that a simulated fleet is made of: what each of their presets draws and does."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

from jouled.balance.fleet.words import Point


class Model(NamedTuple):
    """How devices of one kind answer. Powers in watts, work in TH/s, times in seconds."""

    name: str
    points: tuple[Point, ...]
    # From an order until the device does something about it; `pause_s` where it is only switched off.
    dead_s: float = 2.0
    pause_s: float = 2.0
    # A change stops the work for `restart_s`; then power and work come back in a line over `ramp_s`.
    restart_s: float = 60.0
    ramp_s: float = 60.0
    # Drawn while it is off or restarts.
    standby_w: float = 0.0


def _table(*pairs: tuple[int, float]) -> tuple[Point, ...]:
    return tuple(Point(str(power), float(power), float(work)) for power, work in pairs)


# The first is the table of an S19's firmware; the others are made up, one older and less efficient, one newer.
TABLES = MappingProxyType(
    {
        "s19": _table(
            (1100, 53), (1300, 58), (1500, 63), (1700, 68), (1900, 73), (2100, 78), (2350, 85), (2620, 91),
            (2950, 99), (3200, 102), (3350, 105), (3750, 110), (4000, 115), (4260, 120), (4690, 124),
        ),
        "older": _table(
            (1400, 34), (1600, 38), (1800, 42), (2000, 46), (2200, 49.5), (2400, 52.5), (2600, 55), (2800, 57),
        ),
        "newer": _table(
            (1800, 110), (2200, 130), (2600, 149), (3000, 167), (3400, 184), (3800, 199), (4200, 212), (4600, 223),
        ),
    }
)  # fmt: skip
