#!/usr/bin/env python3
"""What planning costs: power for a fleet, the whole call from Python, against a plain greedy in Python."""

import random
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

from bench import say  # type: ignore[import-not-found]  # the script beside this one

from jouled.balance.fleet.allot import allot
from jouled.balance.fleet.words import Load, Point

ALLOT_MAX_MS = {60: 0.5, 10_000: 50.0}
POINTS = 12
ROUNDS = {60: 200, 1_000: 30, 10_000: 9}


def fleet(count: int) -> list[Load]:
    """Each with measured points of its own, in no order of their ids: the most there is to read."""
    chance = random.Random(1)
    loads = []
    for _ in range(count):
        size = chance.uniform(0.8, 1.2)
        points = tuple(
            Point(
                f"{1000 + 300 * step}",
                (1000 + 300 * step) * chance.uniform(0.97, 1.03),
                size * (50 + 9 * step - 0.1 * step * step) * chance.uniform(0.97, 1.03),
            )
            for step in range(POINTS)
        )
        current = points[chance.randrange(POINTS)].name
        loads.append(Load(f"miner-{chance.getrandbits(48):012x}", points, current=current, change_cost=0.1))
    return loads


def plain(loads: list[Load], budget_w: float) -> float:
    """The work of a greedy on upper concave hulls without circuits, priorities or exchanges at the break."""
    steps = []
    chosen = {}
    for load in sorted(loads):
        hull: list[tuple[float, float, Point]] = []
        for point in sorted(load.points, key=lambda point: point.power_w):
            worth = point.work + (load.change_cost if point.name == load.current else 0.0)
            if hull and worth <= hull[-1][1]:
                continue
            while len(hull) > 1 and (worth - hull[-1][1]) * (hull[-1][0] - hull[-2][0]) >= (
                hull[-1][1] - hull[-2][1]
            ) * (point.power_w - hull[-1][0]):
                hull.pop()
            hull.append((point.power_w, worth, point))
        chosen[load.id] = hull[0][2]
        for before, after in pairwise(hull):
            steps.append((-(after[1] - before[1]) / (after[0] - before[0]), load.id, after[0] - before[0], after[2]))
    left_w = budget_w - sum(point.power_w for point in chosen.values())
    steps.sort()
    for _, load_id, power_w, point in steps:
        if power_w > left_w:
            break
        left_w -= power_w
        chosen[load_id] = point
    return sum(point.work for point in chosen.values())


def median_ms(call: Callable[[], object], rounds: int) -> float:
    took = []
    for _ in range(rounds + 1):
        began = time.thread_time()
        call()
        took.append((time.thread_time() - began) * 1e3)
    return statistics.median(took[1:])


def main() -> None:
    for count, rounds in ROUNDS.items():
        loads, budget_w = fleet(count), count * 1_800.0
        ours = median_ms(lambda: allot(loads, budget_w), rounds)  # noqa: B023 - called before the next turn
        theirs = median_ms(lambda: plain(loads, budget_w), max(1, rounds // 5))  # noqa: B023 - as above
        more = allot(loads, budget_w).work / plain(loads, budget_w) - 1
        target = ALLOT_MAX_MS.get(count)
        say(
            f"{count:,} loads of {POINTS} points",
            f"{ours:.2f} ms",
            "" if target is None else f"<= {target:g} ms",
            is_met=None if target is None else ours <= target,
        )
        say("plain Python", f"{theirs:.2f} ms = {theirs / ours:.1f} x ours")
        say("more work than the plain greedy", f"{more:.4%}")


if __name__ == "__main__":
    main()
