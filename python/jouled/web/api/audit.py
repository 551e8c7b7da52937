"""Every write leaves a record: in its own commit where it makes one, right after it otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from jouled.bookkeeping import audit
from jouled.errors import StoreError
from jouled.log import Once
from jouled.store import Store
from jouled.web.api.limits import Rate

T = TypeVar("T")

# Records of refused requests, of all clients together: they must not be a way to fill the disk.
REFUSED_PER_S = 10.0


class RecordedStore(Store):
    """The same store, for one request: what it commits first carries the record of it."""

    def __init__(self, store: Store, entry: audit.Entry) -> None:
        # Neither opens nor owns anything.
        self.__dict__.update(store.__dict__)
        self.entry = entry
        # As the route says that it ends; set once the route is known.
        self.status = 200
        self.recorded: int | None = None

    async def commit(self, work: Callable[[Connection], T]) -> T:
        if self.recorded is not None:
            return await super().commit(work)
        status = self.status

        def recorded(connection: Connection) -> T:
            result = work(connection)
            audit.put(connection, self.entry, status)
            return result

        result = await super().commit(recorded)
        self.recorded = status
        return result


class Auditor:
    """Records what no commit has recorded: refused and failed writes, and those that changed nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._refused = Rate(REFUSED_PER_S)
        self._problems = Once()
        self.dropped_total = 0

    def __repr__(self) -> str:
        return f"<Auditor [{self.dropped_total} dropped]>"

    async def record(self, entry: audit.Entry, status: int) -> None:
        if status >= 400 and self._refused.wait_s("all"):
            self.dropped_total += 1
            return
        try:
            await self._store.commit(lambda connection: audit.put(connection, entry, status))
        except StoreError as error:
            self.dropped_total += 1
            self._problems.warning(f"audit: a write by {entry.who} was answered but not recorded: {error}")


def sha256_of(body: bytes) -> str | None:
    return hashlib.sha256(body).hexdigest() if body else None
