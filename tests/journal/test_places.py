"""A journal that somebody else wrote: root restores from it, and nothing but limits is ever opened."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jouled.balance.writes import Write
from jouled.journal import Journal, JournalError
from jouled.journal.page import VERSION, Entry, Page, encoded
from jouled.journal.places import real_path
from limit_trees import BOOT, LimitTree, power_write

PL1 = "constraint_0_power_limit_uw"


@pytest.fixture
def tree(tmp_path: Path) -> LimitTree:
    tree = LimitTree(tmp_path)
    tree.package(0)
    tree.slice("batch.slice")
    return tree


def opened(tree: LimitTree) -> Journal:
    return Journal.open(str(tree.caps), procfs=str(tree.procfs), sysfs=str(tree.sysfs))


def forge(tree: LimitTree, *entries: Entry) -> None:
    tree.caps.mkdir(parents=True)
    (tree.caps / "journal.json").write_bytes(encoded(Page(VERSION, BOOT, "jouled", entries=entries)))


def test_the_limits_below_sysfs_are_where_they_say(tree: LimitTree) -> None:
    zone, group = tree.powercap / "intel-rapl:0", tree.sysfs / "fs/cgroup/batch.slice"
    for path in (zone / PL1, zone / "enabled", zone / "constraint_0_time_window_us", group / "cpu.max"):
        assert real_path(str(path), str(tree.sysfs)) == str(path)
        assert real_path(str(path), f"{tree.sysfs}/") == str(path)


def test_a_zone_of_the_class_is_the_file_of_its_device(tree: LimitTree) -> None:
    device = tree.sysfs / "devices/virtual/powercap/intel-rapl/intel-rapl:1"
    device.mkdir(parents=True)
    (tree.powercap / "intel-rapl:1").symlink_to("../../devices/virtual/powercap/intel-rapl/intel-rapl:1")
    assert real_path(f"{tree.powercap}/intel-rapl:1/{PL1}", str(tree.sysfs)) == f"{device}/{PL1}"


@pytest.mark.parametrize(
    "path",
    [
        "{0}/sys/module/zswap/parameters/enabled",
        "{0}/sys/kernel/livepatch/fix/enabled",
        "{0}/sys/class/powercap/enabled",
        "{0}/sys/class/powercapped/x/enabled",
        "{0}/sys/fs/cgroup/batch.slice/enabled",
        "{0}/sys/class/powercap/intel-rapl:0/cpu.max",
        "{0}/elsewhere/cpu.max",
        "{0}/link/enabled",
        "{0}/sys/class/powercap/link/enabled",
    ],
)
def test_whatever_else_has_such_a_name_is_neither_opened_nor_written(tree: LimitTree, path: str) -> None:
    folder = tree.sysfs.parent
    target = folder / "elsewhere"
    target.mkdir()
    for link in (folder / "link", tree.powercap / "link"):
        link.symlink_to(target)
    file = Path(path.format(folder))
    file.parent.mkdir(parents=True, exist_ok=True)
    # Whoever opened it would be waited for or refused.
    os.mkfifo(file)
    forge(tree, Entry(str(file), "0\n", "somebody's file", "1", held="1"))
    with opened(tree) as journal:
        (item,) = journal.restore().items
        assert (item.outcome, item.found) == ("failed", None)
        assert f"it is no limit below {tree.sysfs}; run this with the sysfs that the daemon has" in (item.problem or "")
        begun = journal.begin([Write(str(file), "somebody's file", "1")])
        assert not begun.writes
    assert stat.S_ISFIFO(file.lstat().st_mode)


def test_a_zone_is_known_by_no_file_but_its_own_name(tree: LimitTree) -> None:
    path = str(tree.powercap / "intel-rapl:0" / PL1)
    forge(tree, Entry(path, "1\n", "package-0", "2", identity=("/dev/watchdog", "package-0")))
    with pytest.raises(JournalError, match="'/dev/watchdog' is not the name of the zone of"):
        opened(tree)


def test_what_another_sysfs_has_is_not_forgotten(tree: LimitTree, tmp_path: Path) -> None:
    write = power_write(tree.powercap / "intel-rapl:0", 50_000_000)
    with opened(tree) as journal:
        journal.begin([write])
        Path(write.path).write_text("50000000\n")
    # Also not by a host that was started anew.
    tree.boots("another")
    with Journal.open(str(tree.caps), procfs=str(tree.procfs), sysfs=str(tmp_path / "other")) as other:
        assert [item.outcome for item in other.restore().items] == ["failed"]
    with opened(tree) as journal:
        assert [item.outcome for item in journal.restore().items] == ["restored"]
    assert Path(write.path).read_text() == "95000000\n"


def test_a_link_in_place_of_the_directory_leads_nowhere(tree: LimitTree) -> None:
    elsewhere = tree.sysfs.parent / "elsewhere"
    elsewhere.mkdir()
    for name in ("lock", "journal.json.new"):
        (elsewhere / name).write_text("somebody's\n")
    tree.caps.parent.mkdir()
    tree.caps.symlink_to(elsewhere)
    for way in (Journal.open, Journal.read):
        with pytest.raises(JournalError, match="it is a link, where a directory belongs"):
            way(str(tree.caps), procfs=str(tree.procfs), sysfs=str(tree.sysfs))
    assert {path.name: path.read_text() for path in elsewhere.iterdir()} == {
        "lock": "somebody's\n",
        "journal.json.new": "somebody's\n",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_with_another_name_is_not_given_away(tree: LimitTree) -> None:
    secret = tree.sysfs.parent / "secret"
    secret.write_text("root's\n")
    tree.caps.mkdir(parents=True)
    os.chown(tree.caps, 65534, 65534)
    os.link(secret, tree.caps / "lock")
    with pytest.raises(JournalError, match="it has another name elsewhere"):
        opened(tree)
    assert (secret.stat().st_uid, secret.read_text()) == (0, "root's\n")
