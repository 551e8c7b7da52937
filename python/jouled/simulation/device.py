"""A device that can be set, as one behaves: it waits, restarts, ramps, refuses, lies, vanishes and comes back."""

from __future__ import annotations

from random import Random

from jouled.balance.fleet.words import OFF, Point
from jouled.balance.site.words import Observation, State
from jouled.simulation.families import Model


class Device:
    """One miner on a simulated clock.

    `power_w` and `work` hold as of the latest `advance`. Between orders nothing changes by itself, so that a
    settled device costs nothing to simulate.
    """

    def __init__(self, name: str, model: Model, point: Point, random: Random, *, bias: float = 0.0) -> None:
        self.id = name
        self.model = model
        self.off = Point(OFF, model.standby_w, 0.0)
        self.points = {each.name: each for each in (*model.points, self.off)}
        # Where it is, or is going to; `asked` is the last that it took from outside.
        self.point = point
        self.asked = point
        # What it draws beside what its table says, as a factor.
        self.bias = bias
        self.factor = 1.0 + bias
        self.power_w = point.power_w * self.factor
        self.work = point.work
        # The part of orders that are refused, and that are taken and forgotten.
        self.refuses = 0.0
        self.forgets = 0.0
        self.is_away = False
        self.is_held = False
        self.is_dead = False
        # Starts of work that orders have cost.
        self.restarts = 0
        self._random = random
        # A change that was taken and has not begun yet.
        self._due: tuple[float, Point] | None = None
        self._begun_s: float | None = None

    def __repr__(self) -> str:
        return f"<Device {self.id} {self.model.name} {self.point.name} {self.power_w:.0f} W>"

    @property
    def is_changing(self) -> bool:
        return self._due is not None or self._begun_s is not None

    @property
    def state(self) -> State:
        if self.is_away:
            return "away"
        if self.is_dead:
            return "failed"
        if self.is_held:
            return "held"
        if self._begun_s is not None:
            return "starting"
        return "off" if self.point.name == OFF else "running"

    def order(self, name: str, now_s: float) -> str | None:
        """Sets it to one of its points, or says why it did not take it."""
        if self.is_away:
            return "does not answer"
        if self.is_dead:
            return "answers that it has failed"
        if self.is_held:
            return "its own thermal switcher holds it"
        if self._random.random() < self.refuses:
            return "answers with an error"
        if self._random.random() < self.forgets:
            return None
        point = self.points[name]
        dead_s = self.model.pause_s if point.name == OFF else self.model.dead_s
        self.asked = point
        self._due = (now_s + dead_s, point)
        return None

    def advance(self, now_s: float) -> None:
        """What it draws and does now. Times only go on."""
        if self._due is not None and self._due[0] <= now_s:
            at_s, point = self._due
            self._due = None
            self._begin(point, at_s)
        if self._begun_s is not None:
            self._ramp(now_s - self._begun_s)

    def switch(self, point: Point, now_s: float) -> None:
        """It does so by itself: nobody has asked."""
        self._due = None
        self._begin(point, now_s)
        self.advance(now_s)

    def drift(self, factor: float) -> None:
        """From now on it draws so much more than its table says."""
        self.factor = factor
        if self._begun_s is None:
            self._settle()

    def fail(self) -> None:
        """Its boards are dead: it answers, and does nothing."""
        self.is_dead = True
        self._due = self._begun_s = None
        self.power_w, self.work = self.model.standby_w, 0.0

    def mend(self, now_s: float) -> None:
        if self.is_dead:
            self.is_dead = False
            self.point = self.off
            self._begin(self.asked, now_s)
            self.advance(now_s)

    def observed(self, now_s: float) -> Observation:
        """What it says of itself. Where it is away it says nothing: then only that is known."""
        if self.is_away:
            return Observation(now_s, "away", note="does not answer")
        return Observation(now_s, self.state, self.point.name, None, self.power_w, self.work)

    def _begin(self, point: Point, at_s: float) -> None:
        was_working = self.point.name != OFF
        if point.name == self.point.name:
            return  # firmware that is told what it does already goes on doing it
        self.point = point
        if point.name == OFF:
            self._begun_s = None
            self._settle()
            return
        self.restarts += was_working
        self._begun_s = at_s

    def _ramp(self, passed_s: float) -> None:
        model = self.model
        if passed_s < model.restart_s:
            part = 0.0
        elif passed_s < model.restart_s + model.ramp_s:
            part = (passed_s - model.restart_s) / model.ramp_s
        else:
            self._begun_s = None
            self._settle()
            return
        full_w = self.point.power_w * self.factor
        self.power_w = model.standby_w + part * (full_w - model.standby_w)
        self.work = part * self.point.work

    def _settle(self) -> None:
        if self.is_dead:
            return
        factor = 1.0 if self.point.name == OFF else self.factor
        self.power_w = self.point.power_w * factor
        self.work = self.point.work
