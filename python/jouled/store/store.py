"""The store, as all rooms see it: a function of a connection is read, or committed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import trio
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from jouled.errors import StoreError
from jouled.store.engine import READERS_MAX, open_engine, store_url
from jouled.store.migrations import upgrade
from jouled.store.writer import Writer

T = TypeVar("T")


class Store:
    """Reads in the caller's thread, writes in one thread of its own.

    What is given to `read` and `write` is a function of a connection inside a transaction. It must
    not keep the connection, and may be called again where the store was away. A write returns once it
    is on disk. Both raise StoreError where the store is away.
    """

    def __init__(self, url: str = "sqlite", *, state_dir: str = "/var/lib/jouled", prefix: str = "") -> None:
        self.url = store_url(url, state_dir)
        self.engine = open_engine(self.url, prefix)
        self._prepare()
        self._writer = Writer(self.engine)
        self._readers = trio.CapacityLimiter(READERS_MAX)

    def __repr__(self) -> str:
        return f"<Store {self.url.render_as_string(hide_password=True)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        try:
            if self.url.database and self.url.drivername == "sqlite":
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            upgrade(self.engine)
        except (OSError, DBAPIError) as error:
            raise StoreError(f"open {self!r}: {error}; choose another by store.url or state_dir, or none") from error

    def read(self, query: Callable[[Connection], T]) -> T:
        """In this thread."""
        try:
            with self.engine.begin() as connection:
                return query(connection)
        except DBAPIError as error:
            raise StoreError(f"the store could not be read: {error.orig}") from error

    def write(self, work: Callable[[Connection], T]) -> T:
        """From any thread but Trio's."""
        result: T = self._writer.submit(work).result()
        return result

    async def fetch(self, query: Callable[[Connection], T]) -> T:
        """`read` for tasks."""
        return await trio.to_thread.run_sync(self.read, query, limiter=self._readers, abandon_on_cancel=True)

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
        self.engine.dispose()
