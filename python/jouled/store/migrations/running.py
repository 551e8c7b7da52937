"""Runs what `versions/` holds, by Alembic, in the transaction of a connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from jouled.store.migrations import HEAD


def scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))


def run(connection: Connection, version_table: str) -> None:
    """From the version in the table, or from nothing."""
    directory = scripts()
    steps: Any = lambda revision, _: directory._upgrade_revs(HEAD, revision)  # noqa: E731, SLF001  (as Alembic's own command)
    context = MigrationContext.configure(
        connection, opts={"fn": steps, "version_table": version_table, "transactional_ddl": True}
    )
    with Operations.context(context):
        context.run_migrations()
