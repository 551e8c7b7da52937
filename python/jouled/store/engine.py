"""The engine behind `store.url`: SQLite in the state directory, or PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from jouled.errors import ConfigError
from jouled.store.schema import MARK

SQLITE_FILE = "jouled.sqlite"
# How long a statement waits for another process's write to end: joulectl, or a program that logs power.
BUSY_MS = 10_000
READERS_MAX = 4


def store_url(url: str, state_dir: str) -> URL:
    """Raises ConfigError for what is neither."""
    if url == "sqlite":
        return URL.create("sqlite", database=str(Path(state_dir) / SQLITE_FILE))
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(
            "store.url is no URL; write sqlite, sqlite:////PATH, postgresql://USER@HOST/DB or none"
        ) from None
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite" or not parsed.database:
        raise ConfigError(
            f"store.url: {parsed.drivername} is not known; write sqlite, sqlite:////PATH, postgresql://USER@HOST/DB or none"
        )
    return parsed


def open_engine(url: URL, prefix: str = "") -> Engine:
    """Connects to nothing yet."""
    if url.drivername == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000}, pool_size=READERS_MAX + 1)
        event.listen(engine, "connect", _set_up_sqlite)
        # The driver's own idea of when a transaction begins would let a read become a write half-way.
        event.listen(engine, "begin", _begin)
    else:
        engine = create_engine(url, pool_size=READERS_MAX + 1, pool_pre_ping=True, connect_args={"connect_timeout": 5})
    event.listen(engine, "before_cursor_execute", _prefixing(prefix), retval=True)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Any) -> None:
    is_writer = connection.get_execution_options().get("is_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")


def _prefixing(prefix: str) -> Any:
    def put_prefix(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> Any:
        return statement.replace(MARK, prefix), parameters

    return put_prefix
