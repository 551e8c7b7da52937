"""`joulectl caps restore`, as people and the unit run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jouled.balance.writes import Write
from jouled.journal import Journal
from limit_trees import LimitTree, power_write

JOULECTL = (sys.executable, "-c", "from jouled.cli.joulectl import main; main()")


@pytest.fixture
def tree(tmp_path: Path) -> LimitTree:
    return LimitTree(tmp_path)


@pytest.fixture
def zone(tree: LimitTree) -> Path:
    return tree.package(0)


@pytest.fixture
def path(zone: Path) -> Path:
    return zone / "constraint_0_power_limit_uw"


@pytest.fixture
def journal(tree: LimitTree, zone: Path) -> Iterator[Journal]:
    """A daemon's, with a cap on one package; closed is as killed."""
    with Journal.open(str(tree.caps), procfs=str(tree.procfs), sysfs=str(tree.sysfs)) as journal:
        write = power_write(zone, 50_000_000)
        journal.begin([write])
        Path(write.path).write_text("50000000\n")
        journal.wrote(write.path, "50000000")
        yield journal


def restore(tree: LimitTree, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "JOULED_PROCFS": str(tree.procfs), "JOULED_SYSFS": str(tree.sysfs), **environ}
    flags = (f"--state-dir={tree.caps.parent}", "--config=", *words)
    return subprocess.run(
        [*JOULECTL, "caps", "restore", *flags], check=False, capture_output=True, text=True, env=environ
    )


def test_the_limits_of_a_killed_daemon_are_given_back(tree: LimitTree, journal: Journal, path: Path) -> None:
    journal.close()
    done = restore(tree)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"{path}: holds 95000000 again; it held 50000000\n",
        "",
    )
    assert path.read_text() == "95000000\n"
    assert not (tree.caps / "journal.json").exists()


@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--as-configured",)])
def test_with_nothing_to_give_back_nothing_is_made(tree: LimitTree, words: tuple[str, ...]) -> None:
    done = restore(tree, *words)
    file = tree.caps / "journal.json"
    said = "" if "--as-configured" in words else f"nothing to give back: {file} names no limit\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    assert not tree.caps.parent.exists()


def test_a_dry_run_shows_and_writes_nothing(tree: LimitTree, journal: Journal, path: Path) -> None:
    # Beside the daemon, too.
    done = restore(tree, "--dry-run")
    assert (done.returncode, done.stdout) == (0, f"{path}: holds 50000000; 95000000 would be written\n")
    assert path.read_text() == "50000000\n"
    assert len(Journal.read(str(tree.caps), procfs=str(tree.procfs), sysfs=str(tree.sysfs)).entries) == 1


def test_beside_a_daemon_it_says_who_is_in_charge(tree: LimitTree, journal: Journal, path: Path) -> None:
    done = restore(tree)
    assert done.returncode == 1
    assert f"lock is held by jouled (process {os.getpid()})" in done.stderr
    assert "joulectl caps set none" in done.stderr
    assert path.read_text() == "50000000\n"


def test_a_limit_that_cannot_be_written_exits_1_and_stays(tree: LimitTree, journal: Journal, path: Path) -> None:
    journal.close()
    # Root may write whatever the rights say, but no directory.
    path.unlink()
    path.mkdir()
    done = restore(tree)
    assert done.returncode == 1
    assert str(path) in done.stdout
    assert len(Journal.read(str(tree.caps), procfs=str(tree.procfs), sysfs=str(tree.sysfs)).entries) == 1


def test_as_configured_leaves_what_hold_says(tree: LimitTree, journal: Journal, path: Path) -> None:
    journal.keep_policy("hold")
    journal.close()
    done = restore(tree, "--as-configured")
    assert done.returncode == 0
    assert "the limits are left as they are, by caps.on_exit = hold" in done.stdout
    assert path.read_text() == "50000000\n"
    # By hand is by hand.
    assert restore(tree).returncode == 0
    assert path.read_text() == "95000000\n"


def test_as_configured_writes_the_safe_cap_after_a_kill(
    tree: LimitTree, zone: Path, journal: Journal, path: Path
) -> None:
    journal.keep_policy("safe", [power_write(zone, 65_000_000)])
    journal.close()
    done = restore(tree, "--as-configured")
    assert (done.returncode, done.stdout) == (0, f"{path}: holds 65000000 of the safe cap; it held 50000000\n")
    assert path.read_text().strip() == "65000000"
    again = restore(tree, "--as-configured")
    assert "left as they are, by caps.on_exit = safe" in again.stdout
    assert restore(tree).returncode == 0
    assert path.read_text() == "95000000\n"


def test_as_configured_with_safe_gives_back_where_nothing_was_prepared(
    tree: LimitTree, journal: Journal, path: Path
) -> None:
    journal.keep_policy("safe")
    journal.close()
    assert restore(tree, "--as-configured").returncode == 0
    assert path.read_text() == "95000000\n"


def test_a_daemon_that_left_its_safe_cap_on_purpose_is_not_cleaned_up_after(
    tree: LimitTree, journal: Journal, path: Path
) -> None:
    journal.keep_policy("safe")
    journal.leave("safe")
    journal.close()
    assert "by caps.on_exit = safe" in restore(tree, "--as-configured").stdout
    assert path.read_text() == "50000000\n"


def test_settings_with_a_mistake_are_no_reason_to_stay_capped(tree: LimitTree, journal: Journal, path: Path) -> None:
    journal.close()
    done = restore(tree, JOULED_INTERVAL="never")
    assert done.returncode == 0
    assert "JOULED_INTERVAL" in done.stderr
    assert f"looking in {tree.caps.parent}" in done.stderr
    assert path.read_text() == "95000000\n"


def test_json_is_one_object(tree: LimitTree, journal: Journal, path: Path) -> None:
    journal.close()
    done = restore(tree, "--json")
    report = json.loads(done.stdout)
    (limit,) = report.pop("limits")
    assert report == {
        "journal": str(tree.caps / "journal.json"),
        "is_dry_run": False,
        "left": None,
        "problem": None,
    }
    assert (limit["path"], limit["outcome"], limit["is_foreign"]) == (str(path), "restored", False)


def test_a_torn_journal_is_said_with_a_way_out(tree: LimitTree, journal: Journal, path: Path) -> None:
    journal.close()
    file = tree.caps / "journal.json"
    file.write_bytes(file.read_bytes()[:-100])
    done = restore(tree)
    assert done.returncode == 1
    assert f"write by hand 95000000 into {path}" in done.stderr
    assert "Traceback" not in done.stderr


def test_leases_end_with_what_is_given_back_by_hand(tree: LimitTree, journal: Journal) -> None:
    from datetime import UTC, datetime

    from jouled.wire.caps import Lease

    now = datetime(2026, 3, 29, tzinfo=UTC)
    journal.keep_leases([Lease("operator", 100.0, now, now)], now)
    journal.close()
    restore(tree, "--as-configured")
    assert Journal.read(str(tree.caps)).leases
    restore(tree)
    assert not (tree.caps / "journal.json").exists()


def test_a_slice_is_given_back_as_well(tree: LimitTree, journal: Journal) -> None:
    group = tree.slice("batch.slice", "-1", version=1)
    path = group / "cpu.cfs_quota_us"
    journal.begin([Write(str(path), "CPU time of batch.slice", "20000")])
    path.write_text("20000\n")
    journal.close()
    assert f"{path}: holds -1 again; it held 20000" in restore(tree).stdout
    assert path.read_text() == "-1\n"
