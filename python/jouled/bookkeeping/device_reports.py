"""What is said of a device: how long it lasts, its part of a fleet's power, what happened, its days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select

from jouled.bookkeeping import power_history
from jouled.bookkeeping.devices import get as get_device
from jouled.bookkeeping.devices import missing
from jouled.books.charge import BATTERIES, STALE_S, Battery, Lasting, lasting
from jouled.books.meters import DAY_S, QUARTER_HOUR_S, Part, balance
from jouled.errors import InvalidError, NotFoundError
from jouled.store.schema.events import events
from jouled.store.schema.meters import devices, meters
from jouled.wire.devices import (
    Device,
    DeviceBudget,
    DeviceEvent,
    DeviceEvents,
    DeviceReport,
    MeterReport,
    Runtime,
)

REPORT_DAYS_MAX = 3660
# Quarter-hours are kept for years, but so many rows are slower to add up than days.
QUARTER_HOURS_UP_TO_DAYS = 400
REPORT_EVENTS = 20
COUNTED_EVENTS_MAX = 200
# Energy is kept in whole millijoules: the mean of less than a second would be one of rounding.
MEAN_LEAST_US = 1_000_000


def runtime(connection: Connection, device_id: str, now: datetime) -> Runtime:
    device = get_device(connection, device_id)
    found = _lasting(device, _meters(connection, device_id), now)
    return Runtime(
        device_id,
        _rounded(found.hours, 2),
        _rounded(found.hours_to_shutdown, 2),
        found.reason,
        _rounded(found.stored_wh, 3),
        _rounded(found.gives_w, 4),
    )


def _lasting(device: Device, rows: Sequence[Row[Any]], now: datetime) -> Lasting:
    return lasting([_battery(row, now) for row in rows if row.kind in BATTERIES], device.shutdown_threshold)


def _battery(row: Row[Any], now: datetime) -> Battery:
    return Battery(
        row.capacity_wh,
        row.charge_pct,
        row.smooth_w,
        # A UPS of which only a power was said is taken as one that gives it.
        row.kind == "ups" and row.flow in {"charging", "full", "idle"},
        None if row.latest_at is None else (now - row.latest_at).total_seconds(),
    )


def _meters(connection: Connection, device_id: str) -> Sequence[Row[Any]]:
    return connection.execute(select(meters).where(meters.c.device_id == device_id).order_by(meters.c.id)).all()


def budget_check(connection: Connection, device_ids: Iterable[str], now: datetime) -> dict[str, DeviceBudget]:
    """By device; of one that is not there, only that."""
    found = {}
    for device_id in dict.fromkeys(device_ids):
        try:
            found[device_id] = _budget(connection, get_device(connection, device_id), now)
        except NotFoundError as error:
            found[device_id] = DeviceBudget(error=str(error))
    return found


def _budget(connection: Connection, device: Device, now: datetime) -> DeviceBudget:
    rows = _meters(connection, device.id)
    now_w = balance(_part(row) for row in rows)
    left = _lasting(device, rows, now)
    batteries = [row for row in rows if row.kind in BATTERIES]
    charges = [row.charge_pct for row in batteries if row.charge_pct is not None]
    stored_wh, target_wh = left.stored_wh, device.target_wh
    return DeviceBudget(
        total_wattage=round(now_w.load_w, 4),
        production_wattage=round(now_w.production_w, 4),
        charging_wattage=round(now_w.charging_w, 4),
        battery_count=sum(row.kind == "battery" for row in rows),
        solar_count=sum(row.kind == "solar" for row in rows),
        avg_charge_pct=round(sum(charges) / len(charges), 2) if charges else None,
        estimated_runtime_hours=_rounded(left.hours, 2),
        runtime_reason=left.reason,
        stored_wh=_rounded(stored_wh, 3),
        target_wh=target_wh,
        is_target_met=None if target_wh is None or stored_wh is None else stored_wh >= target_wh,
        states=tuple(row.state for row in rows),
    )


def _part(row: Row[Any]) -> Part:
    gives_w = row.power_w
    if gives_w is not None and row.direction == "consume":
        gives_w = -gives_w
    return Part(row.kind, row.direction, row.power_w, gives_w, row.flow == "discharging")


def device_events(connection: Connection, device_id: str, limit: int = 50, kind: str | None = None) -> DeviceEvents:
    """Newest first."""
    if connection.execute(select(devices.c.id).where(devices.c.id == device_id)).one_or_none() is None:
        raise missing(device_id)
    query = select(events).where(events.c.device_id == device_id)
    if kind is not None:
        query = query.where(events.c.type == kind)
    rows = connection.execute(query.order_by(events.c.at.desc(), events.c.seq.desc()).limit(limit)).all()
    return DeviceEvents(device_id, len(rows), tuple(_event(row) for row in rows))


def _event(row: Row[Any]) -> DeviceEvent:
    return DeviceEvent(row.id, row.device_id, row.type, row.value, row.at, row.note, row.meter_id, row.severity)


def report(connection: Connection, device_id: str, days: int, now: datetime) -> DeviceReport:
    """From the beginning of the quarter-hour (beyond 400 days, of the day, in UTC) so many days ago."""
    if not 1 <= days <= REPORT_DAYS_MAX:
        raise InvalidError(f"days must be from 1 to {REPORT_DAYS_MAX}")
    get_device(connection, device_id)
    resolution_s = QUARTER_HOUR_S if days <= QUARTER_HOURS_UP_TO_DAYS else DAY_S
    start = now - timedelta(days=days)
    start -= timedelta(seconds=start.timestamp() % resolution_s)
    happened = _happened(connection, device_id, start)
    return DeviceReport(
        device_id,
        days,
        now,
        start,
        tuple(_meter(connection, row, start, now, resolution_s) for row in _meters(connection, device_id)),
        happened,
        _since(connection, device_id, start),
    )


def _happened(connection: Connection, device_id: str, start: datetime) -> int:
    some = select(events.c.seq).where(events.c.device_id == device_id, events.c.at >= start)
    query = select(func.count()).select_from(some.limit(COUNTED_EVENTS_MAX).subquery())
    return int(connection.execute(query).scalar_one())


def _since(connection: Connection, device_id: str, start: datetime) -> tuple[DeviceEvent, ...]:
    latest = device_events(connection, device_id, REPORT_EVENTS).events
    return tuple(event for event in latest if event.timestamp >= start)


def _meter(connection: Connection, row: Row[Any], start: datetime, now: datetime, resolution_s: int) -> MeterReport:
    total = power_history.total(connection, row.id, start, now, resolution_s)
    if not total.readings:
        return MeterReport(row.id, row.kind, 0)
    covered_us = int(total.covered_us)
    if covered_us >= MEAN_LEAST_US:
        mean_w: float | None = float(total.energy_mj - total.returned_mj) * 1000 / covered_us
    else:
        mean_w = power_history.plain_mean_w(connection, row.id, start, now)
    is_stale = row.latest_at is None or (now - row.latest_at).total_seconds() > STALE_S
    is_sure = not is_stale or row.state == "critical"
    return MeterReport(
        meter_id=row.id,
        kind=row.kind,
        reading_count=int(total.readings),
        name=row.name,
        direction=row.direction,
        current_state=row.state if is_sure else "unknown",
        avg_wattage=_rounded(mean_w, 4),
        max_wattage=total.power_max_w,
        min_charge_pct=total.charge_min_pct,
        energy_wh=float(total.energy_mj) / 3_600_000,
        returned_wh=float(total.returned_mj) / 3_600_000,
        coverage_ratio=min(1.0, covered_us / ((now - start).total_seconds() * 1e6)),
    )


def _rounded(value: float | None, places: int) -> float | None:
    return None if value is None else round(value, places)
