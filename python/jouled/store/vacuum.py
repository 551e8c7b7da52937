"""Gives the room of what was deleted back to the disk."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Engine, text

from jouled.store.engine import real_name
from jouled.store.schema import metadata


class Sizes(NamedTuple):
    """Of all tables together."""

    before_bytes: int
    after_bytes: int


def vacuum(engine: Engine) -> Sizes:
    """SQLite writes its file anew, for which it needs as much room once more; PostgreSQL frees within its files."""
    before = _bytes(engine)
    if engine.dialect.name == "sqlite":
        # Not in a transaction; the log is emptied into the file at the end.
        driver = engine.raw_connection()
        try:
            cursor = driver.cursor()
            for statement in ("VACUUM", "PRAGMA optimize", "PRAGMA wal_checkpoint(TRUNCATE)"):
                cursor.execute(statement)
            cursor.close()
        finally:
            driver.close()
    else:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in metadata.sorted_tables:
                connection.execute(text(f"VACUUM (ANALYZE) {real_name(connection, table)}"))
    return Sizes(before, _bytes(engine))


def _bytes(engine: Engine) -> int:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            count = connection.execute(text("PRAGMA page_count")).scalar_one()
            return int(count) * int(connection.execute(text("PRAGMA page_size")).scalar_one())
        sizes = text("SELECT pg_total_relation_size(CAST(:name AS regclass))")
        names = [real_name(connection, table) for table in metadata.sorted_tables]
        return sum(int(connection.execute(sizes, {"name": name}).scalar_one()) for name in names)
