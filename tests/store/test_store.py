"""The store as its users see it, on both engines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from jouled.errors import ConfigError, StoreError
from jouled.store import Store, engine
from jouled.store.schema.carbon import emission_factors
from jouled.store.schema.events import messages
from jouled.store.types import instant

NOW = instant(1_790_000_000_000_000)


def post(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute(insert(messages).values(topic="events", at=NOW, body={"n": number}))
        return number

    return work


def bodies(connection: Connection) -> list[int]:
    return [body["n"] for body in connection.execute(select(messages.c.body).order_by(messages.c.seq)).scalars()]


def factor(version: str) -> Callable[[Connection], Any]:
    row = {"version": version, "energy_source": "grid", "valid_from": NOW, "ug_per_kwh": 1}
    if "created_at" in emission_factors.c:
        row["created_at"] = NOW
    return lambda connection: connection.execute(insert(emission_factors).values(row))


def test_what_was_written_is_read(store: Store) -> None:
    assert store.write(post(7)) == 7

    assert store.read(bodies) == [7]


def test_what_waits_together_is_done_in_order_and_one_that_fails_does_not_touch_the_others(store: Store) -> None:
    go = threading.Event()
    store._writer.submit(lambda _: go.wait())  # so that the others wait together
    futures = [store._writer.submit(work) for work in (post(1), factor("v"), factor("v"), post(2))]
    go.set()

    assert [future.exception() is None for future in futures] == [True, True, False, True]
    assert isinstance(futures[2].exception(), IntegrityError)
    assert store.read(bodies) == [1, 2]
    assert store.state.writes == 4
    assert store.state.is_available


def test_an_error_of_the_works_own_comes_back_as_it_is_and_undoes_the_work(store: Store) -> None:
    def work(connection: Connection) -> None:
        post(1)(connection)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        store.write(work)

    assert store.read(bodies) == []
    store.write(post(2))
    assert store.read(bodies) == [2]


def test_a_read_can_change_nothing(store: Store) -> None:
    with pytest.raises(StoreError):
        store.read(post(1))

    assert store.read(bodies) == []


def test_a_read_that_takes_too_long_is_broken_off(monkeypatch: pytest.MonkeyPatch, store_url: str) -> None:
    monkeypatch.setattr(engine, "READ_S", 0.2)
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c WHERE x < 0"
    with Store(store_url) as store:
        with pytest.raises(StoreError, match="too long"):
            store.read(lambda connection: connection.exec_driver_sql(endless).scalar())

        store.write(post(1))
        assert store.read(bodies) == [1]
        assert store.state.is_available


def test_a_read_sees_one_moment_and_never_waits_for_a_write(store: Store) -> None:
    store.write(post(1))
    is_writing, go = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        post(2)(connection)
        is_writing.set()
        go.wait()

    def twice(connection: Connection) -> tuple[list[int], list[int]]:
        first = bodies(connection)
        go.set()
        while store.state.writes < 2:
            time.sleep(0.001)
        return first, bodies(connection)

    done = store._writer.submit(slow)
    is_writing.wait()

    assert store.read(twice) == ([1], [1])
    done.result()
    assert store.read(bodies) == [1, 2]


async def test_tasks_commit_and_fetch(store: Store) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(store.commit, post(number))

    assert sorted(await store.fetch(bodies)) == list(range(50))


async def test_a_write_that_was_submitted_is_done_though_its_task_was_cancelled(store: Store) -> None:
    go = threading.Event()
    store._writer.submit(lambda _: go.wait())
    with trio.move_on_after(0.01):
        await store.commit(post(1))
    go.set()
    await store.commit(post(2))

    assert await store.fetch(bodies) == [1, 2]


def test_a_closed_store_takes_nothing_more(store: Store) -> None:
    waiting = [store._writer.submit(post(number)) for number in range(3)]
    store.close()
    store.close()

    assert [future.result(0) for future in waiting] == [0, 1, 2]
    with pytest.raises(StoreError, match="closed"):
        store.write(post(4))


def test_two_prefixes_in_one_database_know_nothing_of_each_other(store_url: str) -> None:
    with Store(store_url, prefix="a_") as one, Store(store_url, prefix="b_") as other, Store(store_url) as plain:
        one.write(post(1))
        other.write(post(2))

        assert (one.read(bodies), other.read(bodies), plain.read(bodies)) == ([1], [2], [])


def test_a_store_is_opened_again_with_all_in_it(store_url: str) -> None:
    with Store(store_url, prefix="x_") as store:
        store.write(post(1))
    with Store(store_url, prefix="x_") as store:
        assert store.read(bodies) == [1]


@pytest.mark.parametrize("prefix", ["A", "a-", "1a", "a b", 'a"', "a" * 17])
def test_a_prefix_that_cannot_stand_before_a_name_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ConfigError, match=r"store\.prefix"):
        Store(state_dir=str(tmp_path), prefix=prefix)


@pytest.mark.parametrize("url", ["", "sqlite://", "mysql://a/b", "sqlite:///:memory:", "postgres"])
def test_a_url_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"store\.url"):
        Store(url, state_dir=str(tmp_path))


def test_writers_in_many_threads_and_stores_lose_nothing(store_url: str) -> None:
    with Store(store_url) as one, Store(store_url) as other:

        def write(store: Store) -> None:
            for _ in range(25):
                store.write(post(1))

        threads = [threading.Thread(target=write, args=(store,)) for store in (one, other) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert one.read(lambda c: c.execute(select(func.count()).select_from(messages)).scalar()) == 200


def test_errors_of_a_statement_are_those_of_the_driver(store: Store) -> None:
    store.write(factor("v"))
    with pytest.raises(DBAPIError):
        store.write(factor("v"))
    assert store.read(lambda c: c.execute(select(emission_factors.c.valid_from)).scalar()) == NOW


def test_a_work_that_hides_an_error_takes_no_other_with_it(store: Store) -> None:
    store.write(factor("v"))
    go = threading.Event()

    def hide(connection: Connection) -> None:
        with pytest.raises(DBAPIError):
            factor("v")(connection)

    store._writer.submit(lambda _: go.wait())
    futures = [store._writer.submit(work) for work in (post(1), hide, post(2))]
    go.set()

    assert futures[0].result() == 1
    assert futures[2].result() == 2
    assert store.read(bodies) == [1, 2]
    assert store.state.is_available
