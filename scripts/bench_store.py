"""What the books take: readings a second, questions among ten million records, and small reads while measuring.

    python scripts/bench_store.py [--quick] [--only ingest|questions|reads] [--engine sqlite|postgresql] [--records N]

Both engines write to the disk as in use (SQLite synchronous=FULL, PostgreSQL fsync=on, its defaults otherwise).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bench import build, daemon, sleepers  # type: ignore[import-not-found]  # it lies beside this one
from sqlalchemy import Connection, insert

from jouled.bookkeeping import readings, site_energy, sites
from jouled.bookkeeping.record_queries import Range, Wanted, workload_records
from jouled.store import Store
from jouled.store.engine import real_name
from jouled.store.schema.measured import workload_energy, workloads
from jouled.store.schema.meters import meters
from jouled.store.schema.readings import site_energy as site_energy_table
from jouled.store.types import microseconds
from jouled.wire.readings import ReadingDraft
from jouled.wire.sites import SiteDraft

# Where the server for tests is.
sys.path.append(str(Path(__file__).parents[1] / "tests"))

READINGS_HZ_MIN = 50_000
QUESTION_MAX_MS = 50.0
READS_HZ_MIN = 1000
READS_P99_MAX_MS = 25.0
# At 1,000 a second one CPU is not full of it, beside the client's.
BATCHES = (1000, 10_000)
QUESTIONS = 30
PROCESSES = 2000
CLIENTS = 8
REQUEST = b"GET /api/v1/sites/bench HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Scale(NamedTuple):
    """How much of each is measured."""

    records: int
    ingest_s: float
    reads_s: float


WHOLE = Scale(records=10_000_000, ingest_s=5.0, reads_s=15.0)
QUICK = Scale(records=500_000, ingest_s=1.0, reads_s=4.0)


def say(label: str, value: str, target: str = "", *, is_met: bool | None = None) -> None:
    verdict = "" if is_met is None else "PASS" if is_met else "MISS"
    print(f"  {label:<56}{value:>36}  {target:<13}{verdict}".rstrip(), flush=True)


@contextlib.contextmanager
def opened(engine: str) -> Iterator[Store]:
    if engine == "sqlite":
        with tempfile.TemporaryDirectory() as folder, Store(state_dir=folder) as store:
            yield store
        return
    from stores import shared_postgres

    server = shared_postgres()
    name = server.create()
    with Store(server.address(name)) as store:
        yield store
    server.drop(name)


def make_site(connection: Connection) -> None:
    sites.create(connection, SiteDraft("bench", id="bench", timezone="Europe/Berlin"), NOW)
    for number in range(20):
        connection.execute(
            insert(meters).values(
                id=f"m{number}", name="m", kind="main", direction="consume", energy_source="grid", site_id="bench",
                created_at=NOW,
            )
        )  # fmt: skip


# ---- ingestion ----


def measure_ingestion(engine: str, seconds: float) -> None:
    for size in BATCHES:
        with opened(engine) as store:
            store.write(make_site)
            rate_hz, cpu_us = _ingest(store, size, seconds)
        label = f"{engine}: readings, {size:,} a batch"
        value = f"{rate_hz:,.0f}/s, {cpu_us:.1f} us CPU each"
        say(label, value, f">= {READINGS_HZ_MIN:,}/s", is_met=rate_hz >= READINGS_HZ_MIN)


def _ingest(store: Store, size: int, seconds: float) -> tuple[float, float]:
    """Batches one after the other, each on disk before the next one: as one client sends them.

    Readings a second, and this process's CPU time for each in microseconds.
    """
    took_s, cpu_s, count = 0.0, 0.0, 0
    while took_s < seconds:
        drafts = [
            ReadingDraft(f"m{n % 20}", "bench", 0.25, NOW + timedelta(seconds=n // 20))
            for n in range(count, count + size)
        ]
        began_s, cpu_before_s = time.monotonic(), time.process_time()
        done = store.write(partial(readings.ingest, drafts=drafts, now=NOW + timedelta(days=90)))
        took_s += time.monotonic() - began_s
        cpu_s += time.process_time() - cpu_before_s
        assert all(each.is_new for each in done)
        count += size
    return count / took_s, cpu_s / count * 1e6


# ---- questions ----


def measure_questions(engine: str, records: int) -> None:
    with opened(engine) as store:
        began_s = time.monotonic()
        days = _fill(store, records)
        say(f"{engine}: {records:,} records written by hand", f"{time.monotonic() - began_s:.0f} s")
        begin = NOW - timedelta(days=(days + 1) // 2)
        wanted = Wanted("unit", "unit-42", None, None)
        day = Range("minute", begin, begin + timedelta(days=1))
        zone = ZoneInfo("Europe/Berlin")
        year = (NOW - timedelta(days=366), NOW - timedelta(days=1))

        def minutes(connection: Connection) -> int:
            return workload_records(connection, day, wanted, cursor=None, limit=1440).count

        def site_days(connection: Connection) -> int:
            table = site_energy_table.c
            which = (
                table.site_id == "s3",
                table.resolution_s == 86_400,
                table.start_at >= year[0],
                table.start_at < year[1],
            )
            return len(connection.execute(site_energy_table.select().where(*which)).all())

        def site_sum(connection: Connection) -> int:
            return len(site_energy.sums(connection, "s3", *year, zone))

        _ask(store, f"{engine}: a day of minutes of a workload", minutes)
        _ask(store, f"{engine}: a year of days of a site", site_days)
        _ask(store, f"{engine}: the sum of a year of a site", site_sum)


def _ask(store: Store, label: str, question: Callable[[Connection], int]) -> None:
    times_ms, rows, cpu_before_s = [], 0, time.process_time()
    for _ in range(QUESTIONS):
        began_s = time.monotonic()
        rows = store.read(question)
        times_ms.append((time.monotonic() - began_s) * 1e3)
    assert rows
    cpu_ms, worst_ms = (time.process_time() - cpu_before_s) / QUESTIONS * 1e3, max(times_ms)
    value = f"{statistics.median(times_ms):.1f}, CPU {cpu_ms:.1f}, at most {worst_ms:.1f} ms"
    say(f"{label}: {rows:,} rows", value, f"< {QUESTION_MAX_MS:g} ms", is_met=worst_ms < QUESTION_MAX_MS)


def _fill(store: Store, records: int) -> int:
    """The minutes of 100 units in the order in which they come; and of 20 sites two years of days and quarter-hours."""
    start_us = microseconds(NOW)
    minutes = records // 100

    def put_names(connection: Connection) -> None:
        shared = {"node": "n", "level": "unit", "labels": {}, "first_at": NOW - minutes * MINUTE, "last_at": NOW}
        names = [{"id": n, "name": f"unit-{n}", "labels_sha256": str(n), **shared} for n in range(100)]
        connection.execute(insert(workloads), names)
        for number in range(20):
            sites.create(connection, SiteDraft("s", id=f"s{number}", timezone="Europe/Berlin"), NOW)

    def put_minutes(connection: Connection, first: int, last: int) -> None:
        rows = (
            (workload, 60, start_us - minute * 60_000_000, "package", 12_345, 1000, 60_000_000, "good")
            for minute in range(last, first, -1)
            for workload in range(100)
        )
        _put(connection, workload_energy, rows)

    def put_sites(connection: Connection) -> None:
        rows = (
            (f"s{site}", resolution_s, start_us - step * resolution_s * 1_000_000, source, "consume", 10, 10, 1, 0)
            for resolution_s, steps in ((900, 40_000), (86_400, 730))
            for step in range(1, steps)
            for site in range(20)
            for source in ("grid", "solar")
        )
        _put(connection, site_energy_table, rows)

    store.write(put_names)
    for last in range(minutes, 0, -1000):
        store.write(partial(put_minutes, first=max(0, last - 1000), last=last))
    store.write(put_sites)
    if store.url.drivername != "sqlite":
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")
    return minutes // 1440


def _put(connection: Connection, table: Any, rows: Any) -> None:
    driver: Any = connection.connection.driver_connection
    names = ", ".join(column.name for column in table.columns)
    where = f"{real_name(connection, table)} ({names})"
    if connection.dialect.name == "sqlite":
        driver.executemany(f"INSERT INTO {where} VALUES ({', '.join('?' * len(table.columns))})", rows)
        return
    with driver.cursor() as cursor, cursor.copy(f"COPY {where} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


# ---- reads over HTTP ----


def measure_reads(engine: str, seconds: float) -> None:
    with contextlib.ExitStack() as stack:
        if engine == "sqlite":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = f"sqlite:///{folder}/bench.sqlite"
        else:
            from stores import shared_postgres

            url = shared_postgres().address(shared_postgres().create())
        with Store(url) as store:
            store.write(make_site)
        os.environ["JOULED_API_READ_RATE"] = "1000000"
        stack.enter_context(sleepers(build(), PROCESSES, 0))
        jouled = stack.enter_context(daemon("1s", url))
        before_s = jouled.cpu_s()
        times_ms, took_s = _read(jouled.port, seconds)
        cpu_s = jouled.cpu_s() - before_s
    times_ms.sort()
    rate_hz, p99_ms = len(times_ms) / took_s, times_ms[int(len(times_ms) * 0.99)]
    label = f"{engine}: small reads, {CLIENTS} clients"
    say(label, f"{rate_hz:,.0f}/s", f">= {READS_HZ_MIN:,}/s", is_met=rate_hz >= READS_HZ_MIN)
    label, target = f"{engine}: of these the 99th of a hundred", f"< {READS_P99_MAX_MS:g} ms"
    say(label, f"{p99_ms:.1f} ms", target, is_met=p99_ms < READS_P99_MAX_MS)
    cpu_us = cpu_s / len(times_ms) * 1e6
    say(f"{engine}: the daemon's CPU time for each", f"{cpu_us:.0f} us")
    say(f"{engine}: median", f"{times_ms[len(times_ms) // 2]:.1f} ms")


def _read(port: int, seconds: float) -> tuple[list[float], float]:
    """Each client asks again as soon as it has its answer."""
    chooser = selectors.DefaultSelector()
    asked_s: dict[socket.socket, float] = {}
    times_ms: list[float] = []

    def ask(client: socket.socket | None) -> None:
        if client is None:
            client = socket.create_connection(("127.0.0.1", port))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            chooser.register(client, selectors.EVENT_READ)
        asked_s[client] = time.monotonic()
        client.sendall(REQUEST)

    for _ in range(CLIENTS):
        ask(None)
    began_s = time.monotonic()
    while time.monotonic() - began_s < seconds:
        for key, _ in chooser.select():
            client: Any = key.fileobj
            is_last = _answer(client)
            times_ms.append((time.monotonic() - asked_s[client]) * 1e3)
            if is_last:  # the server ends a connection after a thousand requests
                chooser.unregister(client)
                del asked_s[client]
                client.close()
            ask(None if is_last else client)
    for client in asked_s:
        client.close()
    return times_ms, time.monotonic() - began_s


def _answer(client: socket.socket) -> bool:
    """Reads one whole answer, which must be good. Whether it was the last of its connection."""
    got = b""
    while (end := got.find(b"\r\n\r\n")) < 0 or len(got) < end + 4 + _length(got[:end]):
        part = client.recv(65_536)
        assert part, "the daemon has closed the connection"
        got += part
    head = got[:end].lower()
    assert head.startswith(b"http/1.1 200"), head
    return b"\r\nconnection: close" in head


def _length(head: bytes) -> int:
    return int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])


def main() -> None:
    parser = argparse.ArgumentParser(description="What the books take")
    parser.add_argument("--only", choices=("ingest", "questions", "reads"))
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--records", type=int)
    parser.add_argument("--quick", action="store_true", help="fewer records, and less of each; a hint, no proof")
    asked = parser.parse_args()
    scale = QUICK if asked.quick else WHOLE
    if asked.records:
        scale = scale._replace(records=asked.records)
    print(f"jouled on {os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}")
    parts: dict[str, Callable[[str], None]] = {
        "ingest": lambda engine: measure_ingestion(engine, scale.ingest_s),
        "questions": lambda engine: measure_questions(engine, scale.records),
        "reads": lambda engine: measure_reads(engine, scale.reads_s),
    }
    for name, part in parts.items():
        if asked.only in (None, name):
            print(f"\n{name}")
            for engine in asked.engine or ["sqlite", "postgresql"]:
                part(engine)
    if asked.quick:
        print(
            f"\nA quick run: {scale.records:,} records, not {WHOLE.records:,}; targets are meant for whole runs on a quiet host."
        )


if __name__ == "__main__":
    main()
