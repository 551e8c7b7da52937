"""Devices: registered, and registered again without losing what was not given."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import UNSET
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from jouled.bookkeeping.pages import page, place_of
from jouled.books.charge import Thresholds
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store.schema.meters import devices
from jouled.store.schema.sites import sites
from jouled.wire.devices import Device, DeviceDraft
from jouled.wire.problems import Page

DEFAULTS = Thresholds()
_COLUMNS = (
    "name",
    "site_id",
    "shutdown_threshold",
    "low_threshold",
    "critical_threshold",
    "full_threshold",
    "target_wh",
)
# Built once: building a statement takes longer than its answer.
_ONE = select(devices).where(devices.c.id == bindparam("device_id"))


def register(connection: Connection, device_id: str, draft: DeviceDraft, now: datetime) -> Device:
    """Makes it, or changes what is given of it."""
    given = {name: value for name in _COLUMNS if (value := getattr(draft, name)) is not UNSET}
    known = connection.execute(select(devices).where(devices.c.id == device_id).with_for_update()).one_or_none()
    if known is None:
        row: dict[str, Any] = {
            "name": device_id,
            "shutdown_threshold": DEFAULTS.shutdown,
            "low_threshold": DEFAULTS.low,
            "critical_threshold": DEFAULTS.critical,
            "full_threshold": DEFAULTS.full,
            **given,
        }
    else:
        row = {**known._asdict(), **given}
    _check(connection, row)
    if known is None:
        connection.execute(insert(devices).values(id=device_id, created_at=now, **row))
    elif given:
        connection.execute(update(devices).where(devices.c.id == device_id).values(given))
    return get(connection, device_id)


def create(connection: Connection, device_id: str, draft: DeviceDraft, now: datetime) -> Device:
    """Raises ConflictError where it is there."""
    if connection.execute(select(devices.c.id).where(devices.c.id == device_id)).one_or_none() is not None:
        raise ConflictError(f"there is a device {device_id!r} already; change it by PUT")
    return register(connection, device_id, draft, now)


def change(connection: Connection, device_id: str, draft: DeviceDraft) -> Device:
    """What is left out stays."""
    known = get(connection, device_id)
    return register(connection, device_id, draft, known.created_at)


def get(connection: Connection, device_id: str) -> Device:
    row = connection.execute(_ONE, {"device_id": device_id}).one_or_none()
    if row is None:
        raise missing(device_id)
    return _device(row)


def missing(device_id: str) -> NotFoundError:
    return NotFoundError(f"Device not found: {device_id}")


def listed(connection: Connection, cursor: str | None, limit: int) -> Page[Device]:
    """By id."""
    query = select(devices).order_by(devices.c.id).limit(limit + 1)
    if cursor is not None:
        query = query.where(devices.c.id > place_of(cursor, str))
    return page(connection.execute(query).all(), limit, _device, "id")


def thresholds(device: Device | Row[Any]) -> Thresholds:
    return Thresholds(device.low_threshold, device.critical_threshold, device.full_threshold, device.shutdown_threshold)


def _check(connection: Connection, row: dict[str, Any]) -> None:
    limits = Thresholds(
        row["low_threshold"], row["critical_threshold"], row["full_threshold"], row["shutdown_threshold"]
    )
    if fault := limits.fault():
        raise InvalidError(fault)
    site_id = row.get("site_id")
    if site_id is not None and connection.execute(select(sites.c.id).where(sites.c.id == site_id)).first() is None:
        raise InvalidError(f"there is no site {site_id!r}; POST /api/v1/sites makes one")


def _device(row: Row[Any]) -> Device:
    return Device(
        id=row.id,
        name=row.name,
        site_id=row.site_id,
        shutdown_threshold=row.shutdown_threshold,
        low_threshold=row.low_threshold,
        critical_threshold=row.critical_threshold,
        full_threshold=row.full_threshold,
        target_wh=row.target_wh,
        created_at=row.created_at,
    )
