"""The balancer in the real daemon: it sheds, keeps what it did, ends in time, and survives a kill."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from jouled.control.site.originals import Page, directory_of, load
from running import Running, running


def settings(folder: Path, *loads: str, supply_w: float = 1500.0, more: str = "") -> Path:
    """A plant that tells its power in a file, and loads that only pretend."""
    tell(folder, supply_w)
    tables = [f'[[balance.load]]\nname = "{name}"\nkind = "dry-run"\nmin = 100\nmax = 1000' for name in loads]
    text = [
        f'state_dir = "{folder}"',
        'interval = "100ms"',
        'meters = ["fake"]',
        "[store]",
        'url = "sqlite"',
        "[plant]",
        'kind = "file"',
        f'file = "{folder / "plant.json"}"',
        'unit = "W"',
        'poll = "200ms"',
        'stale = "60s"',
        "[balance]",
        "enabled = true",
        'cycle = "200ms"',
        'stale = "30s"',
        more,
        *tables,
    ]
    path = folder / "jouled.toml"
    path.write_text("\n".join(text))
    return path


def tell(folder: Path, supply_w: float) -> None:
    new = folder / "plant.new"
    new.write_text(f"{supply_w}\n")
    new.rename(folder / "plant.json")


@contextmanager
def balancing(path: Path) -> Iterator[Running]:
    command = (sys.executable, "-m", "jouled", "--listen=127.0.0.1:0", "--log-format=text", f"--config={path}")
    environ = {name: value for name, value in os.environ.items() if name != "JOULED_STORE_URL"}
    with running(*command, environ={**environ, "JOULED_STORE_URL": "sqlite"}) as daemon:
        yield daemon


def until(look: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < end_s
        time.sleep(0.02)
    return found


def kept(folder: Path) -> Page:
    return load(directory_of(str(folder)))


def decisions(folder: Path) -> list[tuple[Any, ...]]:
    try:
        with closing(sqlite3.connect(folder / "jouled.sqlite")) as books:
            return books.execute("SELECT load, status, new_w, is_urgent FROM balance_decisions").fetchall()
    except sqlite3.OperationalError:
        return []


def test_loads_are_shed_and_each_change_is_in_the_books_with_its_end(tmp_path: Path) -> None:
    path = settings(tmp_path, "one", "two", "three")
    with balancing(path) as daemon:
        until(lambda: len([row for row in decisions(tmp_path) if row[1] == "completed"]) >= 2)
        assert daemon.stop() < 5
    assert sum(one.power_w or 1000.0 for one in kept(tmp_path).loads) + 1000.0 * (3 - len(kept(tmp_path).loads)) <= 1500
    assert kept(tmp_path).left == "hold"
    assert all(status in {"completed", "failed", "cancelled"} for _, status, _, _ in decisions(tmp_path))


def test_a_kill_leaves_what_was_found_on_the_disk_and_the_next_daemon_goes_on(tmp_path: Path) -> None:
    path = settings(tmp_path, "one", "two", "three")
    with balancing(path) as daemon:
        found = until(lambda: kept(tmp_path).loads)
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
    assert all(one.original for one in found)
    assert kept(tmp_path).left is None
    with balancing(path) as daemon:
        until(lambda: [row for row in decisions(tmp_path) if row[1] == "completed"])
        assert "has not ended well" in daemon.said
        # Nobody has seen what came of what the first one had sent.
        until(lambda: not [row for row in decisions(tmp_path) if row[1] == "executing"])
        daemon.stop()
    # What was found first is what is given back, however often it was changed since.
    first = {one.load: one.original for one in found}
    assert {one.load: one.original for one in kept(tmp_path).loads if one.load in first} == first


def test_the_daemon_ends_in_two_seconds_although_a_load_hangs(tmp_path: Path) -> None:
    device = tmp_path / "device.py"
    device.write_text("import time\ntime.sleep(3600)\n")
    command = json.dumps([sys.executable, str(device)])
    table = (
        f'on_exit = "restore"\n[[balance.load]]\nname = "stuck"\nkind = "command"\ncommand = {command}\ntimeout = "60s"'
    )
    path = settings(tmp_path, "one", "two", more=table)
    with balancing(path) as daemon:
        until(lambda: kept(tmp_path).loads)
        assert daemon.stop() < 4  # 2 of the daemon's, and what a busy machine takes
    assert not [one for one in kept(tmp_path).loads if one.load in {"one", "two"}]


def test_a_second_daemon_with_the_same_state_directory_is_refused(tmp_path: Path) -> None:
    path = settings(tmp_path, "one")
    with balancing(path):
        command = [sys.executable, "-m", "jouled", "--listen=127.0.0.1:0", f"--config={path}"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 2
        assert "balances the loads" in second.stderr
        assert "Traceback" not in second.stderr


def test_what_only_several_sections_can_tell_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for more, says in (
        ("follow_plan = true", "plan.strategies"),
        ('[[balance.load]]\nname = "host"\nkind = "host"', "caps.enabled"),
        ('on_exit = "hold"\n[[balance.load]]\nname = "x"\nkind = "node"', "address"),
    ):
        path = settings(tmp_path, more=more)
        command = [sys.executable, "-m", "jouled", "--listen=127.0.0.1:0", f"--config={path}"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (said.returncode, "Traceback" in said.stderr) == (2, False), said.stderr
        assert says in said.stderr


@pytest.mark.parametrize("section", ["", "[balance]\nlimit = '5kW'\n"])
def test_a_daemon_that_balances_nothing_imports_nothing_of_it(tmp_path: Path, section: str) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text(f'state_dir = "{tmp_path}"\nmeters = ["fake"]\n{section}')
    program = (
        "import atexit, sys\n"
        "names = ('jouled.control', 'jouled.balance', 'jouled.loads', 'jouled.signals.plant', 'jouled.simulation')\n"
        "atexit.register(lambda: print([name for name in sys.modules if name.startswith(names)], file=sys.stderr))\n"
        "from jouled.cli.jouled import command\n"
        "command()\n"
    )
    flags = ("--listen=127.0.0.1:0", "--log-format=text", f"--config={path}", "--store=none")
    with running(sys.executable, "-c", program, *flags) as daemon:
        assert b"jouled_build_info" in daemon.get("/metrics")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait(timeout=60)
        assert daemon.rest().endswith("[]\n")
