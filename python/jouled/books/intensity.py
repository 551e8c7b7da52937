"""Carbon intensity by time: slots of a series, which of two that overlap counts, and the mean of a range."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["average", "marginal"]
Quality: TypeAlias = Literal["good", "estimated"]

UG_PER_G = 1_000_000
# Burning the poorest lignite gives about 1,300 g/kWh; whatever is beyond this has another unit.
G_PER_KWH_MAX = Decimal(5000)
# One pound in kilograms, by definition; so lb/MWh times this are g/kWh.
KG_PER_LB = Decimal("0.45359237")
# Of one slot. What looks for the slots of an instant need not look further back.
SLOT_MAX = timedelta(days=1)


class Slot(NamedTuple):
    """The intensity from `start` up to, and without, `end`. Average and marginal are two different series."""

    zone: str
    kind: Kind
    start: datetime
    end: datetime
    ug_per_kwh: int
    provider: str
    is_forecast: bool
    quality: Quality
    fetched_at: datetime
    # Of the answer that it was in, so that a doubt can be settled.
    body_sha256: str | None = None


class Piece(NamedTuple):
    """A part of a slot in which no other slot counts more."""

    start: datetime
    end: datetime
    slot: Slot


class Mean(NamedTuple):
    """Of a range, weighted by time. Ratios are of the range: how much is known, and how that is known."""

    ug_per_kwh: int
    coverage_ratio: float
    forecast_ratio: float
    estimated_ratio: float


def micrograms(g_per_kwh: Decimal) -> int:
    """As it is kept. Raises ValueError for what no grid emits."""
    if not g_per_kwh.is_finite() or not 0 <= g_per_kwh <= G_PER_KWH_MAX:
        raise ValueError(f"{g_per_kwh:.12g} g/kWh is not between 0 and {G_PER_KWH_MAX}")
    return int((g_per_kwh * UG_PER_G).to_integral_value())


def grams_of_pounds(lb_per_mwh: Decimal) -> Decimal:
    """g/kWh of lb/MWh, exactly."""
    return lb_per_mwh * KG_PER_LB


def pieces(slots: Iterable[Slot], start: datetime, end: datetime) -> Iterator[Piece]:
    """The range cut so that one slot counts in each piece; where none does there is a gap.

    What was measured counts before what was forecast; of two of a kind the one that began later,
    because a quarter-hour knows better than the hour around it.
    """
    waiting = sorted((slot for slot in slots if slot.start < end and slot.end > start), key=lambda slot: slot.start)
    edges = sorted({start, end, *(_within(slot.start, start, end) for slot in waiting)} | _ends(waiting, start, end))
    open_slots: list[tuple[bool, timedelta, int]] = []
    taken = 0
    for left, right in itertools.pairwise(edges):
        while taken < len(waiting) and waiting[taken].start <= left:
            slot = waiting[taken]
            heapq.heappush(open_slots, (slot.is_forecast, start - slot.start, taken))
            taken += 1
        while open_slots and waiting[open_slots[0][2]].end <= left:
            heapq.heappop(open_slots)
        if open_slots:
            yield Piece(left, right, waiting[open_slots[0][2]])


def mean(slots: Iterable[Slot], start: datetime, end: datetime) -> Mean | None:
    """None where nothing of the range is known, or there is no range."""
    known_us = weighted = forecast_us = estimated_us = 0
    for piece in pieces(slots, start, end):
        length_us = (piece.end - piece.start) // timedelta(microseconds=1)
        known_us += length_us
        weighted += length_us * piece.slot.ug_per_kwh
        forecast_us += length_us * piece.slot.is_forecast
        estimated_us += length_us * (piece.slot.quality == "estimated")
    if not known_us:
        return None
    range_us = (end - start) // timedelta(microseconds=1)
    value = (2 * weighted + known_us) // (2 * known_us)  # to the nearest
    return Mean(value, known_us / range_us, forecast_us / range_us, estimated_us / range_us)


def _within(at: datetime, start: datetime, end: datetime) -> datetime:
    return min(max(at, start), end)


def _ends(slots: Iterable[Slot], start: datetime, end: datetime) -> set[datetime]:
    return {_within(slot.end, start, end) for slot in slots}
