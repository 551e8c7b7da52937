"""Decisions of the node's power: each is kept with what it was made of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from jouled.balance.steps import Step
from jouled.bookkeeping.pages import cursor_of, place_of
from jouled.bookkeeping.upserts import upsert
from jouled.errors import InvalidError
from jouled.store.schema.steering import cap_decisions
from jouled.wire.plan import CapDecision
from jouled.wire.problems import Page

TEXT_MAX = 1024
_TABLE = cap_decisions.c


def put(connection: Connection, step: Step, node: str) -> None:
    """The same again changes nothing."""
    statement = upsert(connection, cap_decisions).values(
        id=step.id,
        node=node[:256],
        at=step.at,
        start_at=step.budget.start,
        end_at=step.budget.end,
        power_w=step.budget.power_w,
        applied_w=step.applied_w,
        reason=step.budget.reason[:TEXT_MAX],
        inputs=dict(step.budget.inputs),
        problem=None if step.problem is None else step.problem[:TEXT_MAX],
    )
    connection.execute(statement.on_conflict_do_nothing(index_elements=["id"]))


def listed(
    connection: Connection, *, start: datetime, end: datetime, cursor: str | None, limit: int
) -> Page[CapDecision]:
    """Newest first."""
    if end <= start:
        raise InvalidError("`to` must be after `from`")
    query = select(cap_decisions).where(_TABLE.at >= start, _TABLE.at < end)
    if cursor is not None:
        query = query.where(_TABLE.seq < place_of(cursor, int))
    rows = connection.execute(query.order_by(_TABLE.seq.desc()).limit(limit + 1)).all()
    more = cursor_of(rows[limit - 1].seq) if len(rows) > limit else None
    shown = tuple(_shown(row) for row in rows[:limit])
    return Page(len(shown), shown, more)


def _shown(row: Row[Any]) -> CapDecision:
    return CapDecision(
        id=row.id,
        node=row.node,
        at=row.at,
        start=row.start_at,
        end=row.end_at,
        watts=row.power_w,
        applied_watts=row.applied_w,
        reason=row.reason,
        inputs=row.inputs,
        problem=row.problem,
    )
