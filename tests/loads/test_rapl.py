from __future__ import annotations

import os
from pathlib import Path

import pytest

from jouled import _core
from jouled.balance.limit_plan import effective, plan
from jouled.balance.limits import LimitZone
from jouled.balance.writes import Write
from jouled.errors import LimitError
from jouled.loads.rapl import Rapl, read
from jouled.loads.writing import Applied
from limit_zones import XEON, write_tree, zone

ZONES = (
    zone("package-1", id="intel-rapl:0"),
    zone("dram", {"long_term": (0.0, 41.0)}, id="intel-rapl:0:0", parent="intel-rapl:0", enabled=False),
    zone("package-0", id="intel-rapl:1"),
)
CLASS = "class/powercap"


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    write_tree(tmp_path, ZONES)
    return tmp_path


def files(sysfs: Path) -> dict[str, tuple[bytes, int]]:
    """The bytes of every file, and when it was last written."""
    found = (path for path in sorted(sysfs.rglob("*")) if path.is_file())
    return {str(path.relative_to(sysfs)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def limit(sysfs: Path, of: str, number: int = 0) -> str:
    return (sysfs / CLASS / of / f"constraint_{number}_power_limit_uw").read_text()


def a_write(sysfs: Path, value: str = "60000000", *, of: str = "intel-rapl:0", name: str = "package-1") -> Write:
    directory = sysfs / CLASS / of
    path = str(directory / "constraint_0_power_limit_uw")
    return Write(path, f"{name} long_term ({of})", value, (str(directory / "name"), name))


def test_what_is_read_is_what_the_files_say(sysfs: Path) -> None:
    def here(zone: LimitZone) -> LimitZone:
        directory = str(sysfs / CLASS / zone.id)
        # The socket of a subzone is that of the zone it lies in.
        return zone._replace(directory=directory, package=1 if zone.name == "dram" else zone.package)

    assert read(str(sysfs)) == tuple(here(zone) for zone in ZONES)


def test_a_host_without_limits_has_none(tmp_path: Path) -> None:
    assert read(str(tmp_path)) == ()
    assert read("/nonexistent") == ()


def test_a_plan_is_written_and_holds(sysfs: Path) -> None:
    rapl = Rapl(str(sysfs))
    zones = rapl.read()
    made = plan(zones, 100.0)
    applied = rapl.apply(made.writes)
    assert [(each.held, each.problem, each.reason) for each in applied] == [("50000000", None, None)] * 4
    assert effective(rapl.read()) == made.expected_w == 100.0
    originals = {
        f"{zone.directory}/constraint_{n}_power_limit_uw": w for zone in zones for n, w in ((0, 125), (1, 150))
    }
    assert plan(rapl.read(), 100.0, originals={path: watts * 10**6 for path, watts in originals.items()}).writes == ()


def test_a_dry_run_writes_nothing_and_says_so(sysfs: Path) -> None:
    before = files(sysfs)
    rapl = Rapl(str(sysfs), dry_run=True)
    applied = rapl.apply(plan(rapl.read(), 100.0).writes)
    assert {(each.held, each.problem, each.reason) for each in applied} == {(None, None, "dry")}
    assert files(sysfs) == before
    assert repr(rapl) == f"<Rapl {sysfs} dry run>"


def test_reading_writes_nothing(sysfs: Path) -> None:
    before = files(sysfs)
    read(str(sysfs))
    assert files(sysfs) == before


def test_one_zone_that_fails_does_not_stop_the_others(sysfs: Path) -> None:
    first = a_write(sysfs)
    os.unlink(first.path)  # noqa: PTH108 -- the path is text
    heard: list[Applied] = []
    applied = Rapl(str(sysfs)).apply([first, a_write(sysfs, of="intel-rapl:1", name="package-0")], heard.append)
    assert [(each.reason, each.held) for each in applied] == [("gone", None), (None, "60000000")]
    assert applied[0].problem is not None
    assert applied[0].problem.startswith(f"write {first.path}: No such file or directory")
    assert heard == list(applied)
    assert not Path(first.path).exists()


def test_a_zone_that_got_another_number_is_not_written(sysfs: Path) -> None:
    stranger = a_write(sysfs, of="intel-rapl:0", name="package-0")
    gone = a_write(sysfs, of="intel-rapl:7", name="package-0")
    before = files(sysfs)
    applied = Rapl(str(sysfs)).apply([stranger, gone])
    assert [each.reason for each in applied] == ["gone", "gone"]
    assert applied[0].problem == (
        f"read {sysfs}/{CLASS}/intel-rapl:0/name: it is package-1 now and was package-0; {stranger.path} was not written"
    )
    assert applied[1].problem is not None
    assert "went away" in applied[1].problem
    assert files(sysfs) == before


def test_a_write_without_identity_goes_by_its_path(sysfs: Path) -> None:
    applied = Rapl(str(sysfs)).apply([a_write(sysfs)._replace(identity=None)])
    assert applied[0].held == "60000000"


@pytest.mark.parametrize("value", ["", "-1", "1e6", "max", "60000000\n", "٣", "9" * 21])
def test_only_whole_numbers_are_written(sysfs: Path, value: str) -> None:
    before = files(sysfs)
    (applied,) = Rapl(str(sysfs)).apply([a_write(sysfs, value)])
    assert applied.reason == "wrong"
    assert files(sysfs) == before


def test_nothing_but_a_limit_is_written(sysfs: Path) -> None:
    elsewhere = sysfs / "elsewhere"
    elsewhere.write_text("1\n")
    before = files(sysfs)
    for path in (str(elsewhere), f"{sysfs}/{CLASS}/intel-rapl:0/energy_uj", f"{sysfs}/{CLASS}/intel-rapl:0/name"):
        (applied,) = Rapl(str(sysfs)).apply([Write(path, "it", "7")])
        assert applied.reason == "wrong", path
    assert files(sysfs) == before


def test_what_the_extension_refuses_is_one_typed_error(sysfs: Path) -> None:
    with pytest.raises(LimitError, match="no power limit") as caught:
        _core.write_limit(f"{sysfs}/{CLASS}/intel-rapl:0", "energy_uj", 7)
    assert caught.value.reason == "wrong"


def test_a_limit_that_keeps_another_value_is_told_by_reading_it_back(
    sysfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Firmware that clamps, or has locked the register, lets the write succeed: only a kernel does that.
    monkeypatch.setattr(
        _core, "write_limit", lambda _directory, attribute, _value: int(attribute != "enabled") * 125 * 10**6
    )
    power = a_write(sysfs)
    enabled = Write(f"{sysfs}/{CLASS}/intel-rapl:0/enabled", "package-1 enabled", "1")
    clamped, locked = Rapl(str(sysfs)).apply([power, enabled])
    assert (clamped.held, clamped.reason) == ("125000000", "other")
    assert clamped.problem is not None
    assert "60 W was asked for and it holds 125 W" in clamped.problem
    assert (locked.held, locked.reason) == ("0", "other")
    assert locked.problem is not None
    assert "unlock power limits in the firmware" in locked.problem


def test_a_value_that_is_only_rounded_is_no_problem(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "write_limit", lambda _directory, _attribute, value: value - 500_000)
    window = Write(f"{sysfs}/{CLASS}/intel-rapl:0/constraint_0_time_window_us", "window", "28000000")
    applied = Rapl(str(sysfs)).apply([a_write(sysfs), window])
    assert [(each.held, each.problem) for each in applied] == [("59500000", None), ("27500000", None)]


def test_what_the_listener_raises_ends_it_before_the_next_write(sysfs: Path) -> None:
    def full(_applied: Applied) -> None:
        raise OSError("no space left")

    writes = [a_write(sysfs), a_write(sysfs, of="intel-rapl:1", name="package-0")]
    with pytest.raises(OSError, match="no space left"):
        Rapl(str(sysfs)).apply(writes, full)
    assert limit(sysfs, "intel-rapl:0") == "60000000\n"
    assert limit(sysfs, "intel-rapl:1") == f"{round(XEON['long_term'][0] or 0)}000000\n"
