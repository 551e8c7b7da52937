"""An hour of a site with the real daemon, by what is true in its farm: a trip, a lie, and a kill in the middle of a shed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons import eventually
from days import Day, Sizes
from findings import Promise, eventually_agrees, promises
from miners.fake_http import Asked
from miners.vnish_fake import VnishFake

PLENTY_W = 40_000.0
# Slow enough for a machine that has much else to do: what is judged is the order of things, not how soon they are.
# Loads may be raised again soon: where the lie were believed, that would be seen while it is told.
SMALL = Sizes(
    vnish=8, braiins=2, rated_w=50_000.0, fallback_w=10_000.0, dwell_s=150.0, poll_s=0.4, held_s=20.0, seen_s=15.0
)
QUIET_S = 2.0


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    with Day(tmp_path, scale=150.0, sizes=SMALL, net=22) as one:
        one.steady_w = PLENTY_W
        yield one


def calm(day: Day) -> None:
    """Nothing is in flight, and for a while nothing was changed."""

    def is_calm() -> bool:
        status = day.controller.get("/api/v1/balance/status")
        latest_s = max((change.at_s for change in day.changes), default=0.0)
        has_all = status["managed_miners_count"] == len(day.farm.devices) + 1
        return has_all and not status["pending"] and time.time() - latest_s > QUIET_S

    eventually(is_calm, "all loads are there, and calm")


def raises(day: Day) -> int:
    return sum(change.is_raise for change in day.changes)


def set_by_a_stranger(device: VnishFake, preset: str) -> None:
    """Over its interface, as any other program does."""
    device.tokens.add("a-stranger")
    body = {"miner": {"overclock": {"preset": preset}}}
    asked = Asked("POST", "/api/v1/settings", {"authorization": "Bearer a-stranger"}, json.loads(json.dumps(body)))
    assert device.handle(asked).status == 200


def broken(found: list[Promise]) -> list[str]:
    return [promise.name for promise in found if not promise.is_kept]


def test_through_a_trip_a_lie_and_a_kill_the_farm_is_as_promised(day: Day) -> None:
    calm(day)
    before_w = day.load_w
    assert before_w <= day.supply_w

    # A trip is answered by sheds, and a feed that says that there is a thousand times as much raises nothing.
    day.drop_w = 15_000.0
    day.eventually_below()
    with day.lying("thousandfold", is_heard=True):
        answers = day.plant.answers[200]
        eventually(lambda: day.plant.answers[200] > answers + 50, "the lie was told many times")

    # When both are over the same loads are raised: it was the lie that kept them, and not the daemon's leisure.
    raised = raises(day)
    day.drop_w = 0.0
    eventually(lambda: raises(day) > raised, "loads are raised after the trip")
    calm(day)

    # Killed with the first of its orders on their way, which the books have not heard of, it finds what is true.
    with day.locked_books():
        day.kill_mid_shed(20_000.0)
    day.start_again()
    day.eventually_below()
    calm(day)
    eventually_agrees(day)
    assert "has not ended well" in day.controller.log.read_text()

    assert day.stop() < 30
    found = promises(day)
    assert not broken(found), found
    assert len(day.changes) > 10


def test_a_change_that_no_decision_explains_is_found(day: Day) -> None:
    calm(day)
    device = day.vnish(0)
    with day.farm.lock:
        set_by_a_stranger(device, "1300" if device.preset != "1300" else "1500")
    calm(day)
    day.stop()
    found = promises(day)
    assert broken(found) == ["each change has its decision"]
    [problem] = next(promise.problems for promise in found if not promise.is_kept)
    assert device.mac in problem
