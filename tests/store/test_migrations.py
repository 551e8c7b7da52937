"""What the steps lead to is what the schema wants, and a store is never left half-way."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from jouled.config.books import PREFIX
from jouled.errors import StoreError
from jouled.store import Store
from jouled.store.engine import open_engine, store_url
from jouled.store.migrations import HEAD, REVISIONS, VERSION_TABLE, upgrade, version_of
from jouled.store.migrations.running import run, scripts
from jouled.store.schema import MARK, metadata


def by_steps(engine: Engine, prefix: str) -> None:
    with engine.begin() as connection:
        run(connection, prefix + VERSION_TABLE)


def engine_of(url: str, prefix: str) -> Engine:
    return open_engine(store_url(url, ""), prefix, "writer")


def test_the_steps_are_all_known_and_follow_each_other() -> None:
    steps = list(scripts().walk_revisions())

    assert [step.revision for step in reversed(steps)] == list(REVISIONS)
    assert scripts().get_current_head() == HEAD


def test_the_steps_lead_to_what_the_schema_wants(store_url: str) -> None:
    engine = engine_of(store_url, MARK)
    by_steps(engine, MARK)
    with engine.connect() as connection:
        options = {"compare_type": True, "version_table": MARK + VERSION_TABLE}
        difference = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()

    assert difference == [], "the schema has changed: scripts/migration writes the step"


def test_a_new_store_has_the_tables_that_the_steps_make(store_url: str) -> None:
    stepped, created = engine_of(store_url, "aa7_"), engine_of(store_url, "bb7_")
    by_steps(stepped, "aa7_")
    upgrade(created)

    assert tables(stepped, "aa7_") == tables(created, "bb7_")
    assert version_of(stepped) == version_of(created) == HEAD
    stepped.dispose()
    created.dispose()


def tables(engine: Engine, prefix: str) -> dict[str, Any]:
    """All that the server tells of them, without their prefix."""
    inspector = inspect(engine)
    found = {}
    for name in inspector.get_table_names():
        if name.startswith(prefix):
            parts = (
                [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
                inspector.get_pk_constraint(name),
                sorted(inspector.get_foreign_keys(name), key=repr),
                sorted(inspector.get_unique_constraints(name), key=repr),
                sorted(inspector.get_indexes(name), key=repr),
            )
            found[name.removeprefix(prefix)] = repr(parts).replace(prefix, "")
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all()
        for name, sql in rows:
            if name.startswith(prefix) and VERSION_TABLE not in name:
                found[name.removeprefix(prefix)] += "WITHOUT ROWID" * ("WITHOUT ROWID" in sql)
                found[name.removeprefix(prefix)] += "AUTOINCREMENT" * ("AUTOINCREMENT" in sql)
    return found


def test_no_name_is_too_long_for_postgresql_with_the_longest_prefix() -> None:
    names = {MARK + VERSION_TABLE}
    for table in metadata.tables.values():
        names |= {table.name, *(str(index.name) for index in table.indexes)}
        names |= {str(constraint.name) for constraint in table.constraints if constraint.name}
        names |= {f"{table.name}_{column.name}_seq" for column in table.columns if column.primary_key}
    longest = max(names, key=len)

    assert PREFIX.fullmatch("p" * 16)
    assert len(longest) - len(MARK) + 16 <= 63, longest


def test_a_store_of_a_newer_jouled_is_refused_with_the_way_out(store_url: str) -> None:
    Store(store_url, prefix="p_").close()
    engine = engine_of(store_url, "p_")
    with engine.begin() as connection:
        connection.execute(text("UPDATE p_schema_version SET version_num = '9999'"))
    engine.dispose()

    for may_be_away in (False, True):
        with pytest.raises(StoreError, match=r"version 9999.*up to .*install the jouled that made them"):
            Store(store_url, prefix="p_", may_be_away=may_be_away)


def test_many_who_open_a_new_store_at_once_make_its_tables_once(store_url: str) -> None:
    problems = []

    def open_one() -> None:
        try:
            Store(store_url).close()
        except StoreError as error:
            problems.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    with Store(store_url) as store:
        assert version_of(store.engine) == HEAD


def test_a_step_that_fails_half_way_changes_nothing(store_url: str) -> None:
    engine = engine_of(store_url, "p_")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE p_zones (id INTEGER)"))

    with pytest.raises(Exception, match="already exists"):
        by_steps(engine, "p_")
    with pytest.raises(Exception, match="already exists"):
        upgrade(engine)

    assert [name for name in inspect(engine).get_table_names() if name.startswith("p_")] == ["p_zones"]
    engine.dispose()


def test_a_store_that_is_up_to_date_or_new_needs_no_alembic(tmp_path: Any) -> None:
    program = f"""
import sys
from jouled.store import Store
Store(state_dir={str(tmp_path)!r}).close()
Store(state_dir={str(tmp_path)!r}).close()
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
