"""The balancer's records: decisions and what came of them, verdicts by minute, and what operators have set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select

from jouled.balance.fleet.words import OFF, Circuit
from jouled.bookkeeping.pages import cursor_of, place_of
from jouled.bookkeeping.upserts import upsert
from jouled.errors import InvalidError
from jouled.store.schema.balance import balance_decisions, balance_minutes, balance_settings
from jouled.store.schema.fleet import miner_statuses
from jouled.store.schema.meters import meters
from jouled.store.schema.sites import circuits
from jouled.wire.balance import BalanceEvent, BalancePoint, Setting
from jouled.wire.problems import Page

TEXT_MAX = 1024
CIRCUITS_MAX = 2000
# The decision of a load's latest order is among so many of its latest ones.
MISSED_MAX = 8
_DECISION = balance_decisions.c
_MINUTE = balance_minutes.c
_SETTING = balance_settings.c
_STATUS = miner_statuses.c
# Decisions that became an order, whatever is known of what came of it.
ORDERED = ("executing", "completed", "failed")
# A load that was told to stop may run on for so long.
STOPPING = timedelta(minutes=2)
LOADS_MAX = 10_000
# What becomes of a decision; the rest of it stays.
_CHANGES = ("status", "new_w", "success", "error", "inputs", "observed", "expires_at", "ended_at", "who")


# ---- decisions ----


def put(connection: Connection, event: BalanceEvent, site: str) -> None:
    """As it is now; the same again changes nothing."""
    values = {
        "id": event.id,
        "site": site[:256],
        "load": event.miner_id[:128],
        "at": event.recorded_at,
        "kind": event.kind,
        "status": event.status,
        "mode": event.mode,
        "old_point": _cut(event.old_preset, 128),
        "new_point": _cut(event.new_preset, 128),
        "old_w": event.old_power,
        "new_w": event.new_power,
        "before_w": event.total_consumption_before,
        "after_w": event.total_consumption_after,
        "available_w": event.available_power,
        "target_w": event.target_power,
        "reason": event.reason[:TEXT_MAX],
        "is_urgent": event.is_urgent,
        "success": event.success,
        "error": _cut(event.error_message, TEXT_MAX),
        "inputs": event.inputs,
        "expected": event.expected,
        "observed": event.observed,
        "expires_at": event.expires_at,
        "ended_at": event.ended_at,
        "who": _cut(event.who, 256),
    }
    statement = upsert(connection, balance_decisions).values(**values)
    changes = {name: values[name] for name in _CHANGES}
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changes))


def put_missing(connection: Connection, events: Sequence[BalanceEvent], site: str) -> None:
    """Of orders in a journal those that no decision of the load names: it was made, and never written."""
    for event in events:
        is_of_load = (_DECISION.load == event.miner_id[:128]) & (_DECISION.site == site)
        # What was proposed since is of no order yet.
        query = select(_DECISION.inputs).where(is_of_load, _DECISION.at <= event.recorded_at)
        latest = connection.execute(query.order_by(_DECISION.seq.desc()).limit(MISSED_MAX)).scalars()
        if not any(inputs.get("order") == event.inputs["order"] for inputs in latest):
            put(connection, event, site)


def events(
    connection: Connection,
    *,
    load: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
    statuses: tuple[str, ...] = (),
    site: str | None = None,
) -> Page[BalanceEvent]:
    """Newest first, of one load or of all."""
    query = select(balance_decisions)
    if load is not None:
        query = query.where(_DECISION.load == load[:128])
    if site is not None:
        query = query.where(_DECISION.site == site)
    if statuses:
        query = query.where(_DECISION.status.in_(statuses))
    if cursor is not None:
        query = query.where(_DECISION.seq < place_of(cursor, int))
    rows = connection.execute(query.order_by(_DECISION.seq.desc()).limit(limit + 1)).all()
    more = cursor_of(rows[limit - 1].seq) if len(rows) > limit else None
    shown = tuple(_event(row) for row in rows[:limit])
    return Page(len(shown), shown, more)


def left_off(connection: Connection, site: str) -> tuple[str, ...]:
    """Loads that were switched off with their latest order, and have not run since: whoever gave it."""
    is_order = (_DECISION.site == site) & _DECISION.status.in_(ORDERED)
    latest = select(func.max(_DECISION.seq)).where(is_order).group_by(_DECISION.load)
    query = select(balance_decisions).where(_DECISION.seq.in_(latest), _DECISION.new_point == OFF)
    found = []
    for row in connection.execute(query.order_by(_DECISION.load).limit(LOADS_MAX)).all():
        since = (row.ended_at or row.at) + STOPPING
        runs = select(_STATUS.seq).where(_STATUS.miner == row.load, _STATUS.at > since, _STATUS.state == "running")
        if connection.execute(runs.limit(1)).first() is None:
            found.append(row.load)
    return tuple(found)


def end_left(connection: Connection, site: str, at: datetime) -> None:
    """What was open when an earlier daemon ended: nobody has seen what came of it."""
    why = "the daemon ended before it was seen what came of it"
    table = balance_decisions
    is_of_site = _DECISION.site == site
    connection.execute(
        table.update()
        .where(is_of_site, _DECISION.status == "executing", _DECISION.at < at)
        .values(status="failed", success=False, error=why, ended_at=at)
    )
    connection.execute(
        table.update()
        .where(is_of_site, _DECISION.status.in_(("proposed", "approved")), _DECISION.at < at)
        .values(status="expired", error=why, ended_at=at)
    )


def _event(row: Row[Any]) -> BalanceEvent:
    return BalanceEvent(
        id=row.id,
        miner_id=row.load,
        old_preset=row.old_point,
        new_preset=row.new_point,
        old_power=row.old_w,
        new_power=row.new_w,
        reason=row.reason,
        total_consumption_before=row.before_w,
        total_consumption_after=row.after_w,
        available_power=row.available_w,
        target_power=row.target_w,
        success=row.success,
        error_message=row.error,
        recorded_at=row.at,
        kind=row.kind,
        status=row.status,
        mode=row.mode,
        is_urgent=row.is_urgent,
        inputs=row.inputs,
        expected=row.expected,
        observed=row.observed,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        who=row.who,
    )


# ---- verdicts ----


def put_minute(connection: Connection, point: BalancePoint, site: str) -> None:
    """The last one of a minute counts; `point.at` is when that minute begins."""
    values = {
        "site": site[:256],
        "at": point.at,
        "band": point.band,
        "stage": point.stage,
        "mode": point.mode,
        "supply_w": point.supply_watts,
        "budget_w": point.budget_watts,
        "target_w": point.target_watts,
        "load_w": point.load_watts,
        "measured_w": point.measured_watts,
        "unmanaged_w": point.unmanaged_watts,
        "pending": point.pending,
        "is_saturated": point.is_saturated,
    }
    statement = upsert(connection, balance_minutes).values(**values)
    connection.execute(statement.on_conflict_do_update(index_elements=["site", "at"], set_=values))


def series(
    connection: Connection, site: str, *, start: datetime, end: datetime, limit: int = 1440, cursor: str | None = None
) -> Page[BalancePoint]:
    """Oldest first. Raises InvalidError."""
    if end <= start:
        raise InvalidError("`to` must be after `from`")
    query = select(balance_minutes).where(_MINUTE.site == site, _MINUTE.at >= start, _MINUTE.at < end)
    if cursor is not None:
        query = query.where(_MINUTE.at > place_of(cursor, datetime))
    rows = connection.execute(query.order_by(_MINUTE.at).limit(limit + 1)).all()
    more = cursor_of(rows[limit - 1].at.isoformat()) if len(rows) > limit else None
    shown = tuple(
        BalancePoint(
            at=row.at,
            band=row.band,
            stage=row.stage,
            mode=row.mode,
            supply_watts=row.supply_w,
            budget_watts=row.budget_w,
            target_watts=row.target_w,
            load_watts=row.load_w,
            measured_watts=row.measured_w,
            unmanaged_watts=row.unmanaged_w,
            pending=row.pending,
            is_saturated=row.is_saturated,
        )
        for row in rows[:limit]
    )
    return Page(len(shown), shown, more)


# ---- what operators have set ----


def put_setting(connection: Connection, setting: Setting, site: str) -> None:
    """The same again changes nothing."""
    statement = upsert(connection, balance_settings).values(
        site=site[:256],
        key=setting.key,
        value=setting.value,
        who=setting.who[:256],
        why=setting.why[:256],
        at=setting.at,
    )
    connection.execute(statement.on_conflict_do_nothing(index_elements=["site", "key", "at"]))


def settings(connection: Connection, site: str) -> tuple[Setting, ...]:
    """The latest of each key."""
    latest = select(_SETTING.key, func.max(_SETTING.at).label("at")).where(_SETTING.site == site).group_by(_SETTING.key)
    newest = latest.subquery()
    query = select(balance_settings).join(newest, (_SETTING.key == newest.c.key) & (_SETTING.at == newest.c.at))
    rows = connection.execute(query.where(_SETTING.site == site).order_by(_SETTING.key)).all()
    return tuple(Setting(row.key, row.value, row.who, row.why, row.at) for row in rows)


def setting_history(connection: Connection, site: str, limit: int = 100) -> tuple[Setting, ...]:
    """Who has set what, newest first."""
    query = select(balance_settings).where(_SETTING.site == site).order_by(_SETTING.seq.desc()).limit(limit)
    return tuple(Setting(row.key, row.value, row.who, row.why, row.at) for row in connection.execute(query))


# ---- what bounds the site ----


def circuits_of(connection: Connection, site: str) -> tuple[Circuit, ...]:
    query = select(circuits.c.id, circuits.c.limit_w, circuits.c.parent_id).where(circuits.c.site_id == site)
    rows = connection.execute(query.order_by(circuits.c.id).limit(CIRCUITS_MAX)).all()
    return tuple(Circuit(row.id, row.limit_w, row.parent_id) for row in rows)


def metered(connection: Connection, meter: str) -> tuple[float, datetime] | None:
    """The latest power of a meter, and when it was taken. None where it has none."""
    row = connection.execute(select(meters.c.power_w, meters.c.latest_at).where(meters.c.id == meter)).first()
    return None if row is None or row.power_w is None or row.latest_at is None else (row.power_w, row.latest_at)


def _cut(text: str | None, most: int) -> str | None:
    return None if text is None else text[:most]
