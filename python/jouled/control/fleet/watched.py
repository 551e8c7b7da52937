"""One load of the fleet: what it is, what it said last, what it drew at most, and what it may be set to."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import trio

from jouled.balance.fleet.words import OFF, Point
from jouled.balance.site.words import Member, Observation, Timing
from jouled.control.fleet.peaks import Factor, Peaks
from jouled.control.fleet.standing import Allowed, Bounds, Standing, allowed, points
from jouled.errors import one_line
from jouled.loads.actuator import Actuator, Description

# So many times in a row without an answer, and it is away: one lost packet is none.
AWAY_AFTER = 3
# Of one nobody has described yet: as a miner that restarts.
UNKNOWN_TIMING = Timing(dead_s=60.0, settle_s=240.0)
# A load that was set has to run for so long before what it draws teaches anything.
SETTLED_S = 60.0
# What one that is off still draws may change by so much without a new plan.
OFF_STEP_W = 10.0
# Of the most that is known of it: a meter that says more is broken, and what it says is not counted with.
IMPLAUSIBLE = 3.0
NOTE_CHARS = 300
PRESETS_MAX = 128
# Longer names, and such as cannot be shown, are no presets: they would be kept in no table, and typed by nobody.
PRESET_CHARS = 64
NAME_CHARS = 128


class Kept(NamedTuple):
    """What an earlier life of the daemon knew of a load: until it answers, that counts."""

    description: Description | None = None
    worst_w: float | None = None
    point: str | None = None


class Watched:
    """All of it belongs to Trio's thread. `observed` and `described` take what came; `member` says what holds."""

    def __init__(
        self,
        actuator: Actuator,
        standing: Standing,
        *,
        priority: int = 5,
        circuit: str | None = None,
        kept: Kept | None = None,
        may_tune: bool = False,
        most_w: float | None = None,
    ) -> None:
        self.actuator = actuator
        self.standing = standing
        self._most_w = most_w
        self.bounds = Bounds()
        self.may_tune = may_tune
        # A task asks it.
        self.is_watched = False
        self.priority = priority
        self.circuit = circuit
        self.kept = kept = kept or Kept()
        self.description = kept.description
        self.described_s: float | None = None
        self.seen: Observation | None = None
        # The latest that was an answer.
        self.answered: Observation | None = None
        self.failures = 0
        self.problem: str | None = None
        self.peaks = Peaks()
        self.power_factor = Factor()
        self.work_factor = Factor()
        self.off_w = 0.0
        # Until then it is asked more often: it was told something.
        self.hurried_until_s = float("-inf")
        self.one_at_a_time = trio.Lock()
        self.wakes = trio.Event()
        self._at_point_since_s = 0.0
        self._allowed: Allowed | None = None
        # The points, and what they were made of: they are asked for each cycle.
        self._points: tuple[Point, ...] = ()
        self._made_of: tuple[Allowed, bool, float, float, float] | None = None
        self._was_asked = trio.Event()

    def __repr__(self) -> str:
        return f"<Watched {self.actuator.id} {'unseen' if self.seen is None else self.seen.state}>"

    @property
    def id(self) -> str:
        return self.actuator.id

    @property
    def name(self) -> str:
        return self.id if self.description is None else self.description.name

    @property
    def model(self) -> str | None:
        return None if self.description is None else self.description.model

    @property
    def has_span(self) -> bool:
        return self.description is not None and self.description.span is not None

    @property
    def uncounted(self) -> str:
        """What an operator should know where nothing says what it draws at most."""
        is_known = self.worst_w(trio.current_time()) is not None
        return "" if is_known else "; it never said what it draws and counts with nothing: give its table a max"

    @property
    def is_away(self) -> bool:
        return self.seen is not None and self.seen.state == "away"

    async def was_asked(self) -> None:
        """Until it was asked once, whatever came of it."""
        await self._was_asked.wait()

    @property
    def allowed(self) -> Allowed:
        if self._allowed is None:
            if self.description is None:
                self._allowed = Allowed((), None if self.standing.enabled and not self.standing.locked else "disabled")
            else:
                self._allowed = allowed(self.description, self.standing, self.bounds, may_tune=self.may_tune)
        return self._allowed

    def rule(self, standing: Standing, bounds: Bounds) -> bool:
        """What the operator says of it from now on. Whether that is news."""
        if (standing, bounds) == (self.standing, self.bounds):
            return False
        self.standing, self.bounds = standing, bounds
        self._allowed = None
        return True

    def wake(self) -> None:
        """It is asked now, whatever its turn is."""
        self.wakes.set()
        self.wakes = trio.Event()

    def described(self, description: Description, now_s: float) -> bool:
        """Whether it is another one than it was."""
        self.described_s = now_s
        listed = [
            one._replace(pretty=one_line(one.pretty)[:NAME_CHARS])
            for one in description.presets
            if 0 <= one.power_w < inf and 0 <= one.work < inf and _is_name(one.name)
        ]
        description = description._replace(
            presets=tuple(listed[:PRESETS_MAX]),
            name=_text(description.name) or self.id,
            model=_text(description.model),
            firmware=_text(description.firmware),
        )
        before = self.description
        if description == before:
            return False
        if before is not None and before.span is not None and description.span is not None:
            # What it would draw is no news: it is another figure each time.
            before = before._replace(span=before.span._replace(need_w=description.span.need_w))
            if description == before:
                self.description = description
                return False
        if self.description is not None and self.description.model != description.model:
            # Another control board in the same place: what was learnt is not its own.
            self.power_factor, self.work_factor = Factor(), Factor()
        self.description = description
        self._allowed = None
        return True

    def observed(self, seen: Observation, now_s: float) -> bool:
        """Its answer. Whether it does something else than before."""
        self._was_asked.set()
        before = self.seen
        seen = self._plausible(seen, now_s)
        self.failures, self.problem = 0, None
        is_moved = self.answered is None or (seen.point, seen.cap_w, seen.state) != (
            self.answered.point,
            self.answered.cap_w,
            self.answered.state,
        )
        if is_moved:
            self._at_point_since_s = now_s
        self.seen = self.answered = seen
        self._learn(seen, now_s)
        return before is None or is_moved or before.state == "away"

    def unanswered(self, problem: str, now_s: float) -> bool:
        """It did not answer. Whether that makes it away: until then its last answer stands, and grows old."""
        self._was_asked.set()
        self.failures += 1
        self.problem = one_line(problem)[:NOTE_CHARS]
        if self.answered is not None and self.failures < AWAY_AFTER:
            return False
        was_away = self.is_away
        self.seen = Observation(now_s, "away", note=self.problem)
        return not was_away

    def aged(self, by_s: float) -> None:
        """The host has slept: what was seen is so much older than Trio's clock knows."""
        if self.seen is not None:
            self.seen = self.seen._replace(at_s=self.seen.at_s - by_s)

    def worst_w(self, now_s: float) -> float | None:
        """What it draws at most while nobody knows: a load that is away may have been switched off and on again."""
        last = self.answered
        point = self.kept.point if last is None else last.point
        if self.description is None or self.description.span is not None:
            return self._worst_of_all_w(now_s)
        nominal_w = self._nominal_w(point)
        measured_w = None if point is None else self.peaks.at(point, now_s)
        kept_w = self.kept.worst_w if last is None else None
        known = [power_w for power_w in (nominal_w, measured_w, kept_w) if power_w is not None]
        if last is not None and last.power_w is not None:
            known.append(last.power_w)
        is_certain = point is not None and point != OFF and (nominal_w is not None or measured_w is not None)
        if is_certain and (last is None or last.state != "tuning"):
            return max(known)
        # One that is off begins to mine when it is started anew, at a preset that nobody sees now.
        return self._worst_of_all_w(now_s)

    def member(self, now_s: float) -> Member:
        description, may = self.description, self.allowed
        standing = self.standing
        can_be_off = description is not None and description.can_be_off and may.unmanaged is None
        made_of = (may, can_be_off, self.off_w, self.power_factor.value, self.work_factor.value)
        if made_of != self._made_of:
            self._points = points(
                may.presets,
                can_be_off=can_be_off,
                off_w=self.off_w,
                power=self.power_factor.value,
                work=self.work_factor.value,
            )
            self._made_of = made_of
        return Member(
            self.id,
            self.name,
            self.actuator.kind,
            UNKNOWN_TIMING if description is None else description.timing,
            points=self._points,
            span=None if description is None or may.unmanaged is not None else description.span,
            circuit=standing.circuit or self.circuit,
            priority=self.priority if standing.priority is None else standing.priority,
            unmanaged=may.unmanaged,
            seen=self.seen,
            worst_w=self.worst_w(now_s),
        )

    def _nominal_w(self, point: str | None) -> float | None:
        if self.description is None or point is None:
            return None
        nominal_w = next((preset.power_w for preset in self.description.presets if preset.name == point), None)
        return None if nominal_w is None else nominal_w * max(1.0, self.power_factor.value)

    def _worst_of_all_w(self, now_s: float) -> float | None:
        known = [self.kept.worst_w if self.answered is None else None, self.peaks.highest(now_s)]
        description = self.description
        if description is None:
            # Nobody has ever heard of it: its table says what it may draw.
            known.append(self._most_w)
        else:
            known.append(description.rated_w)
            if description.span is not None:
                known.append(description.span.ceiling_w)
            else:
                # Above its own most it is not run, neither by us nor by its user's setting.
                listed = self.allowed.presets or description.presets
                known.append(max((self._nominal_w(preset.name) or 0.0 for preset in listed), default=None))
        return max((power_w for power_w in known if power_w is not None), default=None)

    def _plausible(self, seen: Observation, now_s: float) -> Observation:
        """Without figures that cannot be: unknown is safer than a lie."""
        note = None if seen.note is None else one_line(seen.note)[:NOTE_CHARS]
        power_w, work = seen.power_w, seen.work
        most_w = self._nominal_most_w()
        if power_w is not None and not (0 <= power_w < inf and (most_w is None or power_w <= IMPLAUSIBLE * most_w)):
            note = note or f"it says that it draws {power_w:g} W, which cannot be"
            power_w = None
        if work is not None and not 0 <= work < inf:
            work = None
        point = seen.point if seen.point is None or _is_name(seen.point) else None
        return seen._replace(at_s=min(seen.at_s, now_s), point=point, power_w=power_w, work=work, note=note)

    def _nominal_most_w(self) -> float | None:
        description = self.description
        if description is None:
            return None
        known = [preset.power_w for preset in description.presets]
        known += [description.rated_w or 0.0, 0.0 if description.span is None else description.span.ceiling_w]
        return max(known) or None

    def _learn(self, seen: Observation, now_s: float) -> None:
        if seen.power_w is None or seen.power_w < 0:
            return
        self.peaks.add(seen.point, seen.power_w, now_s)
        if seen.state == "off" or seen.point == OFF:
            if abs(seen.power_w - self.off_w) > OFF_STEP_W:
                self.off_w = float(round(seen.power_w))
            return
        timing = UNKNOWN_TIMING if self.description is None else self.description.timing
        settled_s = self._at_point_since_s + timing.dead_s + timing.settle_s + SETTLED_S
        preset = None
        if self.description is not None and seen.state == "running" and now_s >= settled_s:
            preset = next((one for one in self.description.presets if one.name == seen.point), None)
        if preset is None:
            return
        self.power_factor.learn(seen.power_w, preset.power_w)
        if seen.work is not None:
            self.work_factor.learn(seen.work, preset.work)


def _is_name(text: str) -> bool:
    """Whether a preset can be called so."""
    return 0 < len(text) <= PRESET_CHARS and text.isprintable()


def _text(text: str | None) -> str | None:
    return None if text is None else one_line(text)[:NAME_CHARS]
