"""A mining machine as physics: what it draws while it starts, ramps, stops and reboots, by a clock that is given."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Mode: TypeAlias = Literal["running", "starting", "tuning", "stopping", "stopped", "paused", "failure", "rebooting"]

BOOT_W, STILL_W, STARTING_W = 15.0, 25.0, 90.0


class Clock:
    """Device time: seconds that pass `scale` times as fast as the wall's."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._from = time.monotonic()

    def __call__(self) -> float:
        return (time.monotonic() - self._from) * self.scale


class HandClock(Clock):
    """Stands still until a test lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


class Curve(NamedTuple):
    """At one preset."""

    watts: float
    terahashes: float


S19: dict[str, Curve] = {
    str(watts): Curve(watts, work)
    for watts, work in (
        (1100, 53), (1300, 58), (1500, 63), (1700, 68), (1900, 73), (2100, 78), (2350, 85), (2620, 91),
        (2950, 99), (3200, 102), (3350, 105), (3750, 110), (4000, 115), (4260, 120), (4690, 124),
    )
}  # fmt: skip


@dataclass
class Times:
    """Of the device, in its own seconds."""

    restart_s: float = 60.0
    ramp_s: float = 60.0
    stop_s: float = 4.0
    reboot_s: float = 90.0
    tuning_s: float = 4 * 3600.0


class Machine:
    """What it is set to, what it does, and what it truly draws. `drift` is its true power as a part of the nominal."""

    def __init__(
        self, mac: str, clock: Clock, *, curve: Mapping[str, Curve] = S19, preset: str = "3350", seed: int = 0
    ) -> None:
        self.mac = mac
        self.clock = clock
        self.curve = dict(curve)
        self.random = random.Random(f"{seed} {mac}")
        self.times = Times()
        self.drift = self.random.uniform(0.97, 1.04)
        # Set, and in effect.
        self.preset = preset
        self.effective = preset
        self.untuned: set[str] = set()
        self.broken: set[str] = set()
        self.mode: Mode = "running"
        # How often its work was interrupted.
        self.changes = 0
        self._at_s = clock()
        self._since_s = self._at_s - 3600.0
        self._from_w = self._goal_w()

    def advance(self) -> None:
        """To now, through all that ends by itself."""
        self._advance_to(self.clock())

    def _advance_to(self, at_s: float) -> None:
        self._at_s = at_s
        while self._step():
            pass

    def watts(self) -> float:
        """Truly drawn now."""
        self.advance()
        age_s = self._at_s - self._since_s
        if self.mode in {"running", "tuning"}:
            part = min(1.0, age_s / self.times.ramp_s) if self.times.ramp_s else 1.0
            wave = 1.0 + 0.004 * math.sin(self._at_s / 47.0 + self._phase())
            return (self._from_w + (self._goal_w() - self._from_w) * part) * wave
        if self.mode == "stopping":
            part = min(1.0, age_s / self.times.stop_s) if self.times.stop_s else 1.0
            return self._from_w + (STILL_W - self._from_w) * part
        return {"starting": STARTING_W, "rebooting": BOOT_W}.get(self.mode, STILL_W)

    def metered(self) -> float:
        """As its own meter says."""
        return round(self.watts() * self.random.uniform(0.995, 1.005))

    def terahashes(self) -> float:
        self.advance()
        if self.mode not in {"running", "tuning"} or self.effective not in self.curve:
            return 0.0
        curve = self.curve[self.effective]
        return curve.terahashes * min(1.0, self.watts() / (curve.watts * self.drift))

    def restart(self) -> None:
        """As all that is done to it: at the time that it was advanced to."""
        self.changes += 1
        self.effective = self.preset
        self._enter("starting")

    def start(self) -> None:
        self.advance()
        if self.mode in {"stopped", "paused", "stopping", "failure"}:
            self.restart()

    def stop(self) -> None:
        self.advance()
        if self.mode not in {"stopped", "stopping", "rebooting"}:
            self.changes += 1
            self._from_w = self.watts()
            self._enter("stopping")

    def reboot(self) -> None:
        self.changes += 1
        self._enter("rebooting")

    def _enter(self, mode: Mode) -> None:
        self.mode, self._since_s = mode, self._at_s

    def _step(self) -> bool:
        lasts_s = {
            "starting": self.times.restart_s,
            "stopping": self.times.stop_s,
            "rebooting": self.times.reboot_s,
            "tuning": self.times.tuning_s,
        }.get(self.mode)
        ends_s = math.inf if lasts_s is None else self._since_s + lasts_s
        if self._at_s < ends_s:
            return False
        after: dict[str, Mode] = {"stopping": "stopped", "rebooting": "starting", "tuning": "running"}
        if self.mode == "tuning":
            self.untuned.discard(self.effective)
        if self.mode == "rebooting":
            self.effective = self.preset
        if self.mode == "starting":
            after["starting"] = self._started()
            self._from_w = STARTING_W
        self.mode, self._since_s = after[self.mode], ends_s
        return True

    def _started(self) -> Mode:
        if self.effective in self.broken:
            return "failure"
        return "tuning" if self.effective in self.untuned else "running"

    def _goal_w(self) -> float:
        known = self.curve.get(self.effective)
        # Its stock clock is its worst.
        watts = max(curve.watts for curve in self.curve.values()) if known is None else known.watts
        return watts * self.drift

    def _phase(self) -> float:
        return float(int(self.mac[-2:], 16))
