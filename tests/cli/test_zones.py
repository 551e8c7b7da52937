from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

import written_hosts
from fake_daemon import FakeDaemon, fake_daemon
from jouled.cli.joulectl import command
from jouled.cli.zones import counts_of, of_daemon
from jouled.client import Client
from running import running_jouled
from sample_snapshots import snapshot, zone

HOSTS = Path(__file__).parents[1] / "hosts"
PAGE = """\
jouled_zone_wraps_total{zone="package",index="0",source="rapl"} 2.0
jouled_zone_resets_total{zone="package",index="0",source="rapl"} 1.0
jouled_zone_read_errors_total{zone="package",index="0",source="rapl"} 1.2e+03
"""


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with fake_daemon() as found:
        found.says("/api/v1/zones", snapshot().zones)
        found.says("/metrics", PAGE)
        yield found


def zones(*words: str) -> str:
    done = CliRunner().invoke(command, [*words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_daemons_zones_are_a_table(daemon: FakeDaemon) -> None:
    assert zones("--url", daemon.url, "zones").splitlines() == [
        "ZONE     INDEX  SOURCE  WATTS  ACTIVE  IDLE  JOULES  WRAPS  RESETS  ERRORS  PATH",
        "dram     0      rapl     2.00    1.20  0.80   2.00k      -       -       -  /sys/class/powercap/dram:0",
        "package  0      rapl    20.00   12.00  8.00  20.00k      2       1    1200  /sys/class/powercap/package:0",
    ]


def test_json_keeps_every_digit(daemon: FakeDaemon) -> None:
    first, second = json.loads(zones("--url", daemon.url, "zones", "--json"))
    assert (first["zone"], first["joules_total"], first["errors_total"]) == ("package", 20000.0, 1200)
    assert second["wraps_total"] is None


def test_a_zone_that_cannot_be_read_has_dashes(daemon: FakeDaemon) -> None:
    blind = msgspec.structs.replace(zone("package", "0", 1, 1), watts=None, active_watts=None, idle_watts=None)
    daemon.says("/api/v1/zones", (blind,))
    assert "package  0      rapl        -       -     -   1.00k" in zones("--url", daemon.url, "zones")


def test_a_daemon_that_has_seen_no_zone_leads_to_the_doctor(daemon: FakeDaemon) -> None:
    daemon.says("/api/v1/zones", ())
    done = CliRunner().invoke(command, ["--url", daemon.url, "zones"])
    assert "joulectl doctor says why" in str(done.exception)


def test_labels_with_any_characters_are_read() -> None:
    found = counts_of(r'jouled_zone_wraps_total{zone="a\"}\\b",index="0",source="hwmon"} 5.0' + "\n")
    assert found["wraps"] == {('a"}\\b', "0", "hwmon"): 5}


def test_a_captured_host_has_the_zones_it_had(tmp_path: Path) -> None:
    written_hosts.write(HOSTS / "xeon-2s.host", tmp_path)
    found = json.loads(zones("--root", str(tmp_path), "zones", "--json"))
    by_name = {f"{each['zone']} {each['index']}": each for each in found}
    assert by_name["package 0"]["watts"] == pytest.approx(120.0)
    assert by_name["package 1"]["watts"] == pytest.approx(95.0)
    assert sum(each["wraps_total"] for each in found) == 1
    assert by_name["package 0"]["path"].startswith("/sys/class/powercap/intel-rapl:")


def test_without_a_daemon_they_are_read_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("jouled.client.PLACES", (f"unix:{tmp_path}/none",))
    monkeypatch.delenv("JOULED_URL", raising=False)
    found = json.loads(zones("zones", "--json", "--interval=100ms"))
    assert found
    assert all(each["errors_total"] is not None for each in found)


def test_the_real_daemon_says_its_zones() -> None:
    with running_jouled("--meter=fake", "--interval=200ms") as daemon:
        found = of_daemon(Client(f"http://127.0.0.1:{daemon.port}"))
    assert {(each.zone, each.source, each.wraps_total) for each in found} == {
        ("package", "fake", 0),
        ("dram", "fake", 0),
    }
