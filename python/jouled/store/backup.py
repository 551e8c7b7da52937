"""A copy of the whole store in one file, made while it is written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

from sqlalchemy.engine import URL

from jouled.errors import StoreError, one_line
from jouled.store.trouble import place

# Copied between two looks at the locks: 4 MB, some milliseconds.
PAGES = 1024
# Whoever may read it may read all of the books.
MODE = 0o600


def backup(url: URL, path: Path, prefix: str) -> None:
    """Under its name the file is whole, or not there. Raises StoreError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.touch(MODE, exist_ok=False)
        if url.drivername == "sqlite":
            _copy_sqlite(str(url.database), part)
        else:
            _dump_postgres(url, part, prefix)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise StoreError(f"write {path}: {str(error.strerror).lower()}; make room, or write it elsewhere") from error
    except sqlite3.Error as error:
        raise StoreError(
            f"copy {place(url)} to {path}: {error}; see joulectl db check, or write it elsewhere"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _copy_sqlite(database: str, part: Path) -> None:
    source = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        target = sqlite3.connect(part)
        try:
            source.backup(target, pages=PAGES)
            # One file is all of it: no log beside it.
            target.execute("PRAGMA journal_mode = DELETE")
        finally:
            target.close()
    finally:
        source.close()


def _dump_postgres(url: URL, part: Path, prefix: str) -> None:
    program = shutil.which("pg_dump") or _newest_pg_dump()
    if program is None:
        raise StoreError("pg_dump is not here; install the client of PostgreSQL (Debian: postgresql-client)")
    # The password goes by the environment: other users see the arguments.
    environ = dict(os.environ) if url.password is None else {**os.environ, "PGPASSWORD": str(url.password)}
    address = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    # A database may hold other programs' tables, and with a prefix other stores.
    tables = [f"--table={prefix}*"] if prefix else []
    command = [program, "--format=custom", "--no-owner", f"--file={part}", *tables, f"--dbname={address}"]
    done = subprocess.run(command, env=environ, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603  (what was set)
    if done.returncode:
        said = one_line(" ".join(done.stderr.split()))
        raise StoreError(f"pg_dump {place(url)}: {said}")


def _newest_pg_dump() -> str | None:
    """Debian keeps them by version, out of the path."""
    found = Path("/usr/lib/postgresql").glob("*/bin/pg_dump")
    return max(map(str, found), key=lambda path: int(Path(path).parts[-3]), default=None)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
