from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import msgspec
import pytest
from click.testing import CliRunner, Result

from fake_daemon import FakeDaemon, fake_daemon
from jouled.cli.joulectl import EXIT_FAILED, EXIT_NOT_RUNNING, EXIT_OK, command
from jouled.cli.look import Look
from jouled.cli.status import Status, ask, lines, sums
from jouled.client import Client
from jouled.wire.caps import CapDraft
from keeping import FakeKeeper
from running import running_jouled
from sample_snapshots import snapshot

PAGE = """\
# HELP jouled_ticks_total Ticks
jouled_ticks_total 120.0
jouled_ticks_late_total 2.0
jouled_scan_errors_total 1.0
jouled_zone_read_errors_total{zone="package",index="0",source="rapl"} 3.0
jouled_zone_read_errors_total{zone="dram",index="0",source="rapl"} 4.0
process_start_time_seconds 1.6999964e+09
"""


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with fake_daemon() as found:
        found.says("/readyz", "ready\n")
        found.says("/metrics", PAGE)
        found.says("/api/v1/snapshot", msgspec.structs.replace(snapshot(), levels={}))
        yield found


def status(*words: str) -> Result:
    # Codes are what a command returns: the program makes exit codes of them.
    return CliRunner().invoke(command, [*words], standalone_mode=False)


def test_a_daemon_that_measures_is_told_in_a_few_lines(daemon: FakeDaemon) -> None:
    found = ask(Client(daemon.url))
    assert lines(found, 1_700_000_000.0, Look()) == [
        "● jouled 0.1.0 on box measures",
        f"     asked  {daemon.url}",
        "     since  2023-11-14 21:13:20Z (60 min)",
        "    source  rapl",
        "     watts  package 20.00  dram 2.00",
        "     ticks  120, 2 late, one in 5 s",
        "  problems  8: 1 scans failed, 7 zones not read",
        "      sees  9 processes",
    ]
    assert status("--url", daemon.url, "status").return_value == EXIT_OK


async def test_a_cap_is_a_line_of_its_own_as_it_is_now(daemon: FakeDaemon) -> None:
    keeper = FakeKeeper()
    daemon.says("/metrics", f"{PAGE}jouled_cap_leases 1.0\n")
    daemon.says("/api/v1/caps", keeper.state())
    assert not [line for line in lines(ask(Client(daemon.url)), 1_700_000_000.0, Look()) if "cap " in line]
    await keeper.hold("operator", CapDraft(120.5))
    daemon.says("/api/v1/caps", keeper.state())
    said = lines(ask(Client(daemon.url)), 1_700_000_000.0, Look())
    assert "       cap  at most 120.5 W, the limits are 120.40 W; joulectl caps list says for whom" in said
    daemon.says("/api/v1/caps", '{"error": "unauthorized"}', status=401)
    assert ask(Client(daemon.url)).cap_watts is None


def test_json_says_the_same(daemon: FakeDaemon) -> None:
    done = status("--url", daemon.url, "status", "--json")
    found = json.loads(done.stdout)
    assert found["watts"] == {"package": 20.0, "dram": 2.0}
    assert (found["is_running"], found["is_healthy"], found["ticks_late_total"]) == (True, True, 2)
    assert msgspec.json.decode(done.stdout, type=Status) == ask(Client(daemon.url))


def test_a_daemon_that_does_not_measure_is_code_1_with_its_own_words(daemon: FakeDaemon) -> None:
    daemon.says("/readyz", "not ready: the last scan was completed 99.0 s ago; see the log\n", 503)
    done = status("--url", daemon.url, "status")
    assert done.return_value == EXIT_FAILED
    assert "jouled does not measure\n  not ready: the last scan was completed 99.0 s ago; see the log" in done.stdout


def test_no_daemon_is_code_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    done = status("--url", url, "status")
    assert done.return_value == EXIT_NOT_RUNNING
    assert done.stdout.splitlines()[0].endswith("jouled does not run")
    assert "Connection refused; start the daemon" in done.stdout
    assert json.loads(status("--url", url, "status", "--json").stdout)["is_running"] is False


def test_what_the_page_does_not_say_is_not_zero(daemon: FakeDaemon) -> None:
    daemon.says("/metrics", "")
    found = ask(Client(daemon.url))
    assert (found.ticks_total, found.started_seconds) == (None, None)
    assert "     ticks  -, - late, one in 5 s" in lines(found, 0.0, Look())


def test_an_estimate_is_called_a_model(daemon: FakeDaemon) -> None:
    daemon.says("/api/v1/snapshot", snapshot(source="estimate"))
    assert "    source  estimate, a model and no measurement" in lines(ask(Client(daemon.url)), 0.0, Look())


def test_families_are_summed() -> None:
    assert sums('a_total 1\na_total{x="{"} 2.5\nb NaN\nc 1 2\n')["a_total"] == 3.5


def test_a_captured_host_has_no_daemon() -> None:
    assert "a captured host has no daemon" in str(status("--root=/x", "status").exception)


def test_the_real_daemon_is_well() -> None:
    with running_jouled("--meter=fake", "--interval=200ms") as daemon:
        found = ask(Client(f"http://127.0.0.1:{daemon.port}"))
    assert (found.is_healthy, found.source, set(found.watts)) == (True, "fake", {"package", "dram"})
    assert found.ticks_total is not None
    assert found.ticks_total >= 2
    assert (found.zone_read_errors_total, found.scan_errors_total) == (0, 0)
    assert found.started_seconds is not None
