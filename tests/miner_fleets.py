"""Fleets of miners as they are: a third of one known table, a third of older and a third of newer ones."""

from __future__ import annotations

import random

from jouled.balance.fleet.words import OFF, Load, Point

# Watts and TH/s of an S19 by its presets.
S19 = (
    (1100.0, 53.0),
    (1300.0, 58.0),
    (1500.0, 63.0),
    (1700.0, 68.0),
    (1900.0, 73.0),
    (2100.0, 78.0),
    (2350.0, 85.0),
    (2620.0, 91.0),
    (2950.0, 99.0),
    (3200.0, 102.0),
    (3350.0, 105.0),
    (3750.0, 110.0),
    (4000.0, 115.0),
    (4260.0, 120.0),
    (4690.0, 124.0),
)
STOPPED = Point(OFF, 0.0, 0.0)


def miners(count: int, seed: int, *, can_stop: bool = True, is_measured: bool = False) -> list[Load]:
    """Measured ones draw and do 3 % more or less than their presets say, so that their powers have no common step."""
    chance = random.Random(seed)
    loads = []
    for number in range(count):
        table = (list(S19), _older(chance), _newer(chance))[number % 3]
        if is_measured:
            table = [
                (power_w * chance.uniform(0.97, 1.03), work * chance.uniform(0.97, 1.03)) for power_w, work in table
            ]
        points = tuple(Point(f"{power_w:.0f}", power_w, work) for power_w, work in table)
        loads.append(Load(f"miner-{number:03}", (STOPPED, *points) if can_stop else points))
    return loads


def most_w(loads: list[Load]) -> float:
    """What they draw at most."""
    return sum(max(point.power_w for point in load.points) for load in loads)


def _older(chance: random.Random) -> list[tuple[float, float]]:
    watts_per_th = chance.uniform(38, 45)
    return [(float(w), w / watts_per_th * (1 - 6e-5 * (w - 900))) for w in range(900, 2500, 200)]


def _newer(chance: random.Random) -> list[tuple[float, float]]:
    watts_per_th = chance.uniform(15, 19)
    return [(float(w), w / watts_per_th * (1 - 4e-5 * (w - 2000))) for w in range(2000, 5600, 300)]
