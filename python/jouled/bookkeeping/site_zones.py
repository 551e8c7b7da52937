"""Zones of sites, and what is planned there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from jouled.bookkeeping.ids import new_id
from jouled.bookkeeping.pages import cursor_of, page, place_of
from jouled.bookkeeping.sites import zone_of
from jouled.books.calendar import outside
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store.schema.sites import circuits, scheduled_events, site_zones
from jouled.wire.problems import Page
from jouled.wire.sites import ScheduledEvent, ScheduledEventDraft, SiteZone, SiteZoneDraft, SiteZones

ZONES_MAX = 1000
EVENTS_MAX = 1000
# A zone shows so many of what is planned next.
SHOWN_MAX = 20


def create(connection: Connection, draft: SiteZoneDraft, now: datetime) -> SiteZone:
    zone_of(connection, draft.facility_id)
    _check(connection, draft)
    here = select(func.count()).where(site_zones.c.site_id == draft.facility_id)
    if connection.execute(here).scalar_one() >= ZONES_MAX:
        raise ConflictError(f"site {draft.facility_id!r} has {ZONES_MAX} zones, which is the most")
    zone_id = draft.id or new_id()
    try:
        connection.execute(insert(site_zones).values(id=zone_id, created_at=now, **_values(draft)))
    except IntegrityError:
        raise ConflictError(f"there is a zone {zone_id!r} already; choose another id") from None
    return get(connection, zone_id, now)


def replace(connection: Connection, zone_id: str, draft: SiteZoneDraft, now: datetime) -> SiteZone:
    """Its load stays as it was measured."""
    row = _row(connection, zone_id)
    if draft.facility_id != row.site_id:
        raise ConflictError(f"zone {zone_id!r} is of site {row.site_id!r} and stays there")
    _check(connection, draft)
    connection.execute(update(site_zones).where(site_zones.c.id == zone_id).values(**_values(draft)))
    return get(connection, zone_id, now)


def _check(connection: Connection, draft: SiteZoneDraft) -> None:
    if draft.max_load is not None and not draft.min_load <= draft.max_load:
        raise InvalidError(f"min_load {draft.min_load:g} is above max_load {draft.max_load:g}")
    if draft.min_load > draft.capacity or (draft.max_load or 0) > draft.capacity:
        raise InvalidError(f"min_load and max_load have to be within the capacity of {draft.capacity:g} kW")
    if draft.circuit_id is not None:
        of = connection.execute(select(circuits.c.site_id).where(circuits.c.id == draft.circuit_id)).scalar()
        if of != draft.facility_id:
            raise InvalidError(f"site {draft.facility_id!r} has no circuit {draft.circuit_id!r}")


def _values(draft: SiteZoneDraft) -> dict[str, Any]:
    return {
        "site_id": draft.facility_id,
        "circuit_id": draft.circuit_id,
        "name": draft.name,
        "zone_type": draft.zone_type,
        "capacity_w": draft.capacity * 1000,
        "priority": draft.priority,
        "can_shed_load": draft.can_shed_load,
        "min_load_w": draft.min_load * 1000,
        "max_load_w": None if draft.max_load is None else draft.max_load * 1000,
    }


def get(connection: Connection, zone_id: str, now: datetime) -> SiteZone:
    row = _row(connection, zone_id)
    return _zone(row, _planned(connection, [zone_id]).get(zone_id, ()), now)


def of_site(connection: Connection, site_id: str, now: datetime, cursor: str | None, limit: int) -> SiteZones:
    """By id."""
    zone_of(connection, site_id)
    query = select(site_zones).where(site_zones.c.site_id == site_id).order_by(site_zones.c.id).limit(limit + 1)
    if cursor is not None:
        query = query.where(site_zones.c.id > place_of(cursor, str))
    rows = connection.execute(query).all()
    shown = rows[:limit]
    planned = _planned(connection, [row.id for row in shown])
    more = cursor_of(shown[-1].id) if len(rows) > limit else None
    return SiteZones(site_id, len(shown), tuple(_zone(row, planned.get(row.id, ()), now) for row in shown), more)


def _row(connection: Connection, zone_id: str) -> Row[Any]:
    row = connection.execute(select(site_zones).where(site_zones.c.id == zone_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no zone {zone_id!r}; POST /api/v1/site-zones makes one")
    return row


def _planned(connection: Connection, zone_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """What is not over by its status, the next first."""
    table = scheduled_events.c
    query = select(scheduled_events).where(table.zone_id.in_(zone_ids)).order_by(table.start_at.desc(), table.id)
    found: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(query.where(table.status.not_in(("completed", "cancelled")))):
        found.setdefault(row.zone_id, []).append(row)
    return found


def _zone(row: Row[Any], planned: Sequence[Row[Any]], now: datetime) -> SiteZone:
    load_w = row.current_load_w
    shown = [event for event in (_event(of, now) for of in planned) if event.status != "completed"]
    return SiteZone(
        id=row.id,
        facility_id=row.site_id,
        circuit_id=row.circuit_id,
        name=row.name,
        zone_type=row.zone_type,
        capacity=row.capacity_w / 1000,
        current_load=None if load_w is None else load_w / 1000,
        current_load_at=row.current_load_at,
        utilization=None if load_w is None else load_w / row.capacity_w * 100,
        priority=row.priority,
        can_shed_load=row.can_shed_load,
        min_load=row.min_load_w / 1000,
        max_load=None if row.max_load_w is None else row.max_load_w / 1000,
        scheduled_events=tuple(shown[-SHOWN_MAX:][::-1]),
        created_at=row.created_at,
    )


def plan(connection: Connection, zone_id: str, draft: ScheduledEventDraft, now: datetime) -> ScheduledEvent:
    """Raises NotFoundError for the zone, InvalidError for an end before the start."""
    _row(connection, zone_id)
    problem = outside(draft.start_time) or outside(draft.end_time)
    if problem is not None:
        raise InvalidError(problem)
    if draft.end_time <= draft.start_time:
        raise InvalidError("end_time is not after start_time")
    here = select(func.count()).where(scheduled_events.c.zone_id == zone_id)
    if connection.execute(here).scalar_one() >= EVENTS_MAX:
        raise ConflictError(f"zone {zone_id!r} has {EVENTS_MAX} planned events, which is the most")
    event_id = new_id()
    connection.execute(
        insert(scheduled_events).values(
            id=event_id,
            zone_id=zone_id,
            event_type=draft.event_type,
            start_at=draft.start_time,
            end_at=draft.end_time,
            estimated_impact_w=None if draft.estimated_impact is None else draft.estimated_impact * 1000,
            recurrence_rule=draft.recurrence_rule,
            status="scheduled",
            created_at=now,
        )
    )
    return event(connection, event_id, now)


def event(connection: Connection, event_id: str, now: datetime) -> ScheduledEvent:
    row = connection.execute(select(scheduled_events).where(scheduled_events.c.id == event_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no planned event {event_id!r}")
    return _event(row, now)


def set_status(connection: Connection, event_id: str, status: str, now: datetime) -> ScheduledEvent:
    """Raises ConflictError where it is over."""
    before = event(connection, event_id, now)
    if before.status in {"completed", "cancelled"} and status != before.status:
        raise ConflictError(f"planned event {event_id!r} is {before.status}; plan another one")
    connection.execute(update(scheduled_events).where(scheduled_events.c.id == event_id).values(status=status))
    return event(connection, event_id, now)


def events(connection: Connection, zone_id: str, now: datetime, cursor: str | None, limit: int) -> Page[ScheduledEvent]:
    """All that was planned for a zone, by id."""
    _row(connection, zone_id)
    table = scheduled_events.c
    query = select(scheduled_events).where(table.zone_id == zone_id).order_by(table.id).limit(limit + 1)
    if cursor is not None:
        query = query.where(table.id > place_of(cursor, str))
    return page(connection.execute(query).all(), limit, lambda row: _event(row, now), "id")


def _event(row: Row[Any], now: datetime) -> ScheduledEvent:
    status = row.status
    # One that recurs is not over with its first time.
    if status == "scheduled" and row.start_at <= now:
        status = "active" if now < row.end_at else ("scheduled" if row.recurrence_rule else "completed")
    return ScheduledEvent(
        row.id,
        row.zone_id,
        row.event_type,
        row.start_at,
        row.end_at,
        None if row.estimated_impact_w is None else row.estimated_impact_w / 1000,
        row.recurrence_rule,
        status,
    )
