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
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jouled.store import Store

_numbers = count(1)
# The run on the wheel asks for one: that the engines do the same is shown by the run on the tree.
ENGINES = os.environ.get("STORE_ENGINES", "sqlite postgresql").split()


class Postgres:
    """A server in a folder of its own, reached by a Unix socket there. One whose machine will not crash
    need not wait for the disk, and is twice as quick with new databases.
    """

    def __init__(self, *, waits_for_disk: bool = True) -> None:
        self._flags = () if waits_for_disk else ("-c", "fsync=off", "-c", "full_page_writes=off")
        self.folder = Path(tempfile.mkdtemp(prefix="jouled-pg-"))
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
        with Store(state_dir=str(tmp_path)) as opened:
            yield opened
        return
    server = shared_postgres()
    # Copying tables is quicker than making them.
    name = server.create(_database_with_tables())
    with Store(server.address(name)) as opened:
        yield opened
    server.drop(name)
