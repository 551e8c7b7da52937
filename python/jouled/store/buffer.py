"""What must be written and cannot wait for it: it is kept while the store is away, in order, up to a limit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

import trio
from sqlalchemy import Connection

from jouled.errors import StoreError
from jouled.log import log
from jouled.store.store import Store

Work: TypeAlias = Callable[[Connection], Any]

# One a minute: more than sixteen hours of a store that is away. A minute of 10,000 rows is about a megabyte.
WORKS_MAX = 1000
# After an outage so many are committed at once.
TOGETHER_MAX = 32
RETRY_S = 1.0
RETRY_MAX_S = 30.0
# At the end, for what is left: the daemon's stop waits for it.
LAST_S = 2.0


class Backlog:
    """Works for the store, of one task of the daemon. `put` never waits; `run` writes.

    A work may be done again where nobody knows whether its commit came through: it must then change
    nothing, which its records' keys see to. All of it belongs to Trio's thread, but the works, which are
    called in the store's.
    """

    def __init__(self, store: Store, *, limit: int = WORKS_MAX) -> None:
        self._store = store
        self._limit = limit
        self._works: deque[Work] = deque()
        self._under_way = 0
        self._news = trio.Event()
        self._is_closed = False
        self._has_dropped = False
        self.dropped = 0
        store.backlogs.append(self)

    def __repr__(self) -> str:
        return f"<Backlog [{len(self)} waiting, {self.dropped} dropped]>"

    def __len__(self) -> int:
        return len(self._works)

    def put(self, work: Work) -> None:
        """The oldest goes where there is no room."""
        self._works.append(work)
        if len(self._works) > self._limit:
            # The first ones may be in the store's hands just now.
            del self._works[self._under_way]
            self._drop(1)
            if not self._has_dropped:
                self._has_dropped = True
                log.warning(
                    f"the store is away for too long: of {self._limit} records that wait the oldest are dropped"
                )
        self._news.set()

    def close(self) -> None:
        """`run` returns once all is written, or the store is away."""
        self._is_closed = True
        self._news.set()

    async def run(self) -> None:
        """Writes what is put, in order, until it is closed."""
        retry_s = RETRY_S
        while not self._is_closed:
            if not self._works:
                self._news = trio.Event()
                await self._news.wait()
                continue
            if await self._write():
                retry_s = RETRY_S
                continue
            # What comes meanwhile waits too: it would be refused like the one before it.
            with trio.move_on_after(retry_s):
                while not self._is_closed:
                    self._news = trio.Event()
                    await self._news.wait()
            retry_s = min(retry_s * 2, RETRY_MAX_S)
        with trio.move_on_after(LAST_S):
            while self._works and await self._write():
                pass
        if self._works:
            log.warning(f"the store is away: {len(self._works)} records that waited for it are lost")
            self._drop(len(self._works))
            self._works.clear()

    def _drop(self, records: int) -> None:
        self.dropped += records
        self._store.watch.drop(records)

    async def _write(self) -> bool:
        """False where the store is away: then all is still here."""
        self._under_way = min(len(self._works), TOGETHER_MAX)
        works = [self._works[place] for place in range(self._under_way)]
        try:
            await self._commit(works)
        except StoreError:
            return False
        finally:
            self._under_way = 0
        for _ in works:
            self._works.popleft()
        if self._has_dropped and not self._works:
            self._has_dropped = False
            log.info("what waited for the store is written", dropped=self.dropped)
        return True

    async def _commit(self, works: list[Work]) -> None:
        def do_all(connection: Connection) -> None:
            for work in works:
                work(connection)

        try:
            await self._store.commit(do_all)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, the others must not wait for it)
            if len(works) > 1:  # one of them is wrong: which?
                for work in works:
                    await self._commit([work])
                return
            # A defect of ours, or a record that the books refuse: the ones behind it must not wait for it.
            log.error("a record could not be written and is dropped", exc_info=error)
            self._drop(1)
