"""The record of every write by the API: who, from where, what, and how it ended."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, delete, insert

from jouled.store.schema.access import audit

# The last so many: some weeks of a busy site, and some 200 MB.
ENTRIES_MAX = 1_000_000
# At every so many entries the oldest go.
PRUNE_EVERY = 1024


class Entry(Struct, frozen=True):
    """A write that was asked for. `body_sha256` tells whether a body that is shown is the one that came."""

    at: datetime
    who: str
    address: str
    method: str
    path: str
    body_sha256: str | None


def put(connection: Connection, entry: Entry, status: int) -> None:
    done = connection.execute(
        insert(audit).values(
            at=entry.at,
            who=_part(entry.who, 256),
            address=_part(entry.address, 64),
            method=_part(entry.method, 8),
            path=_part(entry.path, 512),
            status=status,
            body_sha256=entry.body_sha256,
        )
    )
    seq = done.inserted_primary_key[0] if done.inserted_primary_key else 0
    if seq % PRUNE_EVERY == 0:
        connection.execute(delete(audit).where(audit.c.seq <= seq - ENTRIES_MAX))


def _part(text: str, most: int) -> str:
    """Paths are the client's: neither their length nor a character that PostgreSQL refuses may stop a write."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:most].encode("utf-8", "replace").decode()
