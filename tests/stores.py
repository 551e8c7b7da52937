"""Stores for tests: SQLite in a folder, and PostgreSQL as a real server that lives as long as the tests.

The fixtures are there in every test, without an import (tests/conftest.py names this file):

`store` is an open `Store` with all tables and nothing in them; the test runs twice, once on each engine.
`store_url` is where such a store may be made, and `postgres_url` an empty database of PostgreSQL, for those who
open a store themselves. `server` is a second server, which a test may stop and start.
"""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jouled.store import Store

_numbers = count(1)
# The run on the wheel asks for one: that the engines do the same is shown by the run on the tree.
ENGINES = os.environ.get("STORE_ENGINES", "sqlite postgresql").split()


# New databases are some megabytes each, which take a disk a third of a second.
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2 << 30


class Postgres:
    """A server in a folder of its own, reached by a Unix socket there. One whose machine will not crash
    need not wait for the disk; where there is room it is in memory.
    """

    def __init__(self, *, waits_for_disk: bool = True) -> None:
        self._flags = () if waits_for_disk else ("-c", "fsync=off", "-c", "full_page_writes=off")
        is_in_memory = not waits_for_disk and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN
        self.folder = Path(tempfile.mkdtemp(prefix="jouled-pg-", dir=MEMORY if is_in_memory else None))
        atexit.register(self.remove)
        # It refuses to run as root.
        self._user = next(user for user in _servants() if user) if os.getuid() == 0 else ""
        if self._user:
            shutil.chown(self.folder, self._user)
        self._call("initdb", "--auth=trust", "--username=jouled", "--encoding=UTF8", "--no-locale", "--no-sync")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _as_servant(self, program: str, *arguments: str) -> list[str]:
        # Without its parent it ends: also where the tests are killed.
        command = ["setpriv", "--pdeathsig", "QUIT"]
        if self._user:
            command += ["--reuid", self._user, "--regid", str(pwd.getpwnam(self._user).pw_gid), "--clear-groups"]
        return [*command, str(programs() / program), "-D", str(self.folder / "data"), *arguments]

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(self._as_servant(program, *arguments), check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        flags = ("-k", str(self.folder), "-c", "listen_addresses=", "-c", "max_connections=60", *self._flags)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._as_servant("postgres", *flags), stdout=log, stderr=log, cwd="/")
        while True:
            try:
                psycopg.connect(self.address("postgres")).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends it in order and sends all clients away; SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, database: str) -> str:
        return f"postgresql://jouled@/{database}?host={self.folder}"

    def execute(self, statement: str) -> list[Any]:
        """By the superuser, in no transaction."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create(self, template: str = "template1") -> str:
        """The name of a new database."""
        name = f"d{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _servants() -> Iterator[str]:
    for name in ("postgres", "nobody"):
        try:
            yield pwd.getpwnam(name).pw_name
        except KeyError:
            continue


@functools.cache
def programs() -> Path:
    """Where PostgreSQL's programs are: Debian keeps them out of the path."""
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") or (str(known[-1]) if known else None)
    assert found, "the tests start a PostgreSQL server; make test-packages installs it"
    return Path(found).resolve().parent


@functools.cache
def shared_postgres() -> Postgres:
    """One server for all tests of a run: started by the first that needs it."""
    return Postgres(waits_for_disk=False)


@functools.cache
def _second_postgres() -> Postgres:
    return Postgres()


@pytest.fixture
def server() -> Iterator[Postgres]:
    """Another server, which a test may stop."""
    server = _second_postgres()
    yield server
    server.stop()
    server.start()


@functools.cache
def _database_with_tables() -> str:
    server = shared_postgres()
    name = server.create()
    Store(server.address(name)).close()
    return name


# Its tables with all their columns, and the version that they are of.
SHAPE = """
    SELECT md5(string_agg(concat_ws(' ', c.oid, a.attnum, a.attname, a.atttypid, a.attnotnull), ','
        ORDER BY c.oid, a.attnum)), (SELECT string_agg(version_num, ',') FROM schema_version)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace
"""


class Lent:
    """Databases with our tables, for one test after the other: emptied in between, which is ten times as quick as a
    new one. One whose tables are others than before is not lent again.
    """

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._template = _database_with_tables()
        self._at_rest: list[str] = []
        with psycopg.connect(server.address(self._template)) as connection:
            names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            self._tables = sorted({name for (name,) in names} - {"schema_version"})
            self._sequences = connection.execute(
                "SELECT sequencename, start_value FROM pg_sequences WHERE schemaname = 'public'"
            ).fetchall()
        self._shapes: dict[str, Any] = {}

    @contextmanager
    def one(self) -> Iterator[str]:
        """The address of an empty one."""
        name = self._at_rest.pop() if self._at_rest else self._new()
        yield self._server.address(name)
        if self._is_emptied(name):
            self._at_rest.append(name)
        else:
            self._server.drop(name)

    def _new(self) -> str:
        name = self._server.create(self._template)
        with psycopg.connect(self._server.address(name)) as connection:
            self._shapes[name] = connection.execute(SHAPE).fetchone()
        return name

    def _is_emptied(self, name: str) -> bool:
        with psycopg.connect(self._server.address(name), autocommit=True) as connection:
            # Whoever is left there, of a test that failed, holds locks.
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if connection.execute(SHAPE).fetchone() != self._shapes[name]:
                return False
            asked = " UNION ALL ".join(f"(SELECT '{table}' FROM {table} LIMIT 1)" for table in self._tables)
            used = [table for (table,) in connection.execute(asked.encode()).fetchall()]
            if used:
                connection.execute(f"TRUNCATE {', '.join(used)} CASCADE".encode())
            for sequence, start in self._sequences:
                connection.execute("SELECT setval(%s::regclass, %s, false)", (sequence, start))
        return True


@functools.cache
def _lent() -> Lent:
    return Lent(shared_postgres())


@functools.cache
def _file_with_tables() -> bytes:
    """Copying it is quicker than making its tables."""
    with tempfile.TemporaryDirectory(prefix="jouled-sqlite-") as folder:
        Store(state_dir=folder).close()
        (file,) = Path(folder).iterdir()
        return file.read_bytes()


@pytest.fixture
def postgres_url() -> Iterator[str]:
    server = shared_postgres()
    name = server.create()
    yield server.address(name)
    server.drop(name)


@pytest.fixture(params=ENGINES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a store in which there is nothing yet, not even tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.sqlite"
    else:
        yield request.getfixturevalue("postgres_url")


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        (tmp_path / "jouled.sqlite").write_bytes(_file_with_tables())
        with Store(state_dir=str(tmp_path)) as opened:
            yield opened
        return
    with _lent().one() as address, Store(address) as opened:
        yield opened
