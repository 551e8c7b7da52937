"""A load with Braiins OS, over HTTP, against a device that behaves like it."""

from __future__ import annotations

from typing import Any

import pytest

from jouled.balance.fleet.words import OFF
from jouled.loads.miners.exchange import AwayError, ConflictError, LockedError
from jouled.loads.protocol import LoadError
from miners.steering import braiins_of, braiins_site, order


async def test_its_efficiency_profile_is_its_presets() -> None:
    async with braiins_site() as site:
        found = await site.miner.describe()
        assert (found.kind, found.model, found.rated_w) == ("braiins", "Antminer S19J Pro", 3700.0)
        assert found.firmware == "Braiins OS 2026-01-01-0-abcdef-26.01-plus"
        assert found.presets[0].name == "900"
        assert found.presets[0].power_w == 944.0, "what it draws, which is not its target"
        assert found.presets[0].work == pytest.approx(38.0)
        assert found.notes == ()


async def test_a_profile_that_is_gone_while_it_is_paused_is_remembered() -> None:
    async with braiins_site() as site:
        running = await site.miner.describe()
        site.fake.stop()
        site.clock.wait(10)
        assert (await site.miner.describe()).presets == running.presets


async def test_without_a_profile_it_has_steps_between_its_bounds() -> None:
    async with braiins_site() as site:
        site.fake.has_profile = False
        found = await site.miner.describe()
        assert [preset.name for preset in found.presets] == [
            "900", "1300", "1700", "2100", "2500", "2900", "3300", "3700",
        ]  # fmt: skip
        assert found.notes == ("it tells no efficiency profile: the work of its targets is guessed",)


async def test_a_target_is_absolute_and_read_back_though_it_shows_the_old_one_first() -> None:
    async with braiins_site() as site:
        site.fake.old_reads = 3
        await site.miner.apply(order("1300"))
        assert await site.miner.confirm(order("1300"))
        site.clock.wait(60)
        seen = await site.miner.measure()
        assert (seen.state, seen.point) == ("running", "1300")
        assert seen.power_w == pytest.approx(site.farm.power_w(), rel=0.02)
        await site.miner.apply(order("1300"))
        puts = [path for method, path in site.fake.asked if method == "PUT"]
        assert puts.count("/performance/power-target") == 1
        assert not any("increment" in path or "decrement" in path for path in puts)


async def test_a_target_whose_answer_was_lost_is_looked_for_and_not_told_again() -> None:
    async with braiins_site() as site:
        await site.miner.describe()
        site.fake.faults.loses_answers = True
        await site.miner.apply(order("1300"))
        assert site.fake.asked.count(("PUT", "/performance/power-target")) == 1


async def test_one_that_says_yes_and_does_not_is_found_out() -> None:
    async with braiins_site() as site:
        site.fake.faults.ignores_orders = True
        with pytest.raises(LoadError, match="told to draw 1300 W, did not say no, and keeps 3100"):
            await site.miner.apply(order("1300"))


@pytest.mark.parametrize("name", ["800", "3701", "eco", "1300.5", "-1"])
async def test_what_is_outside_its_bounds_is_not_even_sent(name: str) -> None:
    async with braiins_site() as site:
        await site.miner.describe()
        with pytest.raises(LoadError, match="no power target of it; it takes 900 to 3700 W"):
            await site.miner.apply(order(name))
        assert ("PUT", "/performance/power-target") not in site.fake.asked


async def test_off_is_a_quick_pause_and_a_target_resumes_it() -> None:
    async with braiins_site() as site:
        await site.miner.describe()
        await site.miner.apply(order(OFF, is_urgent=True))
        assert site.fake.ramping == {"down_s": 2, "up_s": 5}
        site.clock.wait(3)
        assert await site.miner.confirm(order(OFF))
        seen = await site.miner.measure()
        assert (seen.state, seen.point, seen.power_w) == ("paused", OFF, 0.0)
        assert site.farm.power_w() < 100
        site.fake.asked.clear()
        await site.miner.apply(order("1300"))
        puts = [path for method, path in site.fake.asked if method == "PUT"]
        assert puts == ["/performance/power-target", "/actions/resume"], "not first up to the old target"


async def test_a_wrong_state_is_a_conflict() -> None:
    async with braiins_site() as site:
        site.fake.restart()
        with pytest.raises(ConflictError, match="409 'not mining'"):
            await site.miner.apply(order(OFF, is_urgent=True))


async def test_it_is_given_back_with_its_mode_and_its_ramp() -> None:
    async with braiins_site() as site:
        site.fake.ramping = {"down_s": 30, "up_s": 90}
        mode = {"tunermode": {"target": {"hashratetarget": {"hashrate_target": {"terahash_per_second": 90.0}}}}}
        site.fake.mode_of_tuner = mode
        await site.miner.describe()
        original = await site.miner.original()
        await site.miner.apply(order("1300"))
        await site.miner.apply(order(OFF))
        site.clock.wait(10)
        assert site.fake.mode_of_tuner != mode
        after = braiins_of(site.farm, site.fake, site.http, site.keys)
        await after.give_back(original)
        assert site.fake.mode_of_tuner == mode
        assert site.fake.ramping == {"down_s": 30, "up_s": 90}
        site.clock.wait(60)
        site.fake.advance()
        assert site.fake.mode == "running"


async def test_a_ramp_that_was_never_set_becomes_the_default_again() -> None:
    async with braiins_site() as site:
        await site.miner.describe()
        original = await site.miner.original()
        await site.miner.apply(order("1300"))
        await site.miner.give_back(original)
        assert ("PUT", "/performance/quick-ramping/default") in site.fake.asked
        assert site.fake.ramping == {"down_s": None, "up_s": None}


async def test_one_that_was_paused_by_its_user_is_given_back_paused() -> None:
    async with braiins_site() as site:
        site.fake.times.stop_s = 0.0
        site.fake.stop()
        assert (await site.miner.measure()).state == "held"
        original = await site.miner.original()
        await site.miner.apply(order("1300"))
        site.clock.wait(60)
        await site.miner.give_back(original)
        site.fake.advance()
        assert site.fake.mode == "stopped"
        assert site.fake.preset == "3100"


async def test_its_own_scaling_makes_it_held_and_is_not_fought() -> None:
    async with braiins_site() as site:
        site.fake.is_scaling = True
        assert any("performance scaling" in note for note in (await site.miner.describe()).notes)
        assert (await site.miner.measure()).state == "held"
        with pytest.raises(ConflictError, match="switch that off on its page"):
            await site.miner.apply(order("1300"))


@pytest.mark.parametrize(
    ("reason", "state", "note"),
    [
        ({"user_pause": {}}, "held", "not by jouled"),
        ({"thermal_pause": {"reason": "THERMAL_PAUSE_REASON_BROKEN_FANS"}}, "held", "its fans are broken"),
        ({"thermal_pause": {"reason": "THERMAL_PAUSE_REASON_DANGEROUS_TEMPERATURE"}}, "held", "too hot"),
        ({"dps_cooldown": {}}, "held", "scaling"),
        ({"dead_pools": {}}, "failed", "pool"),
        ({"tuner_error": {"message": "chain 3"}}, "failed", "tuner error: chain 3"),
        ({"unsupported_hardware": {"errors": ["Hashboard 1"]}}, "failed", "unsupported hardware: Hashboard 1"),
        ({"something_new": {}}, "failed", "something new"),
    ],
)
async def test_why_it_stopped_is_told_apart(reason: dict[str, Any], state: str, note: str) -> None:
    async with braiins_site() as site:
        site.fake.stop()
        site.clock.wait(10)
        site.fake.reason = reason
        seen = await site.miner.measure()
        assert seen.state == state
        assert note in str(seen.note)


async def test_an_interface_without_detailed_status_does_too() -> None:
    async with braiins_site() as site:
        site.fake.is_old = True
        assert (await site.miner.measure()).state == "running"
        await site.miner.apply(order(OFF))
        site.clock.wait(10)
        assert (await site.miner.measure()).state == "paused"


async def test_a_token_that_ran_out_is_asked_for_once() -> None:
    async with braiins_site() as site:
        await site.miner.describe()
        site.fake.tokens.clear()
        site.fake.asked.clear()
        assert (await site.miner.measure()).state == "running"
        assert site.fake.asked.count(("POST", "/auth/login")) == 1


async def test_a_wrong_password_is_named() -> None:
    async with braiins_site() as site:
        site.fake.password = "another"
        with pytest.raises(LockedError, match=r"set miners\.password"):
            await site.miner.describe()


async def test_while_it_boots_it_is_away() -> None:
    async with braiins_site() as site:
        site.fake.reboot()
        assert (await site.miner.measure()).state == "away"
        with pytest.raises(AwayError):
            await site.miner.apply(order("1300"))
        site.clock.wait(200)
        assert (await site.miner.measure()).state == "running"
