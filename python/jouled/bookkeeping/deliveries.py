"""Deliveries of events: queued, claimed, settled; those that were given up are kept, and can be tried again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, func, select, update

from jouled.bookkeeping.events import event_of
from jouled.bookkeeping.pages import page, place_of
from jouled.bookkeeping.upserts import upsert
from jouled.books.deliveries import CLAIM, Failure, wait_after
from jouled.errors import ConflictError, NotFoundError
from jouled.store.schema.events import deliveries, events
from jouled.wire.deliveries import Delivery
from jouled.wire.events import Event
from jouled.wire.problems import Page

ERROR_MAX = 1024
EVENTS_MAX = 500
KEPT = timedelta(days=7)
TIDIED_MAX = 1000

_DELIVERY = select(deliveries, events.c.id.label("event_id"), events.c.type.label("event_type")).join(
    events, events.c.seq == deliveries.c.event_seq
)


class Claimed(NamedTuple):
    """For `books.deliveries.CLAIM` nobody else tries it. `attempts` counts this one."""

    seq: int
    event: Event
    attempts: int


class NewEvent(NamedTuple):
    """An event with its number in the table."""

    seq: int
    event: Event


def newest(connection: Connection) -> int:
    """The number of the latest event; 0 before the first."""
    return int(connection.execute(select(func.coalesce(func.max(events.c.seq), 0))).scalar_one())


def events_after(connection: Connection, seq: int) -> list[NewEvent]:
    """In the order in which they were written, a bounded number."""
    query = select(events).where(events.c.seq > seq).order_by(events.c.seq).limit(EVENTS_MAX)
    return [NewEvent(row.seq, event_of(row)) for row in connection.execute(query)]


def queue(connection: Connection, seqs: Sequence[int], targets: Collection[str], now: datetime) -> None:
    """Events that other processes wrote, who know of no targets; those that are queued stay as they are."""
    rows = [
        {"event_seq": seq, "target": target, "attempts": 0, "next_at": now, "state": "pending"}
        for seq in seqs
        for target in targets
    ]
    if rows:
        connection.execute(upsert(connection, deliveries).values(rows).on_conflict_do_nothing())


def is_due(connection: Connection, target: str, now: datetime) -> bool:
    return connection.execute(_due(target, now)).first() is not None


def claim(connection: Connection, target: str, now: datetime) -> Claimed | None:
    """The one that waits longest. It counts as tried from now on: should we die of it, it is not tried for ever."""
    seq = connection.execute(_due(target, now)).scalar()
    if seq is None:
        return None
    is_mine = connection.execute(
        update(deliveries)
        .where(deliveries.c.seq == seq, deliveries.c.state == "pending", deliveries.c.next_at <= now)
        .values(attempts=deliveries.c.attempts + 1, next_at=now + CLAIM)
    ).rowcount
    if not is_mine:  # another daemon of the same store was quicker
        return None
    row = connection.execute(
        select(events, deliveries.c.attempts)
        .join(deliveries, deliveries.c.event_seq == events.c.seq)
        .where(deliveries.c.seq == seq)
    ).one_or_none()
    if row is None:  # the event itself was removed
        _set(connection, seq, state="dead", last_error="the event is no longer kept")
        return None
    return Claimed(seq, event_of(row), row.attempts)


def settle(connection: Connection, claimed: Claimed, failure: Failure | None, now: datetime, jitter: float) -> str:
    """Returns its state: delivered, pending or dead."""
    if failure is None:
        return _set(connection, claimed.seq, state="delivered", next_at=now, last_error=None)
    words = failure.words[:ERROR_MAX]
    wait = wait_after(claimed.attempts, failure, jitter)
    if wait is None:
        return _set(connection, claimed.seq, state="dead", next_at=now, last_error=words)
    return _set(connection, claimed.seq, state="pending", next_at=now + wait, last_error=words)


def retry(connection: Connection, seq: int, now: datetime) -> Delivery:
    """A delivery that was given up begins anew; one that waits is due now."""
    row = connection.execute(_DELIVERY.where(deliveries.c.seq == seq)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no delivery {seq}; GET /api/v1/deliveries lists them")
    if row.state == "delivered":
        raise ConflictError(f"delivery {seq} was delivered already; nothing is to be tried again")
    _set(connection, seq, state="pending", attempts=0, next_at=now)
    return _delivery(connection.execute(_DELIVERY.where(deliveries.c.seq == seq)).one())


def listed(connection: Connection, state: str | None, cursor: str | None, limit: int) -> Page[Delivery]:
    """Newest first."""
    query = _DELIVERY.order_by(deliveries.c.seq.desc()).limit(limit + 1)
    if state is not None:
        query = query.where(deliveries.c.state == state)
    if cursor is not None:
        query = query.where(deliveries.c.seq < place_of(cursor, int))
    return page(connection.execute(query).all(), limit, _delivery, "seq")


def tidy(connection: Connection, now: datetime) -> int:
    """Forgets what was delivered a week ago, a bounded number; what was given up stays."""
    old = (
        select(deliveries.c.seq)
        .where(deliveries.c.state == "delivered", deliveries.c.next_at < now - KEPT)
        .limit(TIDIED_MAX)
    )
    return connection.execute(delete(deliveries).where(deliveries.c.seq.in_(old))).rowcount


def _due(target: str, now: datetime) -> Any:
    return (
        select(deliveries.c.seq)
        .where(deliveries.c.state == "pending", deliveries.c.next_at <= now, deliveries.c.target == target)
        .order_by(deliveries.c.next_at, deliveries.c.seq)
        .limit(1)
    )


def _set(connection: Connection, seq: int, **values: Any) -> str:
    connection.execute(update(deliveries).where(deliveries.c.seq == seq).values(**values))
    return str(values["state"])


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        seq=row.seq,
        event_id=row.event_id,
        event_type=row.event_type,
        target=row.target,
        state=row.state,
        attempts=row.attempts,
        next_at=row.next_at if row.state == "pending" else None,
        last_error=row.last_error,
    )
