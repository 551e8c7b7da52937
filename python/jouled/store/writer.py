"""The one thread that writes: what waits together is committed together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from jouled.errors import StoreError
from jouled.store.state import Watch
from jouled.store.trouble import Trouble, UncertainError, place, trouble_of

# A commit waits for the disk, whatever is in it: the more wait, the more go into one.
TOGETHER_MAX = 256
# More than this wait only where the store is away: whoever comes then is told at once.
WAITING_MAX = 4096
# A server that is started anew is back within it. Who writes waits so long, and no longer.
RETRY_S = 5.0
RETRY_PAUSE_S = 0.05
# While the store is away, nobody waits for it: one in so many seconds tries, the others are told.
AWAY_PAUSE_S = 0.25
# While nobody writes, somebody must look whether it is back.
LOOK_S = 2.0

Work: TypeAlias = Callable[[Connection], Any]


class _Order(NamedTuple):
    work: Work
    done: Future[Any]


class _Failed(Exception):  # noqa: N818  (no error of ours: one work failed among others, and all are done again)
    """Which of them is found out by doing each in a savepoint."""


class _Outcome(NamedTuple):
    result: Any
    error: BaseException | None


class Writer:
    """Does work in transactions, one after the other, in the order in which it came.

    `prepare` is called before the first transaction, where the store was away when it was opened.
    """

    def __init__(self, engine: Engine, watch: Watch, *, prepare: Callable[[], None] | None = None) -> None:
        self._engine = engine
        self._watch = watch
        self._prepare = prepare
        self._orders: queue.Queue[_Order | None] = queue.Queue(WAITING_MAX)
        self._ending = threading.Lock()
        self._is_closed = False
        self._tried_s = 0.0
        self._thread = threading.Thread(target=self._run, name="jouled-store", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Writer [{self.waiting} waiting]>"

    @property
    def waiting(self) -> int:
        return self._orders.qsize()

    @property
    def is_prepared(self) -> bool:
        return self._prepare is None

    def submit(self, work: Work) -> Future[Any]:
        """The future is done once the work is on disk. Raises StoreError where too much waits already."""
        done: Future[Any] = Future()
        with self._ending:
            if self._is_closed:
                raise StoreError("the store is closed; open it again")
            try:
                self._orders.put_nowait(_Order(work, done))
            except queue.Full:
                self._watch.failed(1)
                raise StoreError(f"the store is behind: {WAITING_MAX} writes wait; try again later") from None
        return done

    def close(self) -> None:
        """Ends after all that was submitted. Once more does nothing."""
        with self._ending:
            was_closed, self._is_closed = self._is_closed, True
        if not was_closed:
            self._orders.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                order = self._orders.get(timeout=None if self._watch.problem is None else LOOK_S)
            except queue.Empty:
                self._look()
                continue
            if order is None:
                return
            orders, is_last = self._gather(order)
            self._serve(orders)
            if is_last:
                return

    def _gather(self, first: _Order) -> tuple[list[_Order], bool]:
        orders = [first]
        while len(orders) < TOGETHER_MAX:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                break
            if order is None:
                return orders, True
            orders.append(order)
        return orders, False

    def _look(self) -> None:
        """Whether a store that was away is back. A full disk is only seen by writing."""
        try:
            self._begin_anew()
            if self._engine.dialect.name == "postgresql":
                with self._engine.begin() as connection:
                    connection.execute(text("SELECT 1"))
                self._watch.came_back()
        except Exception as error:  # noqa: BLE001  (it is looked at again, and was said)
            self._note(error)

    def _begin_anew(self) -> None:
        if self._prepare is not None:
            self._prepare()
            self._prepare = None
            self._watch.came_back()

    def _serve(self, orders: Sequence[_Order]) -> None:
        problem = self._watch.problem
        if problem is not None and time.monotonic() - self._tried_s < AWAY_PAUSE_S:
            self._refuse(orders, problem)
            return
        try:
            outcomes = self._persist(orders)
        except Exception as error:  # noqa: BLE001  (nothing of it was kept: all are told)
            self._refuse(orders, self._note(error))
            return
        self._watch.came_back()
        self._watch.wrote(sum(outcome.error is None for outcome in outcomes))
        for order, outcome in zip(orders, outcomes, strict=True):
            if outcome.error is None:
                order.done.set_result(outcome.result)
            else:
                order.done.set_exception(outcome.error)

    def _refuse(self, orders: Sequence[_Order], problem: StoreError) -> None:
        self._watch.failed(len(orders))
        for order in orders:
            order.done.set_exception(type(problem)(str(problem)))  # an exception of one's own: it is raised elsewhere

    def _note(self, error: Exception) -> StoreError:
        self._tried_s = time.monotonic()
        trouble = trouble_of(error)
        if isinstance(error, StoreError):
            problem = error
        elif trouble is not None:
            problem = trouble.error("write", self._engine.url)
        else:
            said = error.orig if isinstance(error, DBAPIError) else error
            problem = StoreError(f"write {place(self._engine.url)}: {said}")
        if trouble is None or trouble.is_away:
            self._watch.went_away(problem)
        return problem

    def _persist(self, orders: Sequence[_Order]) -> list[_Outcome]:
        """All of it is on disk, each with what came of it. Raises where the store is away: then nothing is,
        but for an UncertainError.
        """
        # Where it was away already, everybody has waited for it already.
        end_s = time.monotonic() + (RETRY_S if self._watch.problem is None and not self._is_closed else 0)
        while True:
            try:
                self._begin_anew()
                return self._transact(orders)
            except DBAPIError as error:
                trouble = trouble_of(error)
                if not _is_worth_trying(trouble) or time.monotonic() > end_s:
                    raise
            time.sleep(RETRY_PAUSE_S)

    def _transact(self, orders: Sequence[_Order]) -> list[_Outcome]:
        try:
            return self._commit(orders, _alone if len(orders) == 1 else _together)
        except _Failed:
            return self._commit(orders, _apart)

    def _commit(
        self, orders: Sequence[_Order], do: Callable[[Connection, Sequence[_Order]], list[_Outcome]]
    ) -> list[_Outcome]:
        with self._engine.connect() as connection:
            transaction = connection.begin()
            try:
                outcomes = do(connection, orders)
                if len(outcomes) == 1 and outcomes[0].error is not None:
                    transaction.rollback()
                    return outcomes
                number = _transaction_number(connection)
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except DBAPIError as error:
                trouble = trouble_of(error)
                if trouble is None or not trouble.is_disconnected:
                    raise
                if not self._came_through(number, trouble):
                    raise
        return outcomes

    def _came_through(self, number: int | None, trouble: Trouble) -> bool:
        """Whether a commit whose answer was lost is on disk: the server knows, once it is back."""
        end_s = time.monotonic() + RETRY_S
        while number is not None and time.monotonic() < end_s:
            try:
                with self._engine.begin() as connection:
                    status = connection.execute(text("SELECT pg_xact_status(CAST(:n AS text)::xid8)"), {"n": number})
                    answer = status.scalar()
            except DBAPIError as error:
                if not _is_worth_trying(trouble_of(error)):
                    break
                answer = "in progress"
            if answer != "in progress":
                return bool(answer == "committed")
            time.sleep(RETRY_PAUSE_S)
        raise UncertainError(
            f"write {place(self._engine.url)}: {trouble.reason}; nobody knows whether it was written: "
            "do it again with the same keys"
        )


def _is_worth_trying(trouble: Trouble | None) -> bool:
    return trouble is not None and (trouble.is_disconnected or trouble.is_conflict)


def _transaction_number(connection: Connection) -> int | None:
    """None where there is nothing to lose: a transaction that wrote nothing has none."""
    if connection.dialect.name != "postgresql":
        return None
    try:
        number = connection.execute(text("SELECT pg_current_xact_id_if_assigned()::text")).scalar()
    except DBAPIError as error:
        if trouble_of(error) is not None:
            raise
        # A work hid an error of a statement, after which PostgreSQL takes no other: found out one by one.
        raise _Failed from error
    return None if number is None else int(number)


def _alone(connection: Connection, orders: Sequence[_Order]) -> list[_Outcome]:
    try:
        return [_Outcome(orders[0].work(connection), None)]
    except Exception as error:
        if trouble_of(error) is not None:
            raise
        return [_Outcome(None, error)]


def _together(connection: Connection, orders: Sequence[_Order]) -> list[_Outcome]:
    """As if none failed: a savepoint for each costs PostgreSQL as much as the work."""
    outcomes = []
    for order in orders:
        try:
            outcomes.append(_Outcome(order.work(connection), None))
        except Exception as error:
            if trouble_of(error) is not None:
                raise
            raise _Failed from error
    return outcomes


def _apart(connection: Connection, orders: Sequence[_Order]) -> list[_Outcome]:
    outcomes = []
    for order in orders:
        try:
            with connection.begin_nested():
                outcome = _Outcome(order.work(connection), None)
                # A work may have hidden that PostgreSQL takes no statement any more.
                connection.execute(text("SELECT 1"))
        except Exception as error:
            if trouble_of(error) is not None:
                raise
            outcome = _Outcome(None, error)
        outcomes.append(outcome)
    return outcomes
