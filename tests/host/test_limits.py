"""The power limits of every written host, through the extension."""

from pathlib import Path

import pytest

from jouled.balance.limit_plan import by_place, effective_uw, plan
from jouled.errors import UnsupportedError
from jouled.loads.rapl import read
from written_hosts import HOSTS, write


def sysfs(name: str, directory: Path) -> str:
    write(HOSTS / f"{name}.host", directory)
    return str(directory / "0/sys")


@pytest.mark.parametrize("path", sorted(HOSTS.rglob("*.host")), ids=lambda path: path.stem)
def test_limits_of_any_host_are_read_or_said_to_be_none(path: Path, tmp_path: Path) -> None:
    write(path, tmp_path)
    directory = tmp_path / "0/sys/class/powercap"
    zones = read(str(tmp_path / "0/sys"))
    named = {found.parent.name: found.read_text().strip() for found in directory.glob("intel-rapl*:*/name")}
    assert {zone.id: zone.name for zone in zones} == named
    for zone in zones:
        # What cannot be read is said, and only that.
        for limit in zone.constraints:
            assert (limit.power_uw is None) == (limit.problem is not None), limit
        assert bool(zone.problems) == (zone.package is not None and zone.parent is None and not zone.constraints)


def test_where_mmio_is_lower_that_is_the_ceiling(tmp_path: Path) -> None:
    zones = read(sysfs("doctor/mmio-limit-lower", tmp_path))
    made = plan(zones, 45.0)
    assert made.expected_w == 45.0
    assert [(write.what, write.value) for write in made.writes] == [("package-0 long_term (intel-rapl:0)", "45000000")]


def test_a_processor_that_only_counts_cannot_be_capped_and_says_how_it_could(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="HSMP"):
        plan(read(sysfs("doctor/limits-missing", tmp_path)), 100.0)


def test_limits_that_are_off_hold_nothing(tmp_path: Path) -> None:
    zones = read(sysfs("doctor/limits-disabled", tmp_path))
    assert [effective_uw(together) for together in by_place(zones).values()] == [None]
    assert plan(zones, 50.0).writes[-1].path.endswith("/enabled")


def test_mirrored_dies_without_limits_are_written_nowhere(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="only counts"):
        plan(read(sysfs("epyc-mirrored-dies", tmp_path)), 100.0)
