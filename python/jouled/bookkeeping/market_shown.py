"""Series in the words of the API, and which of several counts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from jouled.books.prices import Series
from jouled.wire.market import MarketSeries, MarketSlot

# Of a day that is over, or of another zone than the daemon's: nobody looks after it any more.
STORED = "stored"


def shown(
    series: Series, now: datetime, origin: str, start: datetime | None = None, end: datetime | None = None
) -> MarketSeries:
    """Cut to the slots that touch the range."""
    slots = [slot for slot in series.slots if (start is None or slot.end > start) and (end is None or slot.start < end)]
    lengths = [(slot.end - slot.start).total_seconds() for slot in series.slots]
    return MarketSeries(
        provider=series.provider,
        zone=series.zone,
        product=series.product,
        delivery_day=series.delivery_day,
        timezone=series.timezone,
        currency=series.currency,
        unit=f"{series.currency}/MWh",
        volume_unit="MWh",
        resolution_seconds=min(lengths, default=None),
        is_complete=series.is_complete,
        quality=series.quality,
        revision=series.revision,
        origin=origin,
        fetched_at=series.fetched_at,
        age_seconds=round(max(0.0, (now - series.fetched_at).total_seconds()), 3),
        body_sha256=series.body_sha256,
        slots=tuple(MarketSlot(slot.start, slot.end, plain(slot.price), plain(slot.volume_mwh)) for slot in slots),
    )


def plain(value: Decimal | None) -> Decimal | None:
    """Without the zeros at its end that a store adds, and without an exponent."""
    if value is None:
        return None
    short = value.normalize()
    return short.quantize(Decimal(1)) if short.as_tuple().exponent > 0 else short  # type: ignore[operator]  # it is finite


def counting(found: Iterable[Series]) -> list[Series]:
    """Of each delivery day and product one: whole before broken, and then who was fetched last."""

    def rank(series: Series) -> tuple[bool, datetime]:
        return series.is_complete, series.fetched_at

    best: dict[object, Series] = {}
    for series in found:
        key = (series.delivery_day, series.product)
        if key not in best or rank(series) > rank(best[key]):
            best[key] = series
    return sorted(best.values(), key=lambda series: (series.bounds, series.product))
