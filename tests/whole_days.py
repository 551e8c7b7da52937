"""What happens to a site on its day, hour by hour: lies and silence of its feed, trips, faults of its miners, kills."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

from daemons import eventually
from days import Day
from findings import eventually_agrees
from jouled.balance.fleet.words import OFF
from miners.farm import Device

LIES = ("negative", "thousandfold", "frozen", "future", "flapping")
# Longer than whoever writes to the books waits for its turn.
LOCKED_S = 8.0


class Hour(NamedTuple):
    """From that hour of the day on, for so many minutes; none where it is over by itself."""

    at_h: float
    minutes: float
    name: str
    what: Callable[[Day], object]


def schedule() -> list[Hour]:
    """Of 24 hours."""
    return [
        # Before any of them was switched off: a pause soon after ours would be taken for ours.
        Hour(0.4, 40, "a user pauses a miner", _pause),
        Hour(0.6, 10, "a trip of 20 kW, while one is paused", partial(_trip, drop_w=20_000.0)),
        *(
            Hour(1.2 + number, 20, f"the feed lies: {name}", partial(_lie, name=name))
            for number, name in enumerate(LIES)
        ),
        Hour(6.0, 15, "the feed is down", partial(_lie, name="drop")),
        Hour(7.0, 30, "a trip of 40 kW", partial(_trip, drop_w=40_000.0)),
        Hour(8.5, 0, "three miners reboot", _reboot),
        Hour(9.5, 60, "two miners vanish, and return at other addresses", _vanish),
        Hour(11.0, 120, "a miner ignores what it is told", partial(_fault, place=5, name="ignores_orders")),
        Hour(12.0, 15, "a trip of 35 kW, while one ignores orders", partial(_trip, drop_w=35_000.0)),
        Hour(14.0, 15, "a trip of 45 kW, and the daemon is killed in the middle of its shed", _kill),
        Hour(15.5, 0, "the books are locked", _lock),
        Hour(16.5, 0, "the daemon is ended and started", _restart),
        Hour(18.0, 30, "a miner hangs", partial(_fault, place=9, name="hangs")),
        Hour(19.0, 15, "a trip of 60 kW: less than all at their least", partial(_trip, drop_w=60_000.0)),
    ]


def live(day: Day, hours: float, plan: Sequence[Hour], say: Callable[[str], None]) -> None:
    """Through the plan, whose day has 24 hours, in so many of them."""
    shrunk = hours / 24.0
    with ExitStack() as open_ones:
        ends: list[tuple[float, ExitStack]] = []
        for each in sorted(plan, key=lambda one: one.at_h):
            _wait(day, each.at_h * 3600 * shrunk, ends)
            say(_line(day, each.name))
            stack = open_ones.enter_context(ExitStack())
            result = each.what(day)
            if hasattr(result, "__enter__"):
                stack.enter_context(result)  # type: ignore[arg-type]  # a context manager
            ends.append((day.now_s + each.minutes * 60 * shrunk, stack))
        _wait(day, hours * 3600, ends)
        for _, stack in ends:
            stack.close()


def _wait(day: Day, until_s: float, ends: list[tuple[float, ExitStack]]) -> None:
    """What is over by then ends on the way."""
    for at_s, stack in sorted(ends, key=lambda end: end[0]):
        if at_s <= until_s:
            day.wait_until(at_s)
            stack.close()
            ends.remove((at_s, stack))
    day.wait_until(until_s)


def _line(day: Day, name: str) -> str:
    return (
        f"{day.now_s / 3600:5.2f} h  plant {day.supply_w / 1e3:6.1f} kW, load {day.load_w / 1e3:6.1f} kW,"
        f" {len(day.changes):4} changes: {name}"
    )


def _lie(day: Day, name: str) -> object:
    return day.lying(name)


@contextmanager
def _trip(day: Day, drop_w: float) -> Iterator[None]:
    day.drop_w += drop_w
    try:
        yield
    finally:
        day.drop_w -= drop_w


def _reboot(day: Day) -> None:
    """Its web server is away for a while, and it has forgotten who was let in."""
    with day.farm.lock:
        for place in (2, 3, 4):
            day.vnish(place).advance()
            if day.vnish(place).mode == "running":
                day.vnish(place).reboot()


@contextmanager
def _vanish(day: Day) -> Iterator[None]:
    gone: list[Device] = [day.vnish(6), day.vnish(7)]
    for device in gone:
        day.farm.vanish(device)
    try:
        yield
    finally:
        for number, device in enumerate(gone):
            day.farm.appear(device, 50 + number)


@contextmanager
def _fault(day: Day, place: int, name: str) -> Iterator[None]:
    faults = day.vnish(place).faults
    setattr(faults, name, True)
    try:
        yield
    finally:
        setattr(faults, name, False)


def _pause(day: Day) -> object:
    """Of one that was never off by our order, where there is one."""
    ours = {change.mac for change in day.changes if OFF in {change.before, change.after}}
    free = [one for one in day.farm.devices if one.mac not in ours and one.mode == "running"]
    return day.paused_by_user(free[-1]) if free else None


@contextmanager
def _kill(day: Day) -> Iterator[None]:
    day.kill_mid_shed(45_000.0)
    day.start_again()
    eventually_agrees(day)
    day.eventually_below()
    try:
        yield
    finally:
        day.drop_w -= 45_000.0


def _lock(day: Day) -> None:
    with day.locked_books():
        time.sleep(LOCKED_S)


def _restart(day: Day) -> None:
    day.stop()
    day.start_again()
    eventually(lambda: day.controller.get("/api/v1/balance/status")["at"], "a cycle is over")
