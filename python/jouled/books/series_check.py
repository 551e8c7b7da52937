"""Whether a series can be: what providers give is looked at before anything is made of it."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal

from jouled.books.prices import PRICE_MAX, Series, Slot

# Of one day: minutes, with an hour more than a day has.
SLOTS_MAX = 1500
# Above what all of Europe trades in a day, and inside 64 bits as watt-hours.
VOLUME_MAX_MWH = Decimal(1_000_000_000)
WORD_MAX = 64
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def problem_of(series: Series, day: date) -> str | None:
    """What is wrong with an answer about this delivery day, in some words; None where nothing is."""
    for is_wrong, words in (
        (series.delivery_day != day, f"it is of {series.delivery_day}, not of {day}"),
        (not CURRENCY.fullmatch(series.currency), f"{series.currency[:WORD_MAX]!r} is no currency"),
        (not SHA256.fullmatch(series.body_sha256), "it has no hash of the answer's body"),
        (not _is_name(series.product), f"product {series.product[:WORD_MAX]!r} is no name"),
        (len(series.slots) > SLOTS_MAX, f"{len(series.slots)} slots are more than {SLOTS_MAX}"),
    ):
        if is_wrong:
            return words
    start, end = series.bounds
    for slot in series.slots:
        if problem := _of_slot(slot, start, end):
            return f"the slot of {slot.start}: {problem}"
        start = slot.end
    return None


def _is_name(text: str) -> bool:
    return 0 < len(text) <= WORD_MAX and text.isprintable()


def _of_slot(slot: Slot, earliest: datetime, latest: datetime) -> str | None:
    if slot.start.utcoffset() != timedelta(0) or slot.end.utcoffset() != timedelta(0):
        return "it is not in UTC"
    if not earliest <= slot.start < slot.end <= latest:
        return "it overlaps the one before, or is not in its day"
    if slot.price is not None and not (slot.price.is_finite() and abs(slot.price) <= PRICE_MAX):
        return f"a price of {slot.price} per MWh cannot be"
    if slot.volume_mwh is not None and not (slot.volume_mwh.is_finite() and 0 <= slot.volume_mwh <= VOLUME_MAX_MWH):
        return f"a volume of {slot.volume_mwh} MWh cannot be"
    return None
