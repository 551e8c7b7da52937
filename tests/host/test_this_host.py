"""The real daemon with the real scanner on this very host."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pages import Page, openmetrics, promtool
from running import Running, running, running_jouled

FAKE = ("--meter=fake", "--interval=200ms")


def page(daemon: Running) -> Page:
    return Page(daemon.get("/metrics"))


def page_with(daemon: Running, **headers: str) -> tuple[bytes, dict[str, str]]:
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.port}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read(), dict(answer.headers)


@contextmanager
def fork_storm() -> Iterator[None]:
    """Children that live for about a millisecond, one after the other."""
    code = "import os\nwhile True:\n p = os.fork()\n if not p: os._exit(sum(range(9000)) & 0)\n os.waitpid(p, 0)"
    storm = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield
    finally:
        storm.kill()
        storm.wait()


def test_this_host_is_measured_and_promtool_has_nothing_to_say() -> None:
    with running_jouled("--meter=estimate", "--interval=200ms") as daemon:
        found = page(daemon)
        assert "estimating" in daemon.said
        assert {"source": "estimate", "zone": "package", "index": "0"}.items() == dict(
            next(iter(found.rows("jouled_zone_watts")))
        ).items()
        assert found.sum("jouled_process_joules_total") > 0
        assert found.sum("jouled_user_watts") > 0
        assert promtool(found.text) == ""
        assert daemon.get("/readyz") == b"ready\n"
        daemon.stop()


def test_both_formats_and_gzip_tell_the_same() -> None:
    with running_jouled("--meter=fake", "--interval=1m") as daemon:
        text, _ = page_with(daemon)
        packed, headers = page_with(daemon, **{"Accept-Encoding": "gzip"})
        assert headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed) == text
        metrics, headers = page_with(daemon, Accept="application/openmetrics-text;version=1.0.0")
        assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        rows = openmetrics(metrics.decode())["jouled_process_joules"].samples
        joules = {frozenset(row.labels.items()): row.value for row in rows if row.name.endswith("_total")}
        created = {frozenset(row.labels.items()) for row in rows if row.name.endswith("_created")}
        assert joules == Page(text).rows("jouled_process_joules_total")
        assert created == set(joules)


def test_every_page_adds_up_under_a_fork_storm() -> None:
    with fork_storm(), running_jouled(*FAKE) as daemon:
        pages = [page(daemon)]
        for _ in range(15):
            time.sleep(0.21)
            pages.append(page(daemon))
            pages[-1].check_watts_add_up(1e-3)
            pages[-1].check_nothing_fell_since(pages[-2])
        now = pages[-1]
        assert now.sum("jouled_residual_cpu_seconds_total", level="process", reason="exited") > 0
        assert now.sum("jouled_scan_errors_total") == 0


def test_joules_flow_between_two_pages() -> None:
    with fork_storm(), running_jouled(*FAKE) as daemon:
        before = page(daemon)
        time.sleep(2)
        now = page(daemon)
        now.check_joules_flowed_since(before, 1e-3)


def test_a_hundred_scrapes_a_second_neither_measure_nor_disturb() -> None:
    with running_jouled("--meter=fake", "--interval=500ms") as daemon:
        before, start_s = page(daemon), time.monotonic()
        for scrape in range(500):
            time.sleep(max(0.0, start_s + scrape / 100 - time.monotonic()))
            daemon.get("/metrics")
        now = page(daemon)
        elapsed_s = time.monotonic() - start_s
        scans = now.sum("jouled_ticks_total") - before.sum("jouled_ticks_total")
        late = now.sum("jouled_ticks_late_total") - before.sum("jouled_ticks_late_total")
        assert abs(scans + late - elapsed_s / 0.5) <= 2
        assert now.sum("jouled_zone_watts", zone="package") == pytest.approx(40, rel=1e-3)
        assert now.sum("jouled_zone_watts", zone="dram") == pytest.approx(5, rel=1e-3)


def test_levels_not_asked_for_are_not_on_the_page_and_top_bounds_the_rest() -> None:
    with running_jouled(*FAKE, "--level=process", "--level=user", "--top=2") as daemon:
        time.sleep(1)
        found = page(daemon)
        assert not found.rows("jouled_unit_watts")
        assert {dict(labels)["level"] for labels in found.rows("jouled_residual_watts")} == {"process", "user"}
        shown = {dict(labels)["pid"] for labels in found.rows("jouled_process_watts")}
        # One that ended in this interval is on its page beside them.
        assert shown
        assert sum(Path("/proc", pid).exists() for pid in shown) <= 2
        rows = found.sum("jouled_process_watts", zone="package")
        rest = found.sum("jouled_residual_watts", zone="package", level="process")
        assert rows + rest == pytest.approx(found.sum("jouled_zone_active_watts", zone="package"), rel=1e-3, abs=1e-5)


# The interpreter may lie where nobody else can read it: everything is imported before the drop.
AS_NOBODY = """
import os, pkgutil, sys
import hypercorn.trio, hypercorn.trio.tcp_server, hypercorn.protocol.h11, encodings.idna, jouled
for module in pkgutil.walk_packages(jouled.__path__, "jouled."):
    if module.name != "jouled.__main__":
        __import__(module.name)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.argv[0] = "jouled"
jouled.cli.jouled.main()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_an_unprivileged_daemon_measures_what_it_may() -> None:
    # The storm is root's: somebody must work for there to be anything to charge.
    with fork_storm(), running(sys.executable, "-c", AS_NOBODY, "--listen=127.0.0.1:0", *FAKE) as daemon:
        found = page(daemon)
        end_s = time.monotonic() + 60
        while not found.sum("jouled_user_watts", zone="package", user="root") > 0:
            assert time.monotonic() < end_s
            time.sleep(0.1)
            found = page(daemon)
        assert found.sum("jouled_scan_processes") > 1
        found.check_watts_add_up(1e-3)
        daemon.stop()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--meter=rapl", "--sysfs=/usr"], ["rapl", "/usr/class/powercap"]),
        (["--meter=fake", "--sysfs=/nowhere"], ["/nowhere", "--sysfs"]),
        (["--meter=fake", "--procfs=/nowhere"], ["/nowhere", "--procfs"]),
        (["--meter=fake", "--procfs=/usr"], ["/usr/stat", "--procfs"]),
        (["--meter=sundial"], ["sundial", "rapl"]),
        (["--level=galaxy"], ["galaxy", "process"]),
        (["--idle=never"], ["never", "ratio"]),
    ],
)
def test_what_cannot_be_is_refused_with_code_2_and_one_line(flags: list[str], words: list[str]) -> None:
    command = [sys.executable, "-m", "jouled", "--listen=127.0.0.1:0", "--log-format=text", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr
