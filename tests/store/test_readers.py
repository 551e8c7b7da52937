"""Reads of tasks: none waits for one that takes long, none sees less than was there when it was asked for."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
import trio
import trio.testing
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import DBAPIError

from jouled.bookkeeping import sites
from jouled.errors import NotFoundError, StoreError
from jouled.store import Store
from jouled.store.engine import READERS_MAX
from jouled.store.schema.access import tokens
from jouled.store.types import instant


class Gate:
    """A read that takes until somebody lets it end."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> int:
        one = connection.execute(text("SELECT 1")).scalar_one()
        self.begun.set()
        assert self.may_end.wait(60)
        return int(one)


def one(connection: Connection) -> int:
    return int(connection.execute(text("SELECT 1")).scalar_one())


async def test_a_read_that_takes_long_holds_up_no_other(store: Store) -> None:
    gates = [Gate() for _ in range(READERS_MAX - 1)]
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for gate in gates:
                nursery.start_soon(store.fetch, gate)
            # Asked at once, and behind them.
            assert await store.fetch(one) == 1
            for gate in gates:
                gate.may_end.set()


async def test_each_sees_what_was_committed_before_it_was_asked_for(store: Store) -> None:
    def count(connection: Connection) -> int:
        return len(connection.execute(select(tokens.c.id)).all())

    def one_more(connection: Connection, number: int) -> None:
        row = {"id": str(number), "name": str(number), "sha256": str(number), "scopes": [], "created_at": instant(0)}
        connection.execute(insert(tokens).values(row))

    async def keep_asking(seen: list[int], done: trio.Event) -> None:
        while not done.is_set():
            seen.append(await store.fetch(count))

    done = trio.Event()
    others: list[list[int]] = [[] for _ in range(4)]
    async with trio.open_nursery() as nursery:
        for seen in others:
            nursery.start_soon(keep_asking, seen, done)
        for number in range(30):
            await store.commit(lambda connection, number=number: one_more(connection, number))  # type: ignore[misc]
            assert await store.fetch(count) == number + 1
        done.set()
    assert all(seen == sorted(seen) for seen in others)


async def test_a_read_that_was_left_before_it_began_is_not_done(store: Store) -> None:
    gates = [Gate() for _ in range(READERS_MAX)]
    done: list[Connection] = []
    async with trio.open_nursery() as nursery:
        for gate in gates:
            nursery.start_soon(store.fetch, gate)
        for gate in gates:
            await trio.to_thread.run_sync(gate.begun.wait, 60)
        with trio.move_on_after(0.01) as scope:
            await store.fetch(done.append)
        for gate in gates:
            gate.may_end.set()
    assert scope.cancelled_caught
    assert await store.fetch(one) == 1
    assert done == []


async def test_what_ails_one_read_is_not_told_to_another(store: Store) -> None:
    def broken(connection: Connection) -> None:
        connection.execute(text("SELECT nothing FROM nowhere"))

    def hiding(connection: Connection) -> None:
        with suppress(DBAPIError):
            broken(connection)

    async def fails(query: object, kind: type[Exception]) -> None:
        with pytest.raises(kind):
            await store.fetch(query)  # type: ignore[arg-type]

    async def answers() -> None:
        assert await store.fetch(one) == 1

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(fails, broken, StoreError)
            nursery.start_soon(answers)
            nursery.start_soon(store.fetch, hiding)
            nursery.start_soon(answers)
            nursery.start_soon(fails, lambda connection: sites.get(connection, "none"), NotFoundError)
            nursery.start_soon(answers)


async def test_nothing_can_be_changed_by_reading(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.fetch(lambda connection: connection.execute(text("CREATE TABLE x (y INTEGER)")))


async def test_a_closed_store_is_not_read_and_refuses_those_who_wait(store: Store) -> None:
    gates = [Gate() for _ in range(READERS_MAX)]
    refused = []

    async def ask() -> None:
        try:
            await store.fetch(one)
        except StoreError as error:
            refused.append(str(error))

    async with trio.open_nursery() as nursery:
        for gate in gates:
            nursery.start_soon(store.fetch, gate)
        for gate in gates:
            await trio.to_thread.run_sync(gate.begun.wait, 60)
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        await trio.to_thread.run_sync(store.close)
        for gate in gates:
            gate.may_end.set()
    await ask()
    assert refused == ["the store is closed; open it again"] * 2


def test_the_same_store_serves_one_run_after_the_other(store: Store) -> None:
    async def main() -> int:
        return await store.fetch(one)

    assert [trio.run(main), trio.run(main)] == [1, 1]
