"""The balancer at work, over loads in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from actuators import FakeActuator
from balanced import FakeLead, FakePlant, balancing, drawn_w, fleet_of, settings
from jouled.errors import ConflictError, InvalidError, NotFoundError


async def test_loads_go_below_the_target_when_the_plant_gives_less(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10)
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        await trio.sleep(60)
        assert all(load.calls["apply"] == 0 for load in loads)
        plant.say(20_000.0)
        await trio.sleep(30)
        assert drawn_w(loads) <= 18_000.0
        status = balancer.status()
        assert status.status == "OK"
        assert status.available_power_kw == 20.0
        assert status.target_power_w == 18_000.0
        assert status.managed_miners_count == 10
        await trio.sleep(60)
        done = [event for event in balancer.events() if event.kind == "shed"]
        assert done
        assert all(event.status == "completed" and event.success for event in done)
        assert all(event.observed["preset"] == event.new_preset for event in done)
        assert all(event.inputs["limited_by"] and event.reason for event in done)


async def test_nothing_changes_while_the_plant_gives_the_same(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(5)
    async with balancing(tmp_path, loads, FakePlant(10_000.0), config=settings(cycle_s=15.0), poll_s=15.0):
        await trio.sleep(3600)
        changed = [load.calls["apply"] for load in loads]
        await trio.sleep(2 * 3600)
        assert [load.calls["apply"] for load in loads] == changed


async def test_loads_are_raised_again_when_there_is_more(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10, "1100")
    plant = FakePlant(20_000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        await trio.sleep(3600)
        drawn = drawn_w(loads)
        assert 16_000.0 <= drawn <= 18_000.0
        assert all(event.status == "completed" for event in balancer.events() if event.kind == "raise")


async def test_an_emergency_goes_to_all_at_once_and_is_over_within_seconds(
    tmp_path: Path, autojump_clock: object
) -> None:
    loads = fleet_of(60)
    plant = FakePlant(240_000.0)
    async with balancing(tmp_path, loads, plant):
        await trio.sleep(60)
        plant.say(50_000.0)
        await trio.sleep(8)
        assert drawn_w(loads) <= 50_000.0


async def test_a_load_that_hangs_holds_up_no_other(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10)
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        await trio.sleep(60)
        loads[0].hangs = True
        plant.say(20_000.0)
        await trio.sleep(300)
        # What hangs counts as it was, so the others make room for it.
        assert drawn_w(loads) <= 20_000.0
        assert balancer.is_live


async def test_what_one_load_refuses_others_take_over(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10)
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        await trio.sleep(60)
        for load in loads[:3]:
            load.refuses = "it is being tuned"
        plant.say(20_000.0)
        await trio.sleep(120)
        assert drawn_w(loads) <= 20_000.0
        failed = [event for event in balancer.events() if event.status == "failed"]
        assert failed
        assert all("it is being tuned" in (event.error_message or "") for event in failed)
        assert all(event.success is False for event in failed)


async def test_a_defect_of_one_driver_ends_neither_the_loop_nor_the_others(
    tmp_path: Path, autojump_clock: object
) -> None:
    class Broken(FakeActuator):
        async def apply(self, order: object) -> None:
            raise ZeroDivisionError(order)

    loads = [Broken("broken"), *fleet_of(9)]
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        await trio.sleep(60)
        plant.say(20_000.0)
        await trio.sleep(120)
        assert drawn_w(loads) <= 20_000.0
        assert balancer.is_live
        assert any("ZeroDivisionError" in (event.error_message or "") for event in balancer.events("broken"))


async def test_no_load_is_told_two_things_at_once(tmp_path: Path, autojump_clock: object) -> None:
    class Counting(FakeActuator):
        at_once = 0
        most_at_once = 0

        async def apply(self, order: object) -> None:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await super().apply(order)  # type: ignore[arg-type]  # an order
            finally:
                self.at_once -= 1

    loads = [Counting(f"slow-{number}") for number in range(6)]
    plant = FakePlant(30_000.0)
    async with balancing(tmp_path, loads, plant):
        for load in loads:
            load.slow_s = 3.0
        for power_w in (12_000.0, 8_000.0, 30_000.0, 4_000.0, 16_000.0) * 3:
            plant.say(power_w)
            await trio.sleep(7)
        assert any(load.calls["apply"] for load in loads)
        assert all(load.most_at_once <= 1 for load in loads)


# ---- what operators set ----


async def test_the_reserve_is_another_at_once_and_after_a_restart(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10)
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        await trio.sleep(30)
        await balancer.set_reserve(40.0, "anna", "a storm comes")
        await trio.sleep(30)
        assert drawn_w(loads) <= 24_000.0
        assert balancer.settings().safety_margin_percent == 40.0
        for wrong in (-1.0, 51.0, float("nan")):
            with pytest.raises(InvalidError):
                await balancer.set_reserve(wrong, "anna")
    async with balancing(tmp_path, loads, plant) as balancer:
        assert balancer.status().safety_margin_percent == 40.0
        assert [(one.key, one.who, one.why) for one in balancer.settings().changed] == [
            ("reserve", "anna", "a storm comes")
        ]
        await balancer.set_reserve(None, "anna")
        assert balancer.status().safety_margin_percent == 10.0


async def test_the_operators_cap_bounds_the_loads(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10)
    async with balancing(tmp_path, loads, FakePlant(40_000.0)) as balancer:
        await balancer.set_limit(10_000.0, "anna")
        await trio.sleep(30)
        assert drawn_w(loads) <= 10_000.0
        assert balancer.status().limited_by == "operator"
        for wrong in (-1.0, float("inf"), float("nan")):
            with pytest.raises(InvalidError):
                await balancer.set_limit(wrong, "anna")
        await balancer.set_limit(None, "anna")
        assert balancer.status().limit_watts is None


async def test_while_paused_nothing_is_raised_and_what_is_too_much_is_shed(
    tmp_path: Path, autojump_clock: object
) -> None:
    loads = fleet_of(10, "1100")
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant) as balancer:
        await balancer.pause("anna", "work on the cables")
        await trio.sleep(1800)
        assert drawn_w(loads) == 11_000.0
        assert (paused := balancer.status().paused) is not None
        assert (paused.who, paused.why) == ("anna", "work on the cables")
        plant.say(8_000.0)
        await trio.sleep(30)
        assert drawn_w(loads) <= 8_000.0
        plant.say(40_000.0)
        await balancer.resume("anna")
        await trio.sleep(1800)
        assert drawn_w(loads) > 11_000.0


async def test_observe_says_what_would_be_done_and_sends_nothing(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10)
    plant = FakePlant(20_000.0)
    async with balancing(tmp_path, loads, plant, config=settings(mode="observe")) as balancer:
        await trio.sleep(600)
        assert all(load.calls["apply"] == 0 and load.calls["original"] == 0 for load in loads)
        assert balancer.status().band == "emergency"
        assert not balancer.status().pending
        said = balancer.events()
        # The same wish is one decision, however many cycles have it.
        assert 0 < len(said) <= 2 * len(loads)
        assert {event.status for event in said} <= {"proposed", "expired"}
        with pytest.raises(ConflictError, match="only observes"):
            await balancer.approve(balancer.proposed()[0].id, "anna")


async def test_ask_waits_for_a_word_and_then_does_it(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(2, "1100")
    async with balancing(tmp_path, loads, FakePlant(4_000.0), config=settings(mode="ask")) as balancer:
        await trio.sleep(120)
        assert drawn_w(loads) == 2_200.0
        first = balancer.proposed()[0]
        assert first.status == "proposed"
        assert first.expires_at is not None
        await trio.sleep(120)
        assert [event.id for event in balancer.proposed()][:1] == [first.id]
        await balancer.approve(first.id, "anna")
        await trio.sleep(30)
        done = {event.id: event for event in balancer.events()}[first.id]
        assert (done.status, done.who, done.success) == ("completed", "anna", True)
        assert drawn_w(loads) == 2_200.0 - (first.old_power or 0) + first.new_power
        with pytest.raises(ConflictError, match="completed"):
            await balancer.approve(first.id, "anna")
        with pytest.raises(NotFoundError):
            await balancer.approve("no-such-decision", "anna")


async def test_what_was_rejected_is_not_proposed_again_for_a_while(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(1, "1100")
    config = settings(mode="ask", rejected_s=600.0)
    async with balancing(tmp_path, loads, FakePlant(2_000.0), config=config) as balancer:
        await trio.sleep(120)
        (proposed,) = balancer.proposed()
        rejected = await balancer.reject(proposed.id, "anna")
        assert (rejected.status, rejected.who) == ("cancelled", "anna")
        await trio.sleep(300)
        assert not balancer.proposed()
        await trio.sleep(400)
        assert balancer.proposed()


async def test_a_proposal_that_is_no_longer_called_for_expires_and_is_not_done(
    tmp_path: Path, autojump_clock: object
) -> None:
    loads = fleet_of(1, "1100")
    plant = FakePlant(2_000.0)
    async with balancing(tmp_path, loads, plant, config=settings(mode="ask")) as balancer:
        await trio.sleep(120)
        (proposed,) = balancer.proposed()
        plant.say(1_200.0)
        await balancer.approve(proposed.id, "anna")
        await trio.sleep(60)
        assert loads[0].calls["apply"] == 0
        assert {event.id: event.status for event in balancer.events()}[proposed.id] == "expired"


async def test_an_emergency_does_not_wait_for_a_word(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10)
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant, config=settings(mode="ask")) as balancer:
        await trio.sleep(60)
        plant.say(15_000.0)
        await trio.sleep(30)
        assert drawn_w(loads) <= 15_000.0
        assert all(event.is_urgent for event in balancer.events() if event.status == "completed")


# ---- who leads ----


async def test_one_that_does_not_lead_shows_and_sends_nothing(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10)
    lead = FakeLead(is_leader=False)
    lead.leader = "other-host"
    async with balancing(tmp_path, loads, FakePlant(20_000.0), lead=lead) as balancer:
        await trio.sleep(60)
        status = balancer.status()
        assert (status.is_leader, status.leader, status.band) == (False, "other-host", "emergency")
        assert not balancer.events()
        assert all(load.calls["apply"] == 0 for load in loads)
        lead.is_leader = True
        await trio.sleep(10)
        assert drawn_w(loads) <= 20_000.0


async def test_whoever_loses_the_lead_sends_nothing_more(tmp_path: Path, autojump_clock: object) -> None:
    loads = fleet_of(10)
    lead = FakeLead()
    plant = FakePlant(40_000.0)
    async with balancing(tmp_path, loads, plant, lead=lead) as balancer:
        await trio.sleep(60)
        for load in loads:
            load.slow_s = 2.0  # the originals are still being read as the lead is lost
        plant.say(20_000.0)
        await trio.sleep(1.5)
        lead.is_leader = False
        before = [len(load.applied) for load in loads]
        await trio.sleep(120)
        assert [len(load.applied) for load in loads] == before
        assert all(event.status not in {"executing", "proposed"} for event in balancer.events())
