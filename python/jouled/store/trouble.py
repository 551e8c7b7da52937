"""What ails a store, told from what was wrong with a single statement, in one line with its fix."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from jouled.errors import StoreError, one_line

_FULL = "no space is left; make room"
_READ_ONLY = "it cannot be written; run as the user who owns it, mount it writable, or set store.url or state_dir"
_DENIED = "no access; give it to the daemon's user, or set store.url or state_dir"
_LOCKED = "another process holds it locked; end that process, or wait"
_BROKEN = "the disk fails, or the file is damaged; see joulectl db check, and restore a backup"

# By SQLite's primary code. What is not here is the statement's own fault.
_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_IOERR: _BROKEN,
    sqlite3.SQLITE_CORRUPT: _BROKEN,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_CANTOPEN: _DENIED,
    sqlite3.SQLITE_PERM: _DENIED,
    sqlite3.SQLITE_AUTH: _DENIED,
    sqlite3.SQLITE_NOTADB: "this is no SQLite database; move it away, or set store.url",
    sqlite3.SQLITE_NOMEM: "no memory is left",
    sqlite3.SQLITE_INTERRUPT: "this takes too long; ask for a shorter range",
}
# Those that stay until somebody sets something else: said at the start, where somebody looks.
_SQLITE_REFUSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOTADB}

# By SQLSTATE: a class of two characters, or a single one.
_POSTGRES = {
    "08": "the connection was lost; look whether the server runs",
    "25006": "the server takes no writes: it is a standby, or read-only; set store.url to the primary",
    "28": "the server does not let us in; set user and password in store.url, or pg_hba.conf",
    "3D": "there is no such database; create it, or set store.url",
    "40001": "others wrote the same rows; try again",
    "40P01": "others wrote the same rows; try again",
    "42501": "this user may not do that; grant it the tables, or set store.url",
    "53": "the server has no room, memory or connection left; make room",
    "55P03": _LOCKED,
    "57014": "this takes too long; ask for a shorter range",
    "57P": "the server is stopping or starting; it is tried again",
    "58": "the server's disk fails; see its log",
    "XX": "the server's files are damaged; see its log, and restore a backup",
}
# The server's own words where a connection is refused: libpq gives no code then. In another language
# they are taken for a server that is not up yet, and tried again.
_REFUSALS = ("does not exist", "authentication failed", "no pg_hba.conf entry", "no password supplied")


# Of these the store is well: who asked is told, or it is tried again.
_SQLITE_PASSING = {sqlite3.SQLITE_INTERRUPT}
_POSTGRES_PASSING = {"40001", "40P01", "57014"}


class Trouble(NamedTuple):
    """What is not the statement's own fault."""

    reason: str
    # Waiting does not mend it: the daemon refuses to start.
    is_refused: bool = False
    # Only with PostgreSQL: nobody knows what became of a commit that was under way.
    is_disconnected: bool = False
    # All was undone for the sake of others: the same may go well the next time.
    is_conflict: bool = False
    # The store itself is not there.
    is_away: bool = True

    def error(self, what: str, url: URL) -> StoreError:
        return StoreError(f"{what} {place(url)}: {self.reason}")


class UncertainError(StoreError):
    """The store went away during the commit. Do the work again with the same keys, or look."""


def place(url: URL) -> str:
    """Never with a password."""
    if url.drivername == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def trouble_of(error: BaseException) -> Trouble | None:
    """None where only the statement was wrong: then the store is well."""
    if isinstance(error, NoConnectionError):
        return Trouble("too many read at once; try again later", is_away=False)
    if not isinstance(error, DBAPIError):
        return None
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return _sqlite_trouble(code & 0xFF)
    return _postgres_trouble(error)


def _sqlite_trouble(code: int) -> Trouble | None:
    reason = _SQLITE.get(code)
    if reason is None:
        return None
    return Trouble(reason, is_refused=code in _SQLITE_REFUSED, is_away=code not in _SQLITE_PASSING)


def _postgres_trouble(error: DBAPIError) -> Trouble | None:
    state = getattr(error.orig, "sqlstate", None)
    for length in (5, 3, 2):
        if state and (reason := _POSTGRES.get(state[:length])):
            return Trouble(
                reason,
                is_refused=state[:2] in {"28", "3D"},
                is_disconnected=error.connection_invalidated or state[:3] == "57P" or state[:2] == "08",
                is_conflict=state[:2] == "40",
                is_away=state not in _POSTGRES_PASSING,
            )
    import psycopg

    if error.connection_invalidated or (state is None and isinstance(error.orig, psycopg.OperationalError)):
        said = one_line(" ".join(str(error.orig).split()))
        is_refused = any(words in said for words in _REFUSALS)
        return Trouble(f"{said}; look whether the server runs, or set store.url", is_refused, is_disconnected=True)
    return None
