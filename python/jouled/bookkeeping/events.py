"""Events: each is written, told on the stream and queued for delivery in one transaction.

An alert is opened by the event with which its condition begins: while it is open, the same condition
makes no other event.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, delete, insert, select

from jouled.bookkeeping import messages
from jouled.bookkeeping.ids import new_id
from jouled.bookkeeping.pages import page, place_of
from jouled.bookkeeping.upserts import upsert
from jouled.store.schema.events import alerts, deliveries, events
from jouled.wire.events import Alert, Event, Severity
from jouled.wire.problems import Page

NOTE_MAX = 1024
KEY_MAX = 256

Target = Literal["webhook", "command"]

# Who is told besides the log and the stream: the daemon says it once, at its start.
_targets: tuple[Target, ...] = ()


def deliver_to(targets: Iterable[Target]) -> None:
    """From now on each event of this process is queued for these."""
    global _targets  # noqa: PLW0603  (one set for the process, as its log has one place)
    _targets = tuple(targets)


def raise_event(
    connection: Connection,
    *,
    type: str,  # noqa: A002  (the word of the API)
    severity: Severity,
    dedup_key: str,
    at: datetime,
    note: str,
    site_id: str | None = None,
    device_id: str | None = None,
    meter_id: str | None = None,
    value: float | None = None,
) -> str | None:
    """Open an alert. Returns the event's id, or None where the alert is open already and nothing happens."""
    event = Event(
        new_id(), type, severity, at, note[:NOTE_MAX], dedup_key[:KEY_MAX], site_id, device_id, meter_id, value
    )
    opened = connection.execute(
        upsert(connection, alerts)
        .values(
            dedup_key=event.dedup_key,
            type=type,
            severity=severity,
            event_id=event.id,
            since_at=at,
            value=value,
            site_id=site_id,
            device_id=device_id,
            meter_id=meter_id,
            note=event.note,
        )
        .on_conflict_do_nothing()
        .returning(alerts.c.dedup_key)  # PostgreSQL's driver counts no rows of an insert
    )
    if opened.first() is None:
        return None
    _write(connection, event)
    return event.id


def note_event(
    connection: Connection,
    *,
    type: str,  # noqa: A002  (the word of the API)
    severity: Severity,
    dedup_key: str,
    at: datetime,
    note: str,
    site_id: str | None = None,
    device_id: str | None = None,
    meter_id: str | None = None,
    value: float | None = None,
) -> str:
    """Write down what happened without a condition that would stay open. Returns the event's id."""
    event = Event(
        new_id(), type, severity, at, note[:NOTE_MAX], dedup_key[:KEY_MAX], site_id, device_id, meter_id, value
    )
    _write(connection, event)
    return event.id


def clear(
    connection: Connection,
    dedup_key: str,
    at: datetime,
    *,
    type: str | None = None,  # noqa: A002  (the word of the API)
    note: str = "",
    value: float | None = None,
) -> bool:
    """Close an alert; where it was open and `type` is given, an event of that type says so. Returns whether it was."""
    which = alerts.c.dedup_key == dedup_key[:KEY_MAX]
    row = connection.execute(select(alerts).where(which)).one_or_none()
    if row is None or not connection.execute(delete(alerts).where(which)).rowcount:
        return False
    if type is not None:
        ended = Event(
            new_id(), type, "info", at, note[:NOTE_MAX], dedup_key, row.site_id, row.device_id, row.meter_id, value
        )
        _write(connection, ended)
    return True


def is_open(connection: Connection, dedup_key: str) -> bool:
    return connection.execute(select(alerts.c.type).where(alerts.c.dedup_key == dedup_key)).one_or_none() is not None


def _write(connection: Connection, event: Event) -> None:
    done = connection.execute(
        insert(events).values(
            id=event.id,
            type=event.type,
            severity=event.severity,
            site_id=event.site_id,
            device_id=event.device_id,
            meter_id=event.meter_id,
            value=event.value,
            at=event.timestamp,
            note=event.note,
            dedup_key=event.dedup_key,
        )
    )
    messages.post(connection, "events", event.timestamp, event)
    assert done.inserted_primary_key is not None  # noqa: S101  (the table numbers its rows)
    for target in _targets:
        connection.execute(
            insert(deliveries).values(
                event_seq=done.inserted_primary_key[0],
                target=target,
                attempts=0,
                next_at=event.timestamp,
                state="pending",
            )
        )


def listed(
    connection: Connection,
    *,
    site_id: str | None = None,
    device_id: str | None = None,
    meter_id: str | None = None,
    type: str | None = None,  # noqa: A002  (the word of the API)
    start: datetime | None = None,
    end: datetime | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Event]:
    """Newest first, by the order in which they were written."""
    query = select(events).order_by(events.c.seq.desc()).limit(limit + 1)
    query = _of(query, events, site_id=site_id, device_id=device_id, meter_id=meter_id, type=type)
    if start is not None:
        query = query.where(events.c.at >= start)
    if end is not None:
        query = query.where(events.c.at < end)
    if cursor is not None:
        query = query.where(events.c.seq < place_of(cursor, int))
    return page(connection.execute(query).all(), limit, event_of, "seq")


def open_alerts(
    connection: Connection,
    *,
    site_id: str | None = None,
    device_id: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Alert]:
    """By their keys."""
    query = select(alerts).order_by(alerts.c.dedup_key).limit(limit + 1)
    query = _of(query, alerts, site_id=site_id, device_id=device_id)
    if cursor is not None:
        query = query.where(alerts.c.dedup_key > place_of(cursor, str))
    return page(connection.execute(query).all(), limit, _alert, "dedup_key")


def _of(query: Select[Any], table: Any, **wanted: str | None) -> Select[Any]:
    for name, value in wanted.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    return query


def event_of(row: Row[Any]) -> Event:
    return Event(
        row.id,
        row.type,
        row.severity,
        row.at,
        row.note,
        row.dedup_key,
        row.site_id,
        row.device_id,
        row.meter_id,
        row.value,
    )


def _alert(row: Row[Any]) -> Alert:
    return Alert(
        row.dedup_key,
        row.type,
        row.severity,
        row.event_id,
        row.since_at,
        row.note,
        row.site_id,
        row.device_id,
        row.meter_id,
        row.value,
    )
