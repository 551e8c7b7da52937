"""Prices by time: slots of a market's day, and which of them holds now. Instants are UTC; labels are for display."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

Quality: TypeAlias = Literal["final", "preliminary", "estimated"]

# Whatever is beyond this is of another unit: the harmonised limits of SDAC are -500 and 4,000 EUR/MWh.
PRICE_MAX = Decimal(100_000)


class Slot(NamedTuple):
    """From `start` up to, and without, `end`. None is missing, which is not zero; prices may be negative."""

    start: datetime
    end: datetime
    # Of one MWh, in the series' currency.
    price: Decimal | None
    # Traded in this slot.
    volume_mwh: Decimal | None = None


class Series(NamedTuple):
    """One provider's slots of one delivery day, in order of time, without overlap; there may be gaps."""

    provider: str
    # As jouled's settings name it: DE-LU, FR, GB-C.
    zone: str
    # "day-ahead", or which auction or tariff else it is.
    product: str
    delivery_day: date
    # Whose midnights bound the delivery day.
    timezone: str
    # ISO 4217: EUR, GBP.
    currency: str
    slots: tuple[Slot, ...]
    fetched_at: datetime
    # Of the answer as it came.
    body_sha256: str
    revision: int = 1
    quality: Quality = "final"

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        return day_bounds(self.delivery_day, self.timezone)

    @property
    def is_complete(self) -> bool:
        """Every instant of the delivery day has a slot with a price, or one with a volume."""
        return all(slot.price is not None or slot.volume_mwh is not None for slot in self.slots) and not list(
            gaps(self.slots, *self.bounds)
        )

    def at(self, now: datetime) -> Slot | None:
        return next((slot for slot in self.slots if slot.start <= now < slot.end), None)


def day_bounds(day: date, timezone: str) -> tuple[datetime, datetime]:
    """The instants at which a local day begins and ends: 23, 24 or 25 hours apart."""
    zone = ZoneInfo(timezone)
    start = datetime.combine(day, time(), zone).astimezone(UTC)
    return start, datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def day_of(now: datetime, timezone: str) -> date:
    """The local day of an instant."""
    return now.astimezone(ZoneInfo(timezone)).date()


def gaps(slots: Iterable[Slot], start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """What of the range no slot covers. The slots are in order of time."""
    covered = start
    for slot in slots:
        if slot.start > covered:
            yield covered, min(slot.start, end)
        covered = max(covered, slot.end)
        if covered >= end:
            return
    if covered < end:
        yield covered, end
