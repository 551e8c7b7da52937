"""`joulectl caps`: what operators type, against a room that serves a keeper, and without one."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from fake_daemon import fake_daemon
from jouled.cli import caps_list, caps_watch, live_page
from jouled.cli.joulectl import Options, command
from jouled.cli.look import Look
from jouled.client import Client, DaemonError, DeniedError, UnixConnection
from jouled.errors import InvalidError, JouledError
from jouled.loads import rapl
from jouled.wire.caps import CapDraft, Caps
from keeping import FakeKeeper, capping

PROGRAM = [sys.executable, "-c", "from jouled.cli.joulectl import main; main()"]


def joulectl(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words], capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environ}
    )


@pytest.fixture
def capped(tmp_path: Path) -> Iterator[tuple[str, FakeKeeper]]:
    with capping(tmp_path) as found:
        yield found


def test_a_cap_is_set_for_an_hour_by_the_operator(capped: tuple[str, FakeKeeper]) -> None:
    url, keeper = capped
    done = joulectl("--url", url, "caps", "set", "0.15kW", "--reason", "heat")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"operator: at most 150 W until \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ\nat most 150 W for operator; the limits are 149\.90 W\n",
        done.stdout,
    ), done.stdout
    lease = keeper.leases["operator"]
    assert (lease.watts, lease.reason) == (150.0, "heat")
    assert timedelta(minutes=59) < lease.until - datetime.now(UTC) <= timedelta(hours=1)


def test_time_and_owner_are_as_asked_for(capped: tuple[str, FakeKeeper]) -> None:
    url, keeper = capped
    assert joulectl("--url", url, "caps", "set", "100", "--for", "2m", "--owner", "night@shift").returncode == 0
    lease = keeper.leases["night@shift"]
    assert timedelta(minutes=1) < lease.until - datetime.now(UTC) <= timedelta(minutes=2)


def test_none_lifts_the_operators_cap_and_no_other(capped: tuple[str, FakeKeeper]) -> None:
    url, keeper = capped
    for owner in ("operator", "python:1:1"):
        joulectl("--url", url, "caps", "set", "100", "--owner", owner)
    done = joulectl("--url", url, "caps", "set", "none")
    assert done.stdout == "operator: lifted\nat most 100 W for python:1:1; the limits are 99.90 W\n"
    assert list(keeper.leases) == ["python:1:1"]
    assert joulectl("--url", url, "caps", "set", "none").stdout.startswith("operator had no cap\n")
    assert joulectl("--url", url, "caps", "set", "none", "--all").stdout.startswith("1 cap lifted\nno cap; ")
    assert keeper.leases == {}


def test_a_dry_run_shows_the_writes_and_makes_none(capped: tuple[str, FakeKeeper]) -> None:
    url, keeper = capped
    done = joulectl("--url", url, "caps", "set", "150", "--dry-run")
    assert done.stdout == (
        "/sys/class/powercap/intel-rapl:0/constraint_0_power_limit_uw: 100000000 -> 75000000  (package-0 long_term)\n"
        "150 W: 1 write planned, nothing was written; the limits would add up to 150.00 W\n"
        "! for operator\n"
    )
    joulectl("--url", url, "caps", "set", "150")
    done = joulectl("--url", url, "caps", "set", "none", "--dry-run")
    assert done.stdout == "operator: the cap of 150 W would be lifted\nthe original limits would be given back\n"
    joulectl("--url", url, "caps", "set", "180", "--owner", "other")
    done = joulectl("--url", url, "caps", "set", "none", "--dry-run")
    assert done.stdout.endswith("\nthe cap of other, 180 W, would count\n")
    assert set(keeper.leases) == {"operator", "other"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("5",), 1, "a cap of 5 W cannot be; allowed is 10 W to 200 W"),
        (("0",), 2, "choose 0.001 to 1e+06 W, or none to lift the cap"),
        (("lots",), 2, "'lots' is not a power; write"),
        (("none", "--for", "1h"), 2, "none takes no --for"),
        (("150", "--all"), 2, "--all goes with none"),
        (("150", "--owner", "market"), 1, "the owner market is jouled's own"),
        (("150", "--owner", "a b"), 1, "owner"),
    ],
)
def test_a_mistake_is_one_line(capped: tuple[str, FakeKeeper], words: tuple[str, ...], code: int, said: str) -> None:
    url, keeper = capped
    done = joulectl("--url", url, "caps", "set", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done.stderr
    assert said in done.stderr
    assert keeper.leases == {}


def test_where_capping_is_off_the_fix_is_said(tmp_path: Path) -> None:
    with capping(tmp_path, FakeKeeper(is_enabled=False)) as (url, _):
        done = joulectl("--url", url, "caps", "set", "150")
        assert (done.returncode, "switch on [caps] enabled" in done.stderr) == (1, True)
        assert joulectl("--url", url, "caps", "list").stdout.startswith("nobody caps here; the limits are 200.00 W\n")


def test_setting_a_cap_needs_a_daemon() -> None:
    done = joulectl("--url", "unix:/nowhere/jouled.sock", "caps", "set", "150")
    assert done.returncode == 1
    assert "start the daemon" in done.stderr


def test_the_list_shows_leases_limits_and_slices(capped: tuple[str, FakeKeeper]) -> None:
    url, _ = capped
    joulectl("--url", url, "caps", "set", "150", "--reason", "heat\x1b[2J")
    done = joulectl("--url", url, "caps", "list")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    found = [line.split() for line in done.stdout.splitlines()]
    assert found[0] == ["at", "most", "150", "W", "for", "operator;", "the", "limits", "are", "149.90", "W"]
    assert ["package", "0", "msr", "long_term", "74.95", "75.00", "100.00", "105.00", "28", "s"] in found
    assert ["package", "0", "msr", "short_term", "120.00", "-", "-", "-", "2", "ms"] in found
    assert ["batch.slice", "2.00", "2.00", "-"] in found
    seen = json.loads(joulectl("--url", url, "caps", "list", "--json").stdout)
    assert msgspec.convert(seen, Caps).asked_watts == 150


def limits_of(directory: Path) -> Path:
    """A captured host with one package of 95 W."""
    zone = directory / "sys" / "class" / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    (directory / "proc").mkdir()
    files = {"name": "package-0", "enabled": "1", "energy_uj": "1", "max_energy_range_uj": "262143328850"}
    limit = {"name": "long_term", "power_limit_uw": "95000000", "time_window_us": "976", "max_power_uw": "95000000"}
    for name, text in {**files, **{f"constraint_0_{name}": text for name, text in limit.items()}}.items():
        (zone / name).write_text(f"{text}\n")
    return directory


def test_a_captured_host_shows_its_limits_and_is_not_capped(tmp_path: Path) -> None:
    root = str(limits_of(tmp_path))
    done = joulectl("--root", root, "caps", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("nobody caps here; the limits are 95.00 W\n")
    assert (
        done.stdout.splitlines()[3].split()
        == "package 0 msr long_term 95.00 - - 95.00 976 ms".replace("976 ms", "1 ms").split()
    )
    for words in (("set", "50"), ("watch",)):
        done = joulectl("--root", root, "caps", *words)
        assert (done.returncode, "--root" in done.stderr) == (2, True)


def test_without_a_daemon_the_limits_are_read_here_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("jouled.client.PLACES", (f"unix:{tmp_path}/none.sock",))
    state, note = caps_list.find(Options(None, None))
    assert state.is_enabled is False
    assert note.endswith("what follows is read from the hardware")
    with pytest.raises(JouledError):
        caps_list.find(Options("http://127.0.0.1:1", None))


def test_before_capping_is_switched_on_a_dry_run_plans_from_the_hardware(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("jouled.client.PLACES", (f"unix:{tmp_path}/none.sock",))
    zones = rapl.read(str(limits_of(tmp_path) / "sys"))
    monkeypatch.setattr("jouled.loads.rapl.read", lambda _: zones)
    done = CliRunner().invoke(command, ["caps", "set", "50", "--dry-run"])
    assert f"{zones[0].directory}/constraint_0_power_limit_uw: 95000000 -> 50000000  (" in done.output
    assert "50 W: 1 write planned, nothing was written; the limits would add up to 50.00 W" in done.output
    assert "what follows is planned from the hardware" in done.output
    refused = CliRunner().invoke(command, ["caps", "set", "500", "--dry-run"])
    assert isinstance(refused.exception, InvalidError)


def test_who_may_not_open_the_socket_is_told_so_and_not_of_a_port_that_takes_no_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(_: UnixConnection) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(UnixConnection, "connect", denied)
    monkeypatch.delenv("JOULED_TOKEN", raising=False)
    with fake_daemon() as port:
        monkeypatch.setattr("jouled.client.PLACES", ("unix:/run/x.sock", port.url))
        with pytest.raises(DeniedError, match="permission denied; run as root or join group jouled"):
            Client().put("/api/v1/caps/operator", {"watts": 150}, dict)
        assert port.asked == []
        with pytest.raises(DaemonError, match="501"):  # the fake takes no PUT, and was asked for one
            Client(token="jt_x").put("/api/v1/caps/operator", {"watts": 150}, dict)


async def test_a_change_is_one_line_and_no_change_is_none() -> None:
    keeper = FakeKeeper()
    states: list[tuple[Caps | None, str]] = [(keeper.state(), ""), (keeper.state(), "")]
    await keeper.hold("operator", CapDraft(150))
    states += [(keeper.state(), ""), (None, "no answer"), (None, "no answer"), (keeper.state(), "")]
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert list(caps_watch.changes(iter(states), lambda: at)) == [
        "2026-03-01 12:00:00Z no cap; the limits are 200.00 W",
        "2026-03-01 12:00:00Z at most 150 W for operator; the limits are 149.90 W",
        "2026-03-01 12:00:00Z no answer",
        "2026-03-01 12:00:00Z at most 150 W for operator; the limits are 149.90 W",
    ]


def live_caps(state: Caps, note: str, style: Look) -> list[str]:
    now = datetime.now(UTC)
    body = caps_list.lines(state, now, style)
    return live_page.page(body, note, now, style, verb=caps_watch.LIVE_VERB, all_by=caps_watch.ALL_BY)


async def test_what_does_not_fit_on_the_screen_is_said_to_be_there() -> None:
    keeper = FakeKeeper()
    for number in range(30):
        await keeper.hold(f"python:{number}:1", CapDraft(150))
    style = Look(width=80, height=24)
    shown = live_caps(keeper.state(), "", style)
    assert len(shown) == 24
    assert re.fullmatch(r"\.\.\. \d+ more lines; joulectl caps list shows all", shown[-1])
    assert len(live_caps(FakeKeeper().state(), "no answer", style)) < 24


async def test_every_line_of_a_small_host_fits_into_80_columns() -> None:
    keeper = FakeKeeper()
    await keeper.hold("operator", CapDraft(150, reason="the feeder is warm"))
    for line in live_caps(keeper.state(), "", Look(width=80, height=24)):
        assert len(line) <= 80, line


def test_watching_to_a_pipe_writes_a_line_a_change(capped: tuple[str, FakeKeeper]) -> None:
    url, _ = capped
    command = [*PROGRAM, "--url", url, "caps", "watch", "--interval", "100ms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith("Z no cap; the limits are 200.00 W\n")
        joulectl("--url", url, "caps", "set", "150")
        assert "at most 150 W for operator" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 128 + signal.SIGINT


def test_watching_in_a_terminal_shows_the_table_and_gives_the_screen_back(capped: tuple[str, FakeKeeper]) -> None:
    url, _ = capped
    joulectl("--url", url, "caps", "set", "150")
    master, slave = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    command = [*PROGRAM, "--url", url, "caps", "watch", "--interval", "100ms"]
    process = subprocess.Popen(command, stdout=slave, stdin=slave, stderr=slave, env=environ, start_new_session=True)
    os.close(slave)
    shown = io.BytesIO()

    def read_until(mark: bytes) -> None:
        while mark not in shown.getvalue():
            assert select.select([master], [], [], 60)[0], shown.getvalue()
            try:
                part = os.read(master, 65536)
            except OSError:  # the other end has closed
                break
            shown.write(part)
        assert mark in shown.getvalue()

    try:
        read_until(b"batch.slice")
        process.send_signal(signal.SIGINT)
        read_until(b"\x1b[?1049l")
        assert process.wait(60) == 128 + signal.SIGINT
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert b"\x1b[?1049h" in shown.getvalue()
    assert b"long_term" in shown.getvalue()
