"""`joulectl db`, on both engines: as it is called, on a store as the daemon leaves it."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click import UsageError
from click.testing import CliRunner, Result
from pyarrow import parquet
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import make_url

from jouled.cli.db import command
from jouled.errors import ConfigError, JouledError, StoreError
from jouled.store import Store
from jouled.store.schema.carbon import carbon_budget_periods, carbon_budgets
from jouled.store.schema.measured import workload_energy, workloads, zone_energy, zones
from jouled.store.schema.sites import sites
from jouled.store.trouble import place
from jouled.store.types import instant
from stores import programs

NOON = instant(1_772_366_400_000_000)  # 2026-03-01 12:00 UTC
MIDNIGHT = NOON - timedelta(hours=12)
QUARTERS = 4


def fill(connection: Connection) -> None:
    """An hour of one zone and one workload, with its quarter-hours and its day."""
    zone_id = 1
    connection.execute(
        insert(zones).values(
            id=zone_id, node="n", zone="package", zone_index="0", source="rapl", total_mj=60_000, since_at=NOON
        )
    )
    connection.execute(
        insert(workloads).values(
            id=1, node="n", level="unit", labels_sha256="0" * 64, name="a.service", labels={"unit": "a.service"},
            first_at=NOON, last_at=NOON,
        )
    )  # fmt: skip
    starts = [(60, NOON + timedelta(minutes=minute), 1000) for minute in range(60)]
    starts += [(900, NOON + timedelta(minutes=15 * quarter), 15_000) for quarter in range(QUARTERS)]
    starts += [(86_400, MIDNIGHT, 60_000)]
    for resolution_s, start, energy_mj in starts:
        shared = {"resolution_s": resolution_s, "start_at": start, "energy_mj": energy_mj, "quality": "good"}
        shared["covered_us"] = 60_000_000
        connection.execute(insert(zone_energy).values(zone_id=zone_id, idle_mj=energy_mj // 10, **shared))
        connection.execute(insert(workload_energy).values(workload_id=1, zone="package", cpu_us=2, **shared))
    # The minutes' CPU time, like all else, adds up.
    for resolution_s, minutes in ((900, 15), (86_400, 60)):
        which = workload_energy.c.resolution_s == resolution_s
        connection.execute(update(workload_energy).where(which).values(cpu_us=2 * minutes))


def db(store: Store, *arguments: str) -> Result:
    url = store.url.set(drivername="postgresql") if store.url.drivername != "sqlite" else store.url
    flags = ["--config", "", "--store", url.render_as_string(hide_password=False)]
    result = CliRunner().invoke(command, [*flags, *arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


@pytest.fixture
def filled(store: Store) -> Store:
    store.write(fill)
    return store


def test_sound_books_are_ok(filled: Store) -> None:
    result = db(filled, "check")

    assert result.output == "ok\n"
    assert result.return_value == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            update(zone_energy).where(zone_energy.c.resolution_s == 900).values(energy_mj=15_001),
            "zone_energy zone_id=1 2026-03-01 12:00:00+00:00: energy_mj of its minutes is 15000, of the quarter-hour 15001",
        ),
        (
            update(workload_energy).where(workload_energy.c.resolution_s == 86_400).values(energy_mj=59_999),
            "workload_energy workload_id=1 package 2026-03-01 00:00:00+00:00: energy_mj of its quarter-hours is 60000",
        ),
        (
            update(workload_energy).where(workload_energy.c.resolution_s == 86_400).values(cpu_us=1),
            "cpu_us of its quarter-hours is 120, of the day 1",
        ),
        (update(zones).values(total_mj=59_999), "zones id=1: its days hold 60000 mJ, more than its total of 59999"),
    ],
)
def test_what_does_not_add_up_is_said_with_its_table_and_key(filled: Store, change: Any, said: str) -> None:
    filled.write(lambda connection: connection.execute(change))

    result = db(filled, "check")

    assert said in result.output
    assert result.output.endswith("problems\n")
    assert result.return_value == 1


def test_each_day_is_checked_and_those_of_other_zones_end_none(filled: Store) -> None:
    def more_days(connection: Connection) -> None:
        zone = {"node": "n", "zone_index": "0", "source": "rapl", "total_mj": 10**9, "since_at": NOON}
        connection.execute(insert(zones).values(id=2, zone="dram", **zone))
        connection.execute(update(zones).values(total_mj=10**9))
        row = {"idle_mj": 0, "covered_us": 1, "quality": "good"}
        for zone_id, begin, days in ((1, MIDNIGHT, 5), (2, MIDNIGHT + timedelta(hours=11), 5)):
            for day in range(1, days):
                start = begin + timedelta(days=day)
                for resolution_s, at, energy_mj in (
                    (900, start, 1),
                    (900, start + timedelta(hours=20), 2),
                    (86_400, start, 3),
                ):
                    values = {"zone_id": zone_id, "resolution_s": resolution_s, "start_at": at, "energy_mj": energy_mj}
                    connection.execute(insert(zone_energy).values(**values, **row))

    filled.write(more_days)
    assert db(filled, "check").output == "ok\n"

    third = (zone_energy.c.resolution_s == 86_400) & (zone_energy.c.start_at == MIDNIGHT + timedelta(days=3))
    filled.write(lambda connection: connection.execute(update(zone_energy).where(third).values(energy_mj=4)))
    said = "zone_energy zone_id=1 2026-03-04 00:00:00+00:00: energy_mj of its quarter-hours is 3, of the day 4"
    assert db(filled, "check").output == f"{said}\n1 problems\n"


def test_a_quarter_hour_that_is_missing_is_said(filled: Store) -> None:
    late = zone_energy.c.start_at == NOON + timedelta(minutes=45)
    filled.write(
        lambda connection: connection.execute(zone_energy.delete().where(late, zone_energy.c.resolution_s == 900))
    )

    assert (
        "2026-03-01 12:45:00+00:00: energy_mj of its minutes is 15000, of the quarter-hour None"
        in db(filled, "check").output
    )


def test_a_budget_that_used_what_nobody_emitted_is_said(filled: Store) -> None:
    def spend(connection: Connection) -> None:
        values: dict[str, Any] = {"id": "s", "name": "s", "timezone": "UTC", "currency": "EUR", "energy_sources": []}
        values |= {"is_active": True, "created_at": NOON, "updated_at": NOON}
        connection.execute(insert(sites).values(**values))
        values = {"id": "b", "site_id": "s", "budget_period": "daily", "amount_ug": 9, "warning_pct": 80.0}
        values |= {"critical_pct": 90.0, "is_active": True, "created_at": NOON, "updated_at": NOON}
        connection.execute(insert(carbon_budgets).values(**values))
        values = {"budget_id": "b", "start_at": MIDNIGHT, "end_at": NOON, "used_ug": 5, "status": "normal"}
        connection.execute(insert(carbon_budget_periods).values(**values, updated_at=NOON))

    filled.write(spend)

    assert "carbon_budget_periods budget_id=b 2026-03-01 00:00:00+00:00: 5 µg are used" in db(filled, "check").output


def test_a_backup_is_whole_while_others_write_and_is_a_store_again(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "copy"

    result = db(filled, "backup", str(path))

    assert result.output.startswith(f"{path}: ")
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".*part*")) == []
    if filled.url.drivername == "sqlite":
        with Store(f"sqlite:///{path}") as copy:
            assert db(copy, "check").output == "ok\n"
            assert copy.read(lambda c: c.execute(select(zones.c.total_mj)).scalar()) == 60_000
    else:
        listed = subprocess.run([programs() / "pg_restore", "--list", path], check=True, capture_output=True, text=True)
        assert "TABLE DATA public zone_energy" in listed.stdout


def test_a_backup_that_cannot_be_written_leaves_nothing(filled: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"write .*/nowhere/copy: no such file or directory; make room, or write it"):
        db(filled, "backup", str(tmp_path / "nowhere" / "copy"))


def test_vacuum_gives_room_back(filled: Store) -> None:
    result = db(filled, "vacuum")

    assert "bytes before" in result.output
    assert db(filled, "check").output == "ok\n"


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        (["--resolution", "minute"], 60),
        (["--resolution", "quarter-hour"], 4),
        ([], 1),
        (["--resolution", "minute", "--from", "2026-03-01T12:50:00Z"], 10),
        (["--resolution", "minute", "--to", "2026-03-01T13:10:00+01:00"], 10),
        (["--from", "2026-03-02"], 0),
        (["--level", "unit"], 1),
        (["--level", "pod"], 0),
    ],
)
def test_an_export_has_the_rows_of_its_range_and_level(filled: Store, flags: list[str], count: int) -> None:
    rows = list(csv.DictReader(io.StringIO(db(filled, "export", *flags).output)))

    assert len(rows) == count


def test_an_export_is_the_same_in_all_three_forms(filled: Store, tmp_path: Path) -> None:
    asked = ("export", "--level", "unit", "--resolution", "quarter-hour")
    lines = [json.loads(line) for line in db(filled, *asked, "--format", "jsonl").output.splitlines()]
    table = list(csv.DictReader(io.StringIO(db(filled, *asked).output)))
    path = tmp_path / "x.parquet"
    db(filled, *asked, "--format", "parquet", "--output", str(path))
    columns = parquet.read_table(path).to_pylist()

    assert lines[0] == {
        "start": "2026-03-01T12:00:00Z",
        "resolution_seconds": 900,
        "node": "n",
        "level": "unit",
        "name": "a.service",
        "labels": '{"unit": "a.service"}',
        "zone": "package",
        "cpu_seconds": 30e-6,
        "joules": 15.0,
        "covered_seconds": 60.0,
        "quality": "good",
    }
    assert [{name: str(value) for name, value in line.items()} for line in lines] == table
    assert [{**row, "start": row["start"].strftime("%Y-%m-%dT%H:%M:%SZ")} for row in columns] == lines


def test_a_time_without_a_zone_is_refused(filled: Store) -> None:
    with pytest.raises(Exception, match="has no zone"):
        db(filled, "export", "--from", "2026-03-01T12:00:00")


def test_a_range_from_its_end_to_its_beginning_is_refused(filled: Store) -> None:
    with pytest.raises(UsageError, match=r"--from 2026-03-02\S* is not before --to 2026-03-01"):
        db(filled, "export", "--from", "2026-03-02", "--to", "2026-03-01")


def test_upgrade_makes_tables_and_says_which(store_url: str) -> None:
    flags = ["--config", "", "--store", store_url]
    said = [CliRunner().invoke(command, [*flags, "upgrade"], standalone_mode=False).output for _ in range(2)]

    assert [line.split(": ")[1] for line in said] == ["new tables\n", "up to date\n"]


@pytest.mark.parametrize("verb", [["check"], ["vacuum"], ["export"]])
def test_a_store_without_tables_is_named_with_what_makes_them(store_url: str, verb: list[str]) -> None:
    if store_url.startswith("sqlite"):
        Path(store_url.removeprefix("sqlite:///")).touch()
    result = CliRunner().invoke(command, ["--config", "", "--store", store_url, *verb], standalone_mode=False)

    assert isinstance(result.exception, StoreError)
    assert str(result.exception).startswith(f"{place(make_url(store_url))} has no tables; joulectl db upgrade")


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    flags = ["--config", "", "--state-dir", str(tmp_path)]
    result = CliRunner().invoke(command, [*flags, "check"], standalone_mode=False)

    assert isinstance(result.exception, StoreError)
    assert "no such file; name a store by --store or --state-dir" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as somebody else")
def test_a_store_of_somebody_else_is_one_line(tmp_path: Path) -> None:
    with Store(state_dir=str(tmp_path)):
        pass
    tmp_path.chmod(0o700)
    os.seteuid(65534)
    try:
        result = CliRunner().invoke(command, ["--config", "", "--state-dir", str(tmp_path), "check"])
    finally:
        os.seteuid(0)

    assert isinstance(result.exception, StoreError)
    assert "permission denied; run this as root or as the daemon's user" in str(result.exception)


def test_no_books_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(command, ["--config", "", "--store", "none", "check"], standalone_mode=False)

    assert isinstance(result.exception, ConfigError)


def test_a_damaged_file_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    with Store(state_dir=str(tmp_path)) as store:
        store.write(fill)
    path = tmp_path / "jouled.sqlite"
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
    path.write_bytes(content)

    result = CliRunner().invoke(command, ["--config", "", "--state-dir", str(tmp_path), "check"], standalone_mode=False)

    assert isinstance(result.exception, JouledError) or result.return_value == 1
