"""The one thread that writes: what waits together is committed together."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from jouled.errors import StoreError

# A commit waits for the disk, whatever is in it: the more wait, the more go into one.
TOGETHER_MAX = 256
# More than this wait only where the store is away: whoever comes then is told at once.
WAITING_MAX = 4096

Work: TypeAlias = Callable[[Connection], Any]


class _Order(NamedTuple):
    work: Work
    done: Future[Any]


class Writer:
    """Does work in transactions, one after the other, in the order in which it came."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(is_writer=True)
        self._orders: queue.Queue[_Order | None] = queue.Queue(WAITING_MAX)
        self._thread = threading.Thread(target=self._run, name="jouled-store", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Writer [{self._orders.qsize()} waiting]>"

    def submit(self, work: Work) -> Future[Any]:
        """The future is done once the work is on disk. Raises StoreError where too much waits already."""
        done: Future[Any] = Future()
        try:
            self._orders.put_nowait(_Order(work, done))
        except queue.Full:
            raise StoreError(f"the store is behind: {WAITING_MAX} writes wait; try again later") from None
        return done

    def close(self) -> None:
        """Ends after all that was submitted."""
        self._orders.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            orders, is_last = self._gather(order)
            self._do(orders)
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

    def _do(self, orders: list[_Order]) -> None:
        results: list[tuple[_Order, Any, BaseException | None]] = []
        try:
            with self._engine.begin() as connection:
                for order in orders:
                    try:
                        with connection.begin_nested():
                            results.append((order, order.work(connection), None))
                    except DBAPIError as error:
                        if error.connection_invalidated:
                            raise
                        results.append((order, None, error))
                    except Exception as error:  # noqa: BLE001  (it is the caller's, and goes there)
                        results.append((order, None, error))
        except Exception as error:  # noqa: BLE001  (nothing of it was kept: all are told)
            for order in orders:
                order.done.set_exception(StoreError(f"the store could not be written: {error}"))
            return
        for order, result, failed in results:
            if failed is None:
                order.done.set_result(result)
            else:
                order.done.set_exception(failed)
