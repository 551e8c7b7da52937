"""PowerHive's balancer as it was, its defects included: what ours is compared with.

Each cycle it takes the plant's latest reading, however old, less a margin. It counts each miner that answers with
what its preset is called, whether it has arrived there or not, and steps miners to a neighbouring preset until it
is within a tolerance. A miner that was changed in the last 30 s is left alone, also where there is too little power.
"""

from __future__ import annotations

from collections.abc import Sequence

from jouled.balance.fleet.average_efficiency import step_by_average_efficiency
from jouled.balance.fleet.words import Load, Point
from jouled.balance.site.words import Observation
from jouled.simulation.device import Device
from jouled.simulation.plant import Heard
from jouled.simulation.strategies import Aim, Seen, Wish

COOLDOWN_S = 30.0
# What a miner that does no work is said to take for a TH/s: far more than any, so that it is shed first and raised
# last. On miners that report GH/s the program took all figures a thousand million times too large, and those
# without work were the first to be raised.
IDLE_W_PER_TH = 1e9
CONFIDENCE_MIN = 0.8


class Original:
    """Of the document: 15 s and 500 W. Of the program: 5 s and 2000 W. Neither switches anything off; `has_off`
    adds that.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        *,
        reserve: float,
        cycle_s: float,
        tolerance_w: float,
        has_off: bool,
        idle_first: bool = False,
    ) -> None:
        self.cycle_s = cycle_s
        self.poll_s = cycle_s
        self._reserve = reserve
        self._tolerance_w = tolerance_w
        self._has_off = has_off
        self._idle_first = idle_first
        self._points: dict[str, tuple[Point, ...]] = {
            device.id: (*device.model.points, device.off) if has_off else device.model.points for device in devices
        }
        self._by_name = {device.id: device.points for device in devices}
        self._generation_w: float | None = None
        self._changed_s: dict[str, float] = {}
        self._target_w: float | None = None

    def __repr__(self) -> str:
        return f"<Original {self.cycle_s:g} s {self._tolerance_w:g} W>"

    @property
    def aim(self) -> Aim:
        return Aim(self._target_w, "no-data" if self._target_w is None else "any")

    def hear(self, heard: Heard, now_s: float) -> None:  # noqa: ARG002  (it never asks how old a reading is)
        """All it asks of a reading is that it is trusted."""
        reading = heard.reading
        if reading is not None and (reading.confidence or 1.0) > CONFIDENCE_MIN:
            self._generation_w = reading.generation_w

    def decide(self, seen: Seen) -> list[Wish]:
        if self._generation_w is None:
            return []
        allowed = [self._generation_w * (1 - self._reserve), *(limit.power_w for limit in seen.limits)]
        self._target_w = min(allowed) - seen.unmanaged_w
        if abs(self._counted_w(seen) - self._target_w) <= self._tolerance_w:
            return []  # as the steps would say, in a tenth of the time
        loads = [self._load(name, seen.observations[name], seen.now_s) for name in self._points]
        steps = step_by_average_efficiency(
            [load for load in loads if load is not None],
            self._target_w,
            tolerance_w=self._tolerance_w,
            may_switch_off=self._has_off,
        )
        return [Wish(name, point.name, "automatic_balance") for name, point in steps.items()]

    def told(self, wish: Wish, now_s: float, problem: str | None) -> None:
        """The cooldown begins when the program has sent the command, as its own clock has it."""
        if problem is None:
            self._changed_s[wish.load] = now_s

    def _counted_w(self, seen: Seen) -> float:
        """What the presets of all that answer are called, together."""
        total_w = 0.0
        for name, one in seen.observations.items():
            if one.state != "away" and one.point is not None:
                total_w += self._by_name[name][one.point].power_w
        return total_w

    def _load(self, name: str, seen: Observation, now_s: float) -> Load | None:
        if seen.state == "away" or seen.point is None:
            return None  # offline: it counts nothing
        point = self._by_name[name][seen.point]
        # It sorts by what the preset is called per hash rate that is measured: none while a miner restarts.
        measured = point._replace(work=seen.work or 0.0)
        if not seen.work and not self._idle_first:
            power_w = max(point.power_w, 0.001)
            measured = Point(point.name, power_w, power_w / IDLE_W_PER_TH)
        is_cooling = now_s - self._changed_s.get(name, -COOLDOWN_S) < COOLDOWN_S
        points = () if is_cooling else tuple(each for each in self._points[name] if each.name != point.name)
        return Load(name, (*points, measured), current=point.name)


def original(name: str, devices: Sequence[Device], reserve: float) -> Original:
    """By its name among the strategies: original-doc or original-code, with +off, +off-first or without."""
    is_doc = name.startswith("original-doc")
    return Original(
        devices,
        reserve=reserve,
        cycle_s=15.0 if is_doc else 5.0,
        tolerance_w=500.0 if is_doc else 2000.0,
        has_off="+off" in name,
        idle_first=name.endswith("-first"),
    )
