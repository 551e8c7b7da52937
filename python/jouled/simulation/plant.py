"""A plant on a simulated clock: what it gives at each step, and what its feed says of it."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from jouled.balance.site.supply import Reading
from jouled.simulation.scenario import Lie, Plant
from jouled.simulation.traces import Trace


class Heard(NamedTuple):
    """One poll: a reading, or why there is none."""

    reading: Reading | None
    problem: str | None


class Feed:
    """What a poll of the plant would get. `supply_w` holds what it really gives at each step."""

    def __init__(self, plant: Plant, supply_w: list[float], step_s: float, start: datetime) -> None:
        self.supply_w = supply_w
        self._lies = plant.fault
        self._lag_s = plant.lag_s
        self._step_s = step_s
        self._start = start
        self._polls = 0

    def __repr__(self) -> str:
        return f"<Feed of {len(self.supply_w)} steps, {len(self._lies)} faults>"

    def poll(self, now_s: float) -> Heard:
        self._polls += 1
        lie = next((each for each in self._lies if each.at_s <= now_s < each.at_s + each.for_s), None)
        sourced_s = max(0.0, now_s - self._lag_s)
        if lie is None:
            return self._heard(self._at(sourced_s), sourced_s)
        if lie.kind == "silent":
            return Heard(None, "no answer within 10 s")
        return self._lied(lie, sourced_s)

    def _lied(self, lie: Lie, sourced_s: float) -> Heard:
        power_w = self._at(sourced_s)
        match lie.kind:
            case "frozen":
                frozen_s = max(0.0, lie.at_s - self._lag_s)
                return self._heard(self._at(frozen_s), frozen_s)
            case "negative":
                return self._heard(-power_w, sourced_s)
            case "thousandfold":
                return self._heard(power_w * 1000, sourced_s)
            case "future":
                return self._heard(power_w * 1.3, sourced_s + 3600)
            case "doubtful":
                return self._heard(power_w * 1.3, sourced_s, confidence=0.4)
            case _:  # flapping, between what is and far more
                return self._heard(power_w * (1.5 if self._polls % 2 else 1.0), sourced_s)

    def _heard(self, power_w: float, sourced_s: float, confidence: float = 0.99) -> Heard:
        sourced_at = self._start + timedelta(seconds=sourced_s)
        return Heard(Reading(power_w, sourced_at, confidence=confidence, id=f"{sourced_s:.3f}"), None)

    def _at(self, at_s: float) -> float:
        return self.supply_w[min(len(self.supply_w) - 1, int(at_s / self._step_s))]


def supply_of_plant(plant: Plant, steps: int, step_s: float, random: Random, trace: Trace | None = None) -> list[float]:
    """What it gives at each step, in watts."""
    if trace is not None:
        supply = [trace.at(step * step_s) for step in range(steps)]
    else:
        supply = _sine(plant, steps, step_s, random)
    for trip in plant.trip:
        at_s = max(0.0, trip.at_s + random.uniform(-trip.spread_s, trip.spread_s))
        for step in range(math.ceil(at_s / step_s), min(steps, math.ceil((at_s + trip.for_s) / step_s))):
            supply[step] -= trip.drop_w
    return [max(0.0, power_w) for power_w in supply]


def _sine(plant: Plant, steps: int, step_s: float, random: Random) -> list[float]:
    """A sine, and an Ornstein-Uhlenbeck process around it."""
    kept = math.exp(-step_s / plant.noise_s)
    scale_w = plant.noise_w * math.sqrt(1 - kept * kept)
    noise_w = random.gauss(0.0, plant.noise_w)
    supply = []
    for step in range(steps):
        now_s = step * step_s
        noise_w = kept * noise_w + scale_w * random.gauss(0.0, 1.0)
        supply.append(_mean(plant, now_s) + plant.swing_w * math.sin(math.tau * now_s / plant.period_s) + noise_w)
    return supply


def _mean(plant: Plant, now_s: float) -> float:
    mean_w = plant.mean_w
    for ramp in plant.ramp:
        if now_s >= ramp.at_s:
            part = 1.0 if ramp.over_s == 0 else min(1.0, (now_s - ramp.at_s) / ramp.over_s)
            mean_w += part * (ramp.to_w - mean_w)
    return mean_w
