"""Originals on disk before the first write, and given back after anything."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jouled.balance.writes import Write
from jouled.journal import HeldError, Journal, JournalError, Restored, files
from jouled.wire.caps import Lease
from limit_trees import LimitTree, power_write

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.fixture
def tree(tmp_path: Path) -> LimitTree:
    return LimitTree(tmp_path)


@pytest.fixture
def journal(tree: LimitTree) -> Iterator[Journal]:
    with opened(tree) as journal:
        yield journal


def opened(tree: LimitTree) -> Journal:
    return Journal.open(str(tree.caps), procfs=str(tree.procfs), sysfs=str(tree.sysfs))


def cap(journal: Journal, *writes: Write) -> None:
    """As the daemon does it: durable first, then written, then read back."""
    begun = journal.begin(writes)
    assert not begun.problems
    for write in begun.writes:
        Path(write.path).write_text(write.value + "\n")
        journal.wrote(write.path, Path(write.path).read_text())


def outcomes(restored: Restored) -> list[str]:
    return [item.outcome for item in restored.items]


def on_disk(tree: LimitTree) -> dict[str, object]:
    found = json.loads((tree.caps / "journal.json").read_bytes())
    assert isinstance(found, dict)
    return found


def test_what_is_capped_is_given_back_byte_by_byte_and_the_file_goes(tree: LimitTree, journal: Journal) -> None:
    zone, group = tree.package(0), tree.slice("batch.slice")
    before = tree.limits()
    cap(journal, power_write(zone, 50_000_000), Write(str(group / "cpu.max"), "CPU time", "20000 100000"))
    assert tree.limits() != before
    restored = journal.restore()
    assert tree.limits() == before
    assert restored.is_whole
    assert outcomes(restored) == ["restored", "restored"]
    assert sorted(path.name for path in tree.caps.iterdir()) == ["lock"]
    assert journal.restore() == Restored()


def test_originals_are_on_disk_before_begin_returns(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    journal.begin([power_write(zone, 50_000_000)])
    (entry,) = Journal.read(str(tree.caps), procfs=str(tree.procfs), sysfs=str(tree.sysfs)).entries
    assert (entry.original, entry.wrote, entry.held) == ("95000000\n", "50000000", None)
    assert (tree.caps / "journal.json").stat().st_mode & 0o777 == 0o600
    assert tree.caps.stat().st_mode & 0o777 == 0o700


def test_the_original_stays_the_first_one_however_often_the_cap_changes(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    for power_uw in (60_000_000, 40_000_000, 80_000_000):
        cap(journal, power_write(zone, power_uw))
    assert journal.original(str(zone / "constraint_0_power_limit_uw")) == "95000000"
    (item,) = journal.restore().items
    assert (item.outcome, item.is_foreign, item.found) == ("restored", False, "80000000\n")


def test_they_are_given_back_the_latest_first(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    for number in (0, 1):
        cap(journal, power_write(zone, 50_000_000, f"constraint_{number}_power_limit_uw"))
    paths = [Path(item.path).name for item in journal.restore().items]
    assert paths == ["constraint_1_power_limit_uw", "constraint_0_power_limit_uw"]


def test_only_the_paths_asked_for_are_given_back(tree: LimitTree, journal: Journal) -> None:
    one, other = tree.package(0), tree.package(1)
    cap(journal, power_write(one, 50_000_000), power_write(other, 50_000_000))
    journal.restore([str(other / "constraint_0_power_limit_uw")])
    assert [entry.path for entry in journal.entries] == [str(one / "constraint_0_power_limit_uw")]
    assert (other / "constraint_0_power_limit_uw").read_text() == "95000000\n"
    assert (one / "constraint_0_power_limit_uw").read_text() == "50000000\n"


def test_one_limit_that_cannot_be_written_keeps_no_other_from_its_original(
    tree: LimitTree, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones = [tree.package(number) for number in range(3)]
    cap(journal, *(power_write(zone, 50_000_000) for zone in zones))
    locked = str(zones[1] / "constraint_0_power_limit_uw")
    refuse_to_write(monkeypatch, locked, errno.ENODATA)
    restored = journal.restore()
    assert outcomes(restored) == ["restored", "failed", "restored"]
    assert not restored.is_whole
    assert "the firmware may have locked it" in (restored.failed[0].problem or "")
    (entry,) = Journal.read(str(tree.caps), procfs=str(tree.procfs), sysfs=str(tree.sysfs)).entries
    assert entry.path == locked
    assert entry.problem == restored.failed[0].problem
    monkeypatch.undo()
    assert journal.restore().is_whole
    assert (zones[1] / "constraint_0_power_limit_uw").read_text() == "95000000\n"


def test_a_value_that_the_hardware_does_not_take_is_told_and_stays_journalled(
    tree: LimitTree, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 50_000_000))
    monkeypatch.setattr("jouled.journal.give_back.write_attribute", lambda path, value: None)
    (item,) = journal.restore().items
    assert item.outcome == "failed"
    assert "holds 50000000 instead of 95000000" in (item.problem or "")
    assert len(journal.entries) == 1


def test_what_the_hardware_rounds_is_restored_and_said(
    tree: LimitTree, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tree.package(0)
    path = zone / "constraint_0_power_limit_uw"
    path.write_text("95000100\n")
    cap(journal, power_write(zone, 50_000_000))
    monkeypatch.setattr("jouled.journal.give_back.write_attribute", lambda *_: path.write_text("95000000\n"))
    (item,) = journal.restore().items
    assert (item.outcome, item.holds) == ("restored", "95000000\n")
    assert not journal.entries


def test_another_programs_value_is_overwritten_once_and_named(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 50_000_000))
    (zone / "constraint_0_power_limit_uw").write_text("70000000\n")
    restored = journal.restore()
    assert [item.found for item in restored.foreign] == ["70000000\n"]
    assert (zone / "constraint_0_power_limit_uw").read_text() == "95000000\n"


def test_what_was_ceded_is_left_to_its_new_owner(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    path = str(zone / "constraint_0_power_limit_uw")
    cap(journal, power_write(zone, 50_000_000))
    Path(path).write_text("70000000\n")
    assert [journal.found_foreign(path) for _ in range(3)] == [1, 2, 3]
    journal.cede(path, "thermald")
    (item,) = journal.restore().items
    assert item.outcome == "ceded"
    assert "left to thermald" in (item.problem or "")
    assert Path(path).read_text() == "70000000\n"
    assert not journal.entries


def test_what_was_ceded_but_holds_our_own_value_is_given_back(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    path = str(zone / "constraint_0_power_limit_uw")
    cap(journal, power_write(zone, 50_000_000))
    journal.cede(path, "thermald")
    assert outcomes(journal.restore()) == ["restored"]
    assert Path(path).read_text() == "95000000\n"


def test_a_cap_that_was_changed_only_in_intention_is_still_known_as_ours(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 60_000_000))
    journal.begin([power_write(zone, 40_000_000)])
    assert not journal.restore().foreign


def test_a_zone_with_another_number_is_found_by_its_name(tree: LimitTree, journal: Journal) -> None:
    one, other = tree.package(0), tree.package(1)
    cap(journal, power_write(one, 50_000_000), power_write(other, 60_000_000))
    (other / "constraint_0_power_limit_uw").write_text("60000000\n")
    # Both come back, the other way round.
    spare = tree.powercap / "intel-rapl:7"
    one.rename(spare)
    other.rename(tree.powercap / "intel-rapl:0")
    spare.rename(tree.powercap / "intel-rapl:1")
    (tree.powercap / "intel-rapl:1" / "constraint_0_power_limit_uw").write_text("50000000\n")
    assert outcomes(journal.restore()) == ["restored", "restored"]
    for number in (0, 1):
        assert (tree.powercap / f"intel-rapl:{number}" / "constraint_0_power_limit_uw").read_text() == "95000000\n"


def test_a_zone_under_another_number_keeps_its_first_original(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 50_000_000))
    moved = zone.rename(tree.powercap / "intel-rapl:a")
    cap(journal, power_write(moved, 40_000_000))
    assert [entry.original for entry in journal.entries] == ["95000000\n"]
    journal.restore()
    assert (moved / "constraint_0_power_limit_uw").read_text() == "95000000\n"


def test_a_zone_of_the_other_interface_is_not_taken_for_it(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 50_000_000))
    zone.rename(tree.powercap / "intel-rapl-mmio:0")
    assert outcomes(journal.restore()) == ["gone"]


def test_a_zone_that_is_gone_is_no_failure_and_waits_for_its_return(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 50_000_000))
    away = zone.rename(tree.sysfs / "away")
    restored = journal.restore()
    assert (outcomes(restored), restored.is_whole) == (["gone"], True)
    away.rename(zone)
    assert outcomes(journal.restore()) == ["restored"]
    assert (zone / "constraint_0_power_limit_uw").read_text() == "95000000\n"


def test_a_slice_that_has_ended_took_its_limit_along(tree: LimitTree, journal: Journal) -> None:
    group = tree.slice("batch.slice")
    cap(journal, Write(str(group / "cpu.max"), "CPU time", "20000 100000"))
    # Kept aside, so that its inode is not given out again at once.
    group.rename(tree.sysfs / "ended")
    assert outcomes(journal.restore()) == ["void"]
    assert not journal.entries


def test_a_slice_that_was_made_anew_has_its_own_original(tree: LimitTree, journal: Journal) -> None:
    group = tree.slice("batch.slice")
    cap(journal, Write(str(group / "cpu.max"), "CPU time", "20000 100000"))
    group.rename(tree.sysfs / "ended")
    tree.slice("batch.slice", "70000 100000")
    cap(journal, Write(str(group / "cpu.max"), "CPU time", "30000 100000"))
    assert outcomes(journal.restore()) == ["restored"]
    assert (group / "cpu.max").read_text() == "70000 100000\n"


def test_what_another_boot_has_left_is_void_and_said(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 50_000_000))
    journal.keep_leases([lease()], NOW)
    journal.close()
    (zone / "constraint_0_power_limit_uw").write_text("88000000\n")
    tree.boots("another")
    with opened(tree) as later:
        assert [item.outcome for item in later.voided] == ["void"]
        assert not later.entries
        assert later.leases == (lease(),)
        assert later.restore() == Restored()
    assert (zone / "constraint_0_power_limit_uw").read_text() == "88000000\n"
    with opened(tree) as latest:
        assert not latest.voided


def test_a_kernel_started_by_the_one_before_finds_our_cap_and_gives_it_back(tree: LimitTree, journal: Journal) -> None:
    zone, group = tree.package(0), tree.slice("batch.slice")
    cap(journal, power_write(zone, 50_000_000), Write(str(group / "cpu.max"), "CPU time", "20000 100000"))
    journal.close()
    tree.boots("kexec")
    with opened(tree) as later:
        assert [item.what for item in later.voided] == ["CPU time"]
        assert outcomes(later.restore()) == ["restored"]
    assert (zone / "constraint_0_power_limit_uw").read_text() == "95000000\n"


def test_a_second_controller_is_told_who_is_the_first(tree: LimitTree, journal: Journal) -> None:
    with pytest.raises(HeldError, match=rf"lock is held by jouled \(process {os.getpid()}\)") as raised:
        opened(tree)
    assert raised.value.pid == os.getpid()


def test_a_controller_with_another_state_directory_is_a_second_one_too(tree: LimitTree, tmp_path: Path) -> None:
    guards = [str(tree.powercap)]
    with Journal.open(str(tree.caps), guards=guards), pytest.raises(HeldError, match="another jouled"):
        Journal.open(str(tmp_path / "other"), guards=guards)
    Journal.open(str(tmp_path / "other"), guards=[*guards, str(tmp_path / "none")]).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("uid", [0, 65534])
def test_a_user_who_may_not_write_limits_cannot_keep_a_host_capped_by_a_lock(
    tree: LimitTree, tmp_path: Path, uid: int
) -> None:
    held = os.open(tree.powercap, os.O_RDONLY)
    code = (
        "import fcntl, os, sys; os.setuid(int(sys.argv[2])); fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.read()"
    )
    program = [sys.executable, "-c", code, str(held), str(uid)]
    other = subprocess.Popen(program, pass_fds=[held], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout is not None
        other.stdout.readline()
        if uid == 0:
            with pytest.raises(HeldError, match="another jouled"):
                Journal.open(str(tmp_path / "other"), guards=[str(tree.powercap)])
        else:
            Journal.open(str(tmp_path / "other"), guards=[str(tree.powercap)]).close()
        other.communicate(timeout=60)
    os.close(held)


def test_the_lock_ends_with_its_process(tree: LimitTree) -> None:
    code = (
        "import sys; from jouled.journal import Journal; Journal.open(sys.argv[1]); import os; os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tree.caps)], check=False).returncode == -9
    opened(tree).close()


def test_a_full_disk_refuses_the_cap_and_harms_nothing(
    tree: LimitTree, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone, other = tree.package(0), tree.package(1)
    cap(journal, power_write(zone, 50_000_000))
    before = (tree.caps / "journal.json").read_bytes()
    fill_disk(monkeypatch)
    with pytest.raises(JournalError, match=r"journal.json: no space left on device; no limit is changed until"):
        journal.begin([power_write(other, 50_000_000)])
    assert (tree.caps / "journal.json").read_bytes() == before
    assert sorted(path.name for path in tree.caps.iterdir()) == ["journal.json", "lock"]
    assert len(journal.entries) == 1
    with pytest.raises(JournalError):
        journal.keep_leases([lease()], NOW)
    assert journal.leases == ()
    # Giving back needs no room: the file is removed.
    assert journal.restore().is_whole
    assert (zone / "constraint_0_power_limit_uw").read_text() == "95000000\n"


def test_on_a_full_disk_limits_are_given_back_though_the_journal_cannot_say_so(
    tree: LimitTree, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 50_000_000))
    journal.keep_leases([lease()], NOW)
    fill_disk(monkeypatch)
    restored = journal.restore()
    assert outcomes(restored) == ["restored"]
    assert "no space left" in (restored.problem or "")
    journal.close()
    monkeypatch.undo()
    with opened(tree) as later:
        assert outcomes(later.restore()) == ["already"]


def test_on_a_disk_that_became_read_only_limits_are_given_back_all_the_same(
    tree: LimitTree, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 50_000_000))
    journal.close()
    really, removed = os.open, os.unlink

    def opening(path: str, flags: int, *more: int, **where: int) -> int:
        if where and flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system")
        return really(path, flags, *more, **where)

    def unlinking(path: str, **where: int) -> None:
        if where:
            raise OSError(errno.EROFS, "Read-only file system")
        removed(path, **where)

    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "unlink", unlinking)
    with opened(tree) as later:
        with pytest.raises(HeldError):
            opened(tree)
        restored = later.restore()
    assert outcomes(restored) == ["restored"]
    assert "read-only file system" in (restored.problem or "")
    assert (zone / "constraint_0_power_limit_uw").read_text() == "95000000\n"


def test_a_value_read_back_on_a_full_disk_is_no_error(
    tree: LimitTree, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tree.package(0)
    path = str(zone / "constraint_0_power_limit_uw")
    journal.begin([power_write(zone, 50_000_000)])
    fill_disk(monkeypatch)
    journal.wrote(path, "49875000\n")
    assert journal.found_foreign(path) == 1
    journal.cede(path, "thermald")
    entry = journal.entry(path)
    assert entry is not None
    assert (entry.held, entry.ceded_to) == ("49875000", "thermald")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no journal of jouled"),
        (b'{"version": 2, "new": 1}', "of version 2, and this jouled knows 1"),
        (b'{"version": 1}', "no journal of jouled"),
        (b"x" * (1024 * 1024 + 1), "larger than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_journal_is_never_taken_for_none(tree: LimitTree, content: bytes, said: str) -> None:
    tree.caps.mkdir(parents=True)
    (tree.caps / "journal.json").write_bytes(content)
    for way in (Journal.open, Journal.read):
        with pytest.raises(JournalError, match=said):
            way(str(tree.caps))
    assert (tree.caps / "journal.json").read_bytes() == content
    # And the lock is free again.
    (tree.caps / "journal.json").unlink()
    opened(tree).close()


def test_a_torn_journal_tells_what_can_be_read_of_it(tree: LimitTree, journal: Journal) -> None:
    zones = [tree.package(number) for number in range(2)]
    cap(journal, *(power_write(zone, 50_000_000) for zone in zones))
    journal.close()
    file = tree.caps / "journal.json"
    file.write_bytes(file.read_bytes()[:-400])
    with pytest.raises(JournalError, match=rf"write by hand 95000000 into {zones[0]}/constraint_0_power_limit_uw"):
        opened(tree)


@pytest.mark.parametrize(
    ("path", "original"),
    [
        ("/etc/passwd", "95000000"),
        ("/etc/enabled/../passwd", "1"),
        ("enabled", "1"),
        ("/sys/class/powercap/intel-rapl:0/enabled", "root::0:0:::"),
    ],
)
def test_a_journal_makes_nobody_write_anything_but_limits(tree: LimitTree, path: str, original: str) -> None:
    tree.caps.mkdir(parents=True)
    entry = {"path": path, "original": original, "what": "x", "wrote": "1"}
    page = {"version": 1, "boot_id": None, "holder": "x", "entries": [entry]}
    (tree.caps / "journal.json").write_text(json.dumps(page))
    with pytest.raises(JournalError, match=r"is no file of a limit|is no value of a limit"):
        opened(tree)


def test_a_journal_that_is_a_link_is_not_followed(tree: LimitTree, tmp_path: Path) -> None:
    tree.caps.mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("{}")
    (tree.caps / "journal.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match=r"read .*journal\.json"):
        opened(tree)


def test_a_leftover_or_a_link_in_the_place_of_the_new_file_is_replaced(tree: LimitTree, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    zone = tree.package(0)
    with opened(tree) as journal:
        (tree.caps / "journal.json.new").symlink_to(tmp_path / "victim")
        journal.begin([power_write(zone, 50_000_000)])
    assert (tmp_path / "victim").read_text() == "mine"
    assert len(on_disk(tree)["entries"]) == 1  # type: ignore[arg-type]  # a list


def test_an_attribute_that_is_a_link_is_not_written(tree: LimitTree, journal: Journal, tmp_path: Path) -> None:
    zone = tree.package(0)
    path = zone / "constraint_0_power_limit_uw"
    path.unlink()
    (tmp_path / "victim").write_text("1")
    path.symlink_to(tmp_path / "victim")
    begun = journal.begin([power_write(zone, 50_000_000)])
    assert begun.writes == ()
    assert "it is not written, for it could not be given back" in begun.problems[0]


def test_only_what_can_be_given_back_may_be_written(tree: LimitTree, journal: Journal) -> None:
    zone, other = tree.package(0), tree.package(1)
    strange = power_write(other, 50_000_000)._replace(identity=(str(other / "name"), "package-7"))
    missing = Write(str(zone / "constraint_9_power_limit_uw"), "x", "1")
    not_ours = Write(str(zone / "name"), "x", "1")
    good = power_write(zone, 50_000_000)
    begun = journal.begin([strange, missing, good, not_ours])
    assert begun.writes == (good,)
    assert [problem.rpartition("/")[2].partition(";")[0] for problem in begun.problems] == [
        "constraint_0_power_limit_uw: it is no longer a file of package-7",
        "constraint_9_power_limit_uw: no such file or directory",
        "name' is no file of a limit",
    ]
    assert len(journal.entries) == 1


def test_leases_and_policy_are_there_in_the_next_life(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 50_000_000))
    journal.keep_leases([lease()], NOW)
    journal.keep_policy("hold")
    journal.close()
    with opened(tree) as later:
        assert (later.leases, later.leases_at, later.policy, later.left) == ((lease(),), NOW, "hold", None)
        later.leave("hold")
    with opened(tree) as latest:
        left = latest.left
        assert left == "hold"
        cap(latest, power_write(zone, 40_000_000))
        assert latest.left is None
        latest.restore()
        assert on_disk(tree)["entries"] == []
        latest.keep_leases(())
        assert not (tree.caps / "journal.json").exists()


def test_the_safe_cap_that_was_prepared_is_written_in_its_place(tree: LimitTree, journal: Journal) -> None:
    zone, group = tree.package(0), tree.slice("batch.slice")
    path = zone / "constraint_0_power_limit_uw"
    cap(journal, power_write(zone, 50_000_000), Write(str(group / "cpu.max"), "CPU time", "20000 100000"))
    journal.keep_policy("safe", [power_write(zone, 65_000_000)])
    assert outcomes(journal.would_restore(is_safe=True)) == ["restored", "made-safe"]
    assert path.read_text() == "50000000\n"
    restored = journal.restore(is_safe=True)
    assert outcomes(restored) == ["restored", "made-safe"]
    assert restored.is_whole
    assert path.read_text() == "65000000"
    assert (journal.left, len(journal.entries)) == ("safe", 1)
    # The original is not lost by it.
    assert not journal.restore().foreign
    assert path.read_text() == "95000000\n"


def test_looking_changes_nothing(tree: LimitTree, journal: Journal) -> None:
    zone = tree.package(0)
    cap(journal, power_write(zone, 50_000_000))
    before = tree.limits()
    seen = Journal.read(str(tree.caps), procfs=str(tree.procfs), sysfs=str(tree.sysfs))
    (item,) = seen.would_restore().items
    assert (item.outcome, item.found, item.holds, item.original) == ("restored", "50000000\n", None, "95000000\n")
    assert tree.limits() == before
    with pytest.raises(JournalError, match="only opened to be read"):
        seen.keep_leases([lease()], NOW)


def test_what_is_said_twice_is_written_once(tree: LimitTree, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = tree.package(0)
    saves = []
    real = files.save

    def save(directory: str, content: bytes | None) -> None:
        saves.append(content)
        real(directory, content)

    monkeypatch.setattr(files, "save", save)
    cap(journal, power_write(zone, 50_000_000))
    cap(journal, power_write(zone, 50_000_000))
    assert len(saves) <= 2


def test_what_root_makes_in_the_daemons_directory_belongs_to_the_daemon(tree: LimitTree) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a directory of another user")
    zone = tree.package(0)
    tree.caps.parent.mkdir()
    os.chown(tree.caps.parent, 12345, 12345)
    with opened(tree) as journal:
        cap(journal, power_write(zone, 50_000_000))
    owners = {path.stat().st_uid for path in (tree.caps, *tree.caps.iterdir())}
    assert owners == {12345}


def lease() -> Lease:
    return Lease("operator", 150.0, until=NOW + timedelta(hours=1), since=NOW, reason="a test")


def refuse_to_write(monkeypatch: pytest.MonkeyPatch, refused: str, number: int) -> None:
    real = files.write_attribute

    def write(path: str, value: str) -> None:
        if path == refused:
            raise OSError(number, os.strerror(number), path)
        real(path, value)

    monkeypatch.setattr("jouled.journal.give_back.write_attribute", write)


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files can be made, and nothing fits into them; limits are on no disk."""

    def put(name: str, content: bytes, place: int) -> None:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=place))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    monkeypatch.setattr(files, "_put", put)
