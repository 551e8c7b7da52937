"""What a customer pays: the market's price, what is charged on top of it by time, and tax.

    (price + charges) x (1 + tax)

The model of evcc's tariffs. Prices are Decimal and may be negative: nothing is clamped.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jouled.books.calendar import ONE_DAY
from jouled.books.calendar import day as local_day
from jouled.books.prices import Slot, gaps
from jouled.books.windows import edges
from jouled.config.windows import Window

KWH_OF_MWH = Decimal(1000)


class Charge(NamedTuple):
    """Per kWh, in the market's currency, while its window holds. A rebate is negative."""

    window: Window
    per_kwh: Decimal


class Tariff(NamedTuple):
    """`timezone` is the site's, in which charges hold and bills are made up."""

    timezone: str
    charges: tuple[Charge, ...] = ()
    # 0.19 for 19 %.
    tax: Decimal = Decimal(0)
    # What a bill is made of where that is longer than the market's slots: the average of each such time.
    billing: timedelta | None = None


class Paid(NamedTuple):
    """What one MWh costs from `start` up to, and without, `end`. None is missing, which is not zero."""

    start: datetime
    end: datetime
    market_per_mwh: Decimal | None
    charges_per_mwh: Decimal
    total_per_mwh: Decimal | None

    @property
    def total_per_kwh(self) -> Decimal | None:
        return None if self.total_per_mwh is None else self.total_per_mwh / KWH_OF_MWH


def paid(slots: Sequence[Slot], tariff: Tariff) -> list[Paid]:
    """In order of time, cut where a charge begins or ends. The slots are in order, without overlap."""
    if not slots:
        return []
    windows = [charge.window for charge in tariff.charges]
    cuts = edges(slots[0].start, slots[-1].end, windows, tariff.timezone) if windows else []
    zone = ZoneInfo(tariff.timezone)
    made = []
    for slot in _billed(slots, tariff):
        inner = cuts[bisect_right(cuts, slot.start) : bisect_left(cuts, slot.end)]
        for start, end in pairwise([slot.start, *inner, slot.end]):
            local = start.astimezone(zone)
            held = (charge.per_kwh for charge in tariff.charges if charge.window.holds(local))
            charges = KWH_OF_MWH * sum(held, Decimal(0))
            total = None if slot.price is None else (slot.price + charges) * (1 + tariff.tax)
            made.append(Paid(start, end, slot.price, charges, total))
    return made


def _billed(slots: Sequence[Slot], tariff: Tariff) -> Iterable[Slot]:
    """The slots at the average price of the billing time that they lie in."""
    if tariff.billing is None:
        return slots
    means: dict[datetime, Decimal | None] = {}
    made = []
    for slot in slots:
        for start, end in _billing_times(slot.start, slot.end, tariff.billing, tariff.timezone):
            if start not in means:
                means[start] = _mean(slots, start, end)
            made.append(slot._replace(start=max(start, slot.start), end=min(end, slot.end), price=means[start]))
    return made


def _billing_times(
    start: datetime, end: datetime, length: timedelta, timezone: str
) -> Iterator[tuple[datetime, datetime]]:
    """Those that touch the range; counted from local midnight, so that the last one of a day may be shorter."""
    zone = ZoneInfo(timezone)
    at = start
    while at < end:
        whole = local_day(at, zone)
        begin = whole.start + (at - whole.start) // length * length
        at = min(begin + length, whole.end)
        if length >= ONE_DAY:  # a day is one, of whatever length
            begin, at = whole
        yield begin, at


def _mean(slots: Sequence[Slot], start: datetime, end: datetime) -> Decimal | None:
    """Weighted by time; None where a part of it is missing: nobody knows what the bill will say."""
    within = [slot for slot in slots if slot.start < end and slot.end > start]
    if list(gaps(within, start, end)):
        return None
    total = Decimal(0)
    for slot in within:
        if slot.price is None:
            return None
        length = min(slot.end, end) - max(slot.start, start)
        total += slot.price * Decimal(length // timedelta(microseconds=1))
    return total / Decimal((end - start) // timedelta(microseconds=1))
