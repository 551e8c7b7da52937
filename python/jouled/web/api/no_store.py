"""The API of a daemon without books: a store that is away for good, and the record of writes in the log."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NoReturn, TypeVar

from sqlalchemy import Connection

from jouled.bookkeeping.audit import Entry
from jouled.errors import StoreError, one_line
from jouled.log import log
from jouled.store import Store
from jouled.store.state import State
from jouled.web.api.limits import Rate

T = TypeVar("T")

WORDS = "there is no store here (store.url = none), and so no tokens; use the Unix socket, or set store.url"
# Lines of refused requests, of all clients together: they must not be a way to fill the log.
REFUSED_PER_S = 1.0
# Paths of which the last line is known.
REMEMBERED_MAX = 256


class NoStoreError(StoreError):
    """Nothing is kept here, and nothing will be."""


class NoStore(Store):
    """Has the shape of a store, opens nothing, and refuses whatever it is asked."""

    def __init__(self) -> None:
        """No engine, no thread, no file."""

    def __repr__(self) -> str:
        return "<NoStore>"

    @property
    def state(self) -> State:
        return State(is_available=False, writes=0, failures=0, waiting=0, dropped=0)

    def read(self, query: Callable[[Connection], T]) -> T:  # noqa: ARG002  (the shape is given)
        _refuse()

    def write(self, work: Callable[[Connection], T]) -> T:  # noqa: ARG002  (as above)
        _refuse()

    async def fetch(self, query: Callable[[Connection], T]) -> T:  # noqa: ARG002  (as above)
        _refuse()

    async def commit(self, work: Callable[[Connection], T]) -> T:  # noqa: ARG002  (as above)
        _refuse()

    def close(self) -> None:
        """There is nothing to close."""


class Notebook:
    """Says in the log what an audit would keep: who wrote what, and how it ended. What is only done again, as
    the renewals of a lease are, is not said again.
    """

    def __init__(self) -> None:
        self._refused = Rate(REFUSED_PER_S)
        self._said: OrderedDict[str, tuple[str, str, int]] = OrderedDict()
        self.dropped_total = 0

    def __repr__(self) -> str:
        return f"<Notebook [{self.dropped_total} dropped]>"

    async def record(self, entry: Entry, status: int) -> None:
        if status >= 400 and self._refused.wait_s("all"):
            self.dropped_total += 1
            return
        path, what = entry.path[:256], (entry.method, entry.who, status)
        if self._said.get(path) == what:
            return
        self._said[path] = what
        self._said.move_to_end(path)
        if len(self._said) > REMEMBERED_MAX:
            self._said.popitem(last=False)
        # Paths are the client's.
        log.info(f"{entry.method[:8]} {one_line(path)}", who=entry.who, status=status)


def _refuse() -> NoReturn:
    raise NoStoreError(WORDS)
