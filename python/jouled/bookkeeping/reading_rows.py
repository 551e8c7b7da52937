"""Many readings into their table at once: by the driver's own bulk, because each layer above costs more than the row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, func, or_, select

from jouled.bookkeeping.pages import PLACE_MAX, cursor_of, place_of
from jouled.books.calendar import Period
from jouled.errors import InvalidError
from jouled.store.engine import real_name
from jouled.store.schema import MARK
from jouled.store.schema.readings import energy_readings
from jouled.store.types import instant, microseconds

TABLE = energy_readings.name
# Fewer are sent one by one: a COPY costs three statements before its first row.
COPY_MIN = 64
# Names in one question; SQLite takes 32,766 at most.
ASKED_TOGETHER = 1000


class ReadingRow(NamedTuple):
    """A row as the engine stores it: instants in microseconds, metadata as text."""

    id: str
    key: str | None
    meter_id: str
    site_id: str
    energy_source: str
    direction: str
    energy_mj: int
    at: int
    voltage_v: float | None
    current_a: float | None
    power_factor: float | None
    frequency_hz: float | None
    quality: str
    metadata: str | None
    created_at: int
    emission_ug: int
    intensity_ug_per_kwh: int
    emission_method: str


_COLUMNS = ", ".join(ReadingRow._fields)
_ONE_SQLITE = (
    f"INSERT INTO {TABLE} ({_COLUMNS}) VALUES ({', '.join('?' * len(ReadingRow._fields))}) ON CONFLICT (id) DO NOTHING"  # noqa: S608  (all of it is ours)
)
_ONE_POSTGRES = _ONE_SQLITE.replace("?", "%s")
# Temporary tables belong to a session, so this name needs no prefix.
_INCOMING = f"CREATE TEMPORARY TABLE IF NOT EXISTS incoming_readings ON COMMIT DELETE ROWS AS SELECT {_COLUMNS} FROM {TABLE} WITH NO DATA"  # noqa: S608
_TAKE = f"INSERT INTO {TABLE} ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming_readings ON CONFLICT (id) DO NOTHING"  # noqa: S608
# Two daemons on one store wait for each other here, instead of each for what the other has locked.
_LOCK = f"SELECT pg_advisory_xact_lock(hashtext('{MARK}energy_readings'))"


def lock(connection: Connection) -> None:
    """Until the transaction ends. SQLite has one writer anyway."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(_LOCK)


def last_seq(connection: Connection) -> int:
    """All that come in from now on are above."""
    return int(connection.execute(select(func.max(energy_readings.c.seq))).scalar() or 0)


def insert_all(connection: Connection, rows: Sequence[ReadingRow]) -> int:
    """Skips those whose keys are there. Returns how many were not."""
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql(_ONE_SQLITE, list(rows)).rowcount
    if len(rows) < COPY_MIN:
        return connection.exec_driver_sql(_ONE_POSTGRES, list(rows)).rowcount
    return _copied(connection, rows)


def _copied(connection: Connection, rows: Sequence[ReadingRow]) -> int:
    """Straight into the table, as almost always all are new; otherwise by way of a table of its own."""
    from psycopg.errors import UniqueViolation

    try:
        with connection.begin_nested():
            # A COPY does not pass where the operator's prefix is put before names.
            _copy(connection, real_name(connection, energy_readings), rows)
    except UniqueViolation:
        connection.exec_driver_sql(_INCOMING)
        connection.exec_driver_sql("TRUNCATE incoming_readings")
        _copy(connection, "incoming_readings", rows)
        return connection.exec_driver_sql(_TAKE).rowcount
    return len(rows)


def _copy(connection: Connection, table: str, rows: Sequence[ReadingRow]) -> None:
    session: Any = connection.connection.driver_connection
    with session.cursor() as cursor, cursor.copy(f'COPY "{table}" ({_COLUMNS}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(row)


def by_id(connection: Connection, ids: Sequence[str]) -> Iterator[Row[Any]]:
    """Those that are there."""
    for start in range(0, len(ids), ASKED_TOGETHER):
        asked = ids[start : start + ASKED_TOGETHER]
        yield from connection.execute(select(energy_readings).where(energy_readings.c.id.in_(asked)))


def newest(
    connection: Connection, site_id: str, during: Period, cursor: str | None, limit: int
) -> tuple[Sequence[Row[Any]], str | None]:
    """A site's readings of a half-open range, newest first, and where the next page begins."""
    table = energy_readings.c
    query = (
        select(energy_readings)
        .where(table.site_id == site_id, table.at >= during.start, table.at < during.end)
        .order_by(table.at.desc(), table.seq.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        at, seq = _place(cursor)
        query = query.where(table.at <= at, or_(table.at < at, and_(table.at == at, table.seq < seq)))
    rows = connection.execute(query).all()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], cursor_of(f"{microseconds(last.at)}:{last.seq}")


def _place(cursor: str) -> tuple[datetime, int]:
    at_us, _, seq = place_of(cursor, str).partition(":")
    try:
        place = instant(int(at_us)), int(seq)
    except (ValueError, OverflowError):
        raise InvalidError(f"cursor {cursor[:64]!r} is none; leave it out to begin anew") from None
    if not 0 <= place[1] < PLACE_MAX:
        raise InvalidError(f"cursor {cursor[:64]!r} is none; leave it out to begin anew")
    return place
