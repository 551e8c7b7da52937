"""Power limits under the unit: who may ask, what is written, and who gives it back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2e.box import SETTINGS, Box, until
from e2e.zones import SYSFS

ZONE = f"{SYSFS}/class/powercap/intel-rapl:0"
PL1, PL2 = f"{ZONE}/constraint_0_power_limit_uw", f"{ZONE}/constraint_1_power_limit_uw"
ORIGINALS = {
    f"{ZONE}/enabled": "1\n",
    f"{ZONE}/constraint_0_name": "long_term\n",
    PL1: "95000000\n",
    f"{ZONE}/constraint_0_time_window_us": "27983872\n",
    f"{ZONE}/constraint_1_name": "short_term\n",
    PL2: "118750000\n",
    f"{ZONE}/constraint_1_time_window_us": "2440\n",
}
STATE = "/var/lib/jouled/caps"
# Longer than any check: what is given back after a kill is given back by ExecStopPost.
SLOW = "RestartSec=10min\n"
# As /sys is to the unit: read-only, but for what a drop-in opens. A box has no zones of the kernel's own.
READ_ONLY = f"[Service]\nReadOnlyPaths={SYSFS}\n"
OPENED = f"ReadWritePaths={SYSFS}/class/powercap\n"


@pytest.fixture
def limits(daemon: Box) -> Iterator[Box]:
    """The zone has limits, with the rights that 60-jouled.rules gives the real ones."""
    for path, text in ORIGINALS.items():
        daemon.write(path, text)
        if not path.endswith("_name"):
            daemon.run("chown", "jouled", path)
    yield daemon
    daemon.ctl("stop", "jouled.socket")
    for path in ORIGINALS:
        daemon.path(path).unlink()
    daemon.run("rm", "-rf", STATE)


def shipped(box: Box, name: str) -> str:
    return box.path(f"/usr/share/doc/jouled/{name}").read_text()


def switch_on(box: Box, more: str = "", caps: str = "") -> None:
    box.drop_in(f"{shipped(box, 'control-power.conf')}{READ_ONLY}{OPENED}{SLOW}{more}")
    box.settings(f"{box.path(SETTINGS).read_text()}\n[caps]\nenabled = true\ncheck = '200ms'\n{caps}")
    box.restart()


def held(box: Box) -> dict[str, str]:
    return {path: box.path(path).read_text() for path in ORIGINALS}


def powers_w(box: Box) -> tuple[int, int]:
    long_term, short_term = (int(box.path(path).read_text()) // 1_000_000 for path in (PL1, PL2))
    return long_term, short_term


def cap(box: Box, watts: int = 50) -> None:
    said = box.run("joulectl", "caps", "set", str(watts), "--for", "1h").stdout
    assert f"operator: at most {watts} W" in said, said
    assert powers_w(box) == (watts, watts), said


def kill(box: Box) -> None:
    box.ctl("kill", "--signal=KILL", "jouled.service")
    until(lambda: box.show("SubState") == "auto-restart")


def test_switched_off_it_is_shown_and_refused_and_nothing_is_written(limits: Box) -> None:
    listed = limits.run("joulectl", "caps", "list").stdout
    assert "capping is switched off" in listed
    refused = limits.run("joulectl", "caps", "set", "50", is_checked=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "caps.enabled" in refused.stderr
    assert held(limits) == ORIGINALS


def test_as_installed_the_unit_cannot_write_and_says_what_to_do(limits: Box) -> None:
    limits.drop_in(READ_ONLY)
    limits.settings(f"{limits.path(SETTINGS).read_text()}\n[caps]\nenabled = true\n")
    limits.restart()
    refused = limits.run("joulectl", "caps", "set", "50", is_checked=False)
    assert refused.returncode == 1
    assert PL1 in refused.stderr
    assert "the unit protects /sys" in refused.stderr
    assert held(limits) == ORIGINALS
    assert limits.get("/readyz") == "ready\n"


def test_root_caps_and_a_member_of_the_group_only_looks(limits: Box) -> None:
    switch_on(limits)
    refused = limits.run("runuser", "-u", "alice", "--", "joulectl", "caps", "set", "50", is_checked=False)
    assert refused.returncode == 1
    assert held(limits) == ORIGINALS
    cap(limits)
    listed = limits.run("runuser", "-u", "alice", "--", "joulectl", "caps", "list").stdout
    assert "at most 50 W for operator" in listed
    assert limits.run("stat", "-c", "%U %a", f"{STATE}/journal.json").stdout == "jouled 600\n"
    limits.run("joulectl", "caps", "set", "none")
    assert held(limits) == ORIGINALS


def test_after_a_kill_the_unit_gives_the_limits_back(limits: Box) -> None:
    switch_on(limits)
    cap(limits)
    kill(limits)
    assert held(limits) == ORIGINALS
    assert "nothing to give back" in limits.run("joulectl", "caps", "restore").stdout


def test_a_stop_gives_the_limits_back_within_two_seconds(limits: Box) -> None:
    switch_on(limits)
    cap(limits)
    since, start_s = limits.now(), time.monotonic()
    limits.ctl("stop", "jouled.service")
    assert held(limits) == ORIGINALS
    # The unit's look at what is left is a Python that starts.
    assert time.monotonic() - start_s < 4
    assert limits.show("Result") == "success"
    assert "failed" not in limits.said(since).lower()


def test_a_watchdog_that_ends_it_leaves_no_cap(limits: Box) -> None:
    switch_on(limits, "WatchdogSec=2s\n")
    cap(limits)
    limits.ctl("kill", "--signal=STOP", "jouled.service")
    until(lambda: limits.show("SubState") == "auto-restart")
    assert limits.show("Result") == "watchdog"
    assert held(limits) == ORIGINALS


def test_a_reload_keeps_the_caps(limits: Box) -> None:
    switch_on(limits)
    cap(limits)
    pid = limits.pid
    limits.settings(limits.path(SETTINGS).read_text().replace("200ms", "300ms"))
    since = limits.now()
    limits.ctl("reload", "jouled.service")
    until(lambda: any("reloaded: applied" in line for line in limits.messages(since)))
    assert (limits.pid, powers_w(limits)) == (pid, (50, 50))
    assert "at most 50 W" in limits.run("joulectl", "caps", "list").stdout


def test_hold_keeps_the_caps_over_a_kill_and_the_next_start_goes_on(limits: Box) -> None:
    switch_on(limits, caps="on_exit = 'hold'\n")
    cap(limits)
    kill(limits)
    assert powers_w(limits) == (50, 50)
    limits.restart()
    assert "at most 50 W for operator" in limits.run("joulectl", "caps", "list").stdout
    assert powers_w(limits) == (50, 50)
    limits.run("joulectl", "caps", "set", "none")
    assert held(limits) == ORIGINALS


def test_the_operator_gives_back_by_hand_what_nobody_did(limits: Box) -> None:
    switch_on(limits, "ExecStopPost=\n")
    cap(limits)
    refused = limits.run("joulectl", "caps", "restore", is_checked=False)
    assert refused.returncode == 1
    assert f"jouled (process {limits.pid})" in refused.stderr
    kill(limits)
    assert powers_w(limits) == (50, 50)
    assert "95000000 again" in limits.run("joulectl", "caps", "restore").stdout
    assert held(limits) == ORIGINALS
    # What root touched, the daemon's user can still use.
    limits.restart()
    cap(limits, 60)


def test_the_next_start_gives_back_what_nobody_did(limits: Box) -> None:
    switch_on(limits, "ExecStopPost=\n")
    cap(limits)
    kill(limits)
    assert powers_w(limits) == (50, 50)
    # Also where capping has been switched off since.
    limits.settings(limits.path(SETTINGS).read_text().replace("enabled = true", "enabled = false"))
    limits.restart()
    assert held(limits) == ORIGINALS


def test_a_forged_journal_makes_root_write_nothing(limits: Box) -> None:
    limits.ctl("stop", "jouled.socket")
    victim = "/run/victim/enabled"
    limits.write(victim, "1\n")
    entry = f'{{"path":"{victim}","original":"0\\n","what":"x","wrote":"1","held":"1"}}'
    boot = limits.path("/proc/sys/kernel/random/boot_id").read_text().strip()
    page = f'{{"version":1,"boot_id":"{boot}","holder":"jouled","entries":[{entry}]}}'
    limits.run("runuser", "-u", "jouled", "--", "mkdir", "-p", STATE)
    limits.run("runuser", "-u", "jouled", "--", "sh", "-c", f"cat > {STATE}/journal.json", stdin=page)
    done = limits.run("joulectl", "caps", "restore", is_checked=False)
    assert (done.returncode, limits.path(victim).read_text()) == (1, "1\n")
    assert f"{victim}: it is no limit below {SYSFS}" in done.stdout
