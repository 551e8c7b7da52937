"""What is kept from one cycle to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from jouled.balance.site.words import Band, Pending, Stage


class Remembered(NamedTuple):
    """What is known of one load from earlier cycles."""

    # The point at which it was read back, or that was confirmed. None is unknown, or a load with a span.
    point: str | None = None
    # What it may draw there, by what was learned of it; the cap of one with a span.
    commanded_w: float | None = None
    # Its measured power by what its points say.
    factor: float = 1.0
    # When what it said last was true, and the power that it said.
    observed_s: float = -math.inf
    measured_w: float | None = None
    # The last change of it by anybody; None is that it was only found.
    changed_s: float | None = None
    # When orders were sent to it, within the last hour.
    changes: tuple[float, ...] = ()
    # Whether it is where we set it, and where it was told to go last.
    is_ours: bool = False
    wanted: str | None = None
    # The order that was recorded last: what is told of it later is old news.
    recorded: str | None = None
    # A change that nobody saw happen, or that could not be sent: it may still happen.
    doubted: Pending | None = None
    doubted_until_s: float = 0.0
    # It is not told anything before; after so many failures in a row.
    retry_s: float = -math.inf
    failures: int = 0
    # How often somebody else set it otherwise, and until when it is left to them.
    foreign: int = 0
    fought_s: float = -math.inf
    left_until_s: float = -math.inf
    is_away: bool = False


NOTHING: Mapping[str, Remembered] = MappingProxyType({})


class BalanceState(NamedTuple):
    """What is kept from one cycle to the next. A new one finds the loads as they are, and adopts that."""

    # By load.
    pending: Mapping[str, Pending] = MappingProxyType({})
    cycles: int = 0
    loads: Mapping[str, Remembered] = NOTHING
    cycled_s: float | None = None
    # Of the supply, while it was fresh.
    filtered_w: float | None = None
    # Since when the loads are so low that they may be raised.
    low_since_s: float | None = None
    # The same of circuits.
    low_circuits: Mapping[str, float] = MappingProxyType({})
    raised_s: float | None = None
    # Since when, and the least headroom that there was all that time: what a coarse step may take.
    window: tuple[float, float] | None = None
    band: Band | None = None
    stage: Stage | None = None
    stage_since_s: float = -math.inf
    # The one that was said last.
    told_stage: Stage | None = None
    is_saturated: bool = False
    # Since when no load can be set, and whether that is worth saying.
    without_actuator_s: float | None = None
    is_without_actuator: bool = False
    # Loads were switched off in a hurry: what runs is not what would be chosen with time.
    hurried_s: float | None = None
    # What was wrong with the circuits that were given.
    unsound: tuple[str, ...] = ()
