"""Brings a store's tables to what this version expects.

`versions/` holds one Alembic revision per file; `scripts/migration` writes the next one. What an
up-to-date store costs at the start is one SELECT: Alembic is imported only where a store is older.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Column, Connection, Engine, MetaData, PrimaryKeyConstraint, String, Table, insert, text
from sqlalchemy.exc import DBAPIError

from jouled.errors import StoreError
from jouled.store.engine import prefix_of
from jouled.store.schema import metadata
from jouled.store.trouble import trouble_of

# In order; a test compares them with the files.
REVISIONS = ("0001",)
HEAD = REVISIONS[-1]
VERSION_TABLE = "schema_version"


def version_of(engine: Engine) -> str | None:
    """None where there are no tables yet."""
    with engine.execution_options(is_writer=False).begin() as connection:
        return _version(connection)


def upgrade(engine: Engine) -> None:
    """Does nothing to a store that is up to date. Raises StoreError for one of a newer jouled."""
    version = version_of(engine)
    if version == HEAD:
        return
    refuse_unknown(version)
    with engine.execution_options(is_writer=True).begin() as connection:
        _wait_for_others(connection)
        # Another process may have been quicker.
        version = _version(connection)
        refuse_unknown(version)
        if version is None:
            _create(connection)
        elif version != HEAD:
            from jouled.store.migrations.running import run

            run(connection, _version_table(connection))


def _wait_for_others(connection: Connection) -> None:
    """SQLite's transaction has done so when it began."""
    if connection.dialect.name == "postgresql":
        number = int.from_bytes(hashlib.sha256(_version_table(connection).encode()).digest()[:8], signed=True)
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def _create(connection: Connection) -> None:
    """A new store gets all at once what the steps lead to, a test compares both: without Alembic, whose
    memory the daemon would keep.
    """
    metadata.create_all(connection, checkfirst=False)
    name = _version_table(connection)
    # As Alembic makes it.
    key = PrimaryKeyConstraint("version_num", name=f"{name}_pkc")
    versions = Table(name, MetaData(), Column("version_num", String(32), nullable=False), key)
    versions.create(connection)
    connection.execute(insert(versions).values(version_num=HEAD))


def refuse_unknown(version: str | None, place: str = "the store") -> None:
    if version is not None and version not in REVISIONS:
        raise StoreError(
            f"{place} has the tables of version {version}, and this jouled knows them up to {HEAD}; install the "
            "jouled that made them, restore a backup, or set another store.url or store.prefix"
        )


def refuse_old(version: str | None, place: str) -> None:
    """For those who change no tables."""
    refuse_unknown(version, place)
    if version != HEAD:
        raise StoreError(
            f"{place} has {f'the tables of version {version}' if version else 'no tables'}; joulectl db upgrade "
            "makes those of this version"
        )


def _version_table(connection: Connection | Engine) -> str:
    return prefix_of(connection) + VERSION_TABLE


def _version(connection: Connection) -> str | None:
    statement = text(f"SELECT version_num FROM {_version_table(connection)}")  # noqa: S608  (a name of ours)
    try:
        with connection.begin_nested():
            version = connection.execute(statement).scalar()
    except DBAPIError as error:
        if trouble_of(error) is not None:
            raise
        return None
    return None if version is None else str(version)
