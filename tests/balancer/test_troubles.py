"""What goes wrong around the balancer, and what must not come of it."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

import pytest
import trio

from actuators import FakeActuator
from balanced import NOON, FakeLead, FakePlant, balancing, drawn_w, fleet_of, in_place, settings
from jouled.balance.fleet.words import Span
from jouled.balance.schedule import Budget
from jouled.balance.site.words import Applied, Order, Verdict
from jouled.bookkeeping import balance as books
from jouled.config.balance import Balance
from jouled.control.fleet.fleet import Fleet
from jouled.control.site.acting import RAISES_MAX, WAITED, Hands
from jouled.control.site.balancer import Balancer
from jouled.control.site.deciding import EVENTS_MAX, Decisions
from jouled.control.site.limits import Limits
from jouled.control.site.originals import Kept, Originals, directory_of
from jouled.journal import JournalError, files
from jouled.loads.actuator import Original
from jouled.store import Store
from jouled.wire.balance import BalanceEvent

VERDICT = Verdict(NOON, "emergency", 20_000.0, "plant", 18_000.0, 32_000.0, 32_000.0, 32_000.0, 0.0, "fresh", False, "")


def full(directory: str, content: bytes | None) -> None:
    del content
    raise JournalError(f"write {directory}: no space left on device")


async def test_a_disk_that_was_full_for_long_keeps_no_load_from_an_emergency(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, plant = fleet_of(10), FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant, config=settings(cycle_s=15.0)) as balancer:
        await trio.sleep(60)
        monkeypatch.setattr(files, "save", full)
        plant.say(34_300.0)
        await trio.sleep(600)
        assert not any(load.applied for load in loads)
        assert any("no space left" in problem for problem in balancer.status().problems)
        # Tried and told once, not in each cycle.
        assert len(balancer.events()) <= len(loads)
        plant.say(25_000.0)
        await trio.sleep(20)
        assert drawn_w(loads) <= 25_000.0


async def test_once_the_disk_takes_it_again_what_waited_is_done(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, plant = fleet_of(10), FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        await trio.sleep(60)
        with monkeypatch.context() as broken:
            broken.setattr(files, "save", full)
            plant.say(34_300.0)
            await trio.sleep(120)
        await trio.sleep(60)
        assert not balancer.status().problems
        assert drawn_w(loads) <= 0.9 * 34_300.0


async def test_another_mode_from_the_file_ends_what_only_was_observed(tmp_path: Path, autojump_clock: object) -> None:
    loads, plant = fleet_of(10), FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant, config=settings(mode="observe")) as balancer:
        await trio.sleep(60)
        plant.say(34_300.0)
        await trio.sleep(12)
        assert balancer.proposed()
        balancer.apply(settings(mode="ask"))
        await trio.sleep(12)
        await balancer.approve(balancer.proposed()[0].id, "me")
        await trio.sleep(12)
        assert any(load.applied for load in loads)


class Reticent(FakeActuator):
    """It takes its time to say how it is set."""

    async def original(self) -> Original:
        await trio.sleep(9)
        return await super().original()


async def test_originals_that_are_read_ahead_hold_up_no_shed(tmp_path: Path, autojump_clock: object) -> None:
    loads, plant = [Reticent(f"miner-{number:04}") for number in range(400)], FakePlant(2_000_000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        await trio.sleep(20)
        plant.say(1_280_000.0 / 0.935)
        await trio.sleep(25)
        assert drawn_w(loads) <= 0.91 * 1_280_000.0 / 0.935
        assert balancer.counters.happenings_total["change_failed"] == 0


async def test_a_raise_that_had_to_wait_for_long_is_not_sent(tmp_path: Path, autojump_clock: object) -> None:
    loads, told = fleet_of(RAISES_MAX + 1, "1100"), list[Applied]()
    originals = Originals.open(directory_of(str(tmp_path)), in_place)
    hands = Hands(Fleet(loads), originals, FakeLead(), lambda: NOON, told.append)
    orders = [
        Order(f"o-{load.id}", load.id, "raise", load.presets[2].point, 2100.0, "1100", 1100.0, False, "room")
        for load in loads
    ]
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(hands.run)
            for load in loads:
                originals.put(Kept(load.id, load.kind, load.name, {}, NOON))
                load.hangs = load is not loads[-1]
            hands.send(orders[:-1])
            await trio.sleep(1)
            hands.send(orders[-1:])
            await trio.sleep(300)
            nursery.cancel_scope.cancel()
    finally:
        originals.close()
    assert not loads[-1].applied
    assert [(one.problem, one.is_sent) for one in told if one.order.load == loads[-1].id] == [(WAITED, False)]


def test_a_disk_that_hangs_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This host's caps are given back after it."""
    freed = threading.Event()
    loads, plant = fleet_of(3), FakePlant(40_000.0)

    def hang(directory: str, content: bytes | None) -> None:
        del directory, content
        freed.wait(60)

    async def ended() -> float:
        balancer = Balancer(
            settings(cycle_s=0.2), Fleet(loads), Originals.open(directory_of(str(tmp_path))), site="s", plant=plant
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(balancer.run)
            monkeypatch.setattr(files, "save", hang)
            plant.say(3000.0)
            with trio.fail_after(30):
                while not all(load.applied for load in loads):  # noqa: ASYNC110  (it has no event)
                    await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
        began_s = time.monotonic()
        await balancer.end()
        return time.monotonic() - began_s

    try:
        assert trio.run(ended) < 20
    finally:
        freed.set()


def order(number: int, word: str = "order") -> Order:
    return Order(f"{word}-{number}", f"load-{number}", "shed", None, 1000.0, None, 3000.0, True, "too much")


def test_a_large_fleet_that_is_shed_at_once_is_not_looked_through_for_each_load() -> None:
    decisions = Decisions(lambda _: None, Balance())
    looked = 0

    class Counting(type(decisions.recent)):  # type: ignore[misc]
        def items(self):  # type: ignore[no-untyped-def]
            nonlocal looked
            looked += 1
            return super().items()

    decisions.recent = Counting()
    decisions.sort([order(number) for number in range(5000)], VERDICT, 20_000.0, "auto", may_act=True)
    assert decisions.executing == 5000
    assert looked < 100
    decisions.abandon(NOON, "the daemon ended")
    decisions.sort([order(number, "later") for number in range(200)], VERDICT, 20_000.0, "auto", may_act=True)
    assert len(decisions.recent) <= EVENTS_MAX


def test_an_approved_order_is_found_in_the_books_by_the_one_that_was_sent(store: Store) -> None:
    """Otherwise each start would add it once more, as one that failed."""
    told: list[BalanceEvent] = []
    decisions = Decisions(told.append, Balance())
    decisions.sort([order(1)._replace(is_urgent=False)], VERDICT, 20_000.0, "ask", may_act=True)
    decisions.approve(decisions.proposed[0].id, "me", NOON)
    decisions.sort([order(1, "sent")._replace(is_urgent=False)], VERDICT, 20_000.0, "ask", may_act=True)
    # And then much is proposed that nobody approves.
    later = [made(f"later-{number}", f"order-{number}", second=number + 1) for number in range(20)]
    untold = made("untold", "sent-1", status="executing")
    for event in (*told, *later):
        store.write(partial(books.put, event=event, site="site-1"))
    store.write(partial(books.put_missing, events=[untold], site="site-1"))
    page = store.read(partial(books.events, limit=100))
    assert [event.id for event in page.items if event.inputs["order"] == "sent-1"] == [told[0].id]


def made(name: str, order_id: str, *, second: int = 0, status: str = "expired") -> BalanceEvent:
    return BalanceEvent(
        id=name,
        miner_id="load-1",
        old_preset=None,
        new_preset=None,
        old_power=3000.0,
        new_power=1000.0,
        reason="too much",
        total_consumption_before=None,
        total_consumption_after=None,
        available_power=None,
        target_power=None,
        success=None,
        error_message=None,
        recorded_at=NOON.replace(second=second),
        kind="shed",
        status=status,  # type: ignore[arg-type]  # one of its words
        mode="ask",
        is_urgent=False,
        inputs={"order": order_id},
        expected={},
        observed={},
    )


class NoBudget:
    """A plan that names no budget for this hour."""

    def budget(self, now: object) -> Budget:
        del now
        return Budget(NOON, NOON, None, "static: no limit at this time", {})

    async def look_at_carbon(self, now: object) -> None:
        """There is none."""


def test_an_hour_without_a_budget_is_bounded_by_what_the_plan_has_at_most() -> None:
    limits = Limits(
        Balance(follow_plan=True), site=None, store=None, plan=NoBudget(), plan_max_w=9000.0, clock=lambda: NOON
    )
    assert [(limit.source, limit.power_w) for limit in limits.look(NOON, None)] == [("plan", 9000.0)]


class AboveItsCap(FakeActuator):
    """As hardware that holds a cap to some percent."""

    @property
    def settled_w(self) -> float:
        return 1000.0 if self.cap_w is None else 1.04 * self.cap_w


async def test_a_host_that_draws_more_than_its_cap_gets_a_lower_one_and_not_the_same_for_ever(
    tmp_path: Path, autojump_clock: object
) -> None:
    loads, plant = [AboveItsCap(f"host-{number}", span=Span(100.0, 1000.0)) for number in range(3)], FakePlant(4000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        await trio.sleep(60)
        plant.say(2000.0)
        await trio.sleep(3600)
        assert balancer.status().band == "hold"
        assert drawn_w(loads) <= 1801.0
        assert max(len(load.applied) for load in loads) <= 3


async def test_what_was_set_while_the_store_was_away_is_in_the_books_after_the_next_start(
    store: Store, tmp_path: Path
) -> None:
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, fleet_of(1), plant, ends=False) as balancer:
        await balancer.set_reserve(25.0, "ada", "it is dry")
    async with balancing(tmp_path, fleet_of(1), plant, store=store):
        await trio.sleep(0.5)
    found = await store.fetch(partial(books.settings, site="site-1"))
    assert [(setting.key, setting.value, setting.who) for setting in found] == [("reserve", 25.0, "ada")]
