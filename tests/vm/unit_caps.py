"""The shipped unit, its drop-ins and the udev rules, on a kernel that has power limits: under systemd itself.

scripts/e2e boots a machine whose last unit runs this, as root, with nothing but the system's Python.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

MODULE = "/jouled-check/fake_rapl.ko"
FINIT_MODULE = 313  # of x86-64
CLASS = Path("/sys/class/powercap")
PRESENT = Path("/sys/module/fake_rapl/parameters/present")
ALL, WITHOUT_PACKAGE_1 = "0x1f", "0x17"
SHIPPED = Path("/usr/share/doc/jouled")
DROP_INS = Path("/etc/systemd/system/jouled.service.d")
SLICE = Path("/sys/fs/cgroup/batch.slice/cpu.max")
SETTINGS = """interval = "1s"
[store]
url = "none"
[caps]
enabled = true
check = "1s"
slices = ["batch.slice"]
"""
# Emulation is slow; what ends a wait is what it waits for.
LONGEST_S = 240.0


def run(*command: str, is_checked: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == 0 or not is_checked, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def until(is_so: Callable[[], object]) -> None:
    end_s = time.monotonic() + LONGEST_S
    while not is_so():
        assert time.monotonic() < end_s, run("journalctl", "--no-pager", "--unit=jouled", "--lines=30").stdout
        time.sleep(0.2)


def limits() -> dict[str, bytes]:
    """Every attribute that jouled may write, as it reads."""
    names = ("enabled", "constraint_*_power_limit_uw", "constraint_*_time_window_us")
    return {str(path): path.read_bytes() for name in names for path in CLASS.glob(f"intel-rapl:*/{name}")}


def powers_w() -> list[int]:
    """PL1 of both packages."""
    names = {path.read_text().strip(): path.parent for path in CLASS.glob("intel-rapl:*/name")}
    files = [names[name] / "constraint_0_power_limit_uw" for name in ("package-0", "package-1") if name in names]
    return [int(file.read_text()) // 1_000_000 for file in files]


def show(name: str) -> str:
    return run("systemctl", "show", "--property", name, "--value", "jouled.service").stdout.strip()


def restart_with(*drop_ins: str, more: str = "") -> None:
    DROP_INS.mkdir(parents=True, exist_ok=True)
    for name in drop_ins:
        (DROP_INS / name).write_text((SHIPPED / name).read_text())
    # Emulation is slow.
    (DROP_INS / "zz-check.conf").write_text(f"[Service]\nTimeoutSec=5min\nWatchdogSec=5min\n{more}")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "jouled.service")


def cap(watts: int) -> None:
    said = run("joulectl", "caps", "set", str(watts), "--for", "1h").stdout
    assert f"operator: at most {watts} W" in said, said


def the_daemons_user_owns_the_limits_and_nobody_else_writes_them() -> None:
    module = os.open(MODULE, os.O_RDONLY)
    assert ctypes.CDLL(None, use_errno=True).syscall(FINIT_MODULE, module, b"", 0) == 0, os.strerror(ctypes.get_errno())
    os.close(module)
    run("udevadm", "settle")
    for path in limits():
        assert run("stat", "-Lc", "%U %a", path).stdout == "jouled 644\n", path
    for name, rights in (("name", "root 444"), ("energy_uj", "root 440")):
        assert run("stat", "-Lc", "%U %a", f"{CLASS}/intel-rapl:0/{name}").stdout == f"{rights}\n"


def as_installed_the_unit_refuses_and_says_why() -> None:
    before = limits()
    restart_with()
    refused = run("joulectl", "caps", "set", "80", is_checked=False)
    assert refused.returncode == 1
    assert "Read-only file system" in refused.stderr, refused.stderr
    assert limits() == before


def with_control_power_it_caps_and_the_rest_of_sys_stays_read_only() -> None:
    restart_with("control-power.conf")
    cap(80)
    assert powers_w() == [40, 40]
    mounts = [line.split()[4:6] for line in Path(f"/proc/{show('MainPID')}/mountinfo").read_text().splitlines()]
    writable = {place for place, flags in mounts if place.startswith("/sys") and "rw" in flags.split(",")}
    assert writable == {"/sys/devices/virtual/powercap"}


def after_a_kill_the_unit_gives_back_to_the_byte() -> None:
    restart_with(more="RestartSec=10min\n")
    before = limits()
    cap(80)
    run("systemctl", "kill", "--signal=KILL", "jouled.service")
    until(lambda: show("SubState") == "auto-restart")
    assert limits() == before


def a_package_that_is_plugged_in_again_is_the_daemons_again() -> None:
    restart_with()
    before = limits()
    cap(80)
    PRESENT.write_text(WITHOUT_PACKAGE_1)
    until(lambda: powers_w() == [80])
    PRESENT.write_text(ALL)
    until(lambda: powers_w() == [40, 40])
    run("systemctl", "stop", "jouled.socket", "jouled.service")
    assert limits() == before


def with_control_slices_it_squeezes_a_slice_and_gives_it_back() -> None:
    restart_with("control-slices.conf")
    words = ("--quiet", "--collect", "--unit=burn", "--slice=batch.slice", "--property=CPUWeight=50")
    run("systemd-run", *words, "sh", "-c", "while :; do :; done")
    before = SLICE.read_bytes()
    cap(70)  # both packages draw 80 W
    until(lambda: SLICE.read_bytes() != before)
    run("systemctl", "kill", "--signal=KILL", "jouled.service")
    until(lambda: show("NRestarts") != "0")
    assert SLICE.read_bytes() == before
    run("systemctl", "stop", "burn.service")


CHECKS = (
    the_daemons_user_owns_the_limits_and_nobody_else_writes_them,
    as_installed_the_unit_refuses_and_says_why,
    with_control_power_it_caps_and_the_rest_of_sys_stays_read_only,
    after_a_kill_the_unit_gives_back_to_the_byte,
    a_package_that_is_plugged_in_again_is_the_daemons_again,
    with_control_slices_it_squeezes_a_slice_and_gives_it_back,
)


def main() -> None:
    Path("/etc/jouled").mkdir(exist_ok=True)
    Path("/etc/jouled/jouled.toml").write_text(SETTINGS)
    systemd = run("systemctl", "--version").stdout.split("\n")[0]
    failed = 0
    sys.stdout.write(f"unit: Linux {platform.release()}, {systemd}\n")
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            check()
        except Exception:  # noqa: BLE001  (told, and the next one is checked all the same)
            failed += 1
            sys.stdout.write(f"unit: failed: {name}\n{traceback.format_exc()}\n")
        else:
            sys.stdout.write(f"unit: ok: {name}\n")
        sys.stdout.flush()
    sys.stdout.write(f"unit: exit {min(failed, 1)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
