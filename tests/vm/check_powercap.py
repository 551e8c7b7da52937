"""The daemon on zones of the kernel's own powercap class: `make vm-test` runs this as root of a virtual machine.

The files are no `test_*.py`, so that `make test`, which has no such kernel, does not collect them.
"""

from __future__ import annotations

import errno
import statistics
import subprocess
import sys

import pytest

from pages import Page
from running import running, running_jouled
from vm.waiting import page, page_when, ticks_later
from vm.zones import CLASS, POWER_W, ZONES, zones

RAPL = "--meter=rapl"
DRAM = ZONES.index(("dram", "0"))
# setpriv keeps nothing of root; the daemon itself is the same.
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def per_zone(found: Page, name: str) -> list[float]:
    """One number per zone, in the order of the module."""
    return [found.sum(name, zone=zone, index=index) for zone, index in ZONES]


def zones_with_watts(found: Page) -> set[tuple[str, str]]:
    rows = [dict(labels) for labels in found.rows("jouled_zone_watts")]
    assert {labels["source"] for labels in rows} <= {"rapl"}
    return {(labels["zone"], labels["index"]) for labels in rows}


def test_the_kernel_shows_what_it_shows_on_hardware() -> None:
    with zones():
        names = {path.read_text().strip() for path in CLASS.glob("intel-rapl:*/name")}
        assert names == {"package-0", "core", "dram", "package-1", "psys"}
        assert (CLASS / "intel-rapl:0/energy_uj").stat().st_mode & 0o777 == 0o400


def test_zones_are_found_by_name_and_their_watts_are_the_truth() -> None:
    with zones(), running_jouled(RAPL, "--interval=2s") as daemon:
        pages = [ticks_later(daemon, page(daemon))]
        for _ in range(4):
            pages.append(ticks_later(daemon, pages[-1]))
            pages[-1].check_watts_add_up(1e-3)
            pages[-1].check_nothing_fell_since(pages[-2])
        for found in pages:
            assert zones_with_watts(found) == set(ZONES)
        watts = [
            statistics.median(seen) for seen in zip(*(per_zone(p, "jouled_zone_watts") for p in pages), strict=True)
        ]
        assert watts == pytest.approx(POWER_W, rel=0.01)
        assert daemon.said.count("warning") == 0, daemon.said
        assert daemon.stop() < 30


def test_power_follows_the_module_up_and_down_to_zero() -> None:
    with zones() as loaded, running_jouled(RAPL, "--interval=2s") as daemon:
        for power_w in ([200.0, 180.0, 20.0, 5.0, 260.0], [0.0] * 5):
            loaded.set("power_uw", *(int(watts * 1e6) for watts in power_w))
            found = ticks_later(daemon, page(daemon), 2)
            assert per_zone(found, "jouled_zone_watts") == pytest.approx(power_w, rel=0.03, abs=1e-3)


def test_a_wrap_loses_no_microjoule() -> None:
    # 100 J before the end of a range of 1 kJ: each zone but dram wraps within seconds, psys twice.
    module = zones(max_range_uj=1_000_000_000, start_uj=900_000_000, frozen=1)
    with module as loaded, running_jouled(RAPL, "--interval=1s") as daemon:
        before = page(daemon)
        assert per_zone(before, "jouled_zone_joules_total") == [0.0] * 5
        loaded.thaw()
        page_when(daemon, lambda found: found.sum("jouled_zone_wraps_total", zone="psys") >= 2)
        loaded.freeze()
        after = ticks_later(daemon, page(daemon), 2)
        counted_j = loaded.counted_j()
        assert per_zone(after, "jouled_zone_joules_total") == pytest.approx(counted_j, abs=2e-6)
        wraps = [int((900e6 + joules * 1e6) // 1_000_000_001) for joules in counted_j]
        assert per_zone(after, "jouled_zone_wraps_total") == wraps
        assert wraps[ZONES.index(("package", "0"))] >= 1
        assert after.sum("jouled_zone_resets_total") == 0
        after.check_joules_flowed_since(before, 1e-6)


def test_one_zone_that_fails_hides_no_other_and_comes_back() -> None:
    others = set(ZONES) - {("dram", "0")}
    with zones() as loaded, running_jouled(RAPL, "--interval=1s") as daemon:
        start = page(daemon)
        loaded.fail(DRAM, errno.EIO)
        gone = page_when(daemon, lambda found: zones_with_watts(found) == others)
        later = ticks_later(daemon, gone, 3)
        assert zones_with_watts(later) == others
        assert later.sum("jouled_zone_read_errors_total", zone="dram") >= 4
        assert later.sum("jouled_zone_read_errors_total") == later.sum("jouled_zone_read_errors_total", zone="dram")
        loaded.fail(DRAM, 0)
        back = page_when(daemon, lambda found: zones_with_watts(found) == set(ZONES))
        # The first reading is a baseline: the 3 s and more that were not seen are no spike.
        assert back.sum("jouled_zone_watts", zone="dram") == pytest.approx(6, rel=0.1)
        growth_j = back.sum("jouled_zone_joules_total", zone="dram") - gone.sum("jouled_zone_joules_total", zone="dram")
        assert 0 < growth_j < 3 * 6
        assert back.sum("jouled_zone_resets_total") == 0
        for older, newer in ((start, gone), (gone, later), (later, back)):
            newer.check_nothing_fell_since(older)
            newer.check_watts_add_up(1e-3)
        daemon.stop()
        # Whatever the driver says, the powercap class makes EINVAL of it (drivers/powercap/powercap_sys.c).
        said = daemon.rest()
        assert said.count("intel-rapl:0:1/energy_uj: Invalid argument (os error 22); the zone is left out") == 1, said


def test_a_driver_that_leaves_and_comes_back_ends_nothing() -> None:
    with zones() as loaded, running_jouled(RAPL, "--interval=1s") as daemon:
        start = ticks_later(daemon, page(daemon), 2)
        loaded.unload()
        gone = page_when(daemon, lambda found: not zones_with_watts(found))
        later = ticks_later(daemon, gone, 3)
        assert not zones_with_watts(later)
        assert later.sum("jouled_scan_errors_total") == 0
        assert per_zone(later, "jouled_zone_joules_total") == per_zone(gone, "jouled_zone_joules_total")
        # Only the first reading found a zone that failed; after that there is none to read.
        assert later.sum("jouled_zone_read_errors_total") == 5
        loaded.load()
        back = page_when(daemon, lambda found: zones_with_watts(found) == set(ZONES), longest_s=60)
        last = ticks_later(daemon, back, 2)
        assert per_zone(last, "jouled_zone_watts") == pytest.approx(POWER_W, rel=0.1)
        for older, newer in ((start, gone), (gone, later), (later, back), (back, last)):
            newer.check_nothing_fell_since(older)
            newer.check_watts_add_up(1e-3)
        assert daemon.stop() < 30
        said = daemon.rest()
        assert "all zones went away; they are looked for again" in said, said


def test_a_driver_that_is_loaded_again_between_two_scans_costs_one_interval() -> None:
    with zones(start_uj=5_000_000) as loaded, running_jouled(RAPL, "--interval=2s") as daemon:
        start = ticks_later(daemon, page(daemon), 2)
        loaded.unload()
        loaded.load(start_uj=5_000_000)
        changed = page_when(daemon, lambda found: found.sum("jouled_zone_read_errors_total") > 0)
        back = page_when(daemon, lambda found: zones_with_watts(found) == set(ZONES))
        back.check_nothing_fell_since(start)
        ticks = back.sum("jouled_ticks_total") - changed.sum("jouled_ticks_total")
        assert ticks <= 3
        assert back.sum("jouled_zone_read_errors_total") == 5
        assert per_zone(back, "jouled_zone_watts") == pytest.approx(POWER_W, rel=0.1)


def test_one_scan_reads_each_counter_once_and_a_scrape_none() -> None:
    with zones() as loaded, running_jouled(RAPL, "--interval=2s") as daemon:
        before = ticks_later(daemon, page(daemon))
        reads = loaded.get("reads")[0]
        for _ in range(20):
            daemon.get("/metrics")
        after = ticks_later(daemon, before, 3)
        scans = after.sum("jouled_ticks_total") - before.sum("jouled_ticks_total")
        # A scan may lie between a page and the look at the module.
        assert abs(loaded.get("reads")[0] - reads - scans * len(ZONES)) <= len(ZONES)


def test_whoever_may_not_read_the_counters_is_told_the_file_and_the_fix() -> None:
    command = [*NOBODY, sys.executable, "-m", "jouled", "--listen=127.0.0.1:0", "--log-format=text", RAPL]
    with zones():
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert "energy_uj: Permission denied" in done.stderr
    assert "; run as root or let group jouled read it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_whoever_may_not_read_the_counters_gets_a_model_that_says_so() -> None:
    command = [*NOBODY, sys.executable, "-m", "jouled", "--listen=127.0.0.1:0", "--log-format=text", "--interval=1s"]
    with zones(), running(*command, "--meter=auto") as daemon:
        found = ticks_later(daemon, page(daemon))
        assert "energy_uj: Permission denied" in daemon.said
        assert "estimating" in daemon.said
        assert {dict(labels)["source"] for labels in found.rows("jouled_zone_watts")} == {"estimate"}
        found.check_watts_add_up(1e-3)
