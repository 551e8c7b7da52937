"""The store goes away and comes back: measuring goes on, it is said once, and nothing is lost or doubled."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import Connection, event, insert, select, text

from jouled.errors import StoreError
from jouled.store import Store, engine, writer
from jouled.store.buffer import Backlog
from jouled.store.schema.events import messages
from jouled.store.trouble import UncertainError
from jouled.store.types import instant
from stores import Postgres

NOW = instant(1_790_000_000_000_000)


def post(number: int) -> Any:
    return lambda connection: connection.execute(insert(messages).values(topic="events", at=NOW, body={"n": number}))


def bodies(connection: Connection) -> list[int]:
    return [body["n"] for body in connection.execute(select(messages.c.body).order_by(messages.c.seq)).scalars()]


def said(lines: list[Any], words: str) -> int:
    return sum(words in line["event"] for line in lines)


def wait_for(is_so: Any) -> None:
    while not is_so():
        time.sleep(0.01)


def test_a_server_that_is_started_anew_costs_the_writers_only_time(
    server: Postgres, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 120.0)  # whatever the server takes on this machine
    with Store(server.address(server.create())) as store:
        store.write(post(1))
        server.stop()
        done = store._writer.submit(post(2))
        server.start()

        done.result()
        assert store.read(bodies) == [1, 2]
        assert store.state.is_available
        assert lines == []


def test_a_server_that_stays_away_is_said_once_and_is_back_by_itself(
    server: Postgres, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 0.2)
    monkeypatch.setattr(writer, "LOOK_S", 0.1)
    with Store(server.address(server.create())) as store:
        server.stop()
        for _ in range(3):
            with pytest.raises(StoreError, match=r"postgresql://jouled@.*look whether the server runs"):
                store.write(post(0))
        with pytest.raises(StoreError, match="read postgresql"):
            store.read(bodies)
        assert not store.state.is_available
        assert store.state.failures == 3

        server.start()
        wait_for(lambda: store.state.is_available)
        store.write(post(1))
        assert store.read(bodies) == [1]
    assert said(lines, "the store is away") == 1
    assert said(lines, "the store is back") == 1


def test_a_server_that_is_not_up_yet_is_waited_for(
    server: Postgres, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LOOK_S", 0.1)
    url = server.address(server.create())
    server.stop()
    with pytest.raises(StoreError, match="look whether the server runs"):
        Store(url)
    with Store(url, may_be_away=True) as store:
        with pytest.raises(StoreError, match="look whether the server runs"):
            store.read(bodies)
        with pytest.raises(StoreError, match="look whether the server runs"):
            store.write(post(0))

        server.start()
        wait_for(lambda: store.state.is_available)
        store.write(post(1))
        assert store.read(bodies) == [1]
    assert said(lines, "the store is away") == 1


@pytest.mark.parametrize("change", ["database", "user"])
def test_a_server_that_says_no_is_refused_at_the_start(server: Postgres, change: str) -> None:
    url = server.address("nowhere") if change == "database" else server.address("postgres").replace("jouled@", "eve@")

    with pytest.raises(StoreError, match="does not exist"):
        Store(url, may_be_away=True)


class Proxy:
    """Calls something at the moment when a commit is sent."""

    def __init__(self, store: Store, call: Any) -> None:
        self.call = call
        event.listen(store.engine, "commit", self)

    def __call__(self, connection: Connection) -> None:
        if self.call is not None:
            call, self.call = self.call, None
            call(connection)


def test_a_commit_whose_answer_was_lost_is_asked_for_and_not_done_twice(server: Postgres) -> None:
    with Store(server.address(server.create())) as store:
        store.write(post(1))

        def commit_and_break(connection: Connection) -> None:
            driver: Any = connection.connection.driver_connection
            driver.execute("COMMIT")
            driver.pgconn.finish()

        Proxy(store, commit_and_break)
        store.write(post(2))

        assert store.read(bodies) == [1, 2]


def test_a_commit_that_did_not_come_through_is_done_again(server: Postgres) -> None:
    with Store(server.address(server.create())) as store:
        store.write(post(1))

        def end_the_session(connection: Connection) -> None:
            driver: Any = connection.connection.driver_connection
            server.execute(f"SELECT pg_terminate_backend({driver.info.backend_pid}, 5000)")

        Proxy(store, end_the_session)
        store.write(post(2))

        assert store.read(bodies) == [1, 2]


def test_where_nobody_can_say_what_became_of_a_commit_the_writer_is_told_so(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 0.2)
    with Store(server.address(server.create())) as store:
        store.write(post(1))
        Proxy(store, lambda _: server.stop())

        with pytest.raises(UncertainError, match="with the same keys"):
            store.write(post(2))


def test_a_locked_file_is_named_and_taken_again(
    tmp_path: Path, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_MS", 100)
    with Store(state_dir=str(tmp_path)) as store:
        other = sqlite3.connect(tmp_path / "jouled.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"jouled\.sqlite: another process holds it locked"):
            store.write(post(0))
        assert store.read(bodies) == []
        other.execute("ROLLBACK")
        other.close()

        time.sleep(writer.AWAY_PAUSE_S)
        store.write(post(1))
        assert store.read(bodies) == [1]
    assert said(lines, "the store is away") == said(lines, "the store is back") == 1


def test_a_file_that_is_locked_for_a_moment_is_waited_for(tmp_path: Path, lines: list[Any]) -> None:
    with Store(state_dir=str(tmp_path)) as store:
        other = sqlite3.connect(tmp_path / "jouled.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        done = store._writer.submit(post(1))
        other.execute("ROLLBACK")
        other.close()

        done.result()
        assert store.read(bodies) == [1]
    assert lines == []


def test_a_full_disk_is_said_once_and_what_was_written_stays(tmp_path: Path, lines: list[Any]) -> None:
    with Store(state_dir=str(tmp_path)) as store:
        store.write(post(1))
        with store.engine.connect() as connection:  # the writer's own: it is the only one of its pool
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        def much(connection: Connection) -> None:
            connection.execute(insert(messages), [{"topic": "e", "at": NOW, "body": {"x": "x" * 4000}}] * 50)

        for _ in range(2):
            with pytest.raises(StoreError, match="no space is left; make room"):
                store.write(much)
        assert store.read(bodies) == [1]

        with store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        time.sleep(writer.AWAY_PAUSE_S)
        store.write(much)
        assert store.state.is_available
    assert said(lines, "the store is away") == said(lines, "the store is back") == 1


def test_what_is_no_database_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "jouled.sqlite").write_text("a letter to my aunt, which is long enough to be read as a header\n" * 20)

    with pytest.raises(StoreError, match=r"jouled\.sqlite: this is no SQLite database"):
        Store(state_dir=str(tmp_path), may_be_away=True)


def test_a_place_that_cannot_be_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match=r"file/below/jouled\.sqlite: not a directory; set store\.url or state_dir"):
        Store(state_dir=str(tmp_path / "file" / "below"), may_be_away=True)


def test_writers_who_come_faster_than_the_store_are_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    waiting = [store._writer.submit(lambda _: go.wait())]
    monkeypatch.setattr(writer, "TOGETHER_MAX", 1)
    # One is in the writer's hands, or still waits.
    waiting += [store._writer.submit(lambda _: None) for _ in range(writer.WAITING_MAX - 1)]
    wait_for(lambda: store.state.waiting < writer.WAITING_MAX)
    waiting.append(store._writer.submit(lambda _: None))
    with pytest.raises(StoreError, match="writes wait; try again later"):
        store.write(post(0))
    monkeypatch.undo()
    go.set()
    waiting[-1].result()

    assert store.state.waiting == 0


# ---- the backlog ----


async def until_empty(backlog: Backlog) -> None:
    while len(backlog):  # noqa: ASYNC110  (nobody else wants to know)
        await trio.sleep(0.01)


class Away:
    """A store's engine that fails, until it is told not to."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("jouled.store.buffer.RETRY_S", 0.01)
        monkeypatch.setattr("jouled.store.buffer.RETRY_MAX_S", 0.02)
        monkeypatch.setattr(writer, "AWAY_PAUSE_S", 0.0)
        monkeypatch.setattr(writer, "LOOK_S", 3600.0)
        self.is_away = True
        event.listen(store.engine, "begin", self)

    def __call__(self, connection: Connection) -> None:
        if self.is_away:
            raise StoreError("gone for a walk")


async def test_what_waits_is_written_in_order_once_the_store_is_back(
    store: Store, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    away, backlog = Away(store, monkeypatch), Backlog(store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backlog.run)
        for number in range(100):
            backlog.put(post(number))
        while not said(lines, "the store is away"):  # noqa: ASYNC110  (the log has no event)
            await trio.sleep(0.01)
        assert store.state.waiting >= 100  # one of them is tried at this moment
        away.is_away = False
        await until_empty(backlog)
        backlog.close()

    assert await store.fetch(bodies) == list(range(100))
    assert store.state.dropped == 0
    assert said(lines, "the store is away") == said(lines, "the store is back") == 1


async def test_of_too_much_the_oldest_is_dropped_counted_and_said_once(
    store: Store, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    away, backlog = Away(store, monkeypatch), Backlog(store, limit=5)
    async with trio.open_nursery() as nursery:
        for number in range(12):
            backlog.put(post(number))
        away.is_away = False
        nursery.start_soon(backlog.run)
        await until_empty(backlog)
        backlog.close()

    assert await store.fetch(bodies) == [7, 8, 9, 10, 11]
    assert store.state.dropped == backlog.dropped == 7
    assert said(lines, "for too long") == 1


async def test_a_backlog_that_is_closed_writes_what_it_has(store: Store) -> None:
    backlog = Backlog(store)
    for number in range(70):
        backlog.put(post(number))
    backlog.close()
    await backlog.run()

    assert await store.fetch(bodies) == list(range(70))


async def test_the_end_waits_for_no_store_and_says_what_is_lost(
    store: Store, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Away(store, monkeypatch)
    backlog = Backlog(store)
    backlog.put(post(1))
    backlog.close()
    await backlog.run()

    assert store.state.dropped == 1
    assert said(lines, "1 records that waited for it are lost") == 1


async def test_a_record_that_cannot_be_written_stops_none_behind_it(store: Store, lines: list[Any]) -> None:
    backlog = Backlog(store)
    for work in (post(1), lambda c: c.execute(text("SELECT nothing FROM nowhere")), post(2)):
        backlog.put(work)
    backlog.close()
    await backlog.run()

    assert await store.fetch(bodies) == [1, 2]
    assert store.state.dropped == 1
    assert said(lines, "could not be written and is dropped") == 1


def test_a_server_that_was_started_anew_is_not_noticed_by_readers(server: Postgres) -> None:
    with Store(server.address(server.create())) as store:
        store.write(post(1))
        assert store.read(bodies) == [1]
        server.stop()
        server.start()

        assert store.read(bodies) == [1]
