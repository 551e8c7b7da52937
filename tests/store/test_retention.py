"""What is old goes, but nothing that is not in a coarser record."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import trio
from sqlalchemy import Connection, func, insert, select

from jouled.config.books import Retention
from jouled.store import Store, retention
from jouled.store.check import problems
from jouled.store.retention import limit_messages, sweep
from jouled.store.schema.access import audit
from jouled.store.schema.events import messages
from jouled.store.schema.measured import workload_energy, workloads, zone_energy, zones

NOW = datetime(2026, 3, 31, 12, 7, 13, tzinfo=UTC)
DAY = timedelta(days=1)
KEPT = Retention(raw_s=86_400, minute_s=2 * 86_400, quarter_hour_s=5 * 86_400)


def fill(connection: Connection, *, days: int = 8, has_last_day: bool = True) -> None:
    """A minute's record each quarter of an hour, and what it adds up to, in days of a calendar an hour ahead."""
    zone = {"node": "n", "zone": "package", "zone_index": "0", "source": "rapl", "since_at": NOW, "total_mj": 10**9}
    connection.execute(insert(zones).values(id=1, **zone))
    first_day = datetime(2026, 3, 31, 23, tzinfo=UTC) - days * DAY
    rows = []
    for day in range(days):
        start = first_day + day * DAY
        quarters = [start + timedelta(minutes=15 * number) for number in range(96)]
        quarters = [at for at in quarters if at < NOW]
        rows += [(60, at + timedelta(minutes=14), 5) for at in quarters] + [(900, at, 5) for at in quarters]
        if has_last_day or day < days - 1:
            rows.append((86_400, start, 5 * len(quarters)))
    shared = {"zone_id": 1, "idle_mj": 0, "covered_us": 1, "quality": "good"}
    connection.execute(
        insert(zone_energy),
        [{**shared, "resolution_s": kind, "start_at": at, "energy_mj": energy} for kind, at, energy in rows],
    )


def firsts(connection: Connection) -> dict[int, datetime]:
    records = zone_energy.c
    query = select(records.resolution_s, func.min(records.start_at)).group_by(records.resolution_s)
    return {row[0]: row[1] for row in connection.execute(query)}


async def test_each_resolution_is_kept_for_its_time_and_days_for_ever(store: Store) -> None:
    await store.commit(fill)
    rows = await sweep(store, KEPT, NOW, pause_s=0)

    assert rows > 0
    assert await store.fetch(firsts) == {
        60: datetime(2026, 3, 29, 12, 14, tzinfo=UTC),
        900: datetime(2026, 3, 25, 23, tzinfo=UTC),
        86_400: datetime(2026, 3, 23, 23, tzinfo=UTC),
    }
    assert await store.fetch(lambda connection: list(problems(connection))) == []
    assert await sweep(store, KEPT, NOW, pause_s=0) == 0


async def test_what_no_coarser_record_holds_stays(store: Store) -> None:
    def without_days(connection: Connection) -> None:
        fill(connection)
        records = zone_energy
        connection.execute(records.delete().where(records.c.resolution_s == 86_400))
        hole = records.c.start_at == datetime(2026, 3, 24, 6, tzinfo=UTC)
        connection.execute(records.delete().where(records.c.resolution_s == 900, hole))

    await store.commit(without_days)
    await sweep(store, KEPT, NOW, pause_s=0)

    assert await store.fetch(firsts) == {
        60: datetime(2026, 3, 24, 6, 14, tzinfo=UTC),
        900: datetime(2026, 3, 23, 23, tzinfo=UTC),
    }


async def test_a_round_that_ends_half_way_leaves_books_that_add_up(store: Store) -> None:
    await store.commit(fill)
    real, count = store.commit, 0

    class Stopped(Exception):  # noqa: N818
        """The daemon ends."""

    async def a_few(work: Any) -> Any:
        nonlocal count
        count += 1
        if count > 2:
            raise Stopped
        return await real(work)

    for _ in range(4):
        count = 0
        store.commit = a_few  # type: ignore[method-assign]
        with suppress(Stopped):
            await sweep(store, KEPT, NOW, pause_s=0)
        assert await store.fetch(lambda connection: list(problems(connection))) == []


async def test_messages_audits_and_workloads_without_records_go(store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(retention, "MESSAGES_MAX", 3)
    monkeypatch.setattr(retention, "ROWS", 2)

    def put(connection: Connection) -> None:
        ages = [3 * DAY, 2 * DAY, 2 * DAY, *[timedelta(hours=hour) for hour in (5, 4, 3, 2, 1)]]
        connection.execute(insert(messages), [{"topic": "e", "at": NOW - age, "body": {}} for age in ages])
        entry = {"who": "w", "address": "", "method": "POST", "path": "/", "status": 200}
        connection.execute(insert(audit), [{"at": NOW - age, **entry} for age in (6 * DAY, DAY)])
        workload = {"node": "n", "level": "unit", "name": "", "labels": {}, "first_at": NOW}
        for number, age in enumerate((3 * DAY, 3 * DAY, DAY), start=1):
            last_at = NOW - age
            connection.execute(
                insert(workloads).values(id=number, labels_sha256=str(number), last_at=last_at, **workload)
            )
        record = {"zone": "z", "energy_mj": 1, "cpu_us": 1, "covered_us": 1, "quality": "good", "start_at": NOW}
        connection.execute(insert(workload_energy).values(workload_id=1, resolution_s=86_400, **record))

    await store.commit(put)
    assert await sweep(store, KEPT, NOW, pause_s=0) == 5 + 1 + 1

    assert len(await store.fetch(lambda c: c.execute(select(messages)).all())) == 3
    assert len(await store.fetch(lambda c: c.execute(select(audit)).all())) == 1
    assert await store.fetch(lambda c: c.execute(select(workloads.c.id).order_by(workloads.c.id)).scalars().all()) == [
        1,
        3,
    ]


async def test_the_streams_messages_are_limited_between_the_rounds_too(store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(retention, "MESSAGES_MAX", 3)
    monkeypatch.setattr(retention, "ROWS", 2)
    rows = [{"topic": "readings", "at": NOW, "body": {}} for _ in range(10)]
    await store.commit(lambda connection: connection.execute(insert(messages), rows))

    assert await limit_messages(store, pause_s=0) == 7
    assert await limit_messages(store, pause_s=0) == 0


async def test_a_removal_that_the_store_refuses_is_said_and_ends_nothing(
    store: Store, monkeypatch: Any, lines: list[Any]
) -> None:
    """As where another daemon of the store refers to a workload that is just going."""
    monkeypatch.setattr(retention, "FIRST_S", 0.0)
    monkeypatch.setattr(retention, "ROUND_S", 0.01)

    async def refused(*_: Any) -> int:
        row = {"zone_id": 99, "resolution_s": 60, "start_at": NOW, "energy_mj": 1, "idle_mj": 0, "covered_us": 1}
        statement = insert(zone_energy).values(**row, quality="good")
        return await store.commit(lambda connection: connection.execute(statement).rowcount)

    monkeypatch.setattr(retention, "sweep", refused)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(retention.retain, store, KEPT, lambda: NOW)
            while len(lines) < 2:  # noqa: ASYNC110  (nobody tells of a round)
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert lines[0]["event"].startswith("remove what is too old: ")
