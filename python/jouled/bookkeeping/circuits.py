"""Circuits: the tree of a site's power distribution, with what each may carry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from jouled.bookkeeping.ids import new_id
from jouled.bookkeeping.pages import page, place_of
from jouled.bookkeeping.sites import zone_of
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store.schema.sites import circuits
from jouled.wire.problems import Page
from jouled.wire.sites import Circuit, CircuitDraft

# The tree of one site is looked at whole.
CIRCUITS_MAX = 2000
DEPTH_MAX = 32


def create(connection: Connection, draft: CircuitDraft, now: datetime) -> Circuit:
    known = _of_site(connection, draft.facility_id)
    if len(known) >= CIRCUITS_MAX:
        raise ConflictError(f"site {draft.facility_id!r} has {CIRCUITS_MAX} circuits, which is the most")
    circuit_id = draft.id or new_id()
    _check_parent(known, circuit_id, draft)
    try:
        connection.execute(insert(circuits).values(id=circuit_id, created_at=now, **_values(draft)))
    except IntegrityError:
        raise ConflictError(f"there is a circuit {circuit_id!r} already; choose another id") from None
    return get(connection, circuit_id)


def replace(connection: Connection, circuit_id: str, draft: CircuitDraft) -> Circuit:
    """Raises ConflictError for another site, InvalidError for a parent that it is above of."""
    row = _row(connection, circuit_id)
    if draft.facility_id != row.site_id:
        raise ConflictError(f"circuit {circuit_id!r} is of site {row.site_id!r} and stays there")
    _check_parent(_of_site(connection, row.site_id), circuit_id, draft)
    connection.execute(update(circuits).where(circuits.c.id == circuit_id).values(**_values(draft)))
    return get(connection, circuit_id)


def _values(draft: CircuitDraft) -> dict[str, Any]:
    return {
        "site_id": draft.facility_id,
        "parent_id": draft.parent_id,
        "name": draft.name,
        "limit_w": None if draft.limit is None else draft.limit * 1000,
    }


def _check_parent(known: Mapping[str, Row[Any]], circuit_id: str, draft: CircuitDraft) -> None:
    above, depth = draft.parent_id, 1
    while above is not None:
        if above == circuit_id:
            raise InvalidError(f"circuit {circuit_id!r} would be fed by itself; choose another parent_id")
        if above not in known:
            raise InvalidError(f"site {draft.facility_id!r} has no circuit {above!r}; make the parent first")
        depth += 1
        if depth > DEPTH_MAX:
            raise InvalidError(f"a circuit stands {DEPTH_MAX} deep at most")
        above = known[above].parent_id


def get(connection: Connection, circuit_id: str) -> Circuit:
    row = _row(connection, circuit_id)
    return _circuit(row, _of_site(connection, row.site_id))


def listed(connection: Connection, site_id: str, cursor: str | None, limit: int) -> Page[Circuit]:
    """Of a site, by id."""
    known = _of_site(connection, site_id)
    query = select(circuits).where(circuits.c.site_id == site_id).order_by(circuits.c.id).limit(limit + 1)
    if cursor is not None:
        query = query.where(circuits.c.id > place_of(cursor, str))
    return page(connection.execute(query).all(), limit, lambda row: _circuit(row, known), "id")


def _row(connection: Connection, circuit_id: str) -> Row[Any]:
    row = connection.execute(select(circuits).where(circuits.c.id == circuit_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no circuit {circuit_id!r}; POST /api/v1/circuits makes one")
    return row


def _of_site(connection: Connection, site_id: str) -> dict[str, Row[Any]]:
    zone_of(connection, site_id)
    return {row.id: row for row in connection.execute(select(circuits).where(circuits.c.site_id == site_id))}


def _circuit(row: Row[Any], known: Mapping[str, Row[Any]]) -> Circuit:
    limits, above = [row.limit_w], row.parent_id
    for _ in range(DEPTH_MAX):
        if above is None or above not in known:
            break
        limits.append(known[above].limit_w)
        above = known[above].parent_id
    least = min((limit for limit in limits if limit is not None), default=None)
    return Circuit(
        row.id,
        row.site_id,
        row.parent_id,
        row.name,
        None if row.limit_w is None else row.limit_w / 1000,
        None if least is None else least / 1000,
        row.created_at,
    )
