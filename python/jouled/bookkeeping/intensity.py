"""Carbon intensity by time: slots are put in, and found by instant or range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, or_, select

from jouled.bookkeeping.pages import cursor_of, place_of
from jouled.bookkeeping.upserts import Upsert, upsert
from jouled.books import intensity as rules
from jouled.books.intensity import SLOT_MAX, UG_PER_G, Kind, Mean, Slot, micrograms
from jouled.errors import InvalidError, NotFoundError
from jouled.store.schema.carbon import carbon_intensity
from jouled.store.schema.sites import sites
from jouled.store.types import instant, microseconds
from jouled.wire.intensity import IntensitySlot, SeriesDraft, SeriesTaken
from jouled.wire.problems import Page

# What an operator put in by hand.
IMPORTED = "import"
# Rows of one statement: eleven columns each, and SQLite takes 32,766 values.
TOGETHER = 500
RANGE_MAX = timedelta(days=366)
# The mean of five-minute slots of so long a time is a matter of milliseconds.
MEAN_MAX = timedelta(days=100)
ZONES_MAX = 50
_TABLE = carbon_intensity.c


def put(connection: Connection, slots: Iterable[Slot], now: datetime) -> int:
    """Keep them; the same again changes nothing. What was measured replaces a forecast, never the other
    way round; what was fetched later replaces what was fetched before. Returns how many rows changed.
    """
    latest: dict[tuple[str, str, datetime], Slot] = {}
    for slot in slots:
        key = (slot.zone, slot.kind, slot.start)
        known = latest.get(key)
        if known is None or known.is_forecast >= slot.is_forecast:
            latest[key] = slot._replace(fetched_at=min(slot.fetched_at, now))
    return sum(_put(connection, part) for part in _parts(list(latest.values())))


def at(connection: Connection, zone: str, kind: str, at: datetime) -> Row[Any] | None:
    """The slot that counts at this instant, or None."""
    query = (
        _series(zone, kind)
        .where(_TABLE.start_at <= at, _TABLE.start_at > at - SLOT_MAX, _TABLE.end_at > at)
        .order_by(_TABLE.is_forecast, _TABLE.start_at.desc())
        .limit(1)
    )
    # A slot of a whole day that begins at this instant less a day has ended, so that none is overlooked.
    return connection.execute(query).one_or_none()


def between(connection: Connection, zone: str, kind: str, start: datetime, end: datetime) -> list[Slot]:
    """All slots that touch the range, in order of their beginnings. Raises InvalidError for too long a range."""
    if end - start > RANGE_MAX:
        raise InvalidError(f"a range of {end - start} is longer than {RANGE_MAX.days} days; ask for less")
    return [_slot(row) for row in connection.execute(_touching(zone, kind, start, end))]


def mean(connection: Connection, zone: str, kind: str, start: datetime, end: datetime) -> Mean | None:
    """Weighted by time, with how much of the range is known. None where nothing is."""
    if end - start > MEAN_MAX:
        raise InvalidError(f"a mean over {end - start} is more than {MEAN_MAX.days} days; ask for less")
    return rules.mean(between(connection, zone, kind, start, end), start, end)


def now(connection: Connection, zone: str, kind: str, now: datetime) -> IntensitySlot:
    row = at(connection, zone, kind, now)
    if row is None:
        raise NotFoundError(
            f"the {kind} carbon intensity of zone {zone!r} is not known now; set carbon.provider and carbon.zone,"
            " or POST /api/v1/carbon/series"
        )
    return _shown(row)


def listed(
    connection: Connection, zone: str, kind: str, *, start: datetime, end: datetime, cursor: str | None, limit: int
) -> Page[IntensitySlot]:
    """In order of time; a forecast that was overtaken by slots of another length is still there."""
    if end <= start:
        raise InvalidError("`to` must be after `from`")
    if end - start > RANGE_MAX:
        raise InvalidError(f"a range of {end - start} is longer than {RANGE_MAX.days} days; ask for less")
    query = _touching(zone, kind, start, end).limit(limit + 1)
    if cursor is not None:
        try:
            query = query.where(_TABLE.start_at > instant(place_of(cursor, int)))
        except OverflowError:
            raise InvalidError(f"cursor {cursor[:64]!r} is none; leave it out to begin anew") from None
    rows = connection.execute(query).all()
    more = cursor_of(microseconds(rows[limit - 1].start_at)) if len(rows) > limit else None
    shown = tuple(_shown(row) for row in rows[:limit])
    return Page(len(shown), shown, more)


def take(connection: Connection, draft: SeriesDraft, now: datetime) -> SeriesTaken:
    """A series by hand. All of it or nothing."""
    slots = sorted((_drafted(draft, index, now) for index in range(len(draft.slots))), key=lambda slot: slot.start)
    for before, after in pairwise(slots):
        if after.start < before.end:
            raise InvalidError(
                f"the slots of {before.start.isoformat()} and {after.start.isoformat()} overlap; give each time once"
            )
    return SeriesTaken(draft.zone, draft.kind, len(slots), put(connection, slots, now))


def zones_of_sites(connection: Connection, kind: Kind) -> list[str]:
    """Which zones active sites name, of those that ask for this kind, or for none in particular."""
    query = (
        select(sites.c.carbon_zone)
        .where(sites.c.is_active, sites.c.carbon_zone.is_not(None))
        .where(or_(sites.c.carbon_kind == kind, sites.c.carbon_kind.is_(None)))
        .distinct()
        .order_by(sites.c.carbon_zone)
        .limit(ZONES_MAX)
    )
    return list(connection.execute(query).scalars())


def sites_of_other_kind(connection: Connection, zones: Sequence[str], kind: Kind) -> list[str]:
    """Sites of these zones that ask for the other kind, which nobody fetches."""
    query = select(sites.c.id).where(sites.c.is_active, sites.c.carbon_zone.in_(zones), sites.c.carbon_kind != kind)
    return list(connection.execute(query.order_by(sites.c.id).limit(ZONES_MAX)).scalars())


def _put(connection: Connection, slots: Sequence[Slot]) -> int:
    statement = upsert(connection, carbon_intensity).values([_values(slot) for slot in slots])
    new = statement.excluded
    changes = or_(
        *(_TABLE[name] != new[name] for name in ("end_at", "ug_per_kwh", "provider", "is_forecast", "quality"))
    )
    is_better = or_(_TABLE.is_forecast, ~new.is_forecast)
    replace: Upsert = statement.on_conflict_do_update(
        index_elements=["zone", "kind", "start_at"],
        set_={
            name: new[name]
            for name in ("end_at", "ug_per_kwh", "provider", "is_forecast", "quality", "fetched_at", "body_sha256")
        },
        where=and_(changes, is_better, new.fetched_at >= _TABLE.fetched_at),
    )
    # PostgreSQL's driver counts no rows of an insert.
    return len(connection.execute(replace.returning(_TABLE.start_at)).all())


def _parts(slots: list[Slot]) -> Iterable[list[Slot]]:
    return (slots[first : first + TOGETHER] for first in range(0, len(slots), TOGETHER))


def _values(slot: Slot) -> dict[str, Any]:
    return {
        "zone": slot.zone,
        "kind": slot.kind,
        "start_at": slot.start,
        "end_at": slot.end,
        "ug_per_kwh": slot.ug_per_kwh,
        "provider": slot.provider,
        "is_forecast": slot.is_forecast,
        "quality": slot.quality,
        "fetched_at": slot.fetched_at,
        "body_sha256": slot.body_sha256,
    }


def _series(zone: str, kind: str) -> Select[Any]:
    return select(carbon_intensity).where(_TABLE.zone == zone, _TABLE.kind == kind)


def _touching(zone: str, kind: str, start: datetime, end: datetime) -> Select[Any]:
    within = (_TABLE.start_at < end, _TABLE.start_at > start - SLOT_MAX, _TABLE.end_at > start)
    return _series(zone, kind).where(*within).order_by(_TABLE.start_at)


def _drafted(draft: SeriesDraft, index: int, now: datetime) -> Slot:
    slot = draft.slots[index]
    if not slot.start < slot.end <= slot.start + SLOT_MAX:
        raise InvalidError(f"slots[{index}]: end must be after start, and at most a day")
    # msgspec has no bounds for a Decimal.
    try:
        value = micrograms(slot.g_per_kwh)
    except ValueError as error:
        raise InvalidError(f"slots[{index}]: {error}") from None
    return Slot(
        draft.zone,
        draft.kind,
        slot.start,
        slot.end,
        value,
        IMPORTED,
        slot.is_forecast,
        slot.quality,
        now,
    )


def _slot(row: Row[Any]) -> Slot:
    return Slot(
        row.zone,
        row.kind,
        row.start_at,
        row.end_at,
        row.ug_per_kwh,
        row.provider,
        row.is_forecast,
        row.quality,
        row.fetched_at,
        row.body_sha256,
    )


def _shown(row: Row[Any]) -> IntensitySlot:
    return IntensitySlot(
        zone=row.zone,
        kind=row.kind,
        start=row.start_at,
        end=row.end_at,
        g_per_kwh=Decimal(row.ug_per_kwh) / UG_PER_G,
        provider=row.provider,
        is_forecast=row.is_forecast,
        quality=row.quality,
        fetched_at=row.fetched_at,
    )
