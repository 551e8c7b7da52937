"""The engine behind `store.url`: SQLite in the state directory, or PostgreSQL."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from jouled.config.books import PREFIX
from jouled.errors import ConfigError
from jouled.store.schema import MARK

SQLITE_FILE = "jouled.sqlite"
# How long a statement waits for another process's write to end: joulectl, or a program that logs power.
BUSY_MS = 10_000
READERS_MAX = 4
# Callers of `read` bring their own threads: so many more may read at once, the others wait in turn.
READERS_MORE = 16
READER_WAIT_S = 10.0
# What a page, a request or a report asks for takes a fraction of it; what takes longer would stop the others.
READ_S = 10.0
# A write is a transaction of many small statements. One that waits longer for a lock waits for a dead client.
WRITE_S = 60.0
# Between two looks at the clock while SQLite works: some milliseconds.
DEADLINE_STEPS = 50_000
# What is left of the log after a burst of writes, or after a reader who held it for long.
LOG_BYTES_MAX = 64 * 1024 * 1024

# A server that has vanished without a word is noticed after 25 s at the latest.
_POSTGRES_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "application_name": "jouled",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}

# writer: the one thread; reader: may change nothing, and has a deadline; tool: by hand, takes its time.
Role: TypeAlias = Literal["writer", "reader", "tool"]


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
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite" or parsed.database in {None, "", ":memory:"}:
        raise ConfigError(
            f"store.url: {parsed.drivername} is not known; write sqlite, sqlite:////PATH, postgresql://USER@HOST/DB or none"
        )
    return parsed


def open_engine(url: URL, prefix: str = "", role: Role = "tool") -> Engine:
    """Connects to nothing yet. Raises ConfigError for a prefix that cannot stand before a name."""
    if not PREFIX.fullmatch(prefix):
        raise ConfigError(f"store.prefix {prefix!r} cannot stand before a name; write up to 16 of a-z, 0-9 and _")
    engine = _open_sqlite(url, role) if url.drivername == "sqlite" else _open_postgres(url, role)
    event.listen(engine, "before_cursor_execute", _prefixing(prefix), retval=True)
    return engine.execution_options(prefix=prefix, is_writer=role == "writer")


def real_name(connection: Connection, table: Table) -> str:
    """For statements that are handed to the driver itself, as COPY is."""
    return table.name.replace(MARK, prefix_of(connection))


def prefix_of(connection: Connection | Engine) -> str:
    return str(connection.get_execution_options().get("prefix", ""))


def _sizes(role: Role) -> dict[str, Any]:
    more = READERS_MORE if role == "reader" else 1
    return {"pool_size": READERS_MAX if role == "reader" else 1, "max_overflow": more, "pool_timeout": READER_WAIT_S}


def _open_sqlite(url: URL, role: Role) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000}, **_sizes(role))

    def set_up(connection: Any, _: Any) -> None:
        # The driver's own idea of when a transaction begins would let a read become a write half-way.
        connection.isolation_level = None
        settings = ["foreign_keys = ON"]
        if role == "reader":
            settings += ["query_only = ON"]
        else:
            settings += ["journal_mode = WAL", "synchronous = FULL", f"journal_size_limit = {LOG_BYTES_MAX}"]
        cursor = connection.cursor()
        for setting in settings:
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    def begin(connection: Connection) -> None:
        if role == "reader":
            driver: Any = connection.connection.driver_connection
            driver.set_progress_handler(_Deadline(READ_S), DEADLINE_STEPS)
            # It touches nothing yet, so there is no error to translate: by SQLAlchemy it takes as long as a read.
            driver.execute("BEGIN")
        else:
            is_writer = connection.get_execution_options().get("is_writer", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", begin)
    return engine


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._end_s = time.monotonic() + seconds

    def __call__(self) -> int:
        """SQLite gives up where this is not 0."""
        return time.monotonic() > self._end_s


def _open_postgres(url: URL, role: Role) -> Engine:
    # What the operator wrote in the URL goes before.
    arguments = {name: value for name, value in _POSTGRES_CONNECT.items() if name not in url.query}
    engine = create_engine(url, connect_args=arguments, **_sizes(role))

    def set_up(connection: Any, _: Any) -> None:
        limits = {"reader": READ_S, "writer": WRITE_S, "tool": 0.0}
        settings = [f"statement_timeout = {limits[role] * 1000:.0f}"]
        if role == "reader":
            # All that one page shows is of one moment.
            settings += ["default_transaction_read_only = on", "default_transaction_isolation = 'repeatable read'"]
        connection.autocommit = True
        for setting in settings:
            connection.execute(f"SET {setting}")
        connection.autocommit = False

    event.listen(engine, "connect", set_up)
    return engine


def _prefixing(prefix: str) -> Any:
    def put_prefix(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> Any:
        return statement.replace(MARK, prefix), parameters

    return put_prefix
