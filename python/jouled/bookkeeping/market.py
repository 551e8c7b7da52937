"""Series of prices, as they were fetched: put in once, found by day or by range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, insert, select, update

from jouled.books.prices import Series, Slot
from jouled.errors import InvalidError
from jouled.store.schema.market import market_fetches, market_slots
from jouled.store.types import MICRO

RANGE_MAX = timedelta(days=31)
# Of one day by one provider. One whose answers always differ, by a time of their own, is asked some forty times a day.
REVISIONS_MAX = 100
# Of one answer: a list of five-minute slots of some zones' products.
SERIES_MAX = 500
# Slots of one statement: five columns each, and SQLite takes 32,766 values.
TOGETHER = 1000
WH_PER_MWH = 1_000_000
_FETCH = market_fetches.c


def put(connection: Connection, series: Series, now: datetime) -> Series:
    """Keep it. The same answer again only says when it came; another one is the next revision.

    Returns it as it is kept: with its revision, and prices of six places.
    """
    series = kept(series)._replace(fetched_at=min(series.fetched_at, now))
    latest = connection.execute(_of_day(series).order_by(_FETCH.revision.desc()).limit(1)).one_or_none()
    if latest is not None and _is_same(connection, latest, series):
        fetched_at = max(latest.fetched_at, series.fetched_at)
        change = update(market_fetches).where(_FETCH.id == latest.id)
        connection.execute(change.values(fetched_at=fetched_at, times=latest.times + 1))
        return series._replace(revision=latest.revision, fetched_at=fetched_at)
    series = series._replace(revision=1 if latest is None else latest.revision + 1)
    _insert(connection, series)
    _forget(connection, series)
    return series


def kept(series: Series) -> Series:
    """As the store can keep it: prices to the millionth, volumes to the watt-hour."""
    slots = (
        slot._replace(
            price=None if slot.price is None else slot.price.quantize(MICRO),
            volume_mwh=None if slot.volume_mwh is None else slot.volume_mwh.quantize(MICRO),
        )
        for slot in series.slots
    )
    return series._replace(slots=tuple(slots))


def of_day(connection: Connection, zone: str, day: date, providers: Iterable[str]) -> list[Series]:
    """The newest revision of each of these providers' products of a delivery day."""
    query = _newest().where(_FETCH.zone == zone, _FETCH.delivery_day == day, _FETCH.provider.in_(list(providers)))
    return _series(connection, query)


def between(
    connection: Connection,
    zone: str,
    start: datetime,
    end: datetime,
    *,
    provider: str | None = None,
    product: str | None = None,
) -> list[Series]:
    """The newest revisions of all days that touch the range, in order of time. Raises InvalidError for too long a one."""
    if end <= start:
        raise InvalidError("`to` must be after `from`")
    if end - start > RANGE_MAX:
        raise InvalidError(f"a range of {end - start} is longer than {RANGE_MAX.days} days; ask for less")
    query = _newest().where(_FETCH.zone == zone, _FETCH.end_at > start, _FETCH.start_at < end)
    if provider is not None:
        query = query.where(_FETCH.provider == provider)
    if product is not None:
        query = query.where(_FETCH.product == product)
    return _series(connection, query)


def revisions(connection: Connection, provider: str, zone: str, product: str, day: date) -> list[Series]:
    """All that is kept of one day, the oldest first."""
    query = select(market_fetches).where(
        _FETCH.provider == provider, _FETCH.zone == zone, _FETCH.product == product, _FETCH.delivery_day == day
    )
    return _series(connection, query.order_by(_FETCH.revision).limit(SERIES_MAX))


def _of_day(series: Series) -> Select[Any]:
    return select(market_fetches).where(
        _FETCH.provider == series.provider,
        _FETCH.zone == series.zone,
        _FETCH.product == series.product,
        _FETCH.delivery_day == series.delivery_day,
    )


def _newest() -> Select[Any]:
    later = market_fetches.alias("later")
    same = (later.c[name] == _FETCH[name] for name in ("provider", "zone", "product", "delivery_day"))
    is_replaced = select(later.c.id).where(and_(*same, later.c.revision > _FETCH.revision)).exists()
    order = (_FETCH.start_at, _FETCH.provider, _FETCH.product)
    return select(market_fetches).where(~is_replaced).order_by(*order).limit(SERIES_MAX)


def _is_same(connection: Connection, row: Row[Any], series: Series) -> bool:
    """Also where a later version of jouled reads the same answer otherwise, it is another one."""
    if (row.body_sha256, row.quality, row.slots) != (series.body_sha256, series.quality, len(series.slots)):
        return False
    return _slots(connection, [row.id]).get(row.id, ()) == series.slots


def _insert(connection: Connection, series: Series) -> None:
    start, end = series.bounds
    seconds = [int((slot.end - slot.start).total_seconds()) for slot in series.slots]
    done = connection.execute(
        insert(market_fetches).values(
            provider=series.provider,
            zone=series.zone,
            product=series.product,
            delivery_day=series.delivery_day,
            revision=series.revision,
            timezone=series.timezone,
            start_at=start,
            end_at=end,
            currency=series.currency,
            resolution_s=min(seconds, default=None),
            slots=len(series.slots),
            quality=series.quality,
            body_sha256=series.body_sha256,
            fetched_at=series.fetched_at,
            times=1,
            first_at=series.fetched_at,
        )
    )
    assert done.inserted_primary_key is not None  # noqa: S101  (the table numbers its rows)
    rows = [_values(done.inserted_primary_key[0], slot) for slot in series.slots]
    for first in range(0, len(rows), TOGETHER):
        connection.execute(insert(market_slots), rows[first : first + TOGETHER])


def _forget(connection: Connection, series: Series) -> None:
    """Of very many revisions the oldest."""
    old = select(_FETCH.id).where(
        _FETCH.provider == series.provider,
        _FETCH.zone == series.zone,
        _FETCH.product == series.product,
        _FETCH.delivery_day == series.delivery_day,
        _FETCH.revision <= series.revision - REVISIONS_MAX,
    )
    connection.execute(delete(market_slots).where(market_slots.c.fetch_id.in_(old)))
    connection.execute(delete(market_fetches).where(_FETCH.id.in_(old)))


def _values(fetch_id: int, slot: Slot) -> dict[str, Any]:
    volume = slot.volume_mwh
    return {
        "fetch_id": fetch_id,
        "start_at": slot.start,
        "end_at": slot.end,
        "price": slot.price,
        "volume_wh": None if volume is None else int(volume * WH_PER_MWH),
    }


def _series(connection: Connection, query: Select[Any]) -> list[Series]:
    rows = connection.execute(query).all()
    slots = _slots(connection, [row.id for row in rows])
    return [
        Series(
            provider=row.provider,
            zone=row.zone,
            product=row.product,
            delivery_day=row.delivery_day,
            timezone=row.timezone,
            currency=row.currency,
            slots=slots.get(row.id, ()),
            fetched_at=row.fetched_at,
            body_sha256=row.body_sha256,
            revision=row.revision,
            quality=row.quality,
        )
        for row in rows
    ]


def _slots(connection: Connection, fetches: Sequence[int]) -> dict[int, tuple[Slot, ...]]:
    """By fetch, in order of time."""
    found: dict[int, list[Slot]] = {}
    query = select(market_slots).where(market_slots.c.fetch_id.in_(fetches))
    for row in connection.execute(query.order_by(market_slots.c.fetch_id, market_slots.c.start_at)):
        volume = None if row.volume_wh is None else (Decimal(row.volume_wh) / WH_PER_MWH).quantize(MICRO)
        slot = Slot(row.start_at.astimezone(UTC), row.end_at.astimezone(UTC), row.price, volume)
        found.setdefault(row.fetch_id, []).append(slot)
    return {fetch_id: tuple(slots) for fetch_id, slots in found.items()}
