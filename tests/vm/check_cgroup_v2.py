"""Who is charged for work where cgroup v2 is alone and has its controllers: part of `make vm-test`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import running, running_jouled
from vm.waiting import page, ticks_later
from vm.zones import zones

ROOT = Path("/sys/fs/cgroup")
BURN = "while True: pass"
# Not dumpable any more: on Linux older than 6.4 it may not even read its own auxiliary vector.
GIVE_UP_ROOT = """
import os, sys
from jouled.cli.jouled import main
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.argv[0] = "jouled"
main()
"""


@pytest.fixture
def burner() -> Iterator[Path]:
    """test.slice/burner.service, with a program in it that takes what it gets of a CPU."""
    for folder in (ROOT, ROOT / "test.slice"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.subtree_control").write_text("+cpu +memory")
    unit = ROOT / "test.slice/burner.service"
    unit.mkdir()
    process = subprocess.Popen([sys.executable, "-c", BURN])
    (unit / "cgroup.procs").write_text(str(process.pid))
    yield unit
    process.kill()
    process.wait()
    unit.rmdir()
    unit.parent.rmdir()


def cpu_s(unit: Path) -> float:
    return int((unit / "cpu.stat").read_text().split()[1]) / 1e6


def test_this_kernel_has_cgroup_v2_alone_with_controllers() -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    assert [mount[1] for mount in mounts if mount[2].startswith("cgroup")] == [str(ROOT)]
    assert {"cpu", "memory"} <= set((ROOT / "cgroup.controllers").read_text().split())


def test_a_unit_is_charged_for_its_share_and_the_page_adds_up(burner: Path) -> None:
    with zones(), running_jouled("--meter=rapl", "--interval=2s") as daemon:
        before, start_s = page(daemon), cpu_s(burner)
        found = before
        for _ in range(4):
            found = ticks_later(daemon, found)
            found.check_watts_add_up(1e-3)
        used_s = cpu_s(burner) - start_s
        found.check_nothing_fell_since(before)
        found.check_joules_flowed_since(before, 1e-3)

    def growth(name: str, **labels: str) -> float:
        return found.sum(name, **labels) - before.sum(name, **labels)

    unit = {"unit": "burner.service", "slice": "test.slice"}
    # Pages and the look at the cgroup are not of one moment: a tick is a quarter of the time.
    assert growth("jouled_unit_cpu_seconds_total", **unit) == pytest.approx(used_s, rel=0.4)
    for zone in ("package", "dram", "psys"):
        active_j = growth("jouled_zone_active_joules_total", zone=zone)
        residual_cpu_s = growth("jouled_residual_cpu_seconds_total", level="unit")
        all_cpu_s = growth("jouled_unit_cpu_seconds_total") + residual_cpu_s
        share = growth("jouled_unit_cpu_seconds_total", **unit) / all_cpu_s
        assert growth("jouled_unit_joules_total", **unit, zone=zone) / active_j == pytest.approx(share, rel=0.05)
        assert share > 0.3


def test_a_quota_is_seen_in_watts(burner: Path) -> None:
    """cpu.max holds the unit at a tenth of one CPU: what it is charged follows."""
    (burner / "cpu.max").write_text("10000 100000")
    with zones(), running_jouled("--meter=rapl", "--interval=2s") as daemon:
        found = ticks_later(daemon, page(daemon), 2)
        after = ticks_later(daemon, found, 3)
    unit = {"unit": "burner.service"}
    seconds = (after.sum("jouled_ticks_total") - found.sum("jouled_ticks_total")) * 2

    def growth(name: str, **labels: str) -> float:
        return after.sum(name, **unit, **labels) - found.sum(name, **unit, **labels)

    assert growth("jouled_unit_cpu_seconds_total") / seconds == pytest.approx(0.1, abs=0.03)
    # Both packages draw 80 W; of the machine's CPU time a tenth of one CPU is so much.
    expected_w = 80 * 0.1 / (os.cpu_count() or 1)
    assert growth("jouled_unit_joules_total", zone="package") / seconds == pytest.approx(expected_w, rel=0.3)
    after.check_watts_add_up(1e-3)


def test_a_daemon_that_was_root_before_charges_what_others_do(burner: Path) -> None:
    flags = ("--listen=127.0.0.1:0", "--log-format=text", "--meter=fake", "--interval=1s")
    with running(sys.executable, "-c", GIVE_UP_ROOT, *flags) as daemon:
        found = ticks_later(daemon, page(daemon), 2)
        assert found.sum("jouled_unit_watts", unit=burner.name, zone="package") > 0
        assert found.sum("jouled_user_watts", user="root", zone="package") > 0
        found.check_watts_add_up(1e-3)
