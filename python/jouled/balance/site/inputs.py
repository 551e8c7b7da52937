"""All that a cycle looks at."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from jouled.balance.fleet.words import Circuit
from jouled.balance.site.words import Applied, Limit, Member, Supply


class Metered(NamedTuple):
    """What a meter says of a circuit; no power is that it has not been read."""

    circuit: str
    power_w: float | None
    age_s: float | None


class Inputs(NamedTuple):
    """All that a cycle looks at. `applied` is what became of the orders of earlier cycles since the last one.

    A load that does not answer stays in `members`: one that is no longer there is forgotten, and counts for nothing.
    """

    now_s: float
    at: datetime
    # None where there is no plant: then only `limits` and circuits bound the site.
    supply: Supply | None
    members: tuple[Member, ...]
    limits: tuple[Limit, ...] = ()
    circuits: tuple[Circuit, ...] = ()
    # Of the members together, by a meter of their own; both None is that there is no meter. One that has
    # never been read has an age (infinity) and no power.
    metered_w: float | None = None
    metered_age_s: float | None = None
    # What draws from the same supply and cannot be steered.
    unmanaged_w: float = 0.0
    applied: tuple[Applied, ...] = ()
    # Sheds go on, as safety is never paused: only raises and what merely saves are not done.
    is_paused: bool = False
    # Of circuits that have meters.
    meters: tuple[Metered, ...] = ()
