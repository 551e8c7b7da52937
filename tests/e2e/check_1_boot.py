"""As it was booted, with nothing set: what an installed jouled is before anybody touches it."""

from __future__ import annotations

import re
import sys

import pytest

from e2e.box import Box, until

# Of linux/capability.h.
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE = 1, 2, 19


def test_everything_has_started_and_nothing_has_failed(box: Box) -> None:
    assert box.ctl("is-system-running") == "running"
    assert box.ctl("--failed", "--no-legend", "--plain") == ""
    assert box.ctl("is-active", "jouled.service", "jouled.socket") == "active\nactive"


def test_the_layout_of_cgroups_is_the_one_asked_for(box: Box) -> None:
    kind = box.run("stat", "-fc", "%T", "/sys/fs/cgroup").stdout.strip()
    assert (kind == "cgroup2fs") == (box.layout == "unified")


def test_systemctl_status_shows_the_watts(box: Box) -> None:
    assert re.search(r'Status: "package \d+\.\d W; \d+ processes in \d+ cgroups; scan ', box.ctl("status", "jouled"))


def test_it_was_ready_only_after_the_first_interval(box: Box) -> None:
    stamps = ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    started_us, ready_us = (int(box.show(stamp)) for stamp in stamps)
    assert ready_us - started_us > 500_000  # the first interval's length


def test_it_is_nobody_in_particular(box: Box) -> None:
    status = box.process_status()
    uid = box.run("id", "--user", "jouled").stdout.strip()
    assert set(status["Uid"].split()) == {uid}
    assert uid != "0"
    for capabilities in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 1 << CAP_SYS_PTRACE
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_it_sees_what_others_execute(box: Box) -> None:
    rows = [dict(labels) for labels in box.page().rows("jouled_process_cpu_seconds_total")]
    (logind,) = (row for row in rows if row["comm"] == "systemd-logind")
    assert logind["exe"].endswith("/systemd/systemd-logind")
    assert (logind["unit"], logind["uid"]) == ("systemd-logind.service", "0")


@pytest.mark.parametrize("path", ["/etc/shadow", "/proc/1/environ", "/proc/1/mem"])
def test_its_rights_do_not_open_what_is_not_measured(box: Box, path: str) -> None:
    rights = [f"--property={name}=CAP_SYS_PTRACE" for name in ("AmbientCapabilities", "CapabilityBoundingSet")]
    words = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--property=User=jouled", *rights]
    done = box.run(*words, "head", "-c1", path, is_checked=False)
    assert done.returncode != 0
    assert "Permission denied" in done.stderr


def test_systemd_finds_nothing_to_say_about_the_units(box: Box) -> None:
    done = box.run("systemd-analyze", "verify", "--man=no", "jouled.service", "jouled.socket")
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize(
    ("drop_in", "capabilities", "most"),
    [
        (None, [CAP_SYS_PTRACE], 20),
        ("see-environments.conf", [CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH], 20),
        ("control-power.conf", [CAP_SYS_PTRACE], 20),
        ("control-slices.conf", [CAP_SYS_PTRACE, CAP_DAC_OVERRIDE], 22),
    ],
)
def test_its_exposure_is_small(
    box: Box, drop_in: str | None, capabilities: list[int], most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    if drop_in is not None:
        box.drop_in(box.path(f"/usr/share/doc/jouled/{drop_in}").read_text())
        box.restart()
        assert int(box.process_status()["CapEff"], 16) == sum(1 << number for number in capabilities)
    words = ("security", "--no-pager", f"--threshold={most}", "jouled.service")
    verdict = box.run("systemd-analyze", *words, is_checked=False)
    with capsys.disabled():
        sys.stdout.write(f"\n{verdict.stdout.splitlines()[-1]} ({drop_in or 'as installed'})\n")
    box.as_installed()
    box.restart()
    assert verdict.returncode == 0, verdict.stdout


def test_its_lines_are_fields_in_the_journal(box: Box) -> None:
    lines = until(lambda: [line for line in box.lines() if "JOULED_SOURCE" in line])
    assert lines[0]["PRIORITY"] == "6"
    assert lines[0]["JOULED_SOURCE"] == "estimate"
    assert lines[0]["JOULED_INTERVAL"] == "5s"
    assert lines[0]["_SYSTEMD_UNIT"] == "jouled.service"
    (notice,) = {line["MESSAGE"]: line for line in box.lines() if line["PRIORITY"] == "4"}.values()
    assert notice["MESSAGE"].startswith("no power sensor: estimating ")
