"""The store, as all rooms see it: a function of a connection is read, or committed."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sized
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import trio
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from jouled.errors import StoreError
from jouled.store.engine import open_engine, store_url
from jouled.store.migrations import upgrade
from jouled.store.readers import Readers
from jouled.store.state import State, Watch
from jouled.store.trouble import Trouble, place, trouble_of
from jouled.store.writer import Writer

T = TypeVar("T")

IN_FAILED = "25P02"
# These pass by themselves; all others are a place that was set wrong.
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}


class Store:
    """Reads in the caller's thread, or for tasks in a few of its own; writes in one of its own.

    What is given to `read` and `write` is a function of a connection inside a transaction. It must
    not keep the connection, and may be called again: where the store was away for a moment, and where
    another work of the same commit failed. A write returns once it is on disk. Both raise StoreError
    where the store is away, and UncertainError where it went away during the commit.

    Opening it brings its tables to this version. A store that is away at that time is refused, but not
    where `may_be_away`: then it is tried again until it is there.
    """

    def __init__(
        self,
        url: str = "sqlite",
        *,
        state_dir: str = "/var/lib/jouled",
        prefix: str = "",
        may_be_away: bool = False,
    ) -> None:
        self.url = store_url(url, state_dir)
        self.engine = open_engine(self.url, prefix, "writer")
        self._reading = open_engine(self.url, prefix, "reader")
        self.watch = Watch()
        # Those who keep records while the store is away; they add themselves.
        self.backlogs: list[Sized] = []
        try:
            is_ready = self._open(may_be_away)
        except BaseException:
            self.engine.dispose()
            raise
        self._writer = Writer(self.engine, self.watch, prepare=None if is_ready else self._prepare)
        self._readers = Readers(self._reading, self.read, self._fault_of)
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Store {place(self.url)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def state(self) -> State:
        return State(
            is_available=self.watch.problem is None,
            writes=self.watch.writes,
            failures=self.watch.failures,
            waiting=self._writer.waiting + sum(len(backlog) for backlog in self.backlogs),
            dropped=self.watch.dropped,
        )

    def _open(self, may_be_away: bool) -> bool:
        """False where it is away, which is said."""
        try:
            self._prepare()
        except (OSError, DBAPIError) as error:
            trouble = trouble_of(error)
            if isinstance(error, OSError):
                reason, is_refused = str(error.strerror).lower(), error.errno not in _PASSING
                problem = StoreError(f"open {place(self.url)}: {reason}; set store.url or state_dir, or store.url none")
            elif trouble is None:
                raise StoreError(f"open {place(self.url)}: {error}; see joulectl db check") from error
            else:
                is_refused, problem = trouble.is_refused, trouble.error("open", self.url)
            if is_refused or not may_be_away:
                raise problem from error
            self.watch.went_away(problem)
            return False
        return True

    def _prepare(self) -> None:
        if self.url.drivername == "sqlite":
            Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True)
        upgrade(self.engine)

    def read(self, query: Callable[[Connection], T]) -> T:
        """In this thread. Nothing can be changed; what takes longer than `engine.READ_S` is broken off."""
        try:
            return self._read(query)
        finally:
            if self._is_closed:  # its task did not wait for it; nobody else gives its connection back
                self._reading.pool.dispose()

    def _read(self, query: Callable[[Connection], T]) -> T:
        if not self._writer.is_prepared:
            raise StoreError(str(self.watch.problem))
        # A server that was started anew has closed the connections of before: they are all thrown away then.
        for is_last in (False, True):
            try:
                with self._reading.begin() as connection:
                    return query(connection)
            except (DBAPIError, NoConnectionError) as error:
                fault = self._fault_of(error)
                if fault is None and not is_last:
                    continue
                raise fault or self._fault(error, trouble_of(error)) from error
        raise AssertionError("the last try returns or raises")

    def _fault_of(self, error: Exception) -> Exception | None:
        """What to raise for it. None where it may go well on a new connection."""
        if not isinstance(error, (DBAPIError, NoConnectionError)):
            return error
        trouble = trouble_of(error)
        is_lost = trouble is not None and trouble.is_disconnected
        # Or another read of this transaction hid an error, after which PostgreSQL takes no other statement.
        is_lost = is_lost or getattr(getattr(error, "orig", None), "sqlstate", None) == IN_FAILED
        return None if is_lost else self._fault(error, trouble)

    def _fault(self, error: Exception, trouble: Trouble | None) -> StoreError:
        said = error.orig if isinstance(error, DBAPIError) else error
        return trouble.error("read", self.url) if trouble else StoreError(f"read the store: {said}")

    def write(self, work: Callable[[Connection], T]) -> T:
        """From any thread but Trio's."""
        result: T = self._writer.submit(work).result()
        return result

    async def fetch(self, query: Callable[[Connection], T]) -> T:
        """`read` for tasks."""
        if not self._writer.is_prepared:
            raise StoreError(str(self.watch.problem))
        return await self._readers.fetch(query)

    async def commit(self, work: Callable[[Connection], T]) -> T:
        """`write` for tasks. Once submitted it is done, whether or not the task waits for it."""
        future = self._writer.submit(work)
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def wake(_: Future[Any]) -> None:
            with suppress(trio.RunFinishedError):  # nobody waits any more
                token.run_sync_soon(done.set)

        future.add_done_callback(wake)
        await done.wait()
        result: T = future.result()
        return result

    def close(self) -> None:
        """After all writes that were submitted."""
        self._writer.close()
        self._is_closed = True
        self._readers.close()
        self._reading.pool.dispose()
        self.engine.dispose()
