"""A load with VNish firmware, over HTTP, against a device that behaves like it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from jouled.balance.fleet.words import OFF
from jouled.loads.miners.device import RUNS_S
from jouled.loads.miners.exchange import AwayError, ConflictError, LockedError, StrangerError
from jouled.loads.miners.keys import MemoryKeys
from jouled.loads.miners.login import LOCKED_S
from jouled.loads.miners.vnish import KEY_NAME
from jouled.loads.protocol import LoadError
from miners.steering import order, vnish_of, vnish_site


async def test_it_says_what_it_is_and_can_do() -> None:
    async with vnish_site() as site:
        found = await site.miner.describe()
        assert (found.id, found.kind, found.model, found.firmware) == (
            site.fake.mac,
            "vnish",
            "Antminer S19",
            "Vnish 1.2.6",
        )
        assert [preset.name for preset in found.presets][:2] == ["1100", "1300"]
        assert (found.presets[0].power_w, found.presets[0].work) == (1100.0, 53.0)
        assert len(found.presets) == 15, "what is disabled is no preset"
        assert found.can_be_off
        assert found.rated_w == 4690.0
        assert found.address == site.farm.address(site.fake)


@pytest.mark.parametrize("unit", ["H/s", "MH/s", "GH/s", "TH/s"])
async def test_the_hash_rate_is_in_terahashes_whatever_the_unit_of_the_device(unit: str) -> None:
    async with vnish_site() as site:
        site.fake.unit = unit
        seen = await site.miner.measure()
        assert seen.work == pytest.approx(105.0, rel=0.02)


async def test_it_measures_what_the_device_draws_and_not_what_its_preset_promises() -> None:
    async with vnish_site() as site:
        site.fake.drift = 1.2
        site.fake.restart()
        site.clock.wait(200)
        seen = await site.miner.measure()
        assert (seen.state, seen.point) == ("running", "3350")
        assert seen.power_w == pytest.approx(site.farm.power_w(), rel=0.01)
        assert seen.power_w is not None
        assert seen.power_w > 3900


async def test_a_preset_is_set_once_and_read_back_and_followed_by_the_power() -> None:
    async with vnish_site() as site:
        await site.miner.apply(order("1100"))
        assert await site.miner.confirm(order("1100"))
        assert (await site.miner.measure()).state == "starting"
        site.clock.wait(200)
        seen = await site.miner.measure()
        assert (seen.state, seen.point) == ("running", "1100")
        assert seen.power_w == pytest.approx(1100, rel=0.06)
        assert site.fake.changes == 1
        await site.miner.apply(order("1100"))
        assert site.fake.changes == 1, "an absolute target that holds is no change"


async def test_a_firmware_that_says_yes_and_does_not_is_found_out() -> None:
    async with vnish_site() as site:
        site.fake.faults.ignores_orders = True
        with pytest.raises(LoadError, match="did not say no, and keeps 3350"):
            await site.miner.apply(order("1100"))
        assert not await site.miner.confirm(order("1100"))
        assert site.fake.asked.count(("POST", "/settings")) == 1, "it is not told twice"


@pytest.mark.parametrize("waits_for", ["restart", "reboot"])
async def test_a_preset_that_waits_for_a_restart_gets_it(waits_for: str) -> None:
    async with vnish_site() as site:
        site.fake.waits_for = waits_for
        await site.miner.apply(order("1100"))
        assert ("POST", "/restart") not in site.fake.asked
        site.clock.wait(400)
        assert (await site.miner.measure()).point == "1100"


async def test_a_reboot_that_its_user_still_owes_is_not_done_by_us() -> None:
    async with vnish_site() as site:
        site.fake.waits_for, site.fake.is_waiting = "reboot", True
        assert "it asks for a reboot, of an earlier change on its page" in (await site.miner.describe()).notes
        await site.miner.apply(order("1100"))
        assert ("POST", "/system/reboot") not in site.fake.asked


async def test_an_untuned_preset_is_refused_unless_it_may_tune() -> None:
    async with vnish_site() as site:
        site.fake.untuned = {"1100"}
        found = await site.miner.describe()
        assert not found.presets[0].is_tuned
        assert "1 of its 15 presets are not tuned, and not used" in found.notes
        with pytest.raises(LoadError, match="1100 is not tuned; tune it on its page"):
            await site.miner.apply(order("1100"))
        assert site.fake.changes == 0
        await site.another(may_tune=True).apply(order("1100"))
        site.clock.wait(100)
        assert (await site.miner.measure()).state == "tuning"


async def test_a_preset_that_it_has_not_is_refused_with_those_that_it_has() -> None:
    async with vnish_site() as site:
        with pytest.raises(LoadError, match="no preset 999; it has 1100, 1300"):
            await site.miner.apply(order("999"))
        with pytest.raises(LoadError, match="no preset disabled"):
            await site.miner.apply(order("disabled"))


async def test_what_needs_another_power_supply_is_no_preset() -> None:
    async with vnish_site() as site:
        site.fake.modded = {"4690"}
        found = await site.miner.describe()
        assert found.rated_w == 4260.0
        with pytest.raises(LoadError, match="no preset 4690"):
            await site.miner.apply(order("4690"))


async def test_off_stops_its_mining_and_a_preset_starts_it_at_that() -> None:
    async with vnish_site() as site:
        await site.miner.apply(order(OFF, is_urgent=True))
        site.clock.wait(10)
        assert await site.miner.confirm(order(OFF))
        seen = await site.miner.measure()
        assert (seen.state, seen.point, seen.power_w) == ("off", OFF, 0.0)
        assert site.farm.power_w() < 100
        await site.miner.apply(order("1300"))
        assert [path for method, path in site.fake.asked if method == "POST"][-2:] == ["/settings", "/mining/start"]
        site.clock.wait(200)
        assert (await site.miner.measure()).point == "1300"


@pytest.mark.parametrize("is_urgent", [True, False])
async def test_to_be_told_off_twice_is_no_error(is_urgent: bool) -> None:
    async with vnish_site() as site:
        for _ in range(2):
            await site.miner.apply(order(OFF, is_urgent=is_urgent))
            site.clock.wait(10)
        assert site.fake.changes == 1


async def test_a_firmware_without_stop_is_paused() -> None:
    async with vnish_site() as site:
        site.fake.faults.missing = {"/mining/stop"}
        await site.miner.apply(order(OFF))
        assert site.fake.mode == "paused"
        seen = await site.miner.measure()
        assert (seen.state, seen.point) == ("paused", OFF)


async def test_a_pause_of_its_user_is_held_and_ours_is_not() -> None:
    async with vnish_site() as site:
        site.fake.stop()
        site.clock.wait(10)
        seen = await site.miner.measure()
        assert (seen.state, seen.point) == ("held", OFF)
        assert seen.note is not None
        assert "not by jouled" in seen.note


async def test_a_pause_of_its_user_stays_his_though_it_is_told_off() -> None:
    async with vnish_site() as site:
        site.fake.stop()
        site.clock.wait(10)
        assert (await site.miner.measure()).state == "held"
        await site.miner.apply(order(OFF, is_urgent=True))
        assert await site.miner.confirm(order(OFF))
        assert (await site.miner.measure()).state == "held"
        site.fake.start()
        site.clock.wait(200)
        site.fake.advance()
        await site.miner.apply(order(OFF, is_urgent=True))
        site.clock.wait(10)
        assert (await site.miner.measure()).state == "off", "he had started it, and then it was us"


async def test_a_controller_that_was_killed_knows_its_pause_again() -> None:
    async with vnish_site() as site:
        await site.miner.apply(order(OFF))
        site.clock.wait(10)
        after = site.another()
        assert (await after.measure()).state == "off"
        elsewhere = site.another(MemoryKeys())
        assert (await elsewhere.measure()).state == "held"
        elsewhere.adopt(OFF)
        assert (await elsewhere.measure()).state == "off"


async def test_a_pause_after_it_ran_for_a_while_is_not_ours(mock_clock: MockClock) -> None:
    async with vnish_site() as site:
        await site.miner.apply(order(OFF))
        site.clock.wait(10)
        after = site.another()
        site.fake.start()
        site.clock.wait(200)
        for _ in range(3):
            assert (await after.measure()).state == "running"
        assert site.keys.is_off(site.fake.mac), "an order to stop may still be on its way"
        mock_clock.jump(RUNS_S + 1)
        assert (await after.measure()).state == "running"
        site.fake.stop()
        site.clock.wait(10)
        assert (await after.measure()).state == "held"


async def test_an_order_to_stop_that_it_is_slow_to_follow_stays_ours(mock_clock: MockClock) -> None:
    async with vnish_site() as site:
        for _ in range(2):
            assert (await site.miner.measure()).state == "running"
            mock_clock.jump(RUNS_S + 1)
        site.fake.faults.ignores_orders = True
        await site.miner.apply(order(OFF))
        assert (await site.miner.measure()).state == "running"
        site.fake.stop()
        site.clock.wait(10)
        assert (await site.miner.measure()).state == "off"


async def test_one_that_its_user_started_after_us_is_its_users(mock_clock: MockClock) -> None:
    async with vnish_site() as site:
        await site.miner.apply(order(OFF))
        site.clock.wait(10)
        assert (await site.miner.measure()).state == "off"
        site.fake.start()
        site.clock.wait(200)
        for _ in range(2):
            assert (await site.miner.measure()).state == "running"
            mock_clock.jump(RUNS_S + 1)
        site.fake.stop()
        site.clock.wait(10)
        assert (await site.miner.measure()).state == "held"


async def test_its_own_preset_switcher_makes_it_held_and_is_not_fought() -> None:
    async with vnish_site() as site:
        site.fake.has_switcher = site.fake.is_hot = True
        site.clock.wait(301)
        site.clock.wait(200)
        seen = await site.miner.measure()
        assert (seen.state, seen.point) == ("held", "3200"), "it went down by itself"
        assert seen.note is not None
        assert "preset switcher is on (1100 to 4690)" in seen.note
        assert any("preset switcher" in note for note in (await site.miner.describe()).notes)
        with pytest.raises(ConflictError, match="would undo it; switch that off on its page"):
            await site.miner.apply(order("1100"))
        await site.miner.apply(order(OFF, is_urgent=True))
        site.clock.wait(10)
        assert (await site.miner.measure()).state == "off", "what must be shed is shed"


async def test_disabled_is_its_stock_clock_and_neither_off_nor_a_preset() -> None:
    async with vnish_site() as site:
        site.fake.preset = "disabled"
        site.fake.restart()
        site.clock.wait(200)
        seen = await site.miner.measure()
        assert (seen.state, seen.point) == ("running", None)
        assert seen.power_w == pytest.approx(4690, rel=0.06)
        assert seen.note is not None
        assert "stock clock" in seen.note


async def test_starting_tuning_and_failing_are_told_apart() -> None:
    async with vnish_site() as site:
        site.fake.untuned, site.fake.broken = {"1500"}, {"1300"}
        for preset, state in (("1500", "tuning"), ("1300", "failed"), ("1100", "starting")):
            site.fake.preset = preset
            site.fake.restart()
            if state != "starting":
                site.clock.wait(100)
            seen = await site.miner.measure()
            assert seen.state == state
            if state == "failed":
                assert seen.note == "failure 1002: chain#2 broke"
            if state == "tuning":
                with pytest.raises(ConflictError, match="it is tuning"):
                    await site.miner.apply(order("1100"))


async def test_one_that_just_starts_does_not_count_with_nothing() -> None:
    async with vnish_site() as site:
        site.fake.restart()
        assert (await site.miner.measure()).power_w is None


async def test_a_reboot_locks_it_and_it_is_unlocked_once() -> None:
    async with vnish_site() as site:
        await site.miner.describe()
        site.fake.keys.clear()
        site.fake.reboot()
        assert (await site.miner.measure()).state == "away"
        site.clock.wait(300)
        site.fake.asked.clear()
        assert (await site.miner.measure()).state == "running"
        await site.miner.apply(order("1100"))
        assert site.fake.asked.count(("POST", "/unlock")) == 1


async def test_it_has_one_key_of_ours_which_is_found_again() -> None:
    async with vnish_site() as site:
        site.fake.keys.append({"key": "x" * 32, "description": "another's"})
        await site.miner.describe()
        await site.another(MemoryKeys()).describe()
        ours = [key["key"] for key in site.fake.keys if key["description"] == KEY_NAME]
        assert len(ours) == 1
        assert len(ours[0]) == 32
        assert site.keys.key_of(site.fake.mac) == ours[0]
        assert ours[0] not in repr(site.miner)


async def test_reading_with_the_key_needs_no_unlocking() -> None:
    async with vnish_site() as site:
        await site.miner.describe()
        site.fake.asked.clear()
        after = site.another()
        await after.measure()
        assert ("POST", "/unlock") not in site.fake.asked


async def test_a_firmware_without_keys_goes_by_its_token() -> None:
    async with vnish_site() as site:
        site.fake.faults.missing = {"/apikeys"}
        assert (await site.miner.measure()).state == "running"
        await site.miner.apply(order("1100"))
        assert site.keys.key_of(site.fake.mac) is None


async def test_a_wrong_password_is_not_tried_at_each_cycle(mock_clock: MockClock) -> None:
    async with vnish_site() as site:
        site.fake.password = "another"
        with pytest.raises(LockedError, match=r"set miners\.password"):
            await site.miner.describe()
        seen = await site.miner.measure()
        assert seen.state == "away"
        assert seen.note is not None
        assert "miners.password" in seen.note
        assert site.fake.asked.count(("POST", "/unlock")) == 1
        mock_clock.jump(LOCKED_S + 1)
        site.fake.password = "admin"
        assert (await site.miner.measure()).state == "running"


async def test_one_that_vanished_is_away_and_said_to_be_known_again_elsewhere() -> None:
    async with vnish_site() as site:
        await site.miner.measure()
        site.farm.vanish(site.fake)
        seen = await site.miner.measure()
        assert (seen.state, seen.power_w) == ("away", None), "what nobody knows is not zero"
        site.farm.appear(site.fake, 77)
        assert (await site.miner.measure()).state == "away"
        site.miner.move(site.farm.address(site.fake))
        assert (await site.miner.measure()).state == "running"


async def test_another_device_at_its_address_is_never_set() -> None:
    async with vnish_site() as site:
        site.fake.faults.mac = "02:00:00:00:99:99"
        with pytest.raises(StrangerError, match="02:00:00:00:99:99 answers there, not"):
            await site.miner.apply(order(OFF, is_urgent=True))
        assert (await site.miner.measure()).state == "away"
        assert site.fake.mode == "running"


async def test_a_page_of_its_web_server_is_no_answer() -> None:
    async with vnish_site() as site:
        site.fake.faults.is_page = True
        seen = await site.miner.measure()
        assert seen.state == "away"
        assert seen.note is not None
        assert "502" in seen.note
        with pytest.raises(AwayError):
            await site.miner.apply(order("1100"))


async def test_an_order_whose_answer_was_lost_may_have_been_carried_out() -> None:
    async with vnish_site() as site:
        await site.miner.describe()
        site.fake.faults.loses_answers = True
        with pytest.raises(AwayError, match="nobody knows whether it does"):
            await site.miner.apply(order("1100"))
        assert await site.miner.confirm(order("1100")), "looked at, it turns out that it was"
        site.fake.faults.loses_answers = False
        await site.miner.apply(order("1100"))
        assert site.fake.asked.count(("POST", "/settings")) == 1


async def test_one_that_hangs_delays_no_other() -> None:
    async with vnish_site(deadline_s=30.0) as site, trio.open_nursery() as nursery:
        site.fake.faults.hangs = True
        for _ in range(40):
            nursery.start_soon(site.another().measure)
        other = type(site.fake)("02:00:00:00:00:99", site.clock)
        site.farm.add(other, 99)
        await wait_all_tasks_blocked()
        assert (await vnish_of(site.farm, other, site.http, site.keys).measure()).state == "running"
        nursery.cancel_scope.cancel()


async def test_a_device_that_hangs_is_away_after_the_deadline() -> None:
    async with vnish_site(deadline_s=0.2) as site:
        site.fake.faults.hangs = True
        seen = await site.miner.measure()
        assert seen.state == "away"
        assert seen.note is not None
        assert "no whole answer within 0.2 s" in seen.note


@pytest.mark.parametrize("is_running", [True, False])
async def test_it_is_given_back_as_it_was_found(is_running: bool) -> None:
    async with vnish_site() as site:
        site.fake.times.stop_s = 0.0
        if not is_running:
            site.fake.stop()
        original = await site.miner.original()
        assert original == {"preset": "3350", "is_running": is_running}
        await site.miner.apply(order("1100"))
        await site.miner.apply(order(OFF if is_running else "1300"))
        await site.another().give_back(original)
        site.clock.wait(200)
        site.fake.advance()
        assert site.fake.preset == "3350"
        assert site.fake.mode == ("running" if is_running else "stopped")
        assert not site.keys.is_off(site.fake.mac), "a pause from now on is its user's"


async def test_what_cannot_be_given_back_is_said() -> None:
    async with vnish_site() as site:
        original = await site.miner.original()
        await site.miner.apply(order("1100"))
        site.fake.faults.ignores_orders = True
        with pytest.raises(LoadError, match="told to run at 3350, did not say no, and keeps 1100"):
            await site.miner.give_back(original)


async def test_an_order_without_a_point_is_refused() -> None:
    async with vnish_site() as site:
        with pytest.raises(LoadError, match="set to one of its presets"):
            await site.miner.apply(order(None))
        assert not await site.miner.confirm(order(None))
