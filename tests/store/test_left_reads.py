from __future__ import annotations

import threading

from sqlalchemy import Connection, text

from jouled.store import Store


def test_a_read_that_its_task_left_behind_gives_its_connection_back(store: Store) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))
        begun.set()
        assert may_end.wait(10)

    thread = threading.Thread(target=store.read, args=(slow,))
    thread.start()
    assert begun.wait(10)
    store.close()
    may_end.set()
    thread.join()
    assert store._reading.pool.checkedin() == 0  # type: ignore[attr-defined]  # as this pool counts
    assert store._reading.pool.checkedout() == 0  # type: ignore[attr-defined]
