"""From what a provider says to a series: points in any order, doubled or of two resolutions, or an error."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice, pairwise
from typing import NamedTuple

from jouled.books.prices import PRICE_MAX, Quality, Series, Slot, day_bounds, gaps
from jouled.http import AnswerError, MissingError
from jouled.signals.answers import excerpt

# No market has longer slots than an hour: a longer distance is a gap.
RESOLUTION_MAX = timedelta(hours=1)
# A tariff that holds until it is changed is cut to the day; whatever else is longer is not a slot.
SLOT_MAX = timedelta(days=2)
POINTS_MAX = 20_000
# A day has 288 of five minutes.
SLOTS_MAX = 2000
VOLUME_MAX = Decimal(10_000_000)
# Markets print two or three decimals, tariffs five: more is noise, and a thousand of them an attack.
STEP = Decimal("0.000001")

CURRENCIES = {"€": "EUR", "ct": "EUR", "cent": "EUR", "£": "GBP", "p": "GBP", "pence": "GBP", "gbppence": "GBP"}
HUNDREDTHS = ("ct", "cent", "p", "pence", "gbppence")
UNIT = re.compile(r"([a-z]{1,8}|€|£)/(k|m)wh")


class Origin(NamedTuple):
    """Where an answer is from, and what it was asked for."""

    provider: str
    zone: str
    delivery_day: date
    timezone: str
    fetched_at: datetime
    # How errors about it begin.
    where: str
    currency: str = "EUR"
    product: str = "day-ahead"


class Point(NamedTuple):
    """The price of one MWh from `start` on. Without `end` the next point ends it.

    None is missing, which is not zero. A point of which all is missing still tells the resolution.
    """

    start: datetime
    price: Decimal | None
    end: datetime | None = None
    volume_mwh: Decimal | None = None


def series_of(
    points: Iterable[Point],
    origin: Origin,
    *bodies: bytes,
    revision: int = 1,
    quality: Quality = "final",
) -> Series:
    """What of the points lies in the delivery day. Where two resolutions overlap the finer one counts.

    The same point twice counts once. Raises AnswerError for two that differ, for some of one length that
    overlap, and for values that cannot be; MissingError where nothing of the day is known.
    """
    taken = bounded(points, origin.where)
    start, end = day_bounds(origin.delivery_day, origin.timezone)
    whole = (_checked(point, origin.where) for point in _ended(_once(taken, origin.where), origin.where))
    known = [slot for slot in whole if slot.price is not None or slot.volume_mwh is not None]
    inside = [slot for slot in known if slot.start < end and slot.end > start]
    if len(inside) > SLOTS_MAX:
        raise AnswerError(f"{origin.where}: {len(inside)} slots in one day; none of it is used")
    slots = _finest(inside, start, end, origin.where)
    if not slots:
        raise MissingError(f"{origin.where}: nothing of {origin.delivery_day} in {origin.zone} yet; ask again later")
    return Series(
        origin.provider,
        origin.zone,
        origin.product,
        origin.delivery_day,
        origin.timezone,
        origin.currency,
        tuple(slots),
        origin.fetched_at,
        sha256(bodies),
        revision,
        quality,
    )


def bounded(points: Iterable[Point], where: str) -> list[Point]:
    """Raises AnswerError for more than an answer about one day can hold, before all of them are made."""
    taken = list(islice(points, POINTS_MAX + 1))
    if len(taken) > POINTS_MAX:
        raise AnswerError(f"{where}: more than {POINTS_MAX} points; ask for less")
    return taken


def sha256(bodies: Iterable[bytes]) -> str:
    """Of the bodies behind each other: of one body its own."""
    digest = hashlib.sha256()
    for body in bodies:
        digest.update(body)
    return digest.hexdigest()


def unit_of(text: str, where: str) -> tuple[str, Decimal]:
    """The currency, and what makes its price of one MWh: `EUR / MWh`, `Eur/MWh`, `ct/kWh`, `pence/kWh`."""
    match = UNIT.fullmatch("".join(text[:80].lower().split()))
    if match is None:
        raise AnswerError(f"{where}: {excerpt(text)!r} is no unit of a price; none of it is used")
    word = match[1]
    currency = CURRENCIES.get(word, word.upper())
    if len(currency) != 3:
        raise AnswerError(f"{where}: {excerpt(text)!r} is of no currency that is known; none of it is used")
    return currency, Decimal(1000 if match[2] == "k" else 1) / (100 if word in HUNDREDTHS else 1)


def plain(value: Decimal, most: Decimal, where: str, what: str) -> Decimal:
    """As it may be computed with and printed: finite, of six decimals, at most `most` either way."""
    if not value.is_finite() or value.copy_abs() > most:
        raise AnswerError(f"{where}: {what} {excerpt(value)} is not between -{most} and {most}; none of it is used")
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101  (of what is finite it is)
    if not -6 <= exponent <= 0:
        value = value.quantize(STEP if exponent < 0 else Decimal(1))
    return value or value.copy_abs()


def per_mwh(value: Decimal | None, factor: Decimal, where: str) -> Decimal | None:
    """A price of another unit, by the factor of `unit_of`; what is beyond reason is refused before it is computed."""
    if value is None or factor == 1:
        return value
    return plain(value, PRICE_MAX, where, "the price") * factor


def _once(points: Sequence[Point], where: str) -> list[Point]:
    """In order of time, without doubles. Two of one time may differ in length, not in value."""
    kept: dict[tuple[datetime, datetime | None], Point] = {}
    for point in points:
        before = kept.setdefault((point.start, point.end), point)
        if (before.price, before.volume_mwh) != (point.price, point.volume_mwh):
            if before.price is None and before.volume_mwh is None:
                kept[point.start, point.end] = point
            elif point.price is not None or point.volume_mwh is not None:
                raise AnswerError(f"{where}: two different values for {point.start}; none of it is used")
    return sorted(kept.values(), key=lambda point: point.start)


def _ended(points: Sequence[Point], where: str) -> list[Point]:
    """Each with its end: where the provider gives none, it lasts as long as its neighbours are apart."""
    starts = sorted({point.start for point in points})
    if len(starts) == 1 and points[0].end is None:
        raise AnswerError(f"{where}: one point alone does not say how long it lasts; none of it is used")
    return [
        point if point.end is not None else point._replace(end=point.start + _resolution(starts, point.start))
        for point in points
    ]


def _resolution(starts: Sequence[datetime], start: datetime) -> timedelta:
    index = bisect_left(starts, start)
    distances = [after - before for before, after in pairwise(starts[max(index - 1, 0) : index + 2])]
    return min([*distances, RESOLUTION_MAX])


def _checked(point: Point, where: str) -> Slot:
    assert point.end is not None  # noqa: S101  (_ended gave one)
    if not timedelta(0) < point.end - point.start <= SLOT_MAX:
        raise AnswerError(f"{where}: the slot of {point.start} ends at {point.end}; none of it is used")
    price, volume = point.price, point.volume_mwh
    if price is not None:
        price = plain(price, PRICE_MAX, where, f"at {point.start} the price")
    if volume is not None:
        volume = plain(volume, VOLUME_MAX, where, f"at {point.start} the volume")
        if volume < 0:
            raise AnswerError(f"{where}: at {point.start} the volume is {volume}; none of it is used")
    return Slot(point.start, point.end, price, volume)


def _finest(slots: Iterable[Slot], start: datetime, end: datetime, where: str) -> list[Slot]:
    """Within the range and without overlap: of a longer slot remains what no shorter one covers."""
    found: list[Slot] = []
    length = timedelta(0)
    level: list[Slot] = []
    for slot in [*sorted(slots, key=lambda slot: (slot.end - slot.start, slot.start)), None]:
        if level and (slot is None or slot.end - slot.start != length):
            found = _merged(found, level)
            level = []
        if slot is None:
            break
        if level and slot.start < level[-1].end:
            raise AnswerError(f"{where}: the slots of {level[-1].start} and {slot.start} overlap; none of it is used")
        length = slot.end - slot.start
        level.append(slot)
    return [_cut(slot, max(slot.start, start), min(slot.end, end)) for slot in found]


def _merged(finer: list[Slot], level: list[Slot]) -> list[Slot]:
    """Both in order of time and without overlap of their own."""
    if not finer:
        return level
    starts = [slot.start for slot in finer]
    pieces: list[Slot] = []
    for slot in level:
        first = max(bisect_left(starts, slot.start) - 1, 0)
        last = bisect_left(starts, slot.end)
        pieces += [_cut(slot, *gap) for gap in gaps(finer[first:last], slot.start, slot.end)]
    return sorted([*finer, *pieces])


def _cut(slot: Slot, start: datetime, end: datetime) -> Slot:
    """A part of a slot: its price is that of the whole, its volume a part of it."""
    if (start, end) == (slot.start, slot.end):
        return slot
    volume = slot.volume_mwh
    if volume is not None:
        part, whole = end - start, slot.end - slot.start
        tick = timedelta(microseconds=1)
        volume = (volume * (part // tick) / (whole // tick)).quantize(STEP)
    return Slot(start, end, slot.price, volume)
