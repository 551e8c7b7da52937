"""Meters: of devices, and of sites."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import UNSET
from sqlalchemy import Connection, Row, Table, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from jouled.bookkeeping.devices import missing
from jouled.bookkeeping.ids import new_id
from jouled.bookkeeping.pages import page, place_of
from jouled.books.meters import direction_of, source_of
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store.schema.meters import devices, meters
from jouled.store.schema.sites import circuits, site_zones, sites
from jouled.wire.devices import Meter, MeterChange, MeterDraft
from jouled.wire.problems import Page

_CHANGEABLE = ("name", "device_id", "site_id", "circuit_id", "zone_id", "energy_source", "capacity_wh")
# Built once: building a statement takes longer than its answer.
_ONE = select(meters).where(meters.c.id == bindparam("meter_id"))
# One fleet's worth in one answer; a list of more is asked for in pages.
METERS_MAX = 10_000


def create(connection: Connection, draft: MeterDraft, now: datetime) -> Meter:
    meter_id = draft.id or new_id()
    row = {
        "name": draft.name or meter_id,
        "device_id": draft.device_id,
        "site_id": draft.site_id,
        "circuit_id": draft.circuit_id,
        "zone_id": draft.zone_id,
    }
    _check(connection, row)
    try:
        with connection.begin_nested():
            connection.execute(
                insert(meters).values(
                    id=meter_id,
                    kind=draft.kind,
                    direction=draft.direction or direction_of(draft.kind),
                    energy_source=draft.energy_source or source_of(draft.kind),
                    capacity_wh=draft.capacity_wh,
                    state="unknown",
                    created_at=now,
                    **row,
                )
            )
    except IntegrityError:
        raise ConflictError(f"there is a meter {meter_id!r} already; change it by PUT, or choose another id") from None
    return get(connection, meter_id)


def get(connection: Connection, meter_id: str) -> Meter:
    row = connection.execute(_ONE, {"meter_id": meter_id}).one_or_none()
    if row is None:
        raise absent(meter_id)
    return meter_of(row)


def absent(meter_id: str) -> NotFoundError:
    return NotFoundError(f"Meter not found: {meter_id}; POST /api/v1/meters makes one")


def listed(
    connection: Connection,
    cursor: str | None = None,
    limit: int = METERS_MAX,
    *,
    device_id: str | None = None,
    site_id: str | None = None,
) -> Page[Meter]:
    """By id."""
    query = select(meters).order_by(meters.c.id).limit(limit + 1)
    if device_id is not None:
        query = query.where(meters.c.device_id == device_id)
    if site_id is not None:
        query = query.where(meters.c.site_id == site_id)
    if cursor is not None:
        query = query.where(meters.c.id > place_of(cursor, str))
    return page(connection.execute(query).all(), limit, meter_of, "id")


def of_device(connection: Connection, device_id: str, cursor: str | None, limit: int) -> Page[Meter]:
    if not _has(connection, devices, device_id):
        raise missing(device_id)
    return listed(connection, cursor, limit, device_id=device_id)


def change(connection: Connection, meter_id: str, draft: MeterChange) -> Meter:
    """What is left out stays."""
    row = connection.execute(select(meters).where(meters.c.id == meter_id).with_for_update()).one_or_none()
    if row is None:
        raise absent(meter_id)
    given = {name: value for name in _CHANGEABLE if (value := getattr(draft, name)) is not UNSET}
    if given:
        _check(connection, {**row._asdict(), **given})
        connection.execute(update(meters).where(meters.c.id == meter_id).values(given))
    return get(connection, meter_id)


def _check(connection: Connection, row: dict[str, Any]) -> None:
    device_id, site_id = row["device_id"], row["site_id"]
    if device_id is None and site_id is None:
        raise InvalidError("a meter is of a device or of a site; give device_id, site_id or both")
    if device_id is not None and not _has(connection, devices, device_id):
        raise missing(device_id)
    if site_id is not None and not _has(connection, sites, site_id):
        raise InvalidError(f"there is no site {site_id!r}; POST /api/v1/sites makes one")
    for table, name in ((circuits, "circuit_id"), (site_zones, "zone_id")):
        if row[name] is None:
            continue
        found = connection.execute(select(table.c.site_id).where(table.c.id == row[name])).one_or_none()
        if found is None or found.site_id != site_id:
            raise InvalidError(f"{name} {row[name]!r} is none of site {site_id!r}; make it there first")


def _has(connection: Connection, table: Table, name: str) -> bool:
    return connection.execute(select(table.c.id).where(table.c.id == name)).one_or_none() is not None


def meter_of(row: Row[Any]) -> Meter:
    return Meter(
        id=row.id,
        name=row.name,
        kind=row.kind,
        direction=row.direction,
        energy_source=row.energy_source,
        device_id=row.device_id,
        site_id=row.site_id,
        circuit_id=row.circuit_id,
        zone_id=row.zone_id,
        capacity_wh=row.capacity_wh,
        state=row.state,
        voltage=row.voltage_v,
        current_draw=row.current_a,
        wattage=row.power_w,
        charge_pct=row.charge_pct,
        last_updated=row.latest_at,
        created_at=row.created_at,
    )
