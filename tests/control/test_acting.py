"""The hands on files: what is written and given back, who else wrote, what went away, and what does not take it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from capped_hosts import PL1, PL2, Host, kinds, wanted
from jouled.balance.leases import Leases
from jouled.balance.writes import Write
from jouled.config.caps import Caps as Settings
from jouled.control.caps.drift import FOREIGN_MAX, PEACE_S
from jouled.control.caps.turns import KeptLeases, Wanted
from jouled.errors import ConflictError
from jouled.journal import JournalError, give_back, intent
from jouled.journal.files import write_attribute
from jouled.loads.rapl import Rapl
from jouled.loads.writing import Applied

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
SAFE = Settings(enabled=True, on_exit="safe", safe_w=60.0)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_cap_is_divided_over_sockets_written_read_back_and_given_back(host: Host) -> None:
    hands = host.hands()
    outcome = hands.turn(wanted(100))
    assert [host.limit(socket, limit) for socket in (0, 1) for limit in (PL1, PL2)] == [50_000_000] * 4
    assert outcome.writes == 4
    assert outcome.problems == ()
    assert (outcome.least_w, outcome.most_w) == (2.0, 190.0)
    outcome = hands.turn(wanted(None))
    assert host.is_as_it_was
    assert outcome.entries == ()
    assert not (host.tree.caps / "journal.json").exists()


def test_a_turn_that_finds_everything_as_it_should_be_writes_nothing(host: Host) -> None:
    hands = host.hands()
    hands.turn(wanted(100))
    before = {path: path.stat().st_mtime_ns for path in host.tree.powercap.rglob("*")}
    journal = (host.tree.caps / "journal.json").stat().st_mtime_ns
    for _ in range(3):
        assert hands.turn(wanted(100)).writes == 0
    assert {path: path.stat().st_mtime_ns for path in host.tree.powercap.rglob("*")} == before
    assert (host.tree.caps / "journal.json").stat().st_mtime_ns == journal


def test_without_a_cap_nothing_is_written(host: Host) -> None:
    before = {path: path.stat().st_mtime_ns for path in host.tree.powercap.rglob("*")}
    hands = host.hands()
    for _ in range(3):
        hands.turn(wanted(None))
    hands.leave(KeptLeases())
    assert {path: path.stat().st_mtime_ns for path in host.tree.powercap.rglob("*")} == before


def test_another_programs_write_is_named_and_undone_and_the_third_time_left_to_it(host: Host) -> None:
    (host.tree.procfs / "812").mkdir()
    (host.tree.procfs / "812" / "comm").write_text("thermald\n")
    hands = host.hands()
    hands.turn(wanted(100))
    for _ in range(2):
        host.write(0, 90_000_000)
        outcome = hands.turn(wanted(100))
        (happening,) = outcome.happenings
        assert happening.kind == "cap_foreign"
        assert happening.note == (
            "package-0 long_term (intel-rapl:0): 90 W instead of 50 W, by thermald (process 812); written again"
        )
        assert outcome.foreign == (("package", "0"),)
        assert host.limit(0) == 50_000_000
    host.write(0, 90_000_000)
    outcome = hands.turn(wanted(100))
    assert kinds(outcome) == ["cap_ceded"]
    for _ in range(2):
        assert hands.turn(wanted(100)).foreign == ()
        assert host.limit(0) == 90_000_000
        assert host.limit(1) == 50_000_000  # the cap stays in force elsewhere
    assert {entry.path.split("/")[-2]: entry.ceded_to for entry in outcome.entries} == {
        "intel-rapl:0": "thermald (process 812)",
        "intel-rapl:1": None,
    }
    outcome = hands.turn(wanted(None))
    assert host.limit(0) == 90_000_000
    assert host.limit(0, PL2) == 118_750_000
    assert host.limit(1) == 95_000_000
    assert any("left to thermald" in problem for problem in outcome.problems)
    # A new cap is a new start.
    assert hands.turn(wanted(100)).writes == 4
    assert host.limit(0) == 50_000_000


def test_one_who_writes_now_and_then_is_never_given_up_to(host: Host) -> None:
    hands = host.hands()
    hands.turn(wanted(100))
    for _ in range(10):
        host.write(1, 95_000_000)
        assert kinds(hands.turn(wanted(100))) == ["cap_foreign"]
        host.now_s += PEACE_S
        hands.turn(wanted(100))
    assert host.limit(1) == 50_000_000


def test_after_a_suspend_what_the_firmware_set_is_nobodys_fault_and_written_again(host: Host) -> None:
    hands = host.hands()
    hands.turn(wanted(100))
    for _ in range(5):
        host.write(0, 95_000_000)
        outcome = hands.turn(wanted(100, has_slept=True))
        assert outcome.happenings == ()
        assert host.limit(0) == 50_000_000


def test_a_socket_that_is_unplugged_is_said_once_and_capped_again_when_it_returns(host: Host, tmp_path: Path) -> None:
    hands = host.hands()
    hands.turn(wanted(100))
    away = tmp_path / "away"
    host.zones[1].rename(away)
    outcome = hands.turn(wanted(100))
    assert kinds(outcome) == ["zone_gone", "zone_gone"]  # long_term and short_term
    assert host.limit(0) == 95_000_000  # it has all of the budget, as far as it may
    assert kinds(hands.turn(wanted(100))) == []
    # It returns with another number, and with the limits of the firmware.
    host.zones[1] = host.tree.powercap / "intel-rapl:3"
    away.rename(host.zones[1])
    host.write(1, 95_000_000)
    host.write(1, 118_750_000, PL2)
    outcome = hands.turn(wanted(100))
    assert kinds(outcome) == ["zone_back", "zone_back"]
    assert outcome.foreign == ()
    assert [host.limit(0), host.limit(1)] == [50_000_000, 50_000_000]
    hands.turn(wanted(None))
    assert [host.limit(socket, limit) for socket in (0, 1) for limit in (PL1, PL2)] == [95_000_000, 118_750_000] * 2
    assert not (host.tree.caps / "journal.json").exists()


def test_a_new_socket_gets_its_share(host: Host) -> None:
    hands = host.hands()
    hands.turn(wanted(90))
    host.zones.append(host.tree.package(2))
    hands.turn(wanted(90))
    assert [host.limit(socket) for socket in range(3)] == [30_000_000] * 3
    hands.turn(wanted(None))
    assert [host.limit(socket) for socket in range(3)] == [95_000_000] * 3


def test_a_zone_that_is_gone_for_good_does_not_hold_the_others(host: Host) -> None:
    hands = host.hands()
    hands.turn(wanted(100))
    shutil.rmtree(host.zones[0])
    outcome = hands.turn(wanted(None))
    assert host.limit(1) == 95_000_000
    assert outcome.unrestored == 0
    assert len(outcome.entries) == 2  # it may return
    assert any("is gone" in problem for problem in outcome.problems)


def test_a_full_disk_refuses_a_cap_and_harms_nothing_that_is_journalled(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = host.hands()
    hands.turn(wanted(100))
    journal = (host.tree.caps / "journal.json").read_bytes()
    host.tree.package(2)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("jouled.journal.files.os.fsync", full)
        with pytest.raises(JournalError, match="no space left on device"):
            hands.turn(wanted(60))
        assert [host.limit(0), host.limit(1)] == [50_000_000, 50_000_000]
        # What is there can be given back all the same.
        outcome = hands.turn(wanted(None))
        assert host.limit(0) == 95_000_000
        assert outcome.problems
    assert json.loads(journal)["entries"]


class Stubborn:
    """Limits of which some take no write: path to the problem, and what they keep."""

    def __init__(self, rapl: Rapl) -> None:
        self._rapl = rapl
        self.refusals: dict[str, str] = {}

    def read(self):  # type: ignore[no-untyped-def]  # as Rapl's
        return self._rapl.read()

    def apply(self, writes: Iterable[Write], on_write: Callable[[Applied], None] | None = None) -> tuple[Applied, ...]:
        done: list[Applied] = []
        for write in writes:
            if (problem := self.refusals.get(write.path)) is None:
                done.extend(self._rapl.apply([write], on_write))
                continue
            done.append(Applied(write, None, problem, "locked"))
            if on_write is not None:
                on_write(done[-1])
        return tuple(done)


class Deaf:
    """Limits that take every write and keep what they held, but for those that hear."""

    def __init__(self, rapl: Rapl) -> None:
        self._rapl = rapl
        self.hears: set[str] = set()

    def read(self):  # type: ignore[no-untyped-def]  # as Rapl's
        return self._rapl.read()

    def apply(self, writes: Iterable[Write], on_write: Callable[[Applied], None] | None = None) -> tuple[Applied, ...]:
        done: list[Applied] = []
        for write in writes:
            if write.path in self.hears:
                done.extend(self._rapl.apply([write], on_write))
                continue
            held = Path(write.path).read_text().strip()
            done.append(Applied(write, held, f"write {write.path}: it holds {int(held) / 1e6:g} W", "other"))
            if on_write is not None:
                on_write(done[-1])
        return tuple(done)


def test_a_limit_that_takes_no_write_is_said_once_counted_each_time_and_nobody_else_is_blamed(host: Host) -> None:
    made: list[Stubborn] = []

    def stubborn(rapl: Rapl) -> Rapl:
        made.append(Stubborn(rapl))
        return made[0]  # type: ignore[return-value]  # of the same shape

    hands = host.hands(apply=stubborn)
    path = str(host.zones[0] / PL1)
    made[0].refusals[path] = f"write {path}: no data; unlock it in the firmware"
    outcome = hands.turn(wanted(100))
    assert kinds(outcome) == ["cap_failed"]
    assert outcome.problems == (f"write {path}: no data; unlock it in the firmware",)
    assert host.limit(1) == 50_000_000  # one zone that fails does not stop the others
    outcome = hands.turn(wanted(100))
    assert kinds(outcome) == []
    assert outcome.failed == (("package", "0"),)
    assert outcome.foreign == ()
    assert outcome.problems == (f"write {path}: no data; unlock it in the firmware",)
    made[0].refusals.clear()
    outcome = hands.turn(wanted(100))
    assert kinds(outcome) == ["cap_recovered"]
    assert outcome.problems == ()
    hands.turn(wanted(None))
    assert host.is_as_it_was


def test_limits_that_keep_what_they_held_are_writes_that_failed(host: Host) -> None:
    """As registers do that the firmware has locked: the kernel says nothing."""
    made: list[Deaf] = []

    def deaf(rapl: Rapl) -> Rapl:
        made.append(Deaf(rapl))
        return made[0]  # type: ignore[return-value]  # of the same shape

    hands = host.hands(apply=deaf)
    outcome = hands.turn(wanted(100))
    assert set(outcome.failed) == {("package", "0"), ("package", "1")}
    assert outcome.writes == 0
    assert len(outcome.problems) == 4
    assert "it holds 95 W" in outcome.problems[0]
    # Where one of them takes it there is a cap, if not all of it.
    made[0].hears = {str(host.zones[0] / PL1)}
    assert hands.turn(wanted(100)).writes > 0


def test_what_other_limits_hold_already_is_told_beside_the_one_that_takes_no_write(host: Host) -> None:
    made: list[Stubborn] = []

    def stubborn(rapl: Rapl) -> Rapl:
        made.append(Stubborn(rapl))
        return made[0]  # type: ignore[return-value]  # of the same shape

    hands = host.hands(apply=stubborn)
    made[0].refusals = {str(host.zones[0] / limit): "locked" for limit in (PL1, PL2)}
    hands.turn(wanted(100))
    # So little more that it is rounded away: there is nothing to write, and a cap all the same.
    outcome = hands.turn(wanted(100.1))
    assert (outcome.writes, len(outcome.failed), outcome.holding) == (0, 2, 2)
    made[0].refusals |= {str(host.zones[1] / limit): "locked" for limit in (PL1, PL2)}
    assert hands.turn(wanted(90)).holding == 0


def test_a_limit_whose_original_cannot_be_kept_is_not_written_and_counts_as_failed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intent, "ENTRIES_MAX", 0)
    outcome = host.hands().turn(wanted(100))
    assert set(outcome.failed) == {("package", "0"), ("package", "1")}
    assert outcome.writes == 0
    assert "could not be given back" in outcome.problems[0]
    assert host.is_as_it_was


def test_hardware_that_takes_a_part_of_its_original_is_no_other_program(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = host.hands()
    hands.turn(wanted(100))

    def clamped(path: str, value: str) -> None:
        write_attribute(path, str(min(int(value), 90_000_000)))

    monkeypatch.setattr(give_back, "write_attribute", clamped)
    hands.turn(wanted(None))
    for _ in range(FOREIGN_MAX + 1):
        outcome = hands.turn(wanted(None))
        assert kinds(outcome) == []
        assert outcome.unrestored == 4
    monkeypatch.undo()
    hands.turn(wanted(None))
    assert host.is_as_it_was


def test_a_dry_run_says_what_it_would_write_once_and_touches_nothing(host: Host) -> None:
    hands = host.hands(Settings(enabled=True, dry_run=True))
    outcome = hands.turn(wanted(100))
    (happening,) = outcome.happenings
    assert happening.note.startswith("dry run: would write 50000000 into ")
    assert "package-1 short_term" in happening.note
    assert hands.turn(wanted(100)).happenings == ()
    assert len(hands.planned(100).writes) == 4
    assert hands.turn(wanted(None)).happenings == ()
    assert hands.leave(KeptLeases()) == ()
    assert host.is_as_it_was
    assert not host.tree.caps.exists()


def test_a_plan_shows_what_is_there_and_what_would_be(host: Host) -> None:
    hands = host.hands()
    hands.turn(wanted(None))
    plan = hands.planned(100)
    assert (plan.asked_watts, plan.expected_watts) == (100, 100.0)
    assert [(write.before, write.after) for write in plan.writes] == [
        ("95000000", "50000000"),
        ("118750000", "50000000"),
    ] * 2
    assert host.is_as_it_was


def test_restore_at_the_end_gives_everything_back_and_lets_the_next_daemon_in(host: Host) -> None:
    hands = host.hands()
    hands.turn(wanted(100))
    assert hands.leave(KeptLeases()) == ()
    assert host.is_as_it_was
    with pytest.raises(ConflictError, match="stopping"):
        hands.turn(wanted(100))
    host.hands().close()


def test_hold_at_the_end_leaves_all_as_it_is_and_the_next_life_gives_back_the_first_originals(host: Host) -> None:
    hands = host.hands(Settings(enabled=True, on_exit="hold"))
    hands.turn(wanted(100))
    assert hands.leave(KeptLeases()) == ()
    assert host.limit(0) == 50_000_000
    again = host.hands(Settings(enabled=True, on_exit="hold"))
    again.turn(wanted(80, has_slept=True))
    assert host.limit(0) == 40_000_000
    again.turn(wanted(None))
    assert host.is_as_it_was


def test_safe_at_the_end_leaves_the_safe_cap_and_the_originals_in_the_journal(host: Host) -> None:
    hands = host.hands(SAFE)
    hands.turn(wanted(100))
    assert hands.leave(KeptLeases()) == ()
    assert [host.limit(0), host.limit(1)] == [30_000_000, 30_000_000]
    host.hands().turn(wanted(None))
    assert host.is_as_it_was


def test_safe_at_the_end_caps_also_where_nobody_had_asked_for_a_cap(host: Host) -> None:
    hands = host.hands(SAFE)
    hands.turn(wanted(None))
    hands.leave(KeptLeases())
    assert [host.limit(0), host.limit(1)] == [30_000_000, 30_000_000]


def test_safe_at_the_end_leaves_to_another_program_what_was_left_to_it_before(host: Host) -> None:
    hands = host.hands(SAFE)
    hands.turn(wanted(100))
    for _ in range(FOREIGN_MAX):
        host.write(0, 90_000_000)
        hands.turn(wanted(100))
    hands.leave(KeptLeases())
    assert [host.limit(0), host.limit(1)] == [90_000_000, 30_000_000]


def test_a_journal_that_somebody_removed_is_there_again_after_the_next_look(host: Host) -> None:
    hands = host.hands()
    hands.turn(wanted(100))
    before = (host.tree.caps / "journal.json").read_bytes()
    shutil.rmtree(host.tree.caps)
    assert hands.turn(wanted(100)).problems == ()
    assert (host.tree.caps / "journal.json").read_bytes() == before


def test_while_a_cap_holds_the_journal_knows_the_safe_one_for_whoever_comes_after_a_kill(host: Host) -> None:
    hands = host.hands(SAFE)
    hands.turn(wanted(100))
    page = json.loads((host.tree.caps / "journal.json").read_text())
    assert page["policy"] == "safe"
    assert [entry["safe"] for entry in page["entries"]] == ["30000000"] * 4


def test_renewing_a_lease_again_and_again_does_not_keep_the_disk_busy(host: Host) -> None:
    hands = host.hands()
    written = set()
    for now_s in range(0, 600, 20):
        leases = Leases().with_one("python:1:1", 100, 60, None, float(now_s))
        leases = Leases((leases.held[0]._replace(since_s=0.0),))
        hands.turn(Wanted(100, KeptLeases(leases.held, leases.shown(NOON), NOON)))
        written.add((host.tree.caps / "journal.json").read_text())
    assert len(written) == 10
