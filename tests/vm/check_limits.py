"""Power limits through the kernel's own powercap class: `make vm-test` runs this as root of a virtual machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from jouled.balance.limit_plan import bounds, effective, plan
from jouled.balance.limits import LimitZone
from jouled.balance.writes import Write
from jouled.loads.rapl import Rapl
from jouled.loads.writing import Applied
from vm.zones import CLASS, MMIO, ZONES, zones

PACKAGE_0, CORE, DRAM, PACKAGE_1, PSYS = range(len(ZONES))
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def originals(found: tuple[LimitZone, ...]) -> dict[str, int]:
    return {
        f"{zone.directory}/constraint_{limit.number}_power_limit_uw": limit.power_uw
        for zone in found
        for limit in zone.constraints
        if limit.power_uw is not None
    }


def texts() -> dict[str, bytes]:
    """Every attribute that jouled may write, as it reads."""
    names = ("enabled", "constraint_*_power_limit_uw", "constraint_*_time_window_us")
    return {str(path): path.read_bytes() for name in names for path in CLASS.glob(f"intel-rapl*:*/{name}")}


def give_back(before: dict[str, bytes]) -> tuple[Applied, ...]:
    held = texts()
    changed = [path for path in before if held[path] != before[path]]
    return Rapl().apply(Write(path, path, before[path].decode().strip()) for path in changed)


def reasons(applied: tuple[Applied, ...]) -> set[str | None]:
    return {each.reason for each in applied}


def test_limits_are_read_as_the_kernel_shows_them() -> None:
    with zones():
        found = Rapl().read()
        shape = [(zone.id, zone.name, zone.package, zone.enabled, len(zone.constraints)) for zone in found]
        assert shape == [
            ("intel-rapl:0", "package-0", 0, True, 2),
            ("intel-rapl:0:0", "core", 0, True, 1),
            ("intel-rapl:0:1", "dram", 0, True, 1),
            ("intel-rapl:1", "package-1", 1, True, 2),
            ("intel-rapl:2", "psys", None, True, 2),
        ]
        long_term = found[0].constraints[0]
        assert (long_term.name, long_term.power_uw, long_term.window_us) == ("long_term", 125_000_000, 27_983_872)
        assert long_term.problem is None
        assert effective(found) == 250.0


def test_a_plan_is_written_read_back_and_given_back_to_the_byte() -> None:
    with zones() as loaded:
        rapl = Rapl()
        loaded.show(PACKAGE_0, CORE, DRAM, PACKAGE_1, PSYS, MMIO)
        before = texts()
        found = rapl.read()
        made = plan(found, 101.0)
        applied = rapl.apply(made.writes)
        assert [each.held for each in applied] == ["50500000"] * 6
        assert reasons(applied) == {None}
        assert effective(rapl.read()) == made.expected_w == 101.0
        assert plan(rapl.read(), 101.0, originals=originals(found)).writes == ()
        assert bounds(rapl.read(), originals(found)) == bounds(found)
        assert {path for path, text in texts().items() if text != before[path]} == {write.path for write in made.writes}
        assert reasons(give_back(before)) == {None}
        assert texts() == before


def test_a_unit_of_its_own_is_read_back_and_not_asked_for_again() -> None:
    with zones(unit_uw=1_000_000):
        rapl = Rapl()
        found = rapl.read()
        applied = rapl.apply(plan(found, 101.0).writes)
        assert {(each.held, each.problem) for each in applied} == {("50000000", None)}
        held = {each.write.path: (int(each.write.value), int(each.held or 0)) for each in applied}
        assert plan(rapl.read(), 101.0, originals=originals(found), held=held).writes == ()


def test_locked_limits_are_told_from_the_state() -> None:
    with zones() as loaded:
        rapl = Rapl()
        made = plan(rapl.read(), 100.0)
        loaded.lock()
        before = texts()
        applied = rapl.apply([*made.writes, Write(f"{CLASS}/intel-rapl:0/enabled", "package-0 enabled", "1")])
        assert reasons(applied) == {"locked"}
        for each in applied:
            assert "the firmware has locked the limits: unlock power limits in the firmware" in (each.problem or "")
        assert texts() == before
        # Nothing that can be read acts.
        assert effective(rapl.read()) is None


def test_a_zone_that_is_unplugged_between_plan_and_write_costs_only_itself() -> None:
    with zones() as loaded:
        rapl = Rapl()
        made = plan(rapl.read(), 100.0)
        loaded.show(PACKAGE_1, PSYS)
        applied = rapl.apply(made.writes)
        assert [(each.write.what.split()[0], each.reason) for each in applied] == [
            ("package-0", "gone"),
            ("package-0", "gone"),
            ("package-1", None),
            ("package-1", None),
        ]
        assert [zone.name for zone in rapl.read()] == ["package-1", "psys"]


def test_a_zone_that_got_the_number_of_another_is_not_written_for_it() -> None:
    with zones() as loaded:
        rapl = Rapl()
        made = plan(rapl.read(), 60.0)
        loaded.show(PSYS)
        loaded.show(PSYS, PACKAGE_1)
        loaded.show(PSYS, PACKAGE_1, PACKAGE_0)
        assert (CLASS / "intel-rapl:0/name").read_text() == "package-1\n"
        before = texts()
        assert reasons(rapl.apply(made.writes)) == {"gone"}
        assert texts() == before
        # And found again by its name.
        assert reasons(rapl.apply(plan(rapl.read(), 60.0).writes)) == {None}
        assert effective(rapl.read()) == 60.0


def test_whoever_may_not_write_is_told_the_file_and_the_fix() -> None:
    script = (
        "from jouled.balance.limit_plan import plan; from jouled.loads.rapl import Rapl;"
        "print(*(each.problem for each in Rapl().apply(plan(Rapl().read(), 100.0).writes)), sep='\\n')"
    )
    with zones():
        before = texts()
        command = [*NOBODY, sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=dict(os.environ))
        lines = done.stdout.splitlines()
        assert len(lines) == 4
        for line in lines:
            assert "Permission denied (os error 13); run as root, or let the daemon write limits" in line
        assert texts() == before


def test_a_switched_off_zone_is_switched_on_as_the_last() -> None:
    with zones():
        enabled = Path(CLASS / "intel-rapl:0/enabled")
        enabled.write_text("0\n")
        rapl = Rapl()
        made = plan(rapl.read(), 100.0)
        assert [write.path for write in made.writes if write.path.startswith(str(enabled.parent))][-1] == str(enabled)
        assert reasons(rapl.apply(made.writes)) == {None}
        assert enabled.read_text() == "1\n"
        assert effective(rapl.read()) == 100.0
