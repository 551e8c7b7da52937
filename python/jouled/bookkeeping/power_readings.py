"""Powers of meters: logged once, into history, sums, state and events, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Row, insert, select

from jouled.bookkeeping import batteries, messages, meter_energy
from jouled.bookkeeping.meters import absent
from jouled.books.calendar import outside
from jouled.books.charge import flow_of, signed_w, state_of
from jouled.books.meters import Power, clamped, fault_of, power_of
from jouled.errors import ConflictError, InvalidError
from jouled.store.schema.meters import devices, meters, power_readings
from jouled.store.types import microseconds
from jouled.wire.devices import PowerBatch, PowerDraft, PowerLogged, PowerReading

T = TypeVar("T")
# SQLite takes some thousand values in one question.
ASKED_TOGETHER = 1000
TICK = timedelta(microseconds=1)


class _Entry(NamedTuple):
    draft: PowerDraft
    power: Power
    key: str | None


def log_power(connection: Connection, meter_id: str, draft: PowerDraft, now: datetime) -> PowerReading:
    """What is logged already is answered as it was."""
    place = _log(connection, meter_id, (draft,), now)[0][0]
    row = connection.execute(
        select(power_readings).where(power_readings.c.meter_id == meter_id, power_readings.c.at == place)
    ).one()
    return _reading(row)


def log_batch(connection: Connection, meter_id: str, batch: PowerBatch, now: datetime) -> PowerLogged:
    """All, or none: raises for the first that cannot be."""
    places, new = _log(connection, meter_id, batch.readings, now)
    state = connection.execute(select(meters.c.state).where(meters.c.id == meter_id)).scalar_one()
    return PowerLogged(meter_id, new, len(places) - new, state)


def _log(
    connection: Connection, meter_id: str, drafts: Sequence[PowerDraft], now: datetime
) -> tuple[list[datetime], int]:
    """When each was logged, and how many of them are new."""
    meter = _locked(connection, meter_id)
    entries = [_entry(meter, draft, now) for draft in drafts]
    known_keys = _known(connection, meter_id, "key", [draft.key for draft in drafts if draft.key is not None])
    asked = [draft.timestamp for draft in drafts if draft.timestamp is not None]
    known_times = _known(connection, meter_id, "at", asked)
    fresh: dict[datetime, _Entry] = {}
    by_key: dict[str, _Entry] = {}
    places = []
    for entry in entries:
        draft = entry.draft
        row = known_keys.get(draft.key) if draft.key is not None else None
        if row is None and draft.timestamp is not None:
            row = known_times.get(draft.timestamp)
        if row is not None:
            _check_same(_content(row), entry, row.at, row.key)
            places.append(row.at)
            continue
        twin = by_key.get(draft.key) if draft.key is not None else None
        if draft.timestamp is None and twin is None:
            power = entry.power._replace(at=_free(connection, meter_id, entry.power.at, fresh))
            entry = entry._replace(power=power)  # noqa: PLW2901  (the same entry, at its own moment)
        twin = twin or fresh.get(entry.power.at)
        if twin is not None:
            _check_same(_said(twin), entry, twin.power.at, twin.key)
            places.append(twin.power.at)
            continue
        fresh[entry.power.at] = entry
        if draft.key is not None:
            by_key[draft.key] = entry
        places.append(entry.power.at)
    if fresh:
        _insert(connection, meter, [fresh[at] for at in sorted(fresh)])
    return places, len(fresh)


def _locked(connection: Connection, meter_id: str) -> Row[Any]:
    """The meter with its device's thresholds; two writers of one meter wait for each other."""
    limits = (
        devices.c.low_threshold,
        devices.c.critical_threshold,
        devices.c.full_threshold,
        devices.c.shutdown_threshold,
    )
    query = select(meters, *limits).outerjoin(devices, devices.c.id == meters.c.device_id)
    row = connection.execute(query.where(meters.c.id == meter_id).with_for_update(of=meters)).one_or_none()
    if row is None:
        raise absent(meter_id)
    return row


def _entry(meter: Row[Any], draft: PowerDraft, now: datetime) -> _Entry:
    at = draft.timestamp or now
    if at.tzinfo is None:
        raise InvalidError(f"timestamp {at.isoformat()} has no zone; write 2026-05-04T12:00:00Z")
    if fault := outside(at) or fault_of(draft, at, now):
        raise InvalidError(fault)
    power_w = power_of(draft)
    # What a UPS gives to its load has no sign: its status is that of its battery.
    if meter.kind == "battery":
        power_w = signed_w(meter.direction, power_w, draft.status)
    return _Entry(draft, Power(at, draft.voltage, draft.current, power_w, clamped(draft.charge_pct)), draft.key)


def _known(connection: Connection, meter_id: str, column: str, values: Sequence[T]) -> dict[T, Row[Any]]:
    found = {}
    for part in _parts(values):
        query = select(power_readings).where(power_readings.c.meter_id == meter_id, power_readings.c[column].in_(part))
        found.update({getattr(row, column): row for row in connection.execute(query)})
    return found


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), ASKED_TOGETHER):
        yield values[start : start + ASKED_TOGETHER]


def _free(connection: Connection, meter_id: str, at: datetime, fresh: dict[datetime, _Entry]) -> datetime:
    """A moment that no reading of this meter has: a clock may give the same one twice."""
    while at in fresh or _known(connection, meter_id, "at", [at]):
        at += TICK
    return at


def _content(row: Row[Any]) -> tuple[Any, ...]:
    return row.voltage_v, row.current_a, row.power_w, row.charge_pct, row.status, row.quality


def _said(entry: _Entry) -> tuple[Any, ...]:
    power, draft = entry.power, entry.draft
    return power.voltage_v, power.current_a, power.power_w, power.charge_pct, draft.status, draft.quality


def _check_same(content: tuple[Any, ...], entry: _Entry, at: datetime, key: str | None) -> None:
    is_same_time = entry.draft.timestamp is None or entry.draft.timestamp == at
    is_same_key = entry.key is None or entry.key == key
    if content == _said(entry) and is_same_time and is_same_key:
        return
    what = f"key {key!r}" if entry.key is not None and entry.key == key else f"timestamp {at.isoformat()}"
    raise ConflictError(f"{what} of this meter says otherwise already; a reading is logged once and stays")


def _insert(connection: Connection, meter: Row[Any], entries: Sequence[_Entry]) -> None:
    """In order of time. What is older than the latest changes the history and the sums, not the state."""
    oldest = entries[0].power.at
    if meter.latest_at is not None and oldest <= meter.latest_at:
        closed_us = meter_energy.closed_until_us(connection, meter.id)
        if closed_us is not None and microseconds(oldest) < closed_us:
            raise InvalidError(
                f"timestamp {oldest.isoformat()} is older than the readings that are kept; its time is closed"
            )
    meter_energy.add(connection, meter.id, [entry.power for entry in entries])
    progress = batteries.Progress(connection, meter)
    rows = [_row(meter, entry, progress) for entry in entries]
    connection.execute(insert(power_readings), rows)
    progress.save()
    last = entries[-1].power
    if meter.latest_at is None or last.at > meter.latest_at:
        _tell(connection, meter.id, last.at)


def _row(meter: Row[Any], entry: _Entry, progress: batteries.Progress) -> dict[str, Any]:
    power, draft = entry.power, entry.draft
    if meter.latest_at is None or power.at > meter.latest_at:
        state = progress.take(power, draft.status, says_low=draft.is_low)
    else:
        flow = flow_of(meter.direction, power.power_w, draft.status, meter.capacity_wh)
        state = state_of(
            meter.kind,
            power_w=power.power_w,
            charge_pct=power.charge_pct,
            flow=flow,
            limits=progress.limits,
            says_low=draft.is_low,
        )
    return {
        "meter_id": meter.id,
        "at": power.at,
        "key": entry.key,
        "voltage_v": power.voltage_v,
        "current_a": power.current_a,
        "power_w": power.power_w,
        "charge_pct": power.charge_pct,
        "quality": draft.quality,
        "state": state,
        "status": draft.status,
    }


def _tell(connection: Connection, meter_id: str, at: datetime) -> None:
    """The stream shows the latest of what was logged together."""
    row = connection.execute(
        select(power_readings).where(power_readings.c.meter_id == meter_id, power_readings.c.at == at)
    ).one()
    messages.post(connection, "readings", at, _reading(row))


def _reading(row: Row[Any]) -> PowerReading:
    return PowerReading(
        id=row.seq,
        meter_id=row.meter_id,
        voltage=row.voltage_v,
        current_draw=row.current_a,
        wattage=row.power_w,
        charge_pct=row.charge_pct,
        state=row.state,
        quality=row.quality,
        timestamp=row.at,
    )
