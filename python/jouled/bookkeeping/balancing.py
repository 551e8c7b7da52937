"""Decisions that jouled proposes by itself, from the loads of a site's zones."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from jouled.bookkeeping import decisions
from jouled.bookkeeping.load import site_row, zone_rows
from jouled.books.decisions import EXPIRES_AFTER, OPEN
from jouled.books.load import Bands, Seen
from jouled.books.shifting import Open, Place, Proposal, proposals
from jouled.store.schema.load import decisions as decisions_table
from jouled.wire.decisions import Decision, Decisions

# More than that nobody reads, and each is looked at for each zone.
OPEN_MAX = 1000
REASON_MAX = 1024


def balance(connection: Connection, site_id: str, who: str, now: datetime, bands: Bands) -> Decisions:
    """Propose what brings the zones back within their bands. What is proposed already is not proposed again."""
    site_row(connection, site_id)
    places = [_place(row, now, bands) for row in zone_rows(connection, site_id)]
    found, reasons = proposals(places, _still_open(connection, site_id), bands)
    made = tuple(
        decision for proposal in found if (decision := _propose(connection, site_id, proposal, who, now)) is not None
    )
    reason = "; ".join(reasons)[:REASON_MAX] or None
    return Decisions(site_id, len(made), made, reason=reason)


def _place(row: Row[Any], now: datetime, bands: Bands) -> Place:
    load_w = row.current_load_w
    if load_w is not None and Seen(load_w, None, row.current_load_at).is_stale(now, bands):
        load_w = None
    return Place(row.id, row.name, row.capacity_w, load_w, row.min_load_w, row.max_load_w, row.can_shed_load)


def _still_open(connection: Connection, site_id: str) -> list[Open]:
    table = decisions_table.c
    query = select(decisions_table).where(table.site_id == site_id, table.status.in_(OPEN)).limit(OPEN_MAX)
    return [
        Open(row.source_zone_id, row.target_zone_id, row.triggering_condition, row.load_shift_w)
        for row in connection.execute(query)
    ]


def _propose(connection: Connection, site_id: str, proposal: Proposal, who: str, now: datetime) -> Decision | None:
    """None where another daemon of the same store was first."""
    open_key = f"{site_id}/{proposal.condition}/{proposal.source}"
    is_open = select(decisions_table.c.id).where(decisions_table.c.open_key == open_key)
    if connection.execute(is_open).first() is not None:
        return None
    scheduled_at = now + proposal.starts_in
    values = {
        "open_key": open_key,
        "site_id": site_id,
        "decision_type": proposal.decision_type,
        "source_zone_id": proposal.source,
        "target_zone_id": proposal.target,
        "load_shift_w": proposal.amount_w,
        "reason": proposal.reason,
        "triggering_condition": proposal.condition,
        "priority": proposal.priority,
        "scheduled_at": scheduled_at,
        "expires_at": scheduled_at + EXPIRES_AFTER,
        "inputs": proposal.inputs,
        "expected": proposal.expected,
    }
    return decisions.begin(connection, values, who, now)
