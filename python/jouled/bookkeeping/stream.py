"""The messages of the stream, as its readers get them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text

from jouled.store.schema.events import messages
from jouled.wire.stream import Bounds, Message


class Span(NamedTuple):
    """Transactions of PostgreSQL around a read: all below `oldest` had ended before it, none of `next`
    and above had begun after it.
    """

    oldest: int
    next: int


class Found(NamedTuple):
    """`span` is None where writers take turns, so that numbers come in their order."""

    messages: list[Message]
    span: Span | None


def after(connection: Connection, seq: int, topics: Collection[str] | None, limit: int) -> list[Message]:
    """Those beyond `seq`, oldest first; `topics` None for all."""
    query = select(messages).where(messages.c.seq > seq).order_by(messages.c.seq).limit(limit)
    if topics is not None:
        query = query.where(messages.c.topic.in_(sorted(topics)))
    return [Message(row.seq, row.topic, row.at, row.body) for row in connection.execute(query)]


def bounds(connection: Connection) -> Bounds:
    first, last = connection.execute(select(func.min(messages.c.seq), func.max(messages.c.seq))).one()
    given = max(_last_given(connection), last or 0)
    return Bounds(given + 1 if first is None else first, given)


def found_after(connection: Connection, seq: int, limit: int) -> Found:
    """Those beyond `seq` of all topics, and which transactions may still bring some before them."""
    if connection.dialect.name == "sqlite":
        return Found(after(connection, seq, None, limit), None)
    oldest, _ = _transactions(connection)
    found = after(connection, seq, None, limit)
    _, following = _transactions(connection)
    return Found(found, Span(oldest, following))


def _transactions(connection: Connection) -> tuple[int, int]:
    query = "SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text FROM pg_current_snapshot() AS s"
    oldest, following = connection.execute(text(query)).one()
    return int(oldest), int(following)


def _last_given(connection: Connection) -> int:
    """Also where all messages have been removed: a client that missed them must learn of it."""
    if connection.dialect.name == "sqlite":
        # Made by SQLite itself with the first row of such a table.
        query = f"SELECT seq FROM sqlite_sequence WHERE name = '{messages.name}'"  # noqa: S608  (our own name)
    else:
        query = f"SELECT pg_sequence_last_value(pg_get_serial_sequence('{messages.name}', 'seq')::regclass)"
    return int(connection.execute(text(query)).scalar() or 0)
