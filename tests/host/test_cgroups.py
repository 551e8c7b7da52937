"""Who is charged for work in real cgroups of the running kernel, in each layout it can be seen in."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pages import Page
from running import running_jouled

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can make cgroups here")

BURN = "while True: pass"
# Each worker burns for 50 ms and ends; two scans are 500 ms apart, so hardly any is ever seen.
CHAIN = """
import os, time
while True:
    child = os.fork()
    if not child:
        end = time.process_time() + 0.05
        while time.process_time() < end: pass
        os._exit(0)
    os.waitpid(child, 0)
"""


def mount_of(kind: str, option: str = "") -> Path | None:
    """Where a cgroup hierarchy is mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, path, found, options, *_ = line.split()
        if found == kind and (not option or option in options.split(",")):
            return Path(path)
    return None


@pytest.fixture(params=["v1", "v2"])
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, str]:
    """A mounted hierarchy, a /sys that shows only this one, and the name of its counter."""
    mount = mount_of("cgroup", "cpuacct") if request.param == "v1" else mount_of("cgroup2")
    if mount is None:
        pytest.skip(f"this kernel has no cgroup {request.param} with CPU accounting mounted")
    (tmp_path / "fs").mkdir()
    shown = tmp_path / "fs/cgroup"
    if request.param == "v1":
        shown.mkdir()
        (shown / "cpuacct").symlink_to(mount)
    else:
        shown.symlink_to(mount)
    return mount, tmp_path, "cpuacct.usage" if request.param == "v1" else "cpu.stat"


class Unit:
    """A cgroup named like a systemd unit, with a program in it."""

    def __init__(self, path: Path, counter: str) -> None:
        self.path = path
        self._counter = path / counter
        path.mkdir(parents=True)

    def start(self, code: str) -> None:
        join = f"import os\nopen({str(self.path / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
        self._program = subprocess.Popen([sys.executable, "-c", join + code], start_new_session=True)

    def cpu_s(self) -> float:
        text = self._counter.read_text()
        return int(text) / 1e9 if text.strip().isdigit() else int(text.split()[1]) / 1e6

    def end(self) -> None:
        """Ends whoever is in it, and removes it."""
        for _ in range(100):
            for pid in (self.path / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), 9)
            time.sleep(0.02)
            try:
                self.path.rmdir()
            except OSError:
                continue
            # A zombie would still belong to the unit.
            self._program.wait()
            return
        raise AssertionError(f"{self.path} is still in use")


@pytest.fixture
def units(layout: tuple[Path, Path, str]) -> Iterator[tuple[Unit, Unit]]:
    mount, _, counter = layout
    slice_ = mount / f"jouledtest{os.getpid()}.slice"
    pair = Unit(slice_ / "burner.service", counter), Unit(slice_ / "workers.service", counter)
    pair[0].start(BURN)
    pair[1].start(CHAIN)
    time.sleep(0.3)
    yield pair
    for unit in pair:
        if unit.path.exists():
            unit.end()
    slice_.rmdir()


def unit_joules(page: Page, unit: Unit) -> float:
    return page.sum("jouled_unit_joules_total", unit=unit.path.name, slice=unit.path.parent.name, zone="package")


def test_short_lived_work_is_charged_to_its_owner(layout: tuple[Path, Path, str], units: tuple[Unit, Unit]) -> None:
    _, sysfs, _ = layout
    with running_jouled("--meter=fake", f"--sysfs={sysfs}", "--interval=500ms") as daemon:
        before = Page(daemon.get("/metrics"))
        truth = [-unit.cpu_s() for unit in units]
        time.sleep(5)
        now = Page(daemon.get("/metrics"))
        truth = [start + unit.cpu_s() for start, unit in zip(truth, units, strict=True)]
        now.check_watts_add_up(1e-3)
        now.check_nothing_fell_since(before)
    joules = [unit_joules(now, unit) - unit_joules(before, unit) for unit in units]
    assert min(truth) > 0.5, "neither got its part of the CPUs"
    assert joules[0] / sum(joules) == pytest.approx(truth[0] / sum(truth), abs=0.02)
    # The chain's workers ended before they could be asked; at process level nobody owns them.
    exited = now.sum("jouled_residual_cpu_seconds_total", level="process", reason="exited")
    assert exited > 0.5 * truth[1]


def test_a_unit_that_stops_keeps_its_last_joules_and_leaves_in_order(
    layout: tuple[Path, Path, str], units: tuple[Unit, Unit], tmp_path: Path
) -> None:
    _, sysfs, _ = layout
    burner, _ = units
    settings = tmp_path / "jouled.toml"
    settings.write_text('[terminated]\nage = "4s"\n')
    with running_jouled("--meter=fake", f"--sysfs={sysfs}", "--interval=300ms", f"--config={settings}") as daemon:

        def wait_for(what: str, is_there: Callable[[Page], bool]) -> float:
            start_s = time.monotonic()
            while not is_there(Page(daemon.get("/metrics"))):
                assert time.monotonic() - start_s < 60, f"never {what}"
                time.sleep(0.1)
            return time.monotonic() - start_s

        def has_watts(page: Page) -> bool:
            mine = {("unit", burner.path.name), ("slice", burner.path.parent.name)}
            return any(mine <= labels for labels in page.rows("jouled_unit_watts"))

        wait_for("with watts", has_watts)
        burner.end()
        wait_for("without watts but with joules", lambda page: not has_watts(page) and unit_joules(page, burner) > 0)
        assert wait_for("gone", lambda page: unit_joules(page, burner) == 0) > 1
