"""The keeper of caps with hands that touch nothing, on a clock that jumps: who is capped when, and until when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import msgspec
import pytest
import trio
import trio.testing

from jouled.balance.leases import Held, Leases
from jouled.config.caps import Caps as Settings
from jouled.control.caps.keeper import ANSWER_S, GIVE_BACK_S, CapKeeper, UnansweredError, UnwritableError
from jouled.control.caps.turns import Happening, KeptLeases, Outcome, Wanted
from jouled.errors import ConflictError, InvalidError, UnsupportedError
from jouled.journal import JournalError
from jouled.wire.caps import CapDraft, CapPlan

T = TypeVar("T")
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
SETTINGS = Settings(enabled=True, min_w=10.0, max_w=400.0, check_s=5.0, lease_max_s=3600.0)


class FakeHands:
    """Remembers what was wanted. `trouble` is raised by the next turn; `outcome` is what turns come to."""

    def __init__(self) -> None:
        self.settings = SETTINGS
        self.wanted: list[Wanted] = []
        self.at_s: list[float] = []
        self.outcome = Outcome(can_limit=True)
        self.trouble: list[Exception] = []
        self.left: list[KeptLeases] = []

    @property
    def watts(self) -> list[float | None]:
        return [one.node_w for one in self.wanted]

    def turn(self, wanted: Wanted) -> Outcome:
        self.wanted.append(wanted)
        self.at_s.append(trio.current_time())
        if self.trouble:
            raise self.trouble.pop(0)
        return self.outcome

    def planned(self, node_w: float) -> CapPlan:
        return CapPlan(node_w, node_w, ())

    def leave(self, kept: KeptLeases) -> tuple[str, ...]:
        self.left.append(kept)
        return ()


class Clocks:
    """The wall clock and the time asleep, as a test sets them."""

    def __init__(self) -> None:
        self.stepped_s = 0.0
        self.slept_s = 0.0

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=trio.current_time() + self.stepped_s)

    def slept(self) -> float:
        return self.slept_s


async def at_once(work: Callable[[], T], /) -> T:
    """A thread would be nothing that a jumping clock waits for."""
    await trio.lowlevel.checkpoint()
    return work()


class Keeping:
    """A keeper on fakes, made within the run."""

    def __init__(self, settings: Settings = SETTINGS, **more: Any) -> None:
        self.hands = FakeHands()
        self.clocks = Clocks()
        self.told: list[Happening] = []
        self.keeper = CapKeeper(
            settings,
            self.hands,
            clock=trio.current_time,
            wall=self.clocks.wall,
            slept=self.clocks.slept,
            tell=self.told.append,
            **{"in_thread": at_once, **more},
        )

    @property
    def kinds(self) -> list[str]:
        return [happening.kind for happening in self.told]


async def test_a_cap_is_written_when_hold_returns_and_lifted_when_its_time_has_passed(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    keeping = Keeping()
    await nursery.start(keeping.keeper.run)
    lease = await keeping.keeper.hold("operator", CapDraft(150, 62.0, "peak"))
    assert (lease.owner, lease.watts, lease.reason) == ("operator", 150, "peak")
    assert lease.until - lease.since == timedelta(seconds=62)
    assert keeping.hands.watts == [None, 150]
    assert keeping.keeper.state().asked_watts == 150
    await trio.sleep(61.9)
    assert set(keeping.hands.watts[1:]) == {150}
    await trio.sleep(0.2)
    assert keeping.hands.watts[-1] is None  # not only at the next look
    assert keeping.keeper.state().leases == ()
    assert keeping.kinds == ["cap_set", "cap_lifted"]
    assert [one.note for one in keeping.told] == [
        "at most 150 W, asked for by operator: peak",
        "no cap is asked for any more; the limits are as they were",
    ]


async def test_a_lease_ends_at_its_end_however_seldom_the_limits_are_looked_at(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    keeping = Keeping(msgspec.structs.replace(SETTINGS, check_s=600.0))
    await nursery.start(keeping.keeper.run)
    await trio.sleep(1)
    await keeping.keeper.hold("operator", CapDraft(150, 300.0))
    await keeping.keeper.hold("plc", CapDraft(100, 200.0))
    await keeping.keeper.hold("plc", CapDraft(100, 3.0))
    await trio.sleep(2.9)
    assert keeping.hands.watts[-1] == 100
    await trio.sleep(0.2)
    assert keeping.hands.watts[-1] == 150
    await trio.sleep(296.8)
    assert keeping.hands.watts[-1] == 150
    await trio.sleep(0.2)
    assert keeping.hands.watts[-1] is None


async def test_settings_that_come_during_a_look_have_one_of_their_own(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async def slowly(work: Callable[[], T], /) -> T:
        await trio.sleep(1)
        return work()

    settings = msgspec.structs.replace(SETTINGS, check_s=600.0)
    keeping = Keeping(settings, in_thread=slowly)
    await nursery.start(keeping.keeper.run)
    await trio.sleep(10)
    keeping.keeper.apply(settings)
    await trio.sleep(0.5)
    keeping.keeper.apply(settings)
    await trio.sleep(10)
    assert len(keeping.hands.watts) == 3


async def test_the_limits_are_looked_at_again_and_again(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    keeping = Keeping()
    await nursery.start(keeping.keeper.run)
    await trio.sleep(21)
    assert keeping.hands.at_s == [0.0, 5.0, 10.0, 15.0, 20.0]
    assert keeping.keeper.is_live
    assert keeping.keeper.counters.checks_total == 5


async def test_of_several_owners_the_lowest_counts_and_release_brings_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    keeper = (keeping := Keeping()).keeper
    await keeper.hold("market", CapDraft(200))
    await keeper.hold("operator", CapDraft(120))
    await keeper.hold("market", CapDraft(180))
    assert await keeper.release("operator")
    assert not await keeper.release("operator")
    assert keeping.hands.watts == [None, 200, 120, 120, 180]
    assert await keeper.release_all() == 1
    assert await keeper.release_all() == 0
    assert keeping.hands.watts[-1] is None
    assert keeping.kinds == ["cap_set", "cap_set", "cap_set", "cap_lifted"]


async def test_what_cannot_be_asked_for_is_refused_with_the_range_and_changes_nothing() -> None:
    keeper = (keeping := Keeping()).keeper
    keeping.hands.outcome = Outcome(can_limit=True, least_w=20.0, most_w=240.0)
    await keeper.hold("operator", CapDraft(150))
    before = len(keeping.hands.wanted)
    for draft in (CapDraft(19.9), CapDraft(240.1)):
        with pytest.raises(InvalidError, match="allowed is 20 W to 240 W"):
            await keeper.hold("operator", draft)
        with pytest.raises(InvalidError, match="allowed is 20 W to 240 W"):
            keeper.plan("operator", draft)
    with pytest.raises(InvalidError, match="at most 3600 s"):
        await keeper.hold("operator", CapDraft(150, 3601))
    assert len(keeping.hands.wanted) == before
    assert keeper.state().asked_watts == 150


async def test_the_range_of_the_hardware_is_known_to_the_first_who_asks() -> None:
    keeper = (keeping := Keeping()).keeper
    keeping.hands.outcome = Outcome(can_limit=True, most_w=240.0)
    with pytest.raises(InvalidError, match="allowed is 10 W to 240 W"):
        await keeper.hold("operator", CapDraft(300))


async def test_a_plan_is_that_of_the_cap_that_would_count_and_nothing_changes() -> None:
    keeper = (keeping := Keeping()).keeper
    await keeper.hold("operator", CapDraft(150))
    assert keeper.plan("market", CapDraft(200)).asked_watts == 150
    assert keeper.plan("market", CapDraft(100)).asked_watts == 100
    assert keeper.state().asked_watts == 150
    assert keeping.hands.watts == [None, 150]


async def test_where_capping_is_switched_off_nobody_caps() -> None:
    keeper = (keeping := Keeping(Settings())).keeper
    with pytest.raises(ConflictError, match=r"switch on \[caps\] enabled"):
        await keeper.hold("operator", CapDraft(150))
    with pytest.raises(ConflictError, match=r"switch on \[caps\] enabled"):
        keeper.plan("operator", CapDraft(150))
    assert keeping.hands.wanted == []
    assert not keeper.state().is_enabled


async def test_a_journal_that_cannot_be_written_refuses_the_cap_and_the_one_before_stays(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    keeping = Keeping()
    await nursery.start(keeping.keeper.run)
    await keeping.keeper.hold("operator", CapDraft(150))
    keeping.hands.trouble = [JournalError("write journal.json: no space left on device; make room")]
    with pytest.raises(JournalError, match="no space left"):
        await keeping.keeper.hold("operator", CapDraft(100))
    assert keeping.keeper.state().asked_watts == 150
    await trio.sleep(5.5)
    assert keeping.hands.watts[-1] == 150


async def test_a_cap_that_no_limit_takes_is_refused_and_the_one_before_is_written_again() -> None:
    keeper = (keeping := Keeping()).keeper
    await keeper.hold("market", CapDraft(200))
    keeping.hands.outcome = Outcome(
        can_limit=True, failed=(("package", "0"),), problems=("write x: permission denied",)
    )
    with pytest.raises(UnwritableError, match="permission denied"):
        await keeper.hold("operator", CapDraft(100))
    assert keeping.hands.watts == [None, 200, 100, 200]
    assert [lease.owner for lease in keeper.state().leases] == ["market"]
    assert keeper.counters.write_errors_total == {("package", "0"): 2}


async def test_a_cap_that_one_limit_does_not_take_is_renewed_all_the_same() -> None:
    keeper = (keeping := Keeping()).keeper
    failing = Outcome(can_limit=True, failed=(("package", "0"),), problems=("write x: permission denied",))
    keeping.hands.outcome = failing._replace(writes=2)
    await keeper.hold("market", CapDraft(150))
    # The other limit holds already, and needs no write.
    keeping.hands.outcome = failing
    await keeper.hold("market", CapDraft(150))
    await keeper.hold("operator", CapDraft(200))
    assert [lease.owner for lease in keeper.state().leases] == ["market", "operator"]
    with pytest.raises(UnwritableError):
        await keeper.hold("operator", CapDraft(100))
    keeping.hands.outcome = failing._replace(holding=2)
    await keeper.hold("operator", CapDraft(149.9))


async def test_a_host_without_limits_refuses_caps() -> None:
    keeper = (keeping := Keeping()).keeper
    keeping.hands.outcome = Outcome(problems=("no package can be limited: there is none",))
    with pytest.raises(UnsupportedError, match="no package can be limited"):
        await keeper.hold("operator", CapDraft(100))
    assert keeper.state().leases == ()


async def test_release_gives_the_lease_up_also_where_the_files_cannot_be_touched_now(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, lines: list[Any]
) -> None:
    keeping = Keeping()
    await nursery.start(keeping.keeper.run)
    await keeping.keeper.hold("operator", CapDraft(150))
    keeping.hands.trouble = [JournalError("write journal.json: no space left on device; make room")]
    assert await keeping.keeper.release("operator")
    assert keeping.keeper.state().problems == ("write journal.json: no space left on device; make room",)
    await trio.sleep(5.5)
    assert keeping.hands.watts[-1] is None
    assert keeping.keeper.state().problems == ()


async def test_originals_that_cannot_be_given_back_are_tried_again_less_and_less_often(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    keeping = Keeping()
    await nursery.start(keeping.keeper.run)
    await keeping.keeper.hold("operator", CapDraft(150))
    keeping.hands.outcome = Outcome(can_limit=True, unrestored=1, problems=("not given back: x",))
    began_s = trio.current_time()
    await keeping.keeper.release("operator")
    assert keeping.told[-1].note == "no cap is asked for any more; not every limit is as it was"
    await trio.sleep(1000)
    tries = [at_s - began_s for at_s in keeping.hands.at_s if at_s > began_s]
    pauses = [after - before for before, after in pairwise(tries)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 8
    assert pauses[-1] == 300
    assert keeping.keeper.counters.restore_failures_total == len(tries) + 1
    assert keeping.keeper.is_live
    keeping.hands.outcome = Outcome(can_limit=True)
    await trio.sleep(301)
    assert keeping.keeper.state().problems == ()


async def test_a_wall_clock_that_is_set_moves_no_lease(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    keeping = Keeping()
    await nursery.start(keeping.keeper.run)
    await keeping.keeper.hold("operator", CapDraft(150, 100))
    for stepped_s in (-86_400.0, 86_400.0):
        keeping.clocks.stepped_s = stepped_s
        await trio.sleep(20)
        (lease,) = keeping.keeper.state().leases
        left_s = (lease.until - keeping.clocks.wall()).total_seconds()
        assert left_s == pytest.approx(100 - trio.current_time(), abs=0.01)
    await trio.sleep(60.5)
    assert keeping.keeper.state().leases == ()
    assert keeping.hands.watts[-1] is None


async def test_a_wall_clock_that_only_drifts_makes_no_news() -> None:
    keeping = Keeping()
    await keeping.keeper.hold("operator", CapDraft(150, 100))
    published = keeping.keeper.changed.published
    keeping.clocks.stepped_s = 0.5
    await keeping.keeper._look(has_slept=False)
    assert keeping.keeper.changed.published == published


async def test_after_a_suspend_the_limits_are_looked_at_within_seconds_and_nobody_is_blamed(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    keeping = Keeping(Settings(enabled=True, check_s=600.0))
    await nursery.start(keeping.keeper.run)
    await keeping.keeper.hold("operator", CapDraft(150, 3000))
    assert [one.has_slept for one in keeping.hands.wanted] == [True, False]
    await trio.sleep(7)
    assert len(keeping.hands.wanted) == 2
    keeping.clocks.slept_s = 8 * 3600.0
    await trio.sleep(5.5)
    assert [one.has_slept for one in keeping.hands.wanted] == [True, False, True]
    # The lease stood still with the host.
    (lease,) = keeping.keeper.state().leases
    assert lease.watts == 150
    await trio.sleep(500)
    assert len(keeping.hands.wanted) == 3


async def test_whoever_asks_right_after_a_suspend_blames_nobody_either(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    keeping = Keeping()
    await nursery.start(keeping.keeper.run)
    await keeping.keeper.hold("operator", CapDraft(150, 3000))
    keeping.clocks.slept_s = 8 * 3600.0
    keeping.hands.trouble.append(JournalError("the disk is full"))
    with pytest.raises(JournalError):
        await keeping.keeper.hold("market", CapDraft(140, 3000))
    # That look came to no end, so it is the next one that is after the sleep.
    await keeping.keeper.hold("market", CapDraft(140, 3000))
    await keeping.keeper.hold("market", CapDraft(130, 3000))
    assert [one.has_slept for one in keeping.hands.wanted] == [True, False, True, True, False]


async def test_what_an_earlier_life_held_goes_on_and_the_safe_cap_ends_when_somebody_asks(
    autojump_clock: trio.testing.MockClock,
) -> None:
    adopted = Leases((Held("safe", 80, 0.0, 300.0), Held("market", 200, -50.0, 100.0)))
    keeper = (keeping := Keeping(leases=adopted)).keeper
    await keeper._look(has_slept=True)
    assert keeping.hands.watts == [80]
    await keeper.hold("market", CapDraft(180))
    assert keeping.hands.watts == [80, 180]
    assert [lease.owner for lease in keeper.state().leases] == ["market"]


async def test_give_back_hands_over_the_leases_once_and_afterwards_nobody_caps() -> None:
    keeper = (keeping := Keeping()).keeper
    await keeper.hold("operator", CapDraft(150))
    with trio.CancelScope() as scope:
        scope.cancel()
        await keeper.give_back()  # also where the task is cancelled
    await keeper.give_back()
    (kept,) = keeping.hands.left
    assert [lease.owner for lease in kept.shown] == ["operator"]
    with pytest.raises(ConflictError, match="stopping"):
        await keeper.hold("operator", CapDraft(150))
    with pytest.raises(ConflictError, match="stopping"):
        await keeper.release("operator")
    assert keeper.changed.is_closed


async def never(work: Callable[[], T], /) -> T:
    """The kernel's files hang."""
    await trio.sleep_forever()
    raise AssertionError


async def test_files_that_hang_do_not_hold_the_end(autojump_clock: trio.testing.MockClock, lines: list[Any]) -> None:
    keeping = Keeping(in_thread=never)
    began_s = trio.current_time()
    await keeping.keeper.give_back()
    assert trio.current_time() - began_s == GIVE_BACK_S
    assert "may still be capped; `joulectl caps restore` gives them back" in lines[-1]["event"]


async def test_files_that_hang_refuse_a_cap_and_the_keeper_is_no_longer_live(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, lines: list[Any]
) -> None:
    hangs = False

    async def maybe(work: Callable[[], T], /) -> T:
        return await (never if hangs else at_once)(work)

    keeping = Keeping(in_thread=maybe)
    await nursery.start(keeping.keeper.run)
    await keeping.keeper.hold("operator", CapDraft(150))
    hangs = True
    with pytest.raises(UnansweredError, match="do not answer within 10 s"):
        await keeping.keeper.hold("operator", CapDraft(100))
    assert keeping.keeper.state().asked_watts == 150
    await trio.sleep(4 * ANSWER_S)
    assert not keeping.keeper.is_live
    assert any("do not answer" in problem for problem in keeping.keeper.state().problems)
    hangs = False
    await trio.sleep(4 * ANSWER_S)
    assert keeping.keeper.is_live


async def test_a_defect_ends_the_keeper_and_with_it_the_daemon(autojump_clock: trio.testing.MockClock) -> None:
    keeping = Keeping()
    keeping.hands.trouble = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        await keeping.keeper.run()


async def test_whoever_asks_and_goes_away_changes_nothing(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async def slowly(work: Callable[[], T], /) -> T:
        await trio.sleep(1)
        return work()

    keeping = Keeping(in_thread=slowly)
    await nursery.start(keeping.keeper.run)
    with trio.move_on_after(0.5):
        await keeping.keeper.hold("operator", CapDraft(150))
    await trio.sleep(10)
    assert keeping.keeper.state().leases == ()
    assert keeping.hands.watts[-1] is None


async def test_two_who_ask_at_once_are_written_one_after_the_other(autojump_clock: trio.testing.MockClock) -> None:
    running = 0

    async def slowly(work: Callable[[], T], /) -> T:
        nonlocal running
        running += 1
        assert running == 1
        await trio.sleep(1)
        running -= 1
        return work()

    keeping = Keeping(in_thread=slowly)
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(keeping.keeper.hold, f"program-{number}", CapDraft(100 + number))
    assert len(keeping.keeper.state().leases) == 5
    assert keeping.hands.watts[-1] == 100


async def test_a_reload_holds_from_the_next_look_which_is_now(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    keeping = Keeping(Settings(enabled=True, check_s=600.0))
    await nursery.start(keeping.keeper.run)
    await trio.sleep(1)
    keeping.keeper.apply(Settings(enabled=True, check_s=2.0, max_w=100.0))
    await trio.sleep(5.5)
    assert keeping.hands.at_s == [0.0, 1.0, 3.0, 5.0]
    with pytest.raises(InvalidError, match="10 W to 100 W"):
        await keeping.keeper.hold("operator", CapDraft(150))


async def test_watchers_hear_of_what_changes_and_of_nothing_else(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    keeping = Keeping()
    await nursery.start(keeping.keeper.run)
    assert keeping.keeper.changed.published == 1
    await trio.sleep(60)
    assert keeping.keeper.changed.published == 1
    await keeping.keeper.hold("operator", CapDraft(150, 100))
    assert keeping.keeper.changed.latest == keeping.keeper.state()
    assert keeping.keeper.changed.published == 2
    await trio.sleep(101)
    assert keeping.keeper.changed.published == 3


async def test_in_a_dry_run_caps_are_shown_and_not_refused_for_having_no_effect() -> None:
    keeper = (keeping := Keeping(Settings(enabled=True, dry_run=True))).keeper
    keeping.hands.outcome = Outcome(problems=("no package can be limited",))
    await keeper.hold("operator", CapDraft(150))
    assert keeper.state().is_dry_run
    assert keeper.state().asked_watts == 150
    assert keeping.told[-1].note == "at most 150 W, asked for by operator (dry run)"
