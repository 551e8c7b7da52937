"""What is left behind when the daemon ends, and what the next one makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from actuators import FakeActuator
from balanced import NOON, FakePlant, balancing, drawn_w, fleet_of, settings
from jouled.balance.fleet.words import Span
from jouled.control.site.election import Elector, FileBallot
from jouled.control.site.originals import Kept, Originals, directory_of, is_left
from jouled.control.site.restoring import left_behind, restore
from jouled.journal import HeldError, JournalError
from jouled.journal.files import FILE
from jouled.loads.protocol import LoadError


async def shed_then_end(
    folder: Path, loads: list[FakeActuator], on_exit: str, *, ends: bool = True, power_w: float = 20_000.0
) -> None:
    plant = FakePlant(40_000.0)
    async with balancing(folder, loads, plant, config=settings(on_exit=on_exit), ends=ends):
        await trio.sleep(30)
        plant.say(power_w)
        await trio.sleep(60)
        assert drawn_w(loads) < 25_000.0


async def test_by_default_loads_stay_as_they_are(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10)
    await shed_then_end(tmp_path, loads, "hold")
    assert drawn_w(loads) <= 20_000.0
    assert not any(load.given_back for load in loads)
    assert is_left(str(tmp_path))


async def test_restore_gives_each_back_as_it_was_found_and_forgets_it(tmp_path: Path, autojump_clock: object) -> None:
    loads = [*fleet_of(5), *[FakeActuator(f"other-{n}", point="2620") for n in range(5)]]
    before = {load.id: load.point for load in loads}
    await shed_then_end(tmp_path, loads, "restore", power_w=15_000.0)
    assert {load.id: load.point for load in loads} == before
    assert not is_left(str(tmp_path))


async def test_the_one_that_was_elected_is_so_until_it_has_left_the_loads_as_on_exit_says(tmp_path: Path) -> None:
    loads, lead = fleet_of(2), Elector(FileBallot(str(tmp_path)), look_s=0.01)
    config = settings(on_exit="restore")
    async with balancing(tmp_path, loads, FakePlant(40_000.0), config=config, lead=lead) as balancer:
        with trio.fail_after(30):
            await lead.wait()
        for load in loads:
            balancer.originals.put(Kept(load.id, load.kind, load.id, await load.original(), NOON))
    assert [len(load.given_back) for load in loads] == [1, 1]
    assert not is_left(str(tmp_path))
    # And then it is the next one's at once.
    next_one = FileBallot(str(tmp_path))
    assert next_one.take()
    next_one.let_go()


async def test_what_cannot_be_given_back_in_time_stays_in_the_journal_with_the_reason(
    tmp_path: Path, autojump_clock: object
) -> None:
    loads = fleet_of(10)
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant, config=settings(on_exit="restore")):
        await trio.sleep(30)
        plant.say(5_000.0)
        await trio.sleep(60)
        loads[0].refuses = "it is being tuned"
        loads[1].hangs = True
        began_s = trio.current_time()
    assert trio.current_time() - began_s < 2.0
    kept = {one.load: one for one in left_behind(settings().__class__(state_dir=str(tmp_path)))}
    assert set(kept) == {"miner-0000", "miner-0001"}
    assert "it is being tuned" in (kept["miner-0000"].problem or "")


async def test_safe_leaves_each_that_was_changed_at_its_least_and_raises_none(
    tmp_path: Path, autojump_clock: object
) -> None:
    loads = [*fleet_of(8), FakeActuator("host", span=Span(100.0, 400.0)), FakeActuator("small", point="1100")]
    await shed_then_end(tmp_path, loads, "safe", power_w=12_000.0)
    assert {load.point for load in loads if load.applied and load.span is None} <= {"1100", "off"}
    assert drawn_w(loads) <= 12_000.0


async def test_the_next_life_takes_the_loads_as_they_are_and_keeps_what_was_found_first(
    tmp_path: Path, autojump_clock: object
) -> None:
    loads = fleet_of(10)
    await shed_then_end(tmp_path, loads, "hold", ends=False)
    first = {one.load: one.original for one in left_behind(settings().__class__(state_dir=str(tmp_path)))}
    assert first
    applied = [load.calls["apply"] for load in loads]
    # Meanwhile the plant is well again, and a user has set one of them.
    loads[0].set_point("2620")
    async with balancing(tmp_path, loads, FakePlant(40_000.0), config=settings(on_exit="restore")) as balancer:
        await trio.sleep(10)
        # Nothing is raised by the mere start.
        assert [load.calls["apply"] for load in loads] == applied
        assert balancer.status().band in {"hold", "raise"}
        await trio.sleep(1800)
        assert drawn_w(loads) > 25_000.0
    assert all(load.point == first[load.id]["point"] for load in loads if load.id in first)


async def test_after_a_kill_in_the_middle_of_a_shed_each_load_is_in_a_state_that_the_next_one_knows(
    tmp_path: Path, autojump_clock: object
) -> None:
    loads = fleet_of(10)
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant, ends=False):
        await trio.sleep(30)
        for load in loads[::2]:
            load.slow_s = 5.0  # these have not been told yet when the daemon is killed
        plant.say(10_000.0)
        await trio.sleep(2)
    told = {load.id for load in loads if load.applied}
    assert 0 < len(told) < len(loads)
    for load in loads:
        load.slow_s = 0.0
    async with balancing(tmp_path, loads, plant) as balancer:
        await trio.sleep(30)
        assert drawn_w(loads) <= 10_000.0
        await trio.sleep(30)
        assert not balancer.status().pending
        seen = {member.id: member.seen for member in balancer.fleet.members(trio.current_time())}
        assert all(seen[load.id].point == load.point for load in loads)  # type: ignore[union-attr]  # each was seen


async def test_the_original_is_on_the_disk_before_the_first_order(tmp_path: Path, autojump_clock: object) -> None:
    seen: dict[str, str] = {}

    class Looking(FakeActuator):
        async def apply(self, order: object) -> None:
            text = Path(directory_of(str(tmp_path)), FILE).read_text()  # noqa: ASYNC240  (a small file)
            seen[self.id] = next(one for one in json.loads(text)["loads"] if one["load"] == self.id)["original"][
                "point"
            ]
            await super().apply(order)  # type: ignore[arg-type]  # an order

    loads = [Looking(f"miner-{number}") for number in range(5)]
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant):
        await trio.sleep(30)
        plant.say(8_000.0)
        await trio.sleep(30)
    assert len(seen) >= 3
    assert set(seen.values()) == {"3200"}


async def test_where_originals_cannot_be_kept_only_what_is_urgent_is_done(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise JournalError("write loads: no space left on device; make room")

    loads = fleet_of(10, "1100")
    plant = FakePlant(20_000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        monkeypatch.setattr(Originals, "_write", full)
        await trio.sleep(300)
        assert drawn_w(loads) == 11_000.0
        assert any("could not be given back" in (event.error_message or "") for event in balancer.events())
        plant.say(8_000.0)
        await trio.sleep(30)
        assert drawn_w(loads) <= 8_000.0


def test_a_second_daemon_of_the_same_state_directory_is_refused_by_name(tmp_path: Path) -> None:
    first = Originals.open(directory_of(str(tmp_path)))
    with pytest.raises(HeldError, match=r"jouled \(process \d+\) balances the loads"):
        Originals.open(directory_of(str(tmp_path)))
    first.close()
    Originals.open(directory_of(str(tmp_path))).close()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 99}', '{"version": "1"}', "\0" * 100])
def test_a_file_that_is_none_of_ours_is_never_taken_for_an_empty_one(tmp_path: Path, content: str) -> None:
    folder = Path(directory_of(str(tmp_path)))
    folder.mkdir()
    (folder / FILE).write_text(content)
    with pytest.raises(JournalError, match=FILE):
        Originals.open(str(folder))
    # And the lock is not held on by the attempt.
    (folder / FILE).unlink()
    Originals.open(str(folder)).close()


def test_loads_are_restored_by_hand_without_the_daemon(tmp_path: Path) -> None:
    loads = {load.id: load for load in fleet_of(3)}

    async def shed() -> None:
        await shed_then_end(tmp_path, list(loads.values()), "hold", ends=False, power_w=3_000.0)

    trio.run(shed, clock=trio.testing.MockClock(autojump_threshold=0))
    assert any(load.point != "3200" for load in loads.values())
    loads["miner-0001"].refuses = "it is being tuned"
    config = settings().__class__(state_dir=str(tmp_path))
    done = restore(config, lambda *_: list(loads.values()))
    assert {left.load: left.problem for left in done if left.problem} == {"miner-0001": "miner-0001: it is being tuned"}
    assert {load.id for load in loads.values() if load.point == "3200"} >= {"miner-0000", "miner-0002"}
    assert [one.load for one in left_behind(config)] == ["miner-0001"]
    loads["miner-0001"].refuses = None
    assert [left.problem for left in restore(config, lambda *_: list(loads.values()))] == [None]
    assert restore(config) == ()


def test_restoring_by_hand_is_refused_while_the_daemon_runs(tmp_path: Path) -> None:
    held = Originals.open(directory_of(str(tmp_path)))
    with pytest.raises(HeldError, match="stop it"):
        restore(settings().__class__(state_dir=str(tmp_path)))
    held.close()


async def test_an_original_that_is_no_state_of_a_device_is_refused(tmp_path: Path, autojump_clock: object) -> None:
    class Chatty(FakeActuator):
        async def original(self) -> dict[str, object]:
            if self.is_away:
                raise LoadError("away")
            return {"log": "x" * 5000}

    loads = [Chatty("chatty", point="1100"), *fleet_of(2, "1100")]
    async with balancing(tmp_path, loads, FakePlant(20_000.0)) as balancer:
        await trio.sleep(300)
        assert any("bytes" in (event.error_message or "") for event in balancer.events("chatty"))
        assert not loads[0].applied
