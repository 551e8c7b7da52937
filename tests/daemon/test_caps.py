"""Caps by real daemon processes, on plain files that stand in for the kernel's."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from capped_hosts import Host
from fakes import FakeScanner, FakeSnapshot
from jouled import daemon
from jouled.balance.leases import Leases
from jouled.config import Config
from jouled.config.caps import Caps
from jouled.control.caps import keeper as caps
from jouled.control.caps.opening import Opened
from jouled.control.caps.turns import KeptLeases, Outcome, Wanted
from jouled.feed import Feed
from jouled.web import sockets
from jouled.wire.caps import CapPlan
from running import Running, running

# A loaded machine takes its time; what is awaited comes within a second otherwise.
PATIENCE_S = 60.0


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


class Capping:
    """A daemon that may cap, and what its socket answers."""

    def __init__(self, daemon: Running, path: Path) -> None:
        self.daemon = daemon
        self._path = path

    def ask(self, method: str, path: str, body: object = None) -> Any:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(self._path))
            connection = http.client.HTTPConnection("jouled")
            connection.sock = client
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1/caps{path}", content, {"content-type": "application/json"})
            return json.load(connection.getresponse())

    def hold(self, watts: float, owner: str = "operator", ttl_s: float = 600.0) -> Any:
        return self.ask("PUT", f"/{owner}", {"watts": watts, "ttl_seconds": ttl_s})


def settings(host: Host, folder: Path, caps: str, more: str = "") -> Path:
    path = folder / "jouled.toml"
    path.write_text(
        f'listen = ["127.0.0.1:0", "unix:{folder}/socket"]\ninterval = "200ms"\nmeters = ["fake"]\n'
        f'sysfs = "{host.tree.sysfs}"\nstate_dir = "{host.tree.caps.parent}"\n'
        f"{more}\n[caps]\n{caps}\n"
    )
    return path


@contextmanager
def capping(
    host: Host, folder: Path, caps: str = "enabled = true", more: str = "", **environ: str
) -> Iterator[Capping]:
    path = settings(host, folder, f'check = "200ms"\n{caps}', more)
    command = (sys.executable, "-m", "jouled", "--config", str(path), "--log-format=text")
    with running(*command, environ=environ) as daemon:
        yield Capping(daemon, folder / "socket")


def eventually(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def limits(host: Host) -> list[int]:
    return [host.limit(socket) for socket in range(len(host.zones))]


def journal(host: Host) -> Path:
    return host.tree.caps / "journal.json"


def test_a_cap_is_asked_for_and_given_up_over_the_socket(host: Host, tmp_path: Path) -> None:
    with capping(host, tmp_path) as daemon:
        assert daemon.hold(100)["watts"] == 100
        assert limits(host) == [50_000_000, 50_000_000]
        state = daemon.ask("GET", "")
        assert (state["asked_watts"], state["effective_watts"]) == (100.0, 100.0)
        assert daemon.ask("DELETE", "/operator") == {"released": 1}
        assert host.is_as_it_was
        daemon.hold(100, ttl_s=0.5)
        assert limits(host) == [50_000_000, 50_000_000]
        eventually(lambda: host.is_as_it_was)
        daemon.hold(100)
        daemon.daemon.stop()
        assert host.is_as_it_was
        assert not journal(host).exists()


@contextmanager
def dead_server() -> Iterator[int]:
    """Takes connections and says nothing, ever."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


def stopped_readers(path: Path) -> list[socket.socket]:
    """Clients that ask for everything and take nothing of it."""
    clients = []
    for request in ("/metrics", "/api/v1/stream", "/api/v1/caps", "/api/v1/workloads"):
        client = socket.socket(socket.AF_UNIX)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(str(path))
        client.sendall(f"GET {request} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * 3)
        clients.append(client)
    half = socket.socket(socket.AF_UNIX)
    half.connect(str(path))
    half.sendall(b"PUT /api/v1/caps/slow HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
    return [*clients, half]


def test_hung_clients_and_a_dead_store_do_not_keep_the_limits(host: Host, tmp_path: Path) -> None:
    with dead_server() as port:
        url = f"postgresql://jouled@127.0.0.1:{port}/jouled"
        with capping(host, tmp_path, JOULED_STORE_URL=url) as daemon:
            daemon.hold(100)
            assert limits(host) == [50_000_000, 50_000_000]
            clients = stopped_readers(tmp_path / "socket")
            began_s = time.monotonic()
            daemon.daemon.process.send_signal(signal.SIGTERM)
            eventually(lambda: host.is_as_it_was)
            assert time.monotonic() - began_s < 2
            for client in clients:
                client.close()


def test_a_store_on_a_disk_that_takes_nothing_does_not_keep_the_limits(host: Host, tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    with capping(host, tmp_path, JOULED_STORE_URL=f"sqlite:///{tmp_path}/books/jouled.db") as daemon:
        daemon.hold(100)
        # Whoever holds the write lock of SQLite stops its writer.
        other = sqlite3.connect(tmp_path / "books" / "jouled.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        began_s = time.monotonic()
        daemon.daemon.process.send_signal(signal.SIGTERM)
        eventually(lambda: host.is_as_it_was)
        assert time.monotonic() - began_s < 2
        other.close()


def test_after_a_kill_the_next_start_gives_back_before_anything_else(host: Host, tmp_path: Path) -> None:
    with capping(host, tmp_path) as daemon:
        daemon.hold(100)
        daemon.daemon.process.kill()
        daemon.daemon.process.wait()
    assert limits(host) == [50_000_000, 50_000_000]
    with capping(host, tmp_path) as daemon:
        assert host.is_as_it_was
        assert daemon.ask("GET", "")["leases"] == []
        assert "given back, as an earlier jouled could not" in daemon.daemon.said
        daemon.daemon.stop()


def test_after_a_kill_capping_that_was_switched_off_meanwhile_is_given_back_all_the_same(
    host: Host, tmp_path: Path
) -> None:
    with capping(host, tmp_path) as daemon:
        daemon.hold(100)
        daemon.daemon.process.kill()
        daemon.daemon.process.wait()
    with capping(host, tmp_path, "enabled = false") as daemon:
        assert host.is_as_it_was
        assert not journal(host).exists()
        daemon.daemon.stop()


def test_with_hold_a_kill_and_a_stop_leave_the_cap_and_the_next_start_goes_on_with_it(
    host: Host, tmp_path: Path
) -> None:
    hold = 'enabled = true\non_exit = "hold"'
    with capping(host, tmp_path, hold) as daemon:
        daemon.hold(100)
        daemon.daemon.process.kill()
        daemon.daemon.process.wait()
    with capping(host, tmp_path, hold) as daemon:
        (lease,) = daemon.ask("GET", "")["leases"]
        assert (lease["owner"], lease["watts"]) == ("operator", 100.0)
        assert limits(host) == [50_000_000, 50_000_000]
        daemon.daemon.stop()
    assert limits(host) == [50_000_000, 50_000_000]
    with capping(host, tmp_path, hold) as daemon:
        assert daemon.ask("DELETE", "/operator") == {"released": 1}
        assert host.is_as_it_was
        daemon.daemon.stop()


def test_with_safe_a_stop_leaves_the_safe_cap_and_the_next_start_holds_it_until_somebody_asks(
    host: Host, tmp_path: Path
) -> None:
    safe = 'enabled = true\non_exit = "safe"\nsafe = "60W"'
    with capping(host, tmp_path, safe) as daemon:
        daemon.hold(100)
        daemon.daemon.stop()
    assert limits(host) == [30_000_000, 30_000_000]
    with capping(host, tmp_path, safe) as daemon:
        assert {lease["owner"] for lease in daemon.ask("GET", "")["leases"]} == {"operator", "safe"}
        assert limits(host) == [30_000_000, 30_000_000]
        daemon.hold(100)
        assert limits(host) == [50_000_000, 50_000_000]
        daemon.ask("DELETE", "")
        assert host.is_as_it_was
        daemon.daemon.process.kill()


def test_two_daemons_do_not_cap_one_host(host: Host, tmp_path: Path) -> None:
    with capping(host, tmp_path) as daemon:
        daemon.hold(100)
        other = tmp_path / "other"
        other.mkdir()
        with pytest.raises(AssertionError) as refused, capping(host, other):
            pass
        assert f"is held by jouled (process {daemon.daemon.process.pid})" in str(refused.value)
        # Neither does one with a state directory of its own.
        with (
            pytest.raises(AssertionError, match="is held by"),
            capping(host, other, JOULED_STATE_DIR=str(other / "state")),
        ):
            pass
        assert limits(host) == [50_000_000, 50_000_000]
        daemon.daemon.stop()
    assert host.is_as_it_was


def test_a_journal_that_nobody_can_read_is_never_ignored(host: Host, tmp_path: Path) -> None:
    host.tree.caps.mkdir(parents=True)
    journal(host).write_text("{torn")
    with pytest.raises(AssertionError, match=r"journal\.json: it is no journal of jouled"), capping(host, tmp_path):
        pass
    # Measuring goes on where nothing is capped, and says so.
    with capping(host, tmp_path, "enabled = false") as daemon:
        assert "journal.json: it is no journal of jouled" in daemon.daemon.said
        daemon.daemon.stop()
    assert journal(host).read_text() == "{torn"


def test_nothing_is_written_unless_capping_is_switched_on(host: Host, tmp_path: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in host.tree.sysfs.rglob("*")}
    with capping(host, tmp_path, "") as daemon:
        answer = daemon.hold(100)
        assert "caps.enabled" in answer["message"] or "[caps] enabled" in answer["message"]
        eventually(lambda: b"jouled_ticks_total 3" in daemon.daemon.get("/metrics"))
        daemon.daemon.stop()
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in host.tree.sysfs.rglob("*")} == before
    assert not host.tree.caps.exists()


def test_a_dry_run_says_what_it_would_write_and_writes_nothing(host: Host, tmp_path: Path) -> None:
    with capping(host, tmp_path, "enabled = true\ndry_run = true") as daemon:
        daemon.hold(100)
        assert host.is_as_it_was
        daemon.daemon.stop()
        assert host.is_as_it_was
        assert "dry run: would write 50000000 into " in daemon.daemon.rest()
    assert not host.tree.caps.exists()


def test_a_reload_changes_what_may_be_asked_for(host: Host, tmp_path: Path) -> None:
    with capping(host, tmp_path) as daemon:
        settings(host, tmp_path, 'enabled = true\nmax = "120W"\nslices = ["batch.slice"]')
        daemon.daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: daemon.ask("GET", "")["max_watts"] == 120.0)
        assert "allowed is 10 W to 120 W" in daemon.hold(150)["message"]
        daemon.daemon.stop()
        said = daemon.daemon.rest()
    assert "a restart is needed for caps.slices" in said
    assert "caps.max" in said.partition("a restart")[0]


def test_a_cap_and_foreign_writes_are_events_in_the_books(host: Host, tmp_path: Path) -> None:
    database = tmp_path / "jouled.db"
    with capping(host, tmp_path, JOULED_STORE_URL=f"sqlite:///{database}") as daemon:
        daemon.hold(100)
        host.write(0, 90_000_000)
        eventually(lambda: host.limit(0) == 50_000_000)
        daemon.ask("DELETE", "/operator")
        daemon.daemon.stop()
    with sqlite3.connect(database) as books:
        found = books.execute("SELECT type, severity FROM events ORDER BY seq").fetchall()
    books.close()
    assert found == [("cap_set", "info"), ("cap_foreign", "warning"), ("cap_lifted", "info")]


def test_a_daemon_that_caps_nothing_imports_nothing_of_it(host: Host, tmp_path: Path) -> None:
    path = settings(host, tmp_path, "")
    program = (
        "import sys\n"
        "from jouled import config, parts\n"
        "print(parts.open_caps(config.load(sys.argv[1])))\n"
        "print([name for name in sys.modules if name.startswith(('jouled.control', 'jouled.journal', 'jouled.balance'))])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert said.stdout == "None\n[]\n"


def test_threads_that_cap_are_those_that_are_left_behind_at_the_end() -> None:
    assert caps.CAPS_THREAD == daemon.CAPS_THREAD


class DefectiveHands:
    """Breaks at the second turn."""

    def __init__(self) -> None:
        self.settings = Caps(enabled=True, check_s=0.1)
        self.did: list[str] = []

    def turn(self, wanted: Wanted) -> Outcome:
        self.did.append("turn")
        if len(self.did) > 1:
            raise ZeroDivisionError
        return Outcome(can_limit=True)

    def planned(self, node_w: float) -> CapPlan:
        return CapPlan(node_w, None, ())

    def leave(self, kept: KeptLeases) -> tuple[str, ...]:
        self.did.append("leave")
        return ()


async def test_a_defect_of_control_ends_the_daemon_after_giving_back() -> None:
    hands = DefectiveHands()
    settings = Config(listen=("127.0.0.1:0",), interval_s=0.1, caps=hands.settings)
    (place,) = sockets.open_all(settings.listeners, [])
    opened = Opened(hands, Leases())  # type: ignore[arg-type]  # of the same shape
    with place, pytest.raises(BaseExceptionGroup) as ended:
        await daemon.run(settings, FakeScanner(), [place], caps=opened)
    assert hands.did == ["turn", "turn", "leave"]
    assert daemon.say_why(ended.value) == daemon.EXIT_CRASH


async def test_the_watchdog_hears_nothing_while_the_limits_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Control:
        is_live = True

    told: list[int] = []
    monkeypatch.setattr("jouled.systemd.notify", lambda **fields: told.append(fields["WATCHDOG"]))
    feed: Feed[FakeSnapshot] = Feed()
    control = Control()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.tell_systemd, feed, control)  # type: ignore[arg-type]  # of the same shapes
        for is_live in (True, False, True):
            control.is_live = is_live
            feed.publish(FakeSnapshot())
            await trio.testing.wait_all_tasks_blocked()
        feed.close()
    assert told == [1, 1]
