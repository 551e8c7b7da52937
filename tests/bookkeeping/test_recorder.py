"""The task that records: on a feed that the test fills, and in the real daemon."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import Connection, func, insert, select

from jouled.bookkeeping import sites
from jouled.bookkeeping.recorder import machine_of, record
from jouled.books import claims
from jouled.config import Config
from jouled.config.books import Node
from jouled.config.books import Store as StoreSettings
from jouled.errors import StoreError
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.store import Store, buffer
from jouled.store.schema.measured import nodes, workload_energy, workloads, zone_energy, zones
from jouled.store.schema.readings import energy_readings
from jouled.wire.sites import SiteDraft
from ledgers import START_S, FakeLedger
from running import Running, running

AT = datetime.fromtimestamp(START_S, UTC)
CONFIG = Config(interval_s=1.0, node=Node(name="n1"), store=StoreSettings(top=2))


async def publish(feed: Feed[Snapshot], *snapshots: Snapshot) -> None:
    """One after the other: each is seen, as it is where ticks are a second apart."""
    for snapshot in snapshots:
        feed.publish(snapshot)
        await trio.testing.wait_all_tasks_blocked()


async def recorded(store: Store, *snapshots: Snapshot, config: Config = CONFIG) -> None:
    feed: Feed[Snapshot] = Feed()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(record, config, store, feed)
            await trio.testing.wait_all_tasks_blocked()
            await publish(feed, *snapshots)
            feed.close()


def minutes(store: Store) -> list[tuple[float, int, int]]:
    """When after the start, energy, coverage."""
    query = select(zone_energy).where(zone_energy.c.resolution_s == 60).order_by(zone_energy.c.start_at)
    rows = store.read(lambda connection: connection.execute(query).all())
    return [(row.start_at.timestamp() - START_S, row.energy_mj, row.covered_us) for row in rows]


async def test_minutes_are_written_as_they_end_and_the_open_one_at_the_end(store: Store) -> None:
    ledger = FakeLedger()
    await recorded(store, ledger.baseline(), *(ledger.tick(5.0, parts={1: 1.0}) for _ in range(27)))
    assert minutes(store) == [(0, 2_400_000, 60_000_000), (60, 2_400_000, 60_000_000), (120, 600_000, 15_000_000)]


async def test_a_restart_within_a_minute_adds_to_its_record(store: Store) -> None:
    first = FakeLedger()
    await recorded(store, first.baseline(), *(first.tick() for _ in range(20)))
    second = FakeLedger(wall_s=START_S + 30)
    await recorded(store, second.baseline(), *(second.tick() for _ in range(40)))
    assert minutes(store) == [(0, 50 * 40_000, 50_000_000), (60, 10 * 40_000, 10_000_000)]
    total = store.read(lambda connection: connection.execute(select(zones.c.total_mj)).scalar_one())
    assert total == 60 * 40_000


async def test_while_the_store_is_away_minutes_wait_for_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "RETRY_S", 0.01)
    commit = store.commit
    refused = Counter[str]()

    async def away(work: Any) -> Any:
        if refused["times"] < 3:
            refused["times"] += 1
            raise StoreError("away")
        return await commit(work)

    monkeypatch.setattr(store, "commit", away)
    ledger = FakeLedger()
    feed: Feed[Snapshot] = Feed()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(record, CONFIG, store, feed)
            await trio.testing.wait_all_tasks_blocked()
            await publish(feed, ledger.baseline(), *(ledger.tick(5.0) for _ in range(25)))
            while len(minutes(store)) < 2:  # noqa: ASYNC110  (the store tells nobody what is written)
                await trio.sleep(0.01)
            feed.close()
    assert refused["times"] == 3
    assert [energy for _, energy, _ in minutes(store)] == [2_400_000, 2_400_000, 200_000]


async def test_the_nodes_energy_is_a_reading_of_its_site(store: Store) -> None:
    await store.commit(lambda connection: sites.create(connection, SiteDraft("Hall", id="hall"), AT))
    ledger = FakeLedger(("package", "0", "rapl"), ("dram", "0", "rapl"), ("core", "0", "rapl"))
    config = Config(interval_s=1.0, node=Node(name="n1", site="hall"))
    await recorded(store, ledger.baseline(), *(ledger.tick() for _ in range(90)), config=config)
    query = select(energy_readings.c.energy_mj, energy_readings.c.meter_id).order_by(energy_readings.c.at)
    rows = store.read(lambda connection: connection.execute(query).all())
    # 40 W of the package and 20 W of its memory; the cores are part of the package.
    assert [tuple(row) for row in rows] == [(3_600_000, "node:n1"), (1_800_000, "node:n1")]


async def test_a_missing_site_is_said_once(store: Store, lines: list[Any]) -> None:
    ledger = FakeLedger()
    config = Config(interval_s=1.0, node=Node(name="n1", site="nowhere"))
    await recorded(store, ledger.baseline(), *(ledger.tick(5.0) for _ in range(40)), config=config)
    assert len([line for line in lines if "node.site 'nowhere'" in line["event"]]) == 1
    assert len(minutes(store)) == 4


async def test_minutes_wait_until_it_is_known_that_no_other_host_has_the_name(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffer, "RETRY_S", 0.01)
    monkeypatch.setattr(claims, "WATCHED", timedelta(seconds=0.2))
    holder = {"name": "n1", "run": "other", "part": 3, "machine": "elsewhere", "timezone": "UTC"}
    await store.commit(lambda connection: connection.execute(insert(nodes).values(**holder, at=datetime.now(UTC))))
    ledger = FakeLedger()
    feed: Feed[Snapshot] = Feed()
    monkeypatch.setattr("jouled.bookkeeping.recorder.machine_of", lambda: "here")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(record, CONFIG, store, feed)
            await trio.testing.wait_all_tasks_blocked()
            await publish(feed, ledger.baseline(), *(ledger.tick(5.0) for _ in range(25)))
            while len(minutes(store)) < 2:  # noqa: ASYNC110  (the store tells nobody what is written)
                await trio.sleep(0.01)
            feed.close()
    assert [energy for _, energy, _ in minutes(store)] == [2_400_000, 2_400_000, 200_000]


def test_a_machine_is_told_by_its_number_and_the_number_by_nobody(tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    assert machine_of(file) is None
    file.write_text("\n")
    assert machine_of(file) is None
    file.write_text("0123456789abcdef0123456789abcdef\n")
    first = machine_of(file)
    file.write_text("1123456789abcdef0123456789abcdef\n")
    assert first is not None
    assert first != machine_of(file)
    assert "0123456789abcdef" not in first


FLAGS = ("--listen=127.0.0.1:0", "--log-format=text", "--meter=fake", "--interval=100ms")


def daemon(folder: Path, *flags: str, **environ: str) -> Any:
    settings = {
        "JOULED_STORE_URL": "sqlite",
        "JOULED_FAKE_ZONES": "package:0=40W,dram:0=5W",
        "JOULED_NODE_NAME": "n1",
        **environ,
    }
    return running(sys.executable, "-m", "jouled", *FLAGS, f"--state-dir={folder}", *flags, environ=settings)


def measured(daemon: Running, ticks: int) -> None:
    """Until so many more were completed."""

    def sequence() -> int:
        return int(json.loads(daemon.get("/api/v1/snapshot?limit=1"))["sequence"])

    end = sequence() + ticks
    while sequence() < end:
        time.sleep(0.02)


def check_books(connection: Connection) -> int:
    """Levels add up to zones, minutes to quarter-hours to days to totals. Returns all energy, mJ."""
    of_zones: Counter[Any] = Counter()
    query = select(zone_energy, zones.c.zone).join(zones, zones.c.id == zone_energy.c.zone_id)
    for row in connection.execute(query):
        of_zones[row.zone, row.resolution_s, row.start_at] += row.energy_mj
    of_rows: Counter[Any] = Counter()
    joined = select(workload_energy, workloads.c.level).join(workloads, workloads.c.id == workload_energy.c.workload_id)
    for row in connection.execute(joined):
        of_rows[row.level, row.zone, row.resolution_s, row.start_at] += row.energy_mj
    levels = {key[0] for key in of_rows}
    assert {"process", "unit", "container", "pod", "vm", "user"} == levels
    assert of_rows == Counter({(level, *key): energy for level in levels for key, energy in of_zones.items()})
    sums: Counter[int] = Counter()
    for (_, resolution_s, _), energy_mj in of_zones.items():
        sums[resolution_s] += energy_mj
    total = int(connection.execute(select(func.sum(zones.c.total_mj))).scalar_one())
    assert dict(sums) == {60: total, 900: total, 86_400: total}
    return total


def test_the_daemon_writes_its_open_minute_when_it_is_stopped_and_goes_on_with_its_totals(tmp_path: Path) -> None:
    totals = []
    for _ in range(2):
        with daemon(tmp_path) as running_daemon:
            measured(running_daemon, 12)
            running_daemon.stop()
        with Store(state_dir=str(tmp_path)) as store:
            totals.append(store.read(check_books))
    # 45 W for 1.2 seconds and more, each time.
    assert totals[0] > 45_000
    assert totals[0] + 45_000 < totals[1]


def test_a_daemon_that_is_killed_leaves_whole_books(tmp_path: Path) -> None:
    with daemon(tmp_path) as running_daemon:
        measured(running_daemon, 5)
        running_daemon.stop()
    with daemon(tmp_path) as running_daemon:
        measured(running_daemon, 5)
        running_daemon.process.send_signal(signal.SIGKILL)
        running_daemon.process.wait()
    with Store(state_dir=str(tmp_path)) as store:
        assert store.read(check_books) > 0
