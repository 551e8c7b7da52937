"""Threads that read for tasks: one does what waits, in one transaction; where it takes long, another comes to help."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

import outcome
import trio
from sqlalchemy import Connection, Engine

from jouled.errors import StoreError
from jouled.store.engine import READERS_MAX

T = TypeVar("T")
Query: TypeAlias = Callable[[Connection], Any]

# More than this wait only where the store stands still: whoever comes then is told at once.
WAITING_MAX = 4096
# A read that was not done within it has the next one done by another thread.
PATIENCE_S = 0.01
# What has waited is read in one transaction for so long: it stays of a moment, and the log of SQLite short.
TOGETHER_S = 0.005


class _Order:
    __slots__ = ("mailbox", "number", "query", "task")

    def __init__(self, query: Query, mailbox: _Mailbox) -> None:
        self.query = query
        self.mailbox = mailbox
        self.number = 0
        # None once nobody waits for it.
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()


class _Mailbox:
    """What was read for the tasks of one run of Trio: however much there is, they are woken once."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self.token = token
        self._lock = threading.Lock()
        self._done: list[tuple[_Order, outcome.Outcome[Any]]] = []

    def put(self, order: _Order, came: outcome.Outcome[Any]) -> None:
        with self._lock:
            self._done.append((order, came))
            is_first = len(self._done) == 1
        if is_first:
            with suppress(trio.RunFinishedError):  # nobody waits any more
                self.token.run_sync_soon(self._hand_out)

    def _hand_out(self) -> None:
        with self._lock:
            done, self._done = self._done, []
        for order, came in done:
            if order.task is not None:
                trio.lowlevel.reschedule(order.task, came)
                order.task = None


class Readers:
    """Answers in the order of the questions, unless one takes long. Each read sees all that was committed
    before it was asked for; those that share a transaction were all asked before it began.

    A thread for each question would be woken for each, which takes longer than most reads.
    """

    def __init__(
        self, engine: Engine, read_again: Callable[[Query], Any], fault_of: Callable[[Exception], Any]
    ) -> None:
        """`fault_of` is the error to raise, or None where `read_again` is to try it on a new connection."""
        self._engine = engine
        self._read_again = read_again
        self._fault_of = fault_of
        self._lock = threading.Lock()
        self._waiting: deque[_Order] = deque()
        self._asked = 0
        self._done = 0
        self._awake = 0
        self._threads = 0
        self._is_watched = False
        self._is_closed = False
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._watches: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._mailbox: _Mailbox | None = None

    def __repr__(self) -> str:
        return f"<Readers [{self._awake} of {self._threads} at work, {len(self._waiting)} waiting]>"

    async def fetch(self, query: Callable[[Connection], T]) -> T:
        """What was not begun when its task is cancelled is left; what was begun ends by itself."""
        order = _Order(query, self._mailbox_here())
        self._submit(order)

        def leave(_: Any) -> trio.lowlevel.Abort:
            order.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        result: T = await trio.lowlevel.wait_task_rescheduled(leave)
        return result

    def close(self) -> None:
        """What waits is refused; what was begun ends by itself."""
        with self._lock:
            self._is_closed = True
            left = list(self._waiting)
            self._waiting.clear()
        for order in left:
            order.mailbox.put(order, outcome.Error(_closed()))
        for _ in range(READERS_MAX):
            self._calls.put(None)
        self._watches.put(None)

    def _mailbox_here(self) -> _Mailbox:
        token = trio.lowlevel.current_trio_token()
        if self._mailbox is None or self._mailbox.token is not token:
            self._mailbox = _Mailbox(token)
        return self._mailbox

    def _submit(self, order: _Order) -> None:
        with self._lock:
            if self._is_closed:
                raise _closed()
            if len(self._waiting) >= WAITING_MAX:
                raise StoreError(f"the store is behind: {WAITING_MAX} reads wait; try again later")
            self._asked += 1
            order.number = self._asked
            self._waiting.append(order)
            is_first, is_unwatched = not self._awake, not self._is_watched
            if is_first:
                self._awake = 1
            self._is_watched = True
        if is_first:
            self._call()
        if is_unwatched:
            self._watches.put(None)

    def _call(self) -> None:
        """One that was counted among those awake; outside of the lock, which is the first that it wants."""
        with self._lock:
            number = self._threads + 1 if self._awake > self._threads else 0
            self._threads = max(self._threads, number)
        if number == 1:
            threading.Thread(target=self._watch, name="jouled-watch", daemon=True).start()
        if number:
            threading.Thread(target=self._run, name=f"jouled-read-{number}", daemon=True).start()
        self._calls.put(None)

    def _watch(self) -> None:
        """Calls another one where one stands still while others wait."""
        while not self._is_closed:
            self._watches.get()
            done = -1
            while True:
                with self._lock:
                    if not self._awake:
                        self._is_watched = False
                        break
                    is_stuck = bool(self._waiting) and self._done == done and self._awake < READERS_MAX
                    self._awake += is_stuck
                    done = self._done
                if is_stuck:
                    self._call()
                time.sleep(PATIENCE_S)

    def _run(self) -> None:
        while not self._is_closed:
            self._calls.get()
            while (order := self._take()) is not None:
                self._serve(order)
        self._engine.pool.dispose()  # of what was begun when this was closed, nobody else gives the connection back

    def _take(self) -> _Order | None:
        """None ends the work: whoever asks next calls for somebody."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._awake = max(0, self._awake - 1)  # at the end there are more calls than work
            return None

    def _take_of(self, asked: int) -> _Order | None:
        """The next one, if it is among the first so many."""
        with self._lock:
            if self._waiting and self._waiting[0].number <= asked:
                return self._waiting.popleft()
            return None

    def _serve(self, first: _Order) -> None:
        order: _Order | None = first
        try:
            # Whatever is asked from here on may be about what was committed since.
            asked = self._asked
            with self._engine.begin() as connection:
                until_s = time.monotonic() + TOGETHER_S
                while order is not None:
                    self._answer(order, connection)
                    order = self._take_of(asked) if time.monotonic() < until_s else None
        except Exception as error:  # noqa: BLE001  (the one who asked gets it)
            if order is not None:
                self._fail(order, error)

    def _answer(self, order: _Order, connection: Connection) -> None:
        if order.task is not None:
            result = order.query(connection)
            self._done += 1
            order.mailbox.put(order, outcome.Value(result))

    def _fail(self, order: _Order, error: Exception) -> None:
        try:
            fault = self._fault_of(error)
            came: outcome.Outcome[Any] = (
                outcome.Value(self._read_again(order.query)) if fault is None else outcome.Error(fault)
            )
        except Exception as again:  # noqa: BLE001  (the one who asked gets it)
            came = outcome.Error(again)
        self._done += 1
        order.mailbox.put(order, came)


def _closed() -> StoreError:
    return StoreError("the store is closed; open it again")
