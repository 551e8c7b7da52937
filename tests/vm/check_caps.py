"""The daemon caps zones of the kernel's own powercap class, and everything is given back to the byte.

`make vm-test` runs this as root of a virtual machine.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from running import Running, running
from vm.zones import CLASS, ZONES, Zones, zones

PACKAGE_0, CORE, DRAM, PACKAGE_1, PSYS = range(len(ZONES))
JOULECTL = (sys.executable, "-c", "from jouled.cli.joulectl import main; main()")
CGROUP = Path("/sys/fs/cgroup")
# Emulation is slow; what ends a wait is what it waits for.
LONGEST_S = 240.0
ORIGINAL_UW, ORIGINAL_PL2_UW = 125_000_000, 150_000_000


class Capping:
    """A daemon that may cap, its API on a Unix socket, and its state directory."""

    def __init__(self, daemon: Running, folder: Path) -> None:
        self.daemon = daemon
        self._folder = folder

    def ask(self, method: str, path: str = "", body: object = None) -> Any:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LONGEST_S)
            client.connect(str(self._folder / "socket"))
            connection = http.client.HTTPConnection("jouled")
            connection.sock = client
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1/caps{path}", content, {"content-type": "application/json"})
            return json.load(connection.getresponse())

    def hold(self, watts: float) -> Any:
        return self.ask("PUT", "/operator", {"watts": watts, "ttl_seconds": 3600})

    def state_when(self, is_so: Callable[[Any], object]) -> Any:
        end_s = time.monotonic() + LONGEST_S
        while not is_so(state := self.ask("GET")):
            assert time.monotonic() < end_s, state
            time.sleep(0.2)
        return state

    def kill(self) -> None:
        self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.process.wait()


@contextmanager
def capping(folder: Path, caps: str = "", **environ: str) -> Iterator[Capping]:
    settings = folder / "jouled.toml"
    settings.write_text(
        f'listen = ["127.0.0.1:0", "unix:{folder}/socket"]\nstate_dir = "{folder}/state"\n'
        f'interval = "1s"\nmeters = ["rapl"]\n[caps]\nenabled = true\ncheck = "500ms"\n{caps}\n'
    )
    command = (sys.executable, "-m", "jouled", "--config", str(settings), "--log-format=text")
    with running(*command, environ=environ) as daemon:
        yield Capping(daemon, folder)


def joulectl(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [*JOULECTL, f"--url=unix:{folder}/socket", *words],
        env={**os.environ, "JOULED_CONFIG": str(folder / "jouled.toml")},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def restore(folder: Path) -> str:
    return joulectl(folder, "caps", "restore", f"--config={folder}/jouled.toml")


def texts() -> dict[str, bytes]:
    """Every attribute that jouled may write, as it reads."""
    names = ("enabled", "constraint_*_power_limit_uw", "constraint_*_time_window_us")
    return {str(path): path.read_bytes() for name in names for path in CLASS.glob(f"intel-rapl*:*/{name}")}


def limits_uw(name: str) -> list[int]:
    """PL1 and PL2 of the zone of this name."""
    (zone,) = (path.parent for path in CLASS.glob("intel-rapl:*/name") if path.read_text() == f"{name}\n")
    return [int((zone / f"constraint_{number}_power_limit_uw").read_text()) for number in (0, 1)]


def wait_until(is_so: Callable[[], object]) -> None:
    end_s = time.monotonic() + LONGEST_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.1)


@pytest.fixture
def loaded() -> Iterator[Zones]:
    with zones() as loaded:
        # Not round: what is given back is what was there.
        (CLASS / "intel-rapl:0/constraint_0_power_limit_uw").write_text("101375000\n")
        yield loaded


def test_a_cap_is_in_the_kernel_and_a_stop_gives_it_back_to_the_byte(loaded: Zones, tmp_path: Path) -> None:
    before = texts()
    with capping(tmp_path) as host:
        said = joulectl(tmp_path, "caps", "set", "101", "--for", "1h")
        assert "operator: at most 101 W" in said
        assert limits_uw("package-0") == limits_uw("package-1") == [50_500_000, 50_500_000]
        assert len({path for path, text in texts().items() if text != before[path]}) == 4
        assert host.ask("GET")["effective_watts"] == 101
        # One package is unplugged meanwhile: all of the node's budget is the other one's.
        loaded.show(PACKAGE_0, CORE, DRAM, PSYS)
        host.state_when(lambda state: any("package-1" in line and "is gone" in line for line in state["problems"]))
        wait_until(lambda: limits_uw("package-0") == [101_000_000, 101_000_000])
        loaded.show(*range(len(ZONES)))
        wait_until(lambda: limits_uw("package-0") == limits_uw("package-1") == [50_500_000, 50_500_000])
        host.daemon.stop()
    assert texts() == before


def test_after_a_kill_restore_gives_back_to_the_byte_also_what_a_coarse_unit_rounds(
    loaded: Zones, tmp_path: Path
) -> None:
    before = texts()
    loaded.set("unit_uw", 1_000_000)
    with capping(tmp_path) as host:
        host.hold(81)
        state = host.ask("GET")
        assert (state["asked_watts"], state["effective_watts"], state["problems"]) == (81, 80, [])
        host.kill()
    loaded.set("unit_uw", 125_000)
    assert limits_uw("package-0") == [40_000_000, 40_000_000]
    assert "101375000 again" in restore(tmp_path)
    assert texts() == before
    assert "nothing to give back" in restore(tmp_path)


def test_after_a_kill_the_next_start_goes_on_or_gives_back_and_other_writers_are_named(
    loaded: Zones, tmp_path: Path
) -> None:
    before = texts()
    with capping(tmp_path, 'on_exit = "hold"') as host:
        host.hold(80)
        host.kill()
    with capping(tmp_path, 'on_exit = "hold"') as host:
        assert [lease["watts"] for lease in host.ask("GET")["leases"]] == [80]
        assert limits_uw("package-1") == [40_000_000, 40_000_000]
        host.kill()
    with capping(tmp_path) as host:
        assert texts() == before
        assert host.ask("GET")["leases"] == []
        host.hold(80)
        file = CLASS / "intel-rapl:1/constraint_0_power_limit_uw"
        for _ in range(2):
            file.write_text("70000000\n")
            wait_until(lambda: limits_uw("package-1")[0] == 40_000_000)
        file.write_text("70000000\n")
        state = host.state_when(lambda state: any(zone["ceded_to"] for zone in state["zones"]))
        (zone,) = (zone for zone in state["zones"] if zone["ceded_to"])
        assert (zone["zone"], zone["index"], zone["ceded_to"]) == ("package", "1", "another program")
        host.daemon.stop()
    # It is that program's now.
    assert file.read_text() == "70000000\n"
    file.write_bytes(before[str(file)])
    assert texts() == before


def test_locked_limits_refuse_a_cap_and_are_given_back_once_they_can_be(loaded: Zones, tmp_path: Path) -> None:
    before = texts()
    with capping(tmp_path) as host:
        loaded.lock()
        refused = host.hold(80)
        assert "the firmware has locked the limits" in str(refused)
        assert host.ask("GET")["leases"] == []
        loaded.set("locked", 0)
        assert host.hold(80)["watts"] == 80
        loaded.lock()
        host.daemon.stop()
    loaded.set("locked", 0)
    assert texts() != before
    assert "101375000 again" in restore(tmp_path)
    assert texts() == before


def test_all_zones_unplugged_while_capped_are_capped_when_they_are_back(loaded: Zones, tmp_path: Path) -> None:
    with capping(tmp_path) as host:
        host.hold(80)
        loaded.unload()
        host.state_when(lambda state: state["zones"] == [] and state["problems"])
        loaded.load()
        before = {"package-0": limits_uw("package-0"), "package-1": limits_uw("package-1")}
        wait_until(lambda: limits_uw("package-0") == limits_uw("package-1") == [40_000_000, 40_000_000])
        host.daemon.stop()
    assert before == {name: [ORIGINAL_UW, ORIGINAL_PL2_UW] for name in before}
    # The driver began anew with its own limits; ours are those from before it went.
    assert limits_uw("package-0") == [101_375_000, ORIGINAL_PL2_UW]
    assert limits_uw("package-1") == [ORIGINAL_UW, ORIGINAL_PL2_UW]


def test_a_zone_that_is_away_at_the_kill_is_given_back_under_its_new_number(loaded: Zones, tmp_path: Path) -> None:
    with capping(tmp_path) as host:
        host.hold(80)
        host.kill()
    loaded.show(PSYS)
    loaded.show(PSYS, PACKAGE_1)
    assert "there is no package-0" in restore(tmp_path)
    loaded.show(PSYS, PACKAGE_1, PACKAGE_0)
    assert (CLASS / "intel-rapl:0/name").read_text() == "package-1\n"
    (CLASS / "intel-rapl:1/constraint_0_power_limit_uw").write_text("40000000\n")
    assert "101375000 again" in restore(tmp_path)
    assert limits_uw("package-0")[0] == 101_375_000


@pytest.fixture
def batch() -> Iterator[Path]:
    """A busy slice whose CPU time can be limited."""
    (CGROUP / "cgroup.subtree_control").write_text("+cpu")
    group = CGROUP / "batch.slice"
    unit = group / "burn.service"
    unit.mkdir(parents=True)
    burner = subprocess.Popen(["sh", "-c", "while :; do :; done"])
    (unit / "cgroup.procs").write_text(str(burner.pid))
    yield group
    burner.kill()
    burner.wait()
    wait_until(lambda: not (unit / "cgroup.procs").read_text())
    unit.rmdir()
    group.rmdir()
    (CGROUP / "cgroup.subtree_control").write_text("-cpu")


def test_a_slice_is_squeezed_and_given_back_after_a_kill(loaded: Zones, batch: Path, tmp_path: Path) -> None:
    limit = batch / "cpu.max"
    before, limits = limit.read_bytes(), texts()
    with capping(tmp_path, 'slices = ["batch.slice"]') as host:
        # The packages draw 80 W together.
        host.hold(70)
        wait_until(lambda: limit.read_bytes() != before)
        quota_us, period_us = map(int, limit.read_text().split())
        assert (quota_us < 2 * period_us, period_us) == (True, 100_000)
        (shown,) = host.ask("GET")["slices"]
        assert (shown["slice"], shown["original_cpus"]) == ("batch.slice", None)
        host.kill()
    assert "batch.slice" in restore(tmp_path)
    assert limit.read_bytes() == before
    assert texts() == limits
