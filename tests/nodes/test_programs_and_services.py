"""Programs and services as loads: real processes, and a real HTTP server that behaves as a device does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from answering import answering
from certificates import make_pair
from jouled.balance.fleet.words import OFF, Point, Span
from jouled.config import ConfigError
from jouled.loads.dry_run import DRAWS, DryRun, PretendLoad
from jouled.loads.http_load import HttpLoad
from jouled.loads.program import ProgramLoad
from jouled.loads.protocol import LoadError
from jouled.loads.said import Bounds
from jouled.web.tls import context_of
from node_orders import order_of

POINT = Point("low", 400.0, 3.0)
OVEN = """
import json, pathlib, sys
told = json.load(sys.stdin)
kept = pathlib.Path(sys.argv[1])
state = json.loads(kept.read_text())
if state.get("words"):
    print(state["words"], file=sys.stderr)
    sys.exit(3)
if told["ask"] == "describe":
    print(json.dumps({"presets": [{"name": "low", "watts": 400, "work": 3}, {"name": "high", "watts": 900, "work": 5}],
        "can_be_off": True, "settle_seconds": 30, "model": "oven"}))
elif told["ask"] in ("measure", "confirm"):
    print(state.get("raw") or json.dumps({"state": "running", "preset": state["preset"], "watts": 399.5}))
else:
    state["preset"] = (told.get("target") or told["original"])["preset"]
    kept.write_text(json.dumps(state))
"""


class Oven:
    """A program, and what it keeps."""

    def __init__(self, folder: Path) -> None:
        self.kept = folder / "kept.json"
        self.keep(preset="high")
        program = folder / "oven.py"
        program.write_text(OVEN)
        self.argv = (sys.executable, "-I", str(program), str(self.kept))
        self.load = ProgramLoad("oven", self.argv, limit_s=30.0)

    def keep(self, **state: Any) -> None:
        self.kept.write_text(json.dumps(state))


@pytest.fixture
def oven(tmp_path: Path) -> Oven:
    return Oven(tmp_path)


async def test_a_program_is_described_set_and_given_back(oven: Oven) -> None:
    load = oven.load
    said = await load.describe()
    assert [preset.name for preset in said.presets] == ["low", "high"]
    assert (said.id, said.kind, said.model, said.can_be_off) == ("oven", "command", "oven", True)
    assert (said.timing.dead_s, said.timing.settle_s) == (2.0, 30.0)
    before = await load.original()
    assert before == {"preset": "high", "watts": None}
    await load.apply(order_of(400.0, POINT))
    assert await load.confirm(order_of(400.0, POINT))
    assert not await load.confirm(order_of(900.0, Point("high", 900.0, 5.0)))
    seen = await load.measure()
    assert (seen.state, seen.point, seen.power_w, seen.work) == ("running", "low", 399.5, None)
    await load.give_back(before)
    assert (await load.measure()).point == "high"
    await load.aclose()


async def test_a_program_that_fails_is_away_and_its_words_are_said(oven: Oven) -> None:
    oven.keep(words="the oven is on fire")
    seen = await oven.load.measure()
    assert seen.state == "away"
    assert seen.note is not None
    assert "measure ended with status 3: the oven is on fire" in seen.note
    with pytest.raises(LoadError, match="apply ended with status 3: the oven is on fire"):
        await oven.load.apply(order_of(400.0, POINT))


@pytest.mark.parametrize("raw", ["no JSON", '{"state": "burning"}', '{"state": "running", "watts": -5}', "[]"])
async def test_what_a_program_says_otherwise_is_not_believed(oven: Oven, raw: str) -> None:
    oven.keep(preset="low", raw=raw)
    seen = await oven.load.measure()
    assert (seen.state, seen.power_w) == ("away", None)
    assert seen.note is not None
    assert "it must answer in the words of a load" in seen.note


async def test_a_program_that_does_not_say_its_state_has_failed(oven: Oven) -> None:
    oven.keep(preset="low", raw='{"watts": 5}')
    assert (await oven.load.measure()).state == "failed"


async def test_a_program_that_is_not_there_or_never_ends(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="check the load's command"):
        await ProgramLoad("oven", [f"{tmp_path}/none"]).describe()
    with pytest.raises(LoadError, match=r"no end within 0\.2 s"):
        await ProgramLoad("oven", ["/bin/sleep", "100"], limit_s=0.2).describe()


async def test_presets_outside_of_the_bounds_are_left_out(oven: Oven) -> None:
    bounded = ProgramLoad("oven", oven.argv, limit_s=30.0, bounds=Bounds(max_w=500.0, dead_s=7.0))
    said = await bounded.describe()
    assert ([preset.name for preset in said.presets], said.timing.dead_s) == (["low"], 7.0)
    with pytest.raises(LoadError, match="none of its presets is within its min and max"):
        await ProgramLoad("oven", oven.argv, limit_s=30.0, bounds=Bounds(min_w=1000.0)).describe()


# ---- over HTTP ----

STATE = {"state": "running", "min_watts": 100, "max_watts": 800, "cap_watts": 300, "watts": 290.5}


def served(**more: Any) -> bytes:
    return json.dumps({**STATE, **more}).encode()


async def test_a_service_is_described_set_and_given_back() -> None:
    with answering() as server:
        server.tell("/oven", served())
        load = HttpLoad("oven", f"{server.url}/oven", timeout_s=60.0, bounds=Bounds(max_w=700.0))
        said = await load.describe()
        assert (said.kind, said.span, said.presets) == ("http", Span(100.0, 700.0, None), ())
        seen = await load.measure()
        assert (seen.state, seen.cap_w, seen.power_w) == ("running", 300.0, 290.5)
        await load.apply(order_of(300.0))
        assert await load.confirm(order_of(300.5))
        assert not await load.confirm(order_of(200.0))
        await load.give_back(await load.original())
        puts = [json.loads(asked.body) for asked in server.asked if asked.method == "PUT"]
        assert puts[0] == {"id": "order-1", "preset": None, "watts": 300.0, "is_urgent": False, "reason": "too much"}
        assert puts[1] == {"preset": None, "watts": 300.0, "is_original": True}
        with pytest.raises(LoadError, match="it is not as it was"):
            await load.give_back({"preset": None, "watts": 200.0})
        await load.aclose()


async def test_off_is_a_state_and_a_target() -> None:
    with answering() as server:
        server.tell("/oven", served(state="off", cap_watts=None))
        load = HttpLoad("oven", f"{server.url}/oven", timeout_s=60.0)
        assert (await load.measure()).point == OFF
        assert await load.confirm(order_of(0.0, Point(OFF, 0.0, 0.0)))
        assert await load.original() == {"preset": "off", "watts": None}
        await load.aclose()


async def test_a_service_that_errs_has_failed_and_one_that_is_gone_is_away() -> None:
    with answering() as server:
        server.tell("/oven", b'{"message": "the door is open"}', status=503)
        load = HttpLoad("oven", f"{server.url}/oven", timeout_s=60.0)
        seen = await load.measure()
        assert seen.state == "away"
        assert seen.note is not None
        assert "503 the door is open" in seen.note
        url = server.url
    gone = HttpLoad("oven", f"{url}/oven", timeout_s=60.0)
    assert (await gone.measure()).state == "away"
    await gone.aclose()
    await load.aclose()


async def test_certificates_are_verified_by_those_that_were_given(tmp_path: Path) -> None:
    pair, other = make_pair(tmp_path, "oven"), make_pair(tmp_path, "other")
    with answering(context_of(pair.tls())) as server:
        server.tell("/oven", served())
        for ca, state in ((str(pair.cert), "running"), (str(other.cert), "away"), (None, "away")):
            load = HttpLoad("oven", f"{server.url}/oven", ca=ca, timeout_s=60.0)
            assert (await load.measure()).state == state
            await load.aclose()
    with pytest.raises(ConfigError, match="put the load oven's certificates there"):
        HttpLoad("oven", "https://oven", ca=f"{tmp_path}/none")


# ---- nothing is done ----


async def test_a_dry_run_measures_and_sets_nothing(oven: Oven) -> None:
    load = DryRun(oven.load)
    assert (await load.describe()).notes[0] == "dry run: nothing is set"
    await load.apply(order_of(400.0, POINT))
    assert await load.confirm(order_of(400.0, POINT))
    assert not await load.confirm(order_of(900.0, Point("high", 900.0, 5.0)))
    seen = await load.measure()
    assert (seen.point, seen.power_w) == ("low", 399.5)
    assert json.loads(oven.kept.read_text()) == {"preset": "high"}
    await load.give_back({})
    assert (await load.measure()).point == "high"
    await load.aclose()


async def test_an_imagined_load_follows_after_its_dead_time(autojump_clock: trio.testing.MockClock) -> None:
    load = PretendLoad("try", Span(100.0, 1000.0))
    assert (await load.describe()).span == Span(100.0, 1000.0)
    before = await load.original()
    assert (await load.measure()).power_w == DRAWS * 1000
    await load.apply(order_of(500.0))
    assert await load.confirm(order_of(500.0))
    await trio.sleep(1)
    assert (await load.measure()).power_w == DRAWS * 1000
    await trio.sleep(2)
    assert (await load.measure()).power_w == DRAWS * 750
    await trio.sleep(2)
    assert (await load.measure()).power_w == DRAWS * 500
    await load.give_back(before)
    assert (await load.measure()).cap_w == 1000.0


async def test_an_imagined_load_that_is_told_the_same_again_goes_on_its_way(
    autojump_clock: trio.testing.MockClock,
) -> None:
    load = PretendLoad("try", Span(100.0, 1000.0))
    for _ in range(6):
        await load.apply(order_of(500.0))
        await trio.sleep(1)
    assert (await load.measure()).power_w == DRAWS * 500
