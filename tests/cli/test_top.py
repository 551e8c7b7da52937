from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

import written_hosts
from fake_daemon import FakeDaemon, fake_daemon
from jouled.cli.joulectl import command
from jouled.cli.look import Look
from jouled.cli.top_terminal import ENTER, LEAVE, Painter, keys_of
from jouled.cli.top_tree import class_watts, nodes
from jouled.wire import Snapshot
from running import running_jouled
from sample_snapshots import snapshot

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "joulectl"
HOSTS = ROOT / "tests" / "hosts"
PROGRAM = [sys.executable, "-c", "from jouled.cli.joulectl import main; main()"]


def joulectl(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key not in {"LC_ALL", "LANG", "COLUMNS", "JOULED_URL"}}
    return subprocess.run(
        [*PROGRAM, *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
        env={**clean, "LANG": "C.UTF-8", **environ},
    )


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with fake_daemon() as found:
        found.says("/api/v1/snapshot", snapshot())
        yield found


def later(sequence: int, hostname: str = "box") -> Snapshot:
    return msgspec.structs.replace(
        snapshot(sequence), hostname=hostname, time_seconds=snapshot().time_seconds + 5.0 * (sequence - 2)
    )


def check_golden(name: str, text: str) -> None:
    """`JOULED_WRITE_GOLDEN=1 pytest tests/cli` writes them anew; look at the difference before you commit it."""
    path = GOLDEN / name
    if os.environ.get("JOULED_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(
    ("name", "columns", "words"),
    [
        ("top-unit-80.txt", "80", ()),
        ("top-unit-200.txt", "200", ()),
        ("top-process-80.txt", "80", ("--level=process", "--sort=joules")),
        ("top-process-200.txt", "200", ("--level=process", "--zone=dram")),
        ("top-filter-80.txt", "80", ("--level=user", "--filter=nginx")),
    ],
)
def test_once_prints_the_golden_view(daemon: FakeDaemon, name: str, columns: str, words: tuple[str, ...]) -> None:
    done = joulectl("--url", daemon.url, "top", "--once", *words, COLUMNS=columns)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(len(line) <= int(columns) for line in done.stdout.splitlines())
    # The port is another one each time.
    check_golden(name, re.sub(r"via http://127\.0\.0\.1:\d+ *", "via DAEMON ", done.stdout))


def test_once_as_json_is_the_golden_snapshot(daemon: FakeDaemon) -> None:
    done = joulectl("--url", daemon.url, "top", "--once", "--json")
    assert msgspec.json.decode(done.stdout, type=Snapshot) == snapshot()
    assert done.stdout.count("\n") == 1
    check_golden("top.json", json.dumps(json.loads(done.stdout), indent=1) + "\n")


@pytest.mark.parametrize("host", ["k8s-node", "xeon-2s", "laptop", "cgroup-hybrid"])
def test_a_captured_host_gives_the_golden_view(tmp_path: Path, host: str) -> None:
    root = tmp_path / host
    root.mkdir()
    written_hosts.write(HOSTS / f"{host}.host", root)
    done = joulectl("--root", str(root), "top", "--once", COLUMNS="80")
    assert done.returncode == 0, done.stderr
    # How the tests write a name with backslashes is not what is looked at here.
    check_golden(f"{host}.txt", re.sub(r"machine-qemu\S*", "machine-qemu", done.stdout))
    said = joulectl("--root", str(root), "top", "--json")
    found = msgspec.json.decode(said.stdout, type=Snapshot)
    assert (found.hostname, found.interval_seconds) == (host, 5.0)
    assert all(zone.path.startswith("/sys/") for zone in found.zones)


def test_a_terminal_that_speaks_latin_gets_no_traceback_for_a_name_it_cannot_show(daemon: FakeDaemon) -> None:
    daemon.says("/api/v1/snapshot", msgspec.structs.replace(snapshot(), hostname="日本→é"))
    done = joulectl("--url", daemon.url, "top", "--once", LANG="de_DE.ISO-8859-1", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("????  via ")


def test_json_asks_for_one_level_where_one_is_named(daemon: FakeDaemon) -> None:
    joulectl("--url", daemon.url, "top", "--once", "--json", "--level=vm")
    joulectl("--url", daemon.url, "top", "--once", "--level=vm")
    assert [path for path, _ in daemon.asked] == ["/api/v1/snapshot?level=vm&limit=5000", "/api/v1/snapshot?limit=5000"]


def test_a_pipe_gets_a_view_or_a_line_for_each_snapshot(daemon: FakeDaemon) -> None:
    # The stream begins with the snapshot that was asked for first.
    daemon.streams(snapshot(2), later(3), later(4), ends=False)
    for words, wanted in (((), b"UNIT (package)"), (("--json",), b'"sequence":')):
        process = subprocess.Popen([*PROGRAM, "--url", daemon.url, "top", *words], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            seen = b""
            while seen.count(wanted) < 3:
                seen += os.read(process.stdout.fileno(), 65536)
                assert process.poll() is None
            if words:
                assert re.findall(rb'"sequence":(\d)', seen) == [b"2", b"3", b"4"]
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        assert b"\x1b" not in seen


def test_a_reader_that_goes_away_is_no_traceback(daemon: FakeDaemon) -> None:
    daemon.streams(*(later(number) for number in range(3, 2000)), ends=False)
    process = subprocess.Popen(
        [*PROGRAM, "--url", daemon.url, "top", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=30), said) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--level=room",), "'room' is not one of 'process', 'unit'"),
        (("--interval=1y",), "'1y' is not a duration"),
        (("--interval=1ms",), "out of range; choose 100ms to 1m"),
        (("--once", "--zone=moon"), "no zone 'moon' here; there is package, dram"),
        (("--colour",), "No such option"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(daemon: FakeDaemon, words: tuple[str, ...], message: str) -> None:
    done = joulectl("--url", daemon.url, "top", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.rstrip().endswith("see joulectl top --help") or "see joulectl --help" in done.stderr


def test_a_daemon_that_was_named_and_is_not_there_is_not_replaced_by_a_scan(tmp_path: Path) -> None:
    done = joulectl("--url", f"unix:{tmp_path}/none", "top", "--once")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No such file or directory; start the daemon" in done.stderr


def test_without_a_daemon_it_measures_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("jouled.client.PLACES", (f"unix:{tmp_path}/none",))
    monkeypatch.delenv("JOULED_URL", raising=False)
    done = CliRunner().invoke(command, ["top", "--once", "--interval=200ms", "--level=process"])
    assert done.exit_code == 0, done.output
    assert "via a scan of its own as " in done.stdout
    assert re.search(r"^ +[\d.]+ +[\d.]+ +[\d.]+  +\d+ \w", done.stdout, re.MULTILINE), done.stdout


def test_keys_are_told_from_sequences() -> None:
    sent = "a\x1b[A\x1bOB\x1b[5~\r\x7f\x1bé\x1b[200;1R\x1b[1~\x1b"
    assert list(keys_of(sent)) == ["a", "up", "down", "page up", "enter", "backspace", "escape", "é", "home", "escape"]


def test_only_lines_that_changed_are_written() -> None:
    painter, style = Painter(), Look(width=10, height=4, has_escapes=True)
    first = painter.frame([[("one", "")], [("two", "")], [("0123456789", "")]], style)
    assert first.startswith("\x1b[?2026h\x1b[2J")
    assert first.count("\x1b[K") == 2
    assert painter.frame([[("one", "")], [("two", "")], [("0123456789", "")]], style) == ""
    second = painter.frame([[("one", "")], [("2", "")]], style)
    assert second == "\x1b[?2026h\x1b[2;1H2\x1b[K\x1b[3;1H\x1b[J\x1b[?2026l"
    assert "\x1b[2J" in painter.frame([[("one", "")]], style._replace(width=9))
    assert "\n" not in first + second


class Screen:
    """joulectl in a terminal of its own; `text` is all that it has written."""

    def __init__(self, fd: int, pid: int, slave: int) -> None:
        self.fd, self.pid, self.slave, self.text = fd, pid, slave, ""

    def until(self, wanted: str, start: int = 0) -> None:
        end_s = time.monotonic() + 60
        while wanted not in self.text[start:]:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, end_s - time.monotonic()))
            assert ready, f"no {wanted!r} in {self.text[start:]!r}"
            self._read()

    def _read(self) -> bool:
        try:
            sent = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += sent.decode(errors="replace")
        return bool(sent)

    def press(self, keys: str) -> int:
        """What is written after the keys begins here."""
        at = len(self.text)
        os.write(self.fd, keys.encode())
        return at

    def size(self, columns: int, rows: int) -> None:
        termios.tcsetwinsize(self.fd, (rows, columns))

    def end(self) -> int:
        """The exit code. What is written on the way out must be read, or it could not be written."""
        while (found := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            if select.select([self.fd], [], [], 0.05)[0]:
                self._read()
        while select.select([self.fd], [], [], 0.1)[0] and self._read():
            pass
        return os.waitstatus_to_exitcode(found[1])


# A terminal of its own: a new session, of which it is the controlling one.
IN_TERMINAL = "import os; os.login_tty(0); from jouled.cli.joulectl import main; main()"
# The same below a shell of a few lines, which sees it stop and lets it go on.
BELOW_SHELL = """
import os, signal
os.login_tty(0)
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpgrp())
    from jouled.cli.joulectl import main
    main()
status = os.waitpid(pid, os.WUNTRACED)[1]
while os.WIFSTOPPED(status):
    os.write(1, b"STOPPED")
    os.kill(pid, signal.SIGCONT)
    status = os.waitpid(pid, os.WUNTRACED)[1]
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


@contextmanager
def terminal(*words: str, program: str = IN_TERMINAL, **environ: str) -> Iterator[Screen]:
    master, slave = pty.openpty()
    termios.tcsetwinsize(master, (24, 80))
    keep = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environ}
    if "NO_COLOR" not in environ:
        keep.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=keep,
    )
    screen = Screen(master, process.pid, slave)
    before = termios.tcgetattr(slave)
    try:
        yield screen
        assert termios.tcgetattr(slave) == before
        assert screen.text.count(ENTER) == screen.text.count(LEAVE)
    finally:
        process.returncode = 0
        try:
            os.kill(process.pid, signal.SIGKILL)
            os.waitpid(process.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(master)
        os.close(slave)


def test_live_it_draws_follows_keys_and_gives_the_terminal_back(daemon: FakeDaemon) -> None:
    daemon.streams(ends=False)
    with terminal("--url", daemon.url, "top") as screen:
        screen.until("nginx.service")
        at = screen.press("1")
        screen.until("100 nginx", at)
        at = screen.press("/cc1\r")
        screen.until("/ cc1", at)
        at = screen.press("\x1b?")
        screen.until("open or close", at)
        screen.press("xq")
        assert screen.end() == 0
        assert screen.text.rstrip().endswith(LEAVE)


def test_live_it_draws_anew_in_the_new_size(daemon: FakeDaemon) -> None:
    daemon.streams(ends=False)
    with terminal("--url", daemon.url, "top") as screen:
        screen.until("p pause")
        at = len(screen.text)
        screen.size(200, 50)
        screen.until("EXE", at)
        assert "\x1b[2J" in screen.text[at:]
        screen.press("q")
        assert screen.end() == 0


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGHUP, 128 + signal.SIGHUP), (signal.SIGINT, 130)],
)
def test_live_a_signal_gives_the_terminal_back(daemon: FakeDaemon, number: signal.Signals, code: int) -> None:
    daemon.streams(ends=False)
    with terminal("--url", daemon.url, "top") as screen:
        screen.until("p pause")
        os.kill(screen.pid, number)
        assert screen.end() == code
        assert "Traceback" not in screen.text


def test_live_a_stop_gives_the_terminal_back_until_it_goes_on(daemon: FakeDaemon) -> None:
    daemon.streams(ends=False)
    with terminal("--url", daemon.url, "top", program=BELOW_SHELL) as screen:
        screen.until("p pause")
        screen.press("\x1a")
        screen.until("STOPPED")
        at = screen.text.index("STOPPED")
        assert screen.text[:at].endswith(LEAVE)
        screen.until("p pause", at)
        assert ENTER in screen.text[at:]
        screen.press("q")
        assert screen.end() == 0


def test_live_a_daemon_that_goes_is_said_and_one_that_returns_is_shown(daemon: FakeDaemon) -> None:
    daemon.streams()
    with terminal("--url", daemon.url, "top") as screen:
        screen.until("the daemon ended the stream")
        at = len(screen.text)
        daemon.streams(later(3, "again"), ends=False)
        screen.until("again", at)
        screen.press("q")
        assert screen.end() == 0


def test_live_without_colour_has_none(daemon: FakeDaemon) -> None:
    daemon.streams(ends=False)
    for environ, has_colour in (({"NO_COLOR": "1"}, False), ({}, True)):
        with terminal("--url", daemon.url, "top", **environ) as screen:
            screen.until("p pause")
            screen.press("q")
            assert screen.end() == 0
            assert bool(re.search(r"\x1b\[(1;)?3\dm", screen.text)) == has_colour


def test_live_an_error_comes_after_the_terminal_is_back(daemon: FakeDaemon) -> None:
    daemon.streams(ends=False)
    with terminal("--url", daemon.url, "top", "--zone=moon") as screen:
        assert screen.end() == 2
        assert screen.text.index(LEAVE) < screen.text.index("no zone 'moon' here")


def test_the_real_daemons_view_adds_up() -> None:
    with running_jouled("--meter=fake", "--interval=200ms") as daemon:
        url = f"http://127.0.0.1:{daemon.port}"
        said = joulectl("--url", url, "top", "--once", "--json")
        shown = joulectl("--url", url, "top", "--once")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "package 0 [" in shown.stdout
    found = msgspec.json.decode(said.stdout, type=Snapshot)
    for level in found.levels:
        for is_tree in (True, False):
            rows = nodes(found, level, "package", is_tree=is_tree)
            # Each row has six decimals.
            assert sum(row.watts or 0.0 for row in rows) == pytest.approx(class_watts(found, "package"), abs=1e-3)
