"""The daemon as a whole: order, exit codes, and how it ends, in real processes where signals matter."""

from __future__ import annotations

import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fakes import FakeScanner
from jouled import daemon
from jouled.config import load
from jouled.errors import ScanError, UnsupportedError
from running import Running, running

FAKE_DAEMON = Path(__file__).with_name("run_fake.py")


# Longer than any machine is held up. What must not last as long as the grace is known by a grace of hours.
LONG_S = 40.0
HOURS_S = "7200"


@contextmanager
def running_fake(series: int = 1, *more: str, **environ: str) -> Iterator[Running]:
    with running(sys.executable, str(FAKE_DAEMON), str(series), "127.0.0.1:0", *more, environ=environ) as fake:
        yield fake


def test_when_it_says_where_to_look_the_page_and_the_probes_are_ready() -> None:
    with running_fake(3, "measured by a model, not by a sensor", GRACE_S=HOURS_S) as fake:
        assert fake.said.splitlines()[0] == "jouled: warning: measured by a model, not by a sensor"
        assert fake.said.splitlines()[-1].endswith("(source=fake, interval=0.2s)")
        assert fake.get("/livez") == b"alive\n"
        assert fake.get("/readyz") == b"ready\n"
        page = fake.get("/metrics").decode()
        assert 'jouled_process_joules_total{pid="2"}' in page
        assert "jouled_ticks_total" in page
        fake.stop()
        assert fake.rest() == "jouled: stopping (signal=SIGTERM)\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_each_stop_signal_ends_it_in_order(number: signal.Signals) -> None:
    with running_fake(GRACE_S=HOURS_S) as fake:
        fake.stop(number)


def test_stopped_readers_and_half_requests_do_not_hold_the_exit() -> None:
    with running_fake(40_000) as fake:  # a page of almost 2 MB
        assert len(fake.get("/metrics")) > 1_500_000
        clients = []
        for request in (b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /metr", b"") * 3:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", fake.port))
            client.sendall(request)
            clients.append(client)
        for client in clients[::3]:
            assert client.recv(1) == b"H"  # its answer is under way
        assert fake.get("/livez") == b"alive\n"
        assert fake.stop() < LONG_S
        for client in clients:
            client.close()


def test_a_second_signal_breaks_nothing_off() -> None:
    with running_fake(40_000, GRACE_S="3") as fake:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", fake.port))
        client.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(1) == b"H"  # its answer is under way, and has some seconds more
        fake.process.send_signal(signal.SIGTERM)
        assert fake.process.stderr is not None
        assert "stopping (signal=SIGTERM)" in fake.process.stderr.readline()
        fake.stop(signal.SIGINT)
        assert "stopping" not in fake.rest()
        client.close()


def until_it_hangs(fake: Running) -> None:
    assert fake.process.stderr is not None
    assert fake.process.stderr.readline() == "the scan hangs\n"


def test_a_scan_that_hangs_does_not_hold_the_exit() -> None:
    with running_fake(SCAN_HANGS_AT="3", GRACE_S=HOURS_S) as fake:
        until_it_hangs(fake)
        fake.stop()


def test_systemd_hears_ready_status_and_stopping_in_order(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(60)
        messages: list[str] = []
        with running_fake(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="100000") as fake:
            while sum(message.startswith("WATCHDOG=1") for message in messages) < 3:
                messages.append(receiver.recv(4096).decode())
            fake.stop()
        while "STOPPING=1" not in messages[-1]:
            messages.append(receiver.recv(4096).decode())
    ready = messages.index("READY=1\nWATCHDOG_USEC=600000")
    pings = [message for message in messages if message.startswith("WATCHDOG=1\nSTATUS=package 12.5 W; ")]
    assert 0 < ready <= 2  # after the baseline and, at most, the first interval
    assert len(pings) >= 2


class Listening:
    """What a daemon tells systemd, message by message."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(60)

    def wait_for(self, *beginnings: str) -> list[str]:
        """The next messages that begin so, in this order; whatever comes between is skipped."""
        found: list[str] = []
        while len(found) < len(beginnings):
            message = self.socket.recv(4096).decode()
            if message.startswith(beginnings[len(found)]):
                found.append(message)
        return found

    def waiting(self) -> list[str]:
        """Those that have come and were not looked at. The last thing to ask."""
        found: list[str] = []
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                found.append(self.socket.recv(4096).decode())
        return found


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Listening]:
    listening = Listening(tmp_path / "notify")
    with listening.socket:
        yield listening


@contextmanager
def reloadable(tmp_path: Path, told: Listening, text: str) -> Iterator[tuple[Running, Path]]:
    path = tmp_path / "jouled.toml"
    path.write_text(text)
    with running_fake(NOTIFY_SOCKET=str(told.path), WATCHDOG_USEC="1000000", SETTINGS=str(path)) as fake:
        told.wait_for("READY=1")
        yield fake, path


def test_a_reload_applies_what_it_can_and_names_what_needs_a_restart(tmp_path: Path, told: Listening) -> None:
    with reloadable(tmp_path, told, 'interval = "100ms"') as (fake, path):
        path.write_text('interval = "500ms"\ntop = 3\n[log]\nlevel = "debug"\n')
        fake.process.send_signal(signal.SIGHUP)
        reloading, ready = told.wait_for("RELOADING=1\nMONOTONIC_USEC=", "READY=1\n")
        sent_s = int(reloading.rpartition("=")[2]) / 1e6
        assert time.monotonic() - 120 < sent_s <= time.monotonic()
        assert ready == "READY=1\nWATCHDOG_USEC=1500000"  # longer, as the interval is
        fake.process.send_signal(signal.SIGHUP)
        told.wait_for("RELOADING=1", "READY=1")
        fake.stop()
        said = fake.rest().splitlines()
    assert len(said) == 3
    assert said[0].startswith("jouled: warning: reloaded: applied ")
    assert {"interval", "log.level"} <= set(said[0].partition(";")[0].replace(",", "").split())
    assert said[0].endswith("; a restart is needed for top")
    assert said[1] == "jouled: warning: reloaded: a restart is needed for top"  # still


def test_a_mistake_in_the_file_changes_nothing_at_reload(tmp_path: Path, told: Listening) -> None:
    with reloadable(tmp_path, told, 'interval = "100ms"') as (fake, path):
        path.write_text('interval = "200ms"\ntpo = 3\n')
        fake.process.send_signal(signal.SIGHUP)
        assert told.wait_for("RELOADING=1", "READY=1")[1] == "READY=1\nWATCHDOG_USEC=1000000"
        told.wait_for("WATCHDOG=1", "WATCHDOG=1")
        fake.stop()
        (refusal, _) = fake.rest().splitlines()
    assert refusal.startswith(f"jouled: error: reload refused, everything stays as it was: {path}:2: tpo: unknown key")
    assert refusal.endswith("; did you mean top?")


def test_a_reload_of_the_same_file_says_so(tmp_path: Path, told: Listening) -> None:
    with reloadable(tmp_path, told, 'interval = "100ms"') as (fake, _):
        fake.process.send_signal(signal.SIGHUP)
        told.wait_for("RELOADING=1", "READY=1")
        fake.stop()
        assert fake.rest().startswith("jouled: reloaded: nothing has changed\n")


def test_hang_up_does_not_end_a_daemon_that_has_nothing_to_load() -> None:
    with running_fake() as fake:
        fake.process.send_signal(signal.SIGHUP)
        assert fake.process.stderr is not None
        said = fake.process.stderr.readline()
        assert said.startswith("jouled: warning: reload: this daemon was given its settings by a program; ")
        assert fake.get("/livez") == b"alive\n"
        fake.stop()


def test_a_scan_that_hangs_ends_the_pings_though_clients_are_answered(told: Listening) -> None:
    with running_fake(NOTIFY_SOCKET=str(told.path), SCAN_HANGS_AT="3") as fake:
        told.wait_for("READY=1")
        until_it_hangs(fake)
        time.sleep(0.3)  # what was under way
        assert len(told.waiting()) <= 3  # sent before the scan that hangs
        assert fake.get("/livez") == b"alive\n"
        time.sleep(1)  # several periods
        assert told.waiting() == []
        fake.stop()


def test_a_watchdog_that_aborts_it_learns_where_it_hung() -> None:
    with running_fake(SCAN_HANGS_AT="3") as fake:
        until_it_hangs(fake)
        fake.process.send_signal(signal.SIGABRT)
        assert fake.process.wait(timeout=60) == -signal.SIGABRT
        said = fake.rest()
        assert "Fatal Python error: Aborted" in said
        assert "run_fake.py" in said
        assert "in tick" in said


def test_systemd_sockets_are_used_instead_of_listen() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        # LISTEN_PID is the daemon's own, so a process sets it and then becomes the daemon.
        become = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3);"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
        )
        command = (sys.executable, "-c", become, str(listener.fileno()), str(FAKE_DAEMON), "1", "127.0.0.1:1")
        with running(*command, pass_fds=[listener.fileno()]) as fake:
            assert fake.port == port
            assert fake.get("/readyz") == b"ready\n"
            fake.stop()


def run_here(scanner: FakeScanner) -> int:
    return daemon.main(
        load(None, {"listen": ("127.0.0.1:0",), "interval": 0.1, "log.format": "text", "store.url": "none"}),
        lambda _: scanner,
    )


def test_a_host_that_cannot_be_scanned_is_refused_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    trouble = ScanError("read /proc/stat: permission denied; run as jouled")
    assert run_here(FakeScanner(trouble={1: trouble})) == 2
    assert capfd.readouterr().err == "jouled: error: read /proc/stat: permission denied; run as jouled\n"


def test_a_host_without_a_meter_is_refused_and_the_port_is_free_again(capfd: pytest.CaptureFixture[str]) -> None:
    def refuse(_: object) -> FakeScanner:
        raise UnsupportedError("no meter: rapl: no /sys/class/powercap; use --meter estimate")

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = load(None, {"listen": (address,), "log.format": "text"})
    for _ in range(2):
        assert daemon.main(settings, refuse) == 2
    assert (
        capfd.readouterr().err.splitlines()
        == ["jouled: error: no meter: rapl: no /sys/class/powercap; use --meter estimate"] * 2
    )


def test_a_busy_port_is_refused_before_the_host_is_touched(capfd: pytest.CaptureFixture[str]) -> None:
    def never(_: object) -> FakeScanner:
        raise AssertionError("the scanner was opened")

    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        assert daemon.main(load(None, {"listen": (address,), "log.format": "text"}), never) == 2
    assert capfd.readouterr().err.startswith(f"jouled: error: listen on {address}: Address already in use; ")


class Panic(BaseException):
    """What a panic of the Rust extension looks like from here: not an Exception."""


@pytest.mark.parametrize("error", [ZeroDivisionError("a defect"), Panic("a panic")])
def test_a_defect_ends_the_daemon_with_its_traceback(error: BaseException, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_here(FakeScanner(trouble={4: error})) == 1
    said = capfd.readouterr().err
    assert "jouled: critical: the daemon failed\nTraceback" in said
    assert f"{type(error).__name__}: {error}" in said


def test_an_interrupt_while_starting_is_no_defect(capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> FakeScanner:
        raise KeyboardInterrupt

    assert daemon.main(load(None, {"listen": ("127.0.0.1:0",), "log.format": "text"}), interrupted) == 130
    assert capfd.readouterr().err == ""


def test_the_soft_limit_of_open_files_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        daemon.raise_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
