"""From what a provider says to slots: points in any order, with gaps and doubles, become a series or an error."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from jouled.books.intensity import SLOT_MAX, Kind, Quality, Slot, micrograms
from jouled.http import AnswerError

# No provider has longer slots than an hour: a longer distance is a gap.
RESOLUTION_MAX = timedelta(hours=1)
POINTS_MAX = 100_000


class Origin(NamedTuple):
    """Where an answer is from."""

    zone: str
    kind: Kind
    provider: str
    fetched_at: datetime
    where: str


class Point(NamedTuple):
    """A value from `start` on; None is missing, which is not zero. Without `end` the next point ends it."""

    start: datetime
    g_per_kwh: Decimal | None
    end: datetime | None = None
    is_forecast: bool = False
    quality: Quality = "good"


def slots_of(
    points: Iterable[Point], origin: Origin, body: bytes, *, resolution: timedelta | None = None
) -> list[Slot]:
    """In order of time. A point without an end lasts `resolution`, or as long as its neighbours are apart.

    The same point twice counts once. Raises AnswerError for two that differ, for some that overlap,
    and for values that cannot be.
    """
    ordered = _once(sorted(points, key=lambda point: point.start), origin)
    if len(ordered) > POINTS_MAX:
        raise AnswerError(f"{origin.where}: more than {POINTS_MAX} points; ask for less")
    digest = hashlib.sha256(body).hexdigest()
    found: list[Slot] = []
    for index, point in enumerate(ordered):
        if point.g_per_kwh is None:
            continue
        end = point.end or point.start + (resolution or _resolution(ordered, index))
        if found and point.start < found[-1].end:
            raise AnswerError(f"{origin.where}: the slots of {found[-1].start} and {point.start} overlap; none is used")
        found.append(_slot(point, end, origin, digest))
    return found


def _once(ordered: Sequence[Point], origin: Origin) -> list[Point]:
    kept: list[Point] = []
    for point in ordered:
        if not kept or kept[-1].start != point.start:
            kept.append(point)
        elif kept[-1] != point:
            raise AnswerError(f"{origin.where}: two different values for {point.start}; none of it is used")
    return kept


def _resolution(points: Sequence[Point], index: int) -> timedelta:
    """From the data: days have 92, 96 or 100 quarters, and a series may go from hours to quarters."""
    start = points[index].start
    distances = [abs(points[beside].start - start) for beside in (index - 1, index + 1) if 0 <= beside < len(points)]
    return min([*distances, RESOLUTION_MAX])


def _slot(point: Point, end: datetime, origin: Origin, digest: str) -> Slot:
    if not timedelta(0) < end - point.start <= SLOT_MAX:
        raise AnswerError(f"{origin.where}: the slot of {point.start} ends at {end}; at most a day is taken")
    assert point.g_per_kwh is not None  # noqa: S101  (those were left out)
    try:
        value = micrograms(point.g_per_kwh)
    except ValueError as error:
        raise AnswerError(f"{origin.where}: at {point.start}: {error}; none of it is used") from None
    return Slot(
        origin.zone,
        origin.kind,
        point.start,
        end,
        value,
        origin.provider,
        point.is_forecast,
        point.quality,
        origin.fetched_at,
        digest,
    )
