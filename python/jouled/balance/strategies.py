"""Strategies: pure functions from signals to a schedule of budgets.

Each gives a budget only where it knows what it needs: a gap in its schedule is for the policy to decide.
Prices are of one MWh as the customer pays it, may be negative, and are compared, never divided by.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from jouled.balance.schedule import Budget, Schedule
from jouled.books.prices import Slot
from jouled.books.windows import cut
from jouled.config.windows import Window

UW_OF_W = Decimal(1_000_000)
A_DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)

Reference: TypeAlias = Literal["max", "average"]


class Range(NamedTuple):
    """The lowest and the highest budget."""

    min_w: float
    max_w: float

    def held(self, power_w: float) -> float:
        return min(max(power_w, self.min_w), self.max_w)

    def down(self, ratio: float) -> float:
        """0 is the highest budget, 1 the lowest; in whole microwatts, as the hardware has them."""
        return self.held(round(self.max_w - (self.max_w - self.min_w) * ratio, 6))


class Point(NamedTuple):
    """The value of a signal from `start` up to, and without, `end`. None is missing, which is not zero."""

    start: datetime
    end: datetime
    value: Decimal | None

    @property
    def length(self) -> timedelta:
        return self.end - self.start


class Threshold(NamedTuple):
    """Of prices; None is no such threshold, and 0 is a price as any other."""

    below: Decimal | None = None
    above: Decimal | None = None
    # The hard one: beyond it the lowest budget, whatever else is said.
    limit: Decimal | None = None
    # Whatever else is said, power that is paid for being taken is taken.
    is_open_when_negative: bool = False


class StaticCap(NamedTuple):
    """A cap by the clock."""

    window: Window
    power_w: float


def volume_proportional(
    days: Iterable[Sequence[Slot]], power: Range, *, reference: Reference, reference_w: float
) -> Schedule:
    """The rule of three: round(volume / the day's reference volume x reference power), in whole microwatts.

    The volume is that of an hour, so that days of mixed slots compare. A day's slots are one sequence.
    """
    return Schedule(tuple(budget for slots in days for budget in _of_volumes(slots, power, reference, reference_w)))


def _of_volumes(slots: Sequence[Slot], power: Range, reference: Reference, reference_w: float) -> Iterator[Budget]:
    known = [(slot, _hourly(slot)) for slot in slots]
    volumes = [(slot, hourly) for slot, hourly in known if hourly is not None]
    if not volumes:
        return
    if reference == "max":
        whole = max(hourly for _, hourly in volumes)
    else:
        lengths = [Decimal((slot.end - slot.start) // MICROSECOND) for slot, _ in volumes]
        whole = sum((v * length for (_, v), length in zip(volumes, lengths, strict=True)), Decimal(0)) / sum(lengths)
    for slot, hourly in volumes:
        # A day without any volume has no part of it to give.
        share = hourly / whole if whole > 0 else Decimal(0)
        source_uw = (share * Decimal(repr(float(reference_w))) * UW_OF_W).to_integral_value(ROUND_HALF_UP)
        source_w = int(source_uw) / 1e6
        yield Budget(
            slot.start,
            slot.end,
            power.held(source_w),
            f"volume-proportional: {float(slot.volume_mwh or 0):.10g} MWh is {float(share) * 100:.4g} % of the day's {reference}",
            {"volume_mwh": float(slot.volume_mwh or 0), "reference": reference, "source_w": source_w},
        )


def _hourly(slot: Slot) -> Decimal | None:
    if slot.volume_mwh is None:
        return None
    return slot.volume_mwh * 3_600_000_000 / Decimal((slot.end - slot.start) // MICROSECOND)


def rank(name: str, unit: str, groups: Iterable[Sequence[Point]], power: Range) -> Schedule:
    """The lowest value of a group has the highest budget, the highest value the lowest; between them it is linear in
    the part of the time that is lower. Equal values share; where all are equal nothing is gained by waiting.
    """
    made = []
    for group in groups:
        known = [point for point in group if point.value is not None]
        standing = _Standing(known)
        made += [_ranked(name, unit, point, standing, power) for point in known]
    return Schedule(tuple(made))


def rank_of_next_day(name: str, unit: str, points: Sequence[Point], power: Range) -> Schedule:
    """As `rank`, each point among the 24 hours that follow it; where less is known, among the last 24 hours that
    are: of few hours left one would always be the cheapest.
    """
    known = [point for point in points if point.value is not None]
    if not known:
        return Schedule(())
    last = known[-1].end
    starts, ends = [point.start for point in known], [point.end for point in known]
    made = []
    for point in known:
        until = min(point.start + A_DAY, last)
        group = known[bisect_right(ends, until - A_DAY) : bisect_left(starts, until)]
        made.append(_ranked(name, unit, point, _Standing(group), power))
    return Schedule(tuple(made))


class _Standing:
    """How much time of a group is lower than a value, and how much higher."""

    def __init__(self, group: Sequence[Point]) -> None:
        ordered = sorted(group, key=_value)
        self._values = [_value(point) for point in ordered]
        self._lengths = list(accumulate((point.length for point in ordered), initial=timedelta(0)))

    def __len__(self) -> int:
        return len(self._values)

    def ratio(self, value: Decimal) -> float:
        """0 for the lowest, 1 for the highest; 0 where all are equal."""
        lower = self._lengths[bisect_left(self._values, value)]
        higher = self._lengths[-1] - self._lengths[bisect_right(self._values, value)]
        return lower / (lower + higher) if lower + higher else 0.0

    def place(self, value: Decimal) -> int:
        """1 for the lowest; equal ones share."""
        return bisect_left(self._values, value) + 1


def _ranked(name: str, unit: str, point: Point, standing: _Standing, power: Range) -> Budget:
    place = standing.place(_value(point))
    return Budget(
        point.start,
        point.end,
        power.down(standing.ratio(_value(point))),
        f"{name}: {round(float(_value(point)), 2):.10g} {unit} is rank {place} of {len(standing)}",
        {"value": float(_value(point)), "rank": place, "of": len(standing)},
    )


def price_threshold(points: Iterable[Point], power: Range, threshold: Threshold) -> Schedule:
    """At or below `below` the highest budget, at or above `above` the lowest, linear between both; with one of
    them alone the other side of it has the other budget.
    """
    return Schedule(tuple(_against(point, power, threshold) for point in points if point.value is not None))


def _against(point: Point, power: Range, threshold: Threshold) -> Budget:
    price = _value(point)
    power_w, why = _judged(price, power, threshold)
    reason = f"price-threshold: {float(price):.10g} per MWh is {why}"
    return Budget(point.start, point.end, power_w, reason, {"price": float(price)})


def _judged(price: Decimal, power: Range, threshold: Threshold) -> tuple[float, str]:  # noqa: PLR0911  (a case each)
    below, above, limit = threshold.below, threshold.above, threshold.limit
    if threshold.is_open_when_negative and price < 0:
        return power.max_w, "negative"
    if limit is not None and price > limit:
        return power.min_w, f"above the limit {float(limit):.10g}"
    if below is not None and price <= below:
        return power.max_w, f"not above {float(below):.10g}"
    if above is not None and price >= above:
        return power.min_w, f"not below {float(above):.10g}"
    if below is not None and above is not None:
        return power.down(
            float((price - below) / (above - below))
        ), f"between {float(below):.10g} and {float(above):.10g}"
    if below is not None:
        return power.min_w, f"above {float(below):.10g}"
    if above is not None:
        return power.max_w, f"below {float(above):.10g}"
    return power.max_w, "within the limit" if limit is not None else "not limited"


def static(caps: Sequence[StaticCap], start: datetime, end: datetime, power: Range, timezone: str) -> Schedule:
    """By the clock. Where no window holds there is no limit; of several the lowest counts."""
    zone = ZoneInfo(timezone)
    made = []
    for piece in cut(start, end, [cap.window for cap in caps], timezone):
        local = piece.start.astimezone(zone)
        held = [cap.power_w for cap in caps if cap.window.holds(local)]
        if held:
            made.append(Budget(*piece, power.held(min(held)), f"static: {min(held):.6g} W at this time"))
        else:
            made.append(Budget(*piece, None, "static: no limit at this time"))
    return Schedule(tuple(made))


def by_groups(points: Sequence[Point], group_of: Callable[[Point], object]) -> list[list[Point]]:
    """Points of the same group together, in their order."""
    groups: dict[object, list[Point]] = {}
    for point in points:
        groups.setdefault(group_of(point), []).append(point)
    return list(groups.values())


def _value(point: Point) -> Decimal:
    assert point.value is not None  # noqa: S101  (whoever calls has left those out)
    return point.value
