"""How each load stands this cycle: what it counts with, and whether it can be set."""

from __future__ import annotations

from dataclasses import dataclass

from jouled.balance.fleet.words import OFF, Point
from jouled.balance.site.inflight import SETTABLE, in_flight_w
from jouled.balance.site.memory import Remembered
from jouled.balance.site.words import Member, Observation, Pending

DISOBEYED = "did not do what it was told"


@dataclass(slots=True, eq=False)
class Standing:
    """One load, this cycle. Powers are in watts."""

    member: Member
    memory: Remembered
    pending: Pending | None
    # What it said is not too old, and it answers.
    is_fresh: bool
    # None where it does not say.
    measured_w: float | None
    # What it may draw by what it was told, with a change in flight at the larger of both.
    commanded_w: float
    # What it draws now, or may at any moment: what is measured is enough only where it has settled.
    counted_w: float
    # Why it cannot be set now; None where it can.
    obstacle: str | None

    @property
    def now_w(self) -> float:
        """The most that any of it says."""
        return max(self.counted_w, self.commanded_w)

    @property
    def current(self) -> Point | None:
        """Where it is, of the points that it may be set to."""
        return point_of(self.member, self.memory.point)

    @property
    def is_outside(self) -> bool:
        """It was read back to be at a point that it may not be set to, as its bounds are now."""
        return self.member.span is None and self.memory.point is not None and self.current is None

    def draws_w(self, point: Point) -> float:
        """What it would draw there, by what was learned of it: never less than the point says."""
        return point.power_w * max(1.0, self.memory.factor)


def point_of(member: Member, name: str | None) -> Point | None:
    for point in member.points:
        if point.name == name:
            return point
    return None


def worst_w(member: Member, memory: Remembered) -> float:
    """What it may draw while nobody sees it."""
    if memory.point == OFF and memory.commanded_w is not None and memory.doubted is None:
        # It was seen to be off, and somebody would have to switch it on.
        return max(memory.commanded_w, memory.measured_w or 0.0)
    known = [each for each in (member.worst_w, memory.commanded_w, memory.measured_w) if each is not None]
    if known:
        return max(known)
    if member.span is not None:
        return member.span.ceiling_w
    return max((point.power_w for point in member.points), default=0.0)


def _has_moved(memory: Remembered, seen: Observation) -> bool:
    """Whether it says that it is elsewhere than it was: one that cannot be set is not followed there."""
    if seen.state in {"paused", "off"}:
        return False
    if seen.point is None:
        return memory.point == OFF and seen.state != "failed"
    return seen.point not in {OFF, memory.point}


def _going_w(member: Member, memory: Remembered, seen: Observation) -> float:
    """What it is about to draw, where it starts by itself; or does by now, where nobody measures it."""
    if (point := point_of(member, seen.point)) is not None and point.name != OFF:
        return point.power_w * max(1.0, memory.factor)
    if member.worst_w is not None:
        return member.worst_w
    if member.span is not None:
        return member.span.ceiling_w
    return max((point.power_w for point in member.points), default=0.0)


def counted(
    member: Member, memory: Remembered, pending: Pending | None, seen: Observation | None, now_s: float
) -> Standing:
    obstacle = _obstacle(member, memory, pending, seen, now_s)
    if seen is None:
        most_w = worst_w(member, memory)
        if (moving := pending or memory.doubted) is not None:
            most_w = max(most_w, in_flight_w(moving))
        return Standing(member, memory, pending, False, None, most_w, most_w, obstacle)
    measured_w = seen.power_w
    if member.unmanaged is not None or memory.commanded_w is None:
        alone_w = measured_w if measured_w is not None else worst_w(member, memory)
    else:
        alone_w = memory.commanded_w
    commanded_w = alone_w
    if (moving := pending or memory.doubted) is not None:
        commanded_w = max(commanded_w, in_flight_w(moving))
    elif seen.state in {"starting", "tuning"} or (measured_w is None and _has_moved(memory, seen)):
        commanded_w = max(commanded_w, _going_w(member, memory, seen))
    if measured_w is None:
        counted_w = commanded_w
    elif moving is None and seen.state in SETTABLE:
        counted_w = measured_w
    else:
        # It starts, it was stopped by somebody, or it changes: it may be back at any moment.
        counted_w = max(measured_w, commanded_w)
    return Standing(member, memory, pending, True, measured_w, commanded_w, counted_w, obstacle)


def _obstacle(
    member: Member, memory: Remembered, pending: Pending | None, seen: Observation | None, now_s: float
) -> str | None:
    why: str | None = None
    if member.unmanaged is not None:
        why = member.unmanaged
    elif seen is None:
        why = "does not answer"
    elif seen.state not in SETTABLE:
        why = seen.state if seen.note is None else f"{seen.state}: {seen.note}"
    elif pending is not None:
        why = "changes"
    elif memory.doubted is not None or now_s < memory.retry_s:
        why = DISOBEYED
    elif now_s < memory.left_until_s:
        why = "is set by somebody else"
    elif member.span is None and not member.points:
        why = "has nothing that it may be set to"
    return why
