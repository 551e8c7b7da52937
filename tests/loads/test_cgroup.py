"""CPU time of slices, on trees of every layout, and on this host's own cgroups where root runs this."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jouled.journal import Journal
from jouled.loads import cgroup
from jouled.loads.cgroup import Cgroups, Controller, Slice, cpus_of, plan
from jouled.loads.writing import Applied
from limit_trees import LimitTree


@pytest.fixture
def tree(tmp_path: Path) -> LimitTree:
    return LimitTree(tmp_path)


def read(tree: LimitTree, *names: str) -> tuple[Slice, ...]:
    return cgroup.read(names, str(tree.sysfs))


def test_a_slice_without_a_limit_is_read_as_such(tree: LimitTree) -> None:
    group = tree.slice("batch.slice")
    (found,) = read(tree, "batch.slice")
    assert found == Slice("batch.slice", str(group / "cpu.max"), None, 100_000)
    assert (found.cpus, found.is_there) == (None, True)


def test_a_nested_slice_is_found_where_systemd_puts_it(tree: LimitTree) -> None:
    group = tree.slice("user.slice/user-1000.slice/user-1000-batch.slice", "150000 50000")
    (found,) = read(tree, "user-1000-batch.slice")
    assert (found.path, found.cpus) == (str(group / "cpu.max"), 3.0)


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
def test_version_1_has_quota_and_period_apart(tree: LimitTree, folder: str) -> None:
    group = tree.slice("batch.slice", "50000", version=1)
    base = tree.sysfs / "fs" / "cgroup"
    (base / "cpu,cpuacct").rename(base / folder)
    group = base / folder / "batch.slice"
    (group / "cpu.cfs_period_us").write_text("200000\n")
    (found,) = read(tree, "batch.slice")
    assert found == Slice("batch.slice", str(group / "cpu.cfs_quota_us"), 50_000, 200_000)
    assert [write.value for write in plan(found, 1.5)] == ["300000"]


def test_on_a_hybrid_host_the_hierarchy_with_the_cpu_controller_counts(tree: LimitTree) -> None:
    tree.slice("batch.slice", "-1", version=1)
    unified = tree.sysfs / "fs" / "cgroup" / "unified"
    unified.mkdir()
    (unified / "cgroup.controllers").write_text("\n")
    sysfs = str(tree.sysfs)
    assert cgroup.controller(sysfs) == Controller(f"{sysfs}/fs/cgroup/cpu,cpuacct", 1)
    (unified / "cgroup.controllers").write_text("memory cpu\n")
    assert cgroup.controller(sysfs) == Controller(f"{sysfs}/fs/cgroup/unified", 2)


def test_what_keeps_a_slice_from_being_limited_is_said_with_the_fix(tree: LimitTree) -> None:
    assert "no cgroup hierarchy below" in (read(tree, "batch.slice")[0].problem or "")
    group = tree.slice("batch.slice")
    (group / "cpu.max").unlink()
    tree.slice("odd.slice", "strange words here")
    found = read(tree, "batch.slice", "none.slice", "-.slice", "a--b.slice", "odd.slice")
    assert [one.path for one in found] == [None] * 5
    said = " | ".join(one.problem or "" for one in found)
    assert "systemctl set-property batch.slice CPUAccounting=yes" in said
    assert "none.slice: there is no such slice now" in said
    assert "-.slice: it cannot be limited" in said
    assert "a--b.slice: it cannot be limited" in said
    assert "odd.slice/cpu.max: it is no limit of CPU time" in said


def test_the_period_is_kept_and_the_kernels_least_quota_respected(tree: LimitTree) -> None:
    tree.slice("batch.slice", "max 50000")
    (found,) = read(tree, "batch.slice")
    assert [(write.value, write.what) for write in plan(found, 0.5)] == [("25000 50000", "CPU time of batch.slice")]
    assert [write.value for write in plan(found, 0.001)] == ["1000 50000"]


def test_what_holds_already_is_not_written_again(tree: LimitTree) -> None:
    tree.slice("batch.slice", "20000 100000")
    (found,) = read(tree, "batch.slice")
    assert plan(found, 0.2) == ()
    assert plan(Slice("none.slice", None), 0.2) == ()


def test_originals_tell_their_cpus() -> None:
    assert cpus_of("max 100000\n") is None
    assert cpus_of("-1\n") is None
    assert cpus_of("150000 100000\n") == 1.5
    assert cpus_of("150000\n", 300_000) == 0.5


def test_a_write_is_read_back(tree: LimitTree) -> None:
    group = tree.slice("batch.slice", "1000000 100000")
    actuator = Cgroups(str(tree.sysfs))
    (found,) = actuator.read(["batch.slice"])
    heard: list[Applied] = []
    (done,) = actuator.apply(plan(found, 0.2), heard.append)
    assert (done.held, done.problem, heard) == ("20000 100000", None, [done])
    assert (group / "cpu.max").read_text() == "20000 100000"


def test_a_dry_run_writes_nothing_and_says_so(tree: LimitTree) -> None:
    group = tree.slice("batch.slice")
    actuator = Cgroups(str(tree.sysfs), dry_run=True)
    (done,) = actuator.apply(plan(actuator.read(["batch.slice"])[0], 0.2))
    assert (done.held, done.reason) == (None, "dry")
    assert (group / "cpu.max").read_text() == "max 100000\n"


def test_a_slice_that_ends_before_the_write_is_gone_and_others_are_written(tree: LimitTree) -> None:
    for name in ("a.slice", "b.slice"):
        tree.slice(name)
    actuator = Cgroups(str(tree.sysfs))
    writes = [write for found in actuator.read(["a.slice", "b.slice"]) for write in plan(found, 0.5)]
    (tree.sysfs / "fs" / "cgroup" / "a.slice" / "cpu.max").unlink()
    gone, written = actuator.apply(writes)
    assert (gone.reason, gone.held) == ("gone", None)
    assert written.held == "50000 100000"


def test_another_value_than_asked_for_is_said(tree: LimitTree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.slice("batch.slice", "70000 100000")
    monkeypatch.setattr(cgroup, "write_attribute", lambda path, value: None)
    actuator = Cgroups(str(tree.sysfs))
    (done,) = actuator.apply(plan(actuator.read(["batch.slice"])[0], 0.2))
    assert (done.reason, done.held) == ("other", "70000 100000")
    assert "20000 100000 was asked for and it holds 70000 100000" in (done.problem or "")


@pytest.fixture
def real_slice() -> Iterator[Path]:
    """A slice of this host, with nothing in it, gone afterwards."""
    found = cgroup.controller()
    if found is None or os.geteuid() != 0:
        pytest.skip("needs root and the cpu controller")
    group = Path(found.directory) / f"jouledtest{os.getpid()}.slice"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"cannot make a cgroup: {error}")
    try:
        if not (group / found.file).exists():
            pytest.skip("the cpu controller is not delegated here")
        yield group
    finally:
        group.rmdir()


def test_the_kernel_takes_it_and_gives_the_very_bytes_back(real_slice: Path, tmp_path: Path) -> None:
    actuator = Cgroups()
    (found,) = actuator.read([real_slice.name])
    assert found.path is not None
    before = Path(found.path).read_bytes()
    with Journal.open(str(tmp_path / "caps")) as journal:
        begun = journal.begin(plan(found, 0.25))
        (done,) = actuator.apply(begun.writes, lambda done: journal.wrote(done.write.path, done.held or ""))
        assert done.problem is None
        assert actuator.read([real_slice.name])[0].cpus == 0.25
        restored = journal.restore()
    assert restored.is_whole
    assert not restored.foreign
    assert Path(found.path).read_bytes() == before


def test_a_real_slice_that_was_made_anew_is_known_as_another(real_slice: Path, tmp_path: Path) -> None:
    actuator = Cgroups()
    with Journal.open(str(tmp_path / "caps")) as journal:
        journal.begin(plan(actuator.read([real_slice.name])[0], 0.25))
        real_slice.rmdir()
        real_slice.mkdir()
        assert [item.outcome for item in journal.restore().items] == ["void"]
