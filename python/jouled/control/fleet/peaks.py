"""What a load drew at most of late, at each of its points; and how far its real watts are from its nominal ones."""

from __future__ import annotations

from collections import deque

HOUR_S = 3600.0
# Of the last day: what was drawn in the hottest hour counts.
HOURS = 24
# A device with more points than that is a lying one.
POINTS_MAX = 128

# Beyond these a device's own figures are wrong, not its efficiency.
FACTOR_MIN = 0.5
FACTOR_MAX = 1.5
# Samples that a factor is smoothed over, and how many it takes before it counts at all.
SMOOTHED_OVER = 20.0
SAMPLES_MIN = 5
# A smaller difference than this does not move the figures that are planned with: each would be a new plan.
STEP = 0.02


class Peaks:
    """The highest power of each hour of the last day, by point. None is for what is at no point."""

    def __init__(self) -> None:
        self._hours: dict[str | None, deque[tuple[int, float]]] = {}

    def __repr__(self) -> str:
        return f"<Peaks of {len(self._hours)} points>"

    def add(self, point: str | None, power_w: float, now_s: float) -> None:
        hour = int(now_s // HOUR_S)
        if point not in self._hours and len(self._hours) >= POINTS_MAX:
            self._forget(hour)
            if len(self._hours) >= POINTS_MAX:
                return
        hours = self._hours.setdefault(point, deque(maxlen=HOURS + 1))
        if hours and hours[-1][0] == hour:
            hours[-1] = (hour, max(hours[-1][1], power_w))
        else:
            hours.append((hour, power_w))

    def at(self, point: str | None, now_s: float) -> float | None:
        """The highest at that point. None where it was not there within the last day."""
        first = int(now_s // HOUR_S) - HOURS
        return max((power_w for hour, power_w in self._hours.get(point, ()) if hour >= first), default=None)

    def highest(self, now_s: float) -> float | None:
        found = [power_w for point in self._hours if (power_w := self.at(point, now_s)) is not None]
        return max(found, default=None)

    def _forget(self, hour: int) -> None:
        for point in [point for point, hours in self._hours.items() if not hours or hours[-1][0] < hour - HOURS]:
            del self._hours[point]


class Factor:
    """Measured by nominal, smoothed; it moves in steps, so that noise does not make new plans."""

    def __init__(self) -> None:
        self.value = 1.0
        self._smoothed = 1.0
        self._samples = 0

    def __repr__(self) -> str:
        return f"<Factor {self.value:.3f} of {self._samples} samples>"

    def learn(self, measured: float, nominal: float) -> bool:
        """Whether the figures change by it. What cannot be is not learnt."""
        if nominal <= 0 or not FACTOR_MIN <= measured / nominal <= FACTOR_MAX:
            return False
        self._samples += 1
        weight = max(1 / SMOOTHED_OVER, 1 / self._samples)
        self._smoothed += weight * (measured / nominal - self._smoothed)
        if self._samples < SAMPLES_MIN or abs(self._smoothed - self.value) < STEP:
            return False
        self.value = round(self._smoothed, 3)
        return True
