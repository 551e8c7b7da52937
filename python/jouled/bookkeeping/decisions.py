"""Decisions: proposed, moved through their life, and looked back at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from jouled.bookkeeping import messages
from jouled.bookkeeping.ids import new_id
from jouled.bookkeeping.load import check_same, sha256_of, site_row, zone_row
from jouled.bookkeeping.pages import cursor_of, place_of
from jouled.books import decisions as rules
from jouled.errors import ConflictError, NotFoundError
from jouled.store.schema.load import decision_steps, decisions, load_metrics
from jouled.store.schema.sites import site_zones
from jouled.wire.decisions import Decision, DecisionDraft, Decisions, DecisionSteps, Step

WORDS_MAX = 1024
PASSED = "its time has passed"
# What one look of the keeper takes: the next one takes more.
AT_ONCE = 200
# After that nobody remembers what else has changed the load.
OBSERVED_WITHIN = timedelta(days=1)
# The instant of each change that has a column of its own.
MOMENTS = {
    "approved": "approved_at",
    "executing": "executed_at",
    "completed": "completed_at",
    "cancelled": "cancelled_at",
}


def propose(connection: Connection, draft: DecisionDraft, who: str, now: datetime) -> tuple[Decision, bool]:
    """The decision, and whether it is new: the same key makes it only once."""
    sha256 = sha256_of(draft)
    if draft.key is not None:
        known = connection.execute(select(decisions).where(decisions.c.key == draft.key)).one_or_none()
        if known is not None:
            check_same(draft.key, known.draft_sha256, sha256)
            return decision_of(known), False
    site_row(connection, draft.facility_id)
    rules.check_zones(draft.decision_type, draft.source_zone_id, draft.target_zone_id)
    for zone_id in rules.zones_of(draft.source_zone_id, draft.target_zone_id):
        zone_row(connection, draft.facility_id, zone_id)
    scheduled_at, expires_at = rules.times(now, draft.scheduled_at, draft.expires_at)
    values = {
        "key": draft.key,
        "draft_sha256": sha256,
        "site_id": draft.facility_id,
        "decision_type": draft.decision_type,
        "source_zone_id": draft.source_zone_id,
        "target_zone_id": draft.target_zone_id,
        "load_shift_w": draft.load_shift_amount * 1000,
        "reason": draft.reason,
        "triggering_condition": draft.triggering_condition,
        "priority": draft.priority,
        "scheduled_at": scheduled_at,
        "expires_at": expires_at,
        "inputs": draft.inputs,
        "expected": draft.expected,
    }
    return begin(connection, values, who, now), True


def begin(connection: Connection, values: Mapping[str, Any], who: str, now: datetime) -> Decision:
    """A new decision of columns that have been checked."""
    decision_id = new_id()
    connection.execute(
        insert(decisions).values(id=decision_id, status="proposed", created_by=who[:128], created_at=now, **values)
    )
    _note(connection, decision_id, None, "proposed", who=who, why=values["reason"], now=now)
    return get(connection, decision_id)


def get(connection: Connection, decision_id: str) -> Decision:
    return decision_of(_row(connection, decision_id))


def with_steps(connection: Connection, decision_id: str) -> DecisionSteps:
    query = select(decision_steps).where(decision_steps.c.decision_id == decision_id).order_by(decision_steps.c.seq)
    steps = tuple(Step(row.at, row.who, row.from_status, row.to_status, row.why) for row in connection.execute(query))
    return DecisionSteps(get(connection, decision_id), steps)


def listed(
    connection: Connection, site_id: str, status: str | None = None, cursor: str | None = None, limit: int = 100
) -> Decisions:
    """Newest first, whenever they are scheduled for."""
    site_row(connection, site_id)
    query = select(decisions).where(decisions.c.site_id == site_id).order_by(decisions.c.seq.desc()).limit(limit + 1)
    if status is not None:
        query = query.where(decisions.c.status == rules.status_of(status))
    if cursor is not None:
        query = query.where(decisions.c.seq < place_of(cursor, int))
    rows = connection.execute(query).all()
    shown = rows[:limit]
    more = cursor_of(shown[-1].seq) if len(rows) > limit else None
    return Decisions(site_id, len(shown), tuple(decision_of(row) for row in shown), more)


def move(
    connection: Connection, decision_id: str, to: str, *, who: str, why: str, now: datetime, **values: Any
) -> Decision:
    """To another status, once: of two who try at the same time the second is told where it stands by then."""
    row = _row(connection, decision_id)
    rules.check_move(decision_id, row.status, to)
    if to in MOMENTS:
        values[MOMENTS[to]] = now
    if to not in rules.OPEN:
        values["open_key"] = None
    guarded = update(decisions).where(decisions.c.id == decision_id, decisions.c.status == row.status)
    if not connection.execute(guarded.values(status=to, **values)).rowcount:
        rules.check_move(decision_id, _row(connection, decision_id).status, to)
        raise ConflictError(f"decision {decision_id} was changed meanwhile; read it again")
    _note(connection, decision_id, row.status, to, who=who, why=why, now=now)
    return get(connection, decision_id)


def approve(connection: Connection, decision_id: str, who: str, why: str, now: datetime) -> Decision:
    expire(connection, now, decision_id)
    return move(connection, decision_id, "approved", who=who, why=why, now=now)


def cancel(connection: Connection, decision_id: str, who: str, why: str, now: datetime) -> Decision:
    return move(connection, decision_id, "cancelled", who=who, why=why, now=now, result=why[:WORDS_MAX])


def start(
    connection: Connection, decision_id: str, who: str, now: datetime, *, executor: str, deadline_at: datetime
) -> Decision:
    """Its execution begins: the loads of its zones are kept, to be compared afterwards."""
    expire(connection, now, decision_id)
    row = _row(connection, decision_id)
    before = _loads_w(connection, rules.zones_of(row.source_zone_id, row.target_zone_id))
    values = {"executor": executor, "deadline_at": deadline_at, "before": before}
    return move(connection, decision_id, "executing", who=who, why="asked for", now=now, **values)


def finish(
    connection: Connection, decision_id: str, who: str, now: datetime, *, is_done: bool, result: str
) -> Decision:
    to = "completed" if is_done else "failed"
    return move(connection, decision_id, to, who=who, why=result, now=now, result=result[:WORDS_MAX])


def expire(connection: Connection, now: datetime, decision_id: str | None = None) -> int:
    """Those whose time has passed without an execution. Returns how many."""
    query = select(decisions.c.id).where(
        decisions.c.status.in_(("proposed", "approved")), decisions.c.expires_at <= now
    )
    if decision_id is not None:
        query = query.where(decisions.c.id == decision_id)
    late = connection.execute(query.limit(AT_ONCE)).scalars().all()
    for late_id in late:
        move(connection, late_id, "expired", who="jouled", why=PASSED, now=now, result=PASSED)
    return len(late)


def fail_interrupted(connection: Connection, node: str, run: str, now: datetime) -> int:
    """Those that an earlier life of this node's daemon was executing, and those of any node that are beyond
    their deadline: whoever was to finish them is gone. Returns how many.
    """
    query = select(decisions).where(decisions.c.status == "executing").limit(AT_ONCE)
    failed = 0
    for row in connection.execute(query).all():
        of_node, _, of_run = (row.executor or "").rpartition("/")
        if of_node == node and of_run != run:
            result = "the daemon ended while it was executing; look at the load, it may have been changed"
        elif row.deadline_at is None or row.deadline_at <= now:
            result = "it was not finished in time; look at the load, it may have been changed"
        else:
            continue
        finish(connection, row.id, "jouled", now, is_done=False, result=result)
        failed += 1
    return failed


def observe(connection: Connection, settle: timedelta, now: datetime) -> int:
    """What became of the zones of completed decisions, once their metrics tell. Returns of how many."""
    query = select(decisions).where(
        decisions.c.status == "completed",
        decisions.c.observed.is_(None),
        decisions.c.completed_at <= now - settle,
        decisions.c.completed_at > now - OBSERVED_WITHIN,
    )
    seen = 0
    for row in connection.execute(query.order_by(decisions.c.completed_at).limit(AT_ONCE)).all():
        before = row.before or {}
        after = {zone: _mean_after(connection, row.site_id, zone, row.completed_at + settle, now) for zone in before}
        is_last = now - row.completed_at > OBSERVED_WITHIN / 2
        if None in after.values() and not is_last:
            continue
        found = rules.observed(before, after, now)
        if found is None:
            continue
        connection.execute(update(decisions).where(decisions.c.id == row.id).values(observed=found))
        messages.post(connection, "decisions", now, get(connection, row.id))
        seen += 1
    return seen


def decision_of(row: Row[Any]) -> Decision:
    return Decision(
        id=row.id,
        facility_id=row.site_id,
        decision_type=row.decision_type,
        source_zone_id=row.source_zone_id,
        target_zone_id=row.target_zone_id,
        load_shift_amount=row.load_shift_w / 1000,
        reason=row.reason,
        triggering_condition=row.triggering_condition,
        priority=row.priority,
        status=row.status,
        scheduled_at=row.scheduled_at,
        expires_at=row.expires_at,
        approved_at=row.approved_at,
        executed_at=row.executed_at,
        completed_at=row.completed_at,
        cancelled_at=row.cancelled_at,
        inputs=row.inputs,
        expected=row.expected,
        observed=row.observed,
        result=row.result,
        key=row.key,
        created_by=row.created_by,
        created_at=row.created_at,
    )


def _row(connection: Connection, decision_id: str) -> Row[Any]:
    row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no decision {decision_id!r}")
    return row


def _note(
    connection: Connection, decision_id: str, before: str | None, to: str, *, who: str, why: str, now: datetime
) -> None:
    connection.execute(
        insert(decision_steps).values(
            decision_id=decision_id,
            at=now,
            who=who[:128],
            from_status=before,
            to_status=to,
            why=why[:WORDS_MAX],
        )
    )
    messages.post(connection, "decisions", now, get(connection, decision_id))


def _loads_w(connection: Connection, zone_ids: tuple[str, ...]) -> dict[str, float | None]:
    query = select(site_zones.c.id, site_zones.c.current_load_w).where(site_zones.c.id.in_(zone_ids))
    loads = {row.id: row.current_load_w for row in connection.execute(query)}
    return {zone_id: loads.get(zone_id) for zone_id in zone_ids}


def _mean_after(connection: Connection, site_id: str, zone_id: str, start: datetime, end: datetime) -> float | None:
    """Of the metrics of a zone that end after `start`, weighted by time; None before there is one."""
    watt_seconds = func.sum(load_metrics.c.avg_w * load_metrics.c.window_s)
    mean = watt_seconds / func.sum(load_metrics.c.window_s)
    table = load_metrics.c
    of = (table.site_id == site_id, table.zone_id == zone_id, table.at > start, table.at <= end)
    found: Any = connection.execute(select(mean).where(*of)).scalar_one()
    return None if found is None else float(found)
