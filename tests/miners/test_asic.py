"""A load through the library pyasic, which lives in another kind of loop."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from jouled.balance.fleet.words import OFF
from jouled.loads.miners.asic import AsicMiner, found_at
from jouled.loads.miners.exchange import AwayError, ConflictError, StrangerError
from jouled.loads.miners.keys import MemoryKeys
from jouled.loads.protocol import LoadError
from miners.asic_fake import FakeAsic, FakePyasic, LuxRpc, Preset
from miners.steering import order

MAC = "02:00:00:00:00:01"
AT = "10.20.0.7"


def asic(fake: FakeAsic, **parts: Any) -> AsicMiner:
    given = {"least_w": 1800.0, "most_w": 3900.0, "keys": MemoryKeys(), **parts}
    return AsicMiner(AT, mac=MAC, pyasic=FakePyasic(**{AT.replace(".", "_"): fake}), **given)


async def test_power_limits_are_steps_between_the_bounds_of_its_model() -> None:
    found = await asic(FakeAsic(MAC)).describe()
    assert (found.kind, found.model, found.name, found.firmware) == ("pyasic", "M50S VH80", "whats-1", "20250101")
    assert [preset.name for preset in found.presets] == [
        "1800", "2100", "2400", "2700", "3000", "3300", "3600", "3900",
    ]  # fmt: skip
    assert (found.rated_w, found.can_be_off) == (3900.0, True)


async def test_without_bounds_and_presets_it_says_what_is_missing() -> None:
    found = await asic(FakeAsic(MAC), least_w=None).describe()
    assert found.presets == ()
    assert found.notes == ("it has no presets: set the least and the most watts of its model",)


async def test_presets_of_a_device_that_has_them_are_taken() -> None:
    listed = [
        Preset("high", 3200, 104),
        Preset("low", 1500, 63, tuned=False),
        Preset("modded", 4600, 120, modded_psu=True),
        Preset("disabled", None, None),
    ]
    found = await asic(FakeAsic(MAC, presets=listed)).describe()
    assert [(preset.name, preset.is_tuned) for preset in found.presets] == [("low", False), ("high", True)]


async def test_it_measures_in_terahashes() -> None:
    miner = asic(FakeAsic(MAC))
    await miner.describe()
    seen = await miner.measure()
    assert (seen.state, seen.point, seen.power_w, seen.work) == ("running", "3300", 3280.0, 112.0)


async def test_a_limit_is_set_and_read_back() -> None:
    fake = FakeAsic(MAC)
    miner = asic(fake)
    await miner.describe()
    await miner.apply(order("2100"))
    assert fake.limit_w == 2100
    assert await miner.confirm(order("2100"))
    assert not await miner.confirm(order("2400"))


async def test_off_and_on_again() -> None:
    fake = FakeAsic(MAC)
    miner = asic(fake)
    await miner.describe()
    await miner.apply(order(OFF))
    seen = await miner.measure()
    assert (seen.state, seen.point, seen.power_w) == ("off", OFF, 8.0)
    assert await miner.confirm(order(OFF))
    await miner.apply(order("2100"))
    assert fake.calls == ["stop", "limit 2100", "resume"]
    assert await miner.confirm(order("2100"))


async def test_a_pause_of_its_user_is_held() -> None:
    assert (await asic(FakeAsic(MAC, mines=False)).measure()).state == "held"


async def test_what_says_no_is_a_conflict() -> None:
    miner = asic(FakeAsic(MAC, says_no=True))
    with pytest.raises(ConflictError, match="said no"):
        await miner.apply(order("2100"))
    with pytest.raises(ConflictError, match="said no"):
        await miner.apply(order(OFF))
    with pytest.raises(LoadError, match="cannot be switched off"):
        await asic(FakeAsic(MAC, supports_shutdown=False)).apply(order(OFF))


async def test_silence_is_not_taken_for_being_off() -> None:
    fake = FakeAsic(MAC)
    miner = asic(fake)
    await miner.describe()
    await miner.apply(order(OFF))
    fake.mines = True
    fake.is_silent = True
    assert (await miner.measure()).state == "away"
    with pytest.raises(LoadError):
        await miner.confirm(order(OFF))


async def test_one_that_says_that_it_is_off_and_draws_its_power_is_not() -> None:
    fake = FakeAsic(MAC, mines=False)
    fake.watts = lambda: 3100  # type: ignore[method-assign]  # its meter, against its word
    seen = await asic(fake).measure()
    assert (seen.state, seen.power_w) == ("starting", 3100.0)


async def test_luxos_is_known_by_its_own_interface_where_the_library_drops_what_it_says() -> None:
    fake = FakeAsic(None, model="S19 (LuxOS)", mines=None, rpc=LuxRpc(MAC), has_rate=False)
    seen = await asic(fake).measure()
    assert (seen.state, seen.power_w, seen.work) == ("running", 3280.0, 112.0)
    fake.switches = True
    seen = await asic(fake).measure()
    assert seen.state == "held"
    assert "ATM" in str(seen.note)


async def test_it_is_given_back_as_it_was_found() -> None:
    fake = FakeAsic(MAC)
    miner = asic(fake)
    original = await miner.original()
    await miner.apply(order("2100"))
    await miner.apply(order(OFF))
    await miner.give_back(original)
    assert (fake.limit_w, fake.mines) == (3300, True)


async def test_one_that_hangs_is_away_and_ends() -> None:
    seen = await asic(FakeAsic(MAC, hangs=True), call_s=0.1).measure()
    assert seen.state == "away"
    assert seen.note is not None
    assert "pyasic was not done within 0.1 s" in seen.note


async def test_nothing_there_is_away() -> None:
    miner = AsicMiner(AT, mac=MAC, keys=MemoryKeys(), pyasic=FakePyasic())
    with pytest.raises(AwayError, match="pyasic finds no miner there"):
        await miner.describe()


async def test_another_device_there_is_not_set() -> None:
    fake = FakeAsic("02:00:00:00:99:99")
    with pytest.raises(StrangerError):
        await asic(fake).apply(order(OFF))
    assert fake.calls == []


async def test_errors_of_the_library_are_ours() -> None:
    with pytest.raises(LoadError, match="pyasic: 'chunky'; update it"):
        await asic(FakeAsic(MAC, breaks=KeyError("chunky"))).describe()  # no traceback for a user
    assert (await asic(FakeAsic(MAC, breaks=ValueError("x"))).measure()).state == "away"


async def test_it_is_found_by_its_mac() -> None:
    there = FakePyasic(**{AT.replace(".", "_"): FakeAsic(MAC)})
    found = await found_at(AT, pyasic=there)
    assert found is not None
    assert (found.family, found.mac, found.model) == ("pyasic", MAC, "M50S VH80")
    assert await found_at("10.20.0.8", pyasic=there) is None


async def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyasic", None)
    with pytest.raises(LoadError, match=r"pip install 'jouled\[miners\]'"):
        await AsicMiner(AT, mac=MAC, keys=MemoryKeys()).describe()
    found = await found_at(AT)
    assert found is not None
    assert (found.mac, found.problem) == (None, "pyasic is not installed (pyasic): pip install 'jouled[miners]'")
