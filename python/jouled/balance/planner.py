"""What is known of market and carbon, and the operator's rules, as one schedule of budgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from jouled.balance.cheapest_hours import Need, cheapest_hours
from jouled.balance.combine import Missing, combine
from jouled.balance.schedule import Budget, Schedule, Spanned, Timeline
from jouled.balance.strategies import (
    MICROSECOND,
    Point,
    Range,
    Reference,
    StaticCap,
    Threshold,
    by_groups,
    price_threshold,
    rank,
    rank_of_next_day,
    static,
    volume_proportional,
)
from jouled.books import intensity
from jouled.books.calendar import day_of
from jouled.books.intensity import UG_PER_G
from jouled.books.prices import Series
from jouled.books.tariff import Tariff, paid
from jouled.books.windows import local_midnights

RankOver: TypeAlias = Literal["day", "next-24h"]
# Of less than half a day one slot is soon the cheapest, or the one of most volume, for want of others.
COMPARED_LEAST = timedelta(hours=12)
GRAMS = "g/kWh"
MONEY = "per MWh"


class Rules(NamedTuple):
    """What the settings say of the plan; `tariff.timezone` is the site's."""

    strategies: tuple[str, ...]
    tariff: Tariff
    missing: Missing = "min"
    reference: Reference = "max"
    # None: the highest budget.
    reference_w: float | None = None
    rank_over: RankOver = "day"
    threshold: Threshold = Threshold()
    need: Need | None = None
    caps: tuple[StaticCap, ...] = ()


class Signals(NamedTuple):
    """Series that do not overlap, in order of time; carbon slots of one zone and kind."""

    series: tuple[Series, ...] = ()
    carbon: tuple[intensity.Slot, ...] = ()


class Row(NamedTuple):
    """A piece of a plan in which nothing changes, and what was known of it."""

    start: datetime
    end: datetime
    market_per_mwh: Decimal | None
    total_per_mwh: Decimal | None
    currency: str | None
    volume_mwh: Decimal | None
    g_per_kwh: Decimal | None
    # None where there is no limit.
    power_w: float | None
    reason: str


def schedule(rules: Rules, signals: Signals, start: datetime, end: datetime, power: Range) -> Schedule:
    """The whole range, without a gap. No budget goes over a local midnight."""
    return _Planning(rules, signals, power).combined(start, end)


def rows(rules: Rules, signals: Signals, start: datetime, end: datetime, power: Range) -> list[Row]:
    """The schedule, with the signals that it was made of, cut where any of them changes."""
    planning = _Planning(rules, signals, power)
    edges = [edge for one in planning.paid for edge in (one.start, one.end)]
    edges += [edge for point in planning.carbon for edge in (point.start, point.end)]
    return planning.rows(planning.combined(start, end, edges).budgets)


class _Planning:
    """The signals, made ready for the strategies."""

    def __init__(self, rules: Rules, signals: Signals, power: Range) -> None:
        self._rules = rules
        self._signals = signals
        self._power = power
        # All at once: a time that is billed may begin in one delivery day and end in the next.
        self.paid = paid([slot for series in signals.series for slot in series.slots], rules.tariff)
        # By delivery day: what is known is known of a whole one.
        self._days = [
            [one for one in self.paid if start <= one.start < end]
            for start, end in (series.bounds for series in signals.series)
        ]
        self.carbon = _carbon(signals.carbon)

    def combined(self, start: datetime, end: datetime, edges: Sequence[datetime] = ()) -> Schedule:
        made = {name: self._of(name, start, end) for name in self._rules.strategies}
        midnights = local_midnights(start, end, self._rules.tariff.timezone)
        return combine(made, start, end, power=self._power, missing=self._rules.missing, edges=[*edges, *midnights])

    def rows(self, budgets: Sequence[Budget]) -> list[Row]:
        paid_at, carbon_at = Timeline(self.paid), Timeline(self.carbon)
        told = [(series.currency, Timeline(series.slots)) for series in self._signals.series]
        made = []
        for budget in budgets:
            priced, grams = paid_at.at(budget.start), carbon_at.at(budget.start)
            held = ((currency, slots.at(budget.start)) for currency, slots in told)
            currency, slot = next(((currency, slot) for currency, slot in held if slot is not None), (None, None))
            made.append(
                Row(
                    budget.start,
                    budget.end,
                    market_per_mwh=None if slot is None else slot.price,
                    total_per_mwh=None if priced is None else priced.total_per_mwh,
                    currency=currency,
                    volume_mwh=None if slot is None else slot.volume_mwh,
                    g_per_kwh=None if grams is None else grams.value,
                    power_w=budget.power_w,
                    reason=budget.reason,
                )
            )
        return made

    def _of(self, name: str, start: datetime, end: datetime) -> Schedule:
        rules, power, timezone = self._rules, self._power, self._rules.tariff.timezone
        if name == "static":
            return static(rules.caps, start, end, power, timezone)
        if name == "carbon-rank":
            return _rank(name, GRAMS, _local_days(self.carbon, timezone), rules.rank_over, power)
        if name == "volume-proportional":
            days = [
                series.slots
                for series in self._signals.series
                if _is_enough(slot for slot in series.slots if slot.volume_mwh is not None)
            ]
            reference_w = power.max_w if rules.reference_w is None else rules.reference_w
            return volume_proportional(days, power, reference=rules.reference, reference_w=reference_w)
        days_of_prices = [[Point(one.start, one.end, one.total_per_mwh) for one in day] for day in self._days]
        if name == "price-rank":
            return _rank(name, MONEY, days_of_prices, rules.rank_over, power)
        prices = [point for day in days_of_prices for point in day]
        if name == "price-threshold":
            return price_threshold(prices, power, rules.threshold)
        assert name == "cheapest-hours", name  # noqa: S101  (the settings take no other word)
        assert rules.need is not None  # noqa: S101  (the settings see to it)
        return cheapest_hours(prices, power, rules.need, timezone)


def _carbon(slots: Sequence[intensity.Slot]) -> list[Point]:
    """Some tell it every five minutes, and budgets need not change so often: quarter-hours are the shortest."""
    if not slots:
        return []
    start, end = min(slot.start for slot in slots), max(slot.end for slot in slots)
    made: list[Point] = []
    for piece in intensity.pieces(slots, start, end):
        point = Point(piece.start, piece.end, Decimal(piece.slot.ug_per_kwh) / UG_PER_G)
        if made and made[-1].end == point.start and _quarter(made[-1].start) == _quarter(point.end - MICROSECOND):
            made[-1] = _joined(made[-1], point)
        else:
            made.append(point)
    return made


def _joined(one: Point, other: Point) -> Point:
    assert one.value is not None  # noqa: S101  (all of these have one)
    assert other.value is not None  # noqa: S101
    weights = [Decimal(point.length // MICROSECOND) for point in (one, other)]
    return Point(one.start, other.end, (one.value * weights[0] + other.value * weights[1]) / sum(weights))


def _quarter(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


def _rank(name: str, unit: str, days: Sequence[Sequence[Point]], over: RankOver, power: Range) -> Schedule:
    known = [[point for point in day if point.value is not None] for day in days]
    if over == "day":
        return rank(name, unit, filter(_is_enough, known), power)
    points = [point for day in known for point in day]
    return rank_of_next_day(name, unit, points if _is_enough(points) else (), power)


def _is_enough(known: Iterable[Spanned]) -> bool:
    """To say of one of these how it stands among the others."""
    return sum((one.end - one.start for one in known), timedelta(0)) >= COMPARED_LEAST


def _local_days(points: Sequence[Point], timezone: str) -> list[list[Point]]:
    zone = ZoneInfo(timezone)
    return by_groups(points, lambda point: day_of(point.start, zone))
