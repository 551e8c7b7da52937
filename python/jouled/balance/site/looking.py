"""What each load says of itself is taken in: changes that arrived, or are late; what somebody else did; what it draws."""

from __future__ import annotations

import math

from jouled.balance.fleet.words import OFF, Span
from jouled.balance.site.inflight import (
    CAP_SLACK,
    CAP_SLACK_W,
    SETTABLE,
    failed,
    has_arrived,
    in_flight_w,
    recorded,
    standing_point,
    told,
)
from jouled.balance.site.memory import Remembered
from jouled.balance.site.moment import Moment
from jouled.balance.site.standing import Standing, counted, point_of, worst_w
from jouled.balance.site.words import Member, Observation, Pending

# What a load draws by what its points say: what is outside is no drift but another device.
FACTOR_LEAST, FACTOR_MOST = 0.5, 1.5
# A jump of more than this is learned in a few looks, so that safety does not wait for it.
FACTOR_JUMP, FACTOR_JUMP_GAIN = 0.05, 0.3
# For so many times `leave_s` it is remembered that somebody else has set a load.
FOUGHT_LEAVES = 2.0


def look(
    member: Member,
    memory: Remembered | None,
    pending: Pending | None,
    moment: Moment,
) -> Standing:
    """After this, `memory` and `pending` of the result are what is kept of the load."""
    seen = member.seen
    is_fresh = seen is not None and seen.state != "away" and moment.now_s - seen.at_s <= moment.rules.stale_s
    if memory is None:
        memory = Remembered()
    if is_fresh is memory.is_away:
        memory = _gone_or_back(member, memory, is_fresh, moment)
    if pending is not None:
        memory, pending = _followed(memory, pending, seen if is_fresh else None, moment)
    if seen is not None and is_fresh and member.unmanaged is None and pending is None:
        if memory.doubted is not None:
            memory = _doubted(member, memory, memory.doubted, seen, moment)
        if memory.doubted is None and seen.state in SETTABLE:
            memory = _adopted(member, memory, seen, moment)
    if seen is not None and is_fresh and seen.at_s > memory.observed_s:
        memory = _learned(member, memory, pending, seen, moment)
    return counted(member, memory, pending, seen if is_fresh else None, moment.now_s)


def _gone_or_back(member: Member, memory: Remembered, is_fresh: bool, moment: Moment) -> Remembered:
    if is_fresh:
        moment.tell("load_back", "info", member.id, f"{member.name} answers again")
        # It may have been restarted: where it is now is nobody's wish.
        return memory._replace(is_away=False, is_ours=False)
    if member.seen is None and memory.observed_s == -math.inf:
        return memory  # Nobody has asked it yet.
    counts_w = worst_w(member, memory)
    counts = f"it counts with {counts_w:.0f} W until it is known to draw less"
    if counts_w <= 0:
        counts = "nobody knows what it draws at most, and it is not counted"
    moment.tell("load_away", "warning", member.id, f"{member.name} does not answer: {counts}")
    return memory._replace(is_away=True)


def _followed(
    memory: Remembered,
    pending: Pending,
    seen: Observation | None,
    moment: Moment,
) -> tuple[Remembered, Pending | None]:
    """A change in flight has arrived, is late, or neither."""
    if seen is not None and has_arrived(pending, seen, moment.now_s, moment.rules):
        return _confirmed(memory, pending), None
    if moment.now_s < pending.expected_by_s:
        return memory, pending
    order = pending.order
    if memory.failures == 0:
        note = (
            f"it was not seen to follow {order.kind} to {told(order)}: it counts with {in_flight_w(pending):.0f} W, "
            "and other loads take over"
        )
        moment.tell("change_failed", "warning", order.load, note)
    memory = failed(memory, pending, moment.now_s, moment)
    return memory._replace(doubted_until_s=memory.retry_s), None


def _confirmed(memory: Remembered, pending: Pending) -> Remembered:
    order = pending.order
    return recorded(memory, pending)._replace(
        point=order.point.name if order.point is not None else None,
        commanded_w=order.power_w,
        is_ours=True,
        doubted=None,
        failures=0,
    )


def _doubted(
    member: Member,
    memory: Remembered,
    doubted: Pending,
    seen: Observation,
    moment: Moment,
) -> Remembered:
    """What was given up may happen after all; when it no longer can, the load is as it says it is."""
    if has_arrived(doubted, seen, moment.now_s, moment.rules):
        note = f"{member.name} did {doubted.order.kind} to {told(doubted.order)}, late"
        moment.tell("change_late", "info", member.id, note)
        changes = memory.changes
        return _confirmed(memory, doubted)._replace(changes=changes)
    if moment.now_s < doubted_end_s(memory) or seen.at_s <= doubted.issued_s or seen.state not in SETTABLE:
        return memory
    return memory._replace(doubted=None)


def doubted_end_s(memory: Remembered) -> float:
    return max(memory.doubted_until_s, memory.retry_s)


def _adopted(member: Member, memory: Remembered, seen: Observation, moment: Moment) -> Remembered:
    """Where it is by what it says: found so at first, or set so by somebody else."""
    found = _capped(member.span, memory, seen) if member.span is not None else _pointed(member, memory, seen)
    if found is None:
        return memory
    is_known = memory.point is not None if member.span is None else memory.commanded_w is not None
    if is_known:
        found = found._replace(changed_s=moment.now_s)
    if not memory.is_ours or (found.point is not None and found.point == memory.wanted):
        return found
    name = found.point if found.point is not None else f"{found.commanded_w or 0.0:.0f} W"
    return _fought(member, found, name, moment)


def _pointed(member: Member, memory: Remembered, seen: Observation) -> Remembered | None:
    name = standing_point(seen)
    if name is None or name == memory.point:
        return None
    point = point_of(member, name)
    # At a point that it may not be set to it counts with what is measured.
    power_w = None if point is None else point.power_w * max(1.0, memory.factor)
    return memory._replace(point=name, commanded_w=power_w, is_ours=False)


def _capped(span: Span, memory: Remembered, seen: Observation) -> Remembered | None:
    cap_w = span.ceiling_w if seen.cap_w is None else min(seen.cap_w, span.ceiling_w)
    known_w = memory.commanded_w
    is_within = known_w is not None and cap_w <= known_w * (1 + CAP_SLACK) + CAP_SLACK_W
    # A lower one is another's limit, which may go again; ours still holds.
    if is_within and (memory.is_ours or cap_w == known_w):
        return None
    return memory._replace(commanded_w=cap_w, is_ours=False)


def _fought(member: Member, memory: Remembered, found: str, moment: Moment) -> Remembered:
    """Somebody else set it. That is taken as it is; after some times the load is left to them for a while."""
    note = f"{member.name} was set to {found} by somebody else"
    moment.tell("foreign", "warning", member.id, note)
    # What was long ago is no fight: whoever sets a load by hand now and then would have it left for ever.
    is_old = moment.now_s - memory.fought_s > FOUGHT_LEAVES * moment.rules.leave_s
    count = 1 if is_old else memory.foreign + 1
    memory = memory._replace(fought_s=moment.now_s)
    if count < moment.rules.fights:
        return memory._replace(foreign=count)
    note = f"{member.name} was set by somebody else {count} times: it is left to them for {moment.rules.leave_s:.0f} s"
    moment.tell("foreign_left", "warning", member.id, note)
    # One more after that is enough to leave it again.
    return memory._replace(foreign=moment.rules.fights - 1, left_until_s=moment.now_s + moment.rules.leave_s)


def _learned(
    member: Member, memory: Remembered, pending: Pending | None, seen: Observation, moment: Moment
) -> Remembered:
    """The latest power, and how far it is from what the load's point says."""
    point = None
    if pending is None and memory.doubted is None and seen.state == "running" and seen.power_w is not None:
        point = point_of(member, memory.point)
    if point is None or point.name == OFF or point.power_w <= 0 or not _has_settled(member, memory, moment):
        return memory._replace(observed_s=seen.at_s, measured_w=seen.power_w)
    ratio = min(max((seen.power_w or 0.0) / point.power_w, FACTOR_LEAST), FACTOR_MOST)
    since_s = min(seen.at_s - memory.observed_s, moment.rules.stale_s)
    gain = 1.0 - math.exp(-since_s / max(moment.rules.ewma_s, 1.0))
    if ratio > memory.factor + FACTOR_JUMP:
        gain = max(gain, FACTOR_JUMP_GAIN)
    factor = memory.factor + gain * (ratio - memory.factor)
    return memory._replace(
        observed_s=seen.at_s,
        measured_w=seen.power_w,
        factor=factor,
        commanded_w=point.power_w * max(1.0, factor),
    )


def _has_settled(member: Member, memory: Remembered, moment: Moment) -> bool:
    if memory.changed_s is None:
        return True
    return moment.now_s - memory.changed_s >= member.timing.dead_s + member.timing.settle_s + moment.rules.cycle_s
