"""Changes in flight: what came of sending them, whether they were seen to happen, and what is doubted after that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jouled.balance.fleet.words import OFF
from jouled.balance.site.memory import Remembered
from jouled.balance.site.moment import Moment
from jouled.balance.site.rules import Rules
from jouled.balance.site.words import Applied, Member, Observation, Order, Pending

# What can be set, as it says itself.
SETTABLE = frozenset({"running", "paused", "off"})
# Cycles that a change may take longer than its load's timing says: until it is looked at, and looked at again.
SLACK_CYCLES = 2.0
# Of a step, and of the power it leads to: within so much it has arrived. Meters err, and loads drift.
ARRIVED_STEP, ARRIVED_POWER, ARRIVED_W = 0.25, 0.02, 20.0
# A cap that was read back may be so much above what was asked for: hardware has steps of its own.
CAP_SLACK, CAP_SLACK_W = 0.01, 1.0
CAPPED_SLACK, CAPPED_SLACK_W = 0.05, 5.0
HOUR_S = 3600.0
# A load that failed rests longer each time: so many cycles at first, and at most so long.
REST_CYCLES, REST_MOST_S = 2.0, 1800.0
# Where it is to be shed it rests no longer than this: an overload does not wait for a load to be trusted again.
REST_SHED_S = 120.0
CHANGES_KEPT = 64


def standing_point(seen: Observation) -> str | None:
    """Where a load is: one that is paused is off, whichever point it would go on with."""
    return OFF if seen.state in {"off", "paused"} else seen.point


def due_s(member: Member, order: Order, at_s: float, rules: Rules) -> float:
    """When it should have been seen that the order was followed."""
    timing = member.timing
    is_off = order.point is not None and order.point.name == OFF
    dead_s = timing.pause_s if is_off and timing.pause_s is not None else timing.dead_s
    return at_s + dead_s + (0.0 if is_off else timing.settle_s) + SLACK_CYCLES * rules.cycle_s


def in_flight_w(pending: Pending) -> float:
    """The larger of both powers."""
    return max(pending.order.before_w or 0.0, pending.order.power_w)


def is_down(pending: Pending) -> bool:
    return pending.order.before_w is not None and pending.order.power_w < pending.order.before_w


def has_arrived(pending: Pending, seen: Observation, now_s: float, rules: Rules) -> bool:
    """Whether what the load says of itself proves the change: read back, and its power has followed."""
    if seen.at_s <= pending.issued_s or seen.state not in SETTABLE:
        return False
    order = pending.order
    if order.point is None:
        return _is_capped(order, seen)
    point = standing_point(seen)
    if point is not None and point != order.point.name:
        return False
    has_settled = now_s >= pending.expected_by_s - SLACK_CYCLES * rules.cycle_s
    if seen.power_w is None or order.before_w is None:
        # Nobody measures it: what was read back counts, once there was time for it.
        return point is not None and has_settled
    step_w = order.power_w - order.before_w
    if step_w >= 0:
        follows = seen.power_w >= order.before_w + step_w / 2
        return follows or (point is not None and has_settled)
    slack_w = max(ARRIVED_STEP * -step_w, ARRIVED_POWER * order.power_w, ARRIVED_W)
    return seen.power_w <= order.power_w + min(slack_w, -step_w * 0.6)


def _is_capped(order: Order, seen: Observation) -> bool:
    """A lower cap than was asked for is as good: somebody else may hold it lower still."""
    if seen.cap_w is None or seen.cap_w > order.power_w * (1 + CAP_SLACK) + CAP_SLACK_W:
        return False
    is_raise = order.before_w is None or order.power_w >= order.before_w
    return is_raise or seen.power_w is None or seen.power_w <= order.power_w * (1 + CAPPED_SLACK) + CAPPED_SLACK_W


def recorded(memory: Remembered, pending: Pending) -> Remembered:
    """The change was sent: it counts for dwell and for the bounds per hour, whatever came of it."""
    since_s = pending.issued_s - HOUR_S
    changes = (*(at_s for at_s in memory.changes[-CHANGES_KEPT:] if at_s > since_s), pending.issued_s)
    order = pending.order
    return memory._replace(
        changed_s=pending.issued_s,
        changes=changes,
        wanted=order.point.name if order.point is not None else None,
        recorded=order.id,
    )


def failed(memory: Remembered, pending: Pending, until_s: float, moment: Moment) -> Remembered:
    """It may still happen until `until_s`, and counts as if; and the load rests, longer each time."""
    rest_s = _rest_s(memory.failures, moment.rules)
    return recorded(memory, pending)._replace(
        doubted=pending,
        doubted_until_s=until_s,
        retry_s=moment.now_s + rest_s,
        failures=memory.failures + 1,
        is_ours=False,
    )


def _rest_s(failures: int, rules: Rules) -> float:
    return min(REST_CYCLES * rules.cycle_s * 2.0 ** min(failures, 16), REST_MOST_S)


def shed_again_s(memory: Remembered, rules: Rules) -> float:
    """From when on one that did not do what it was told may be told to draw less."""
    rest_s = _rest_s(max(0, memory.failures - 1), rules)
    return memory.retry_s - max(0.0, rest_s - REST_SHED_S)


class Taken(NamedTuple):
    """After the results of sending are known."""

    pending: dict[str, Pending]
    loads: dict[str, Remembered]


def taken(
    pending: Mapping[str, Pending],
    loads: Mapping[str, Remembered],
    applied: tuple[Applied, ...],
    members: Mapping[str, Member],
    moment: Moment,
) -> Taken:
    """Each order that was sent is in flight from then on; one that could not be is doubted, and its load rests."""
    result = Taken(
        {name: each for name, each in pending.items() if name in members},
        {name: each for name, each in loads.items() if name in members},
    )
    for each in applied:
        member = members.get(each.order.load)
        if member is not None:
            _take(result, each, member, moment)
    return result


def _take(result: Taken, each: Applied, member: Member, moment: Moment) -> None:
    name, order = member.id, each.order
    waiting = result.pending.get(name)
    if waiting is not None and waiting.order.id != order.id:
        return  # Another order has taken its place since.
    if not each.is_sent:
        earlier = result.pending.pop(name).earlier if waiting is not None else None
        if earlier is not None:
            result.pending[name] = earlier
        return
    memory = result.loads.get(name, Remembered())
    if memory.recorded == order.id:
        return  # What came of it was seen already.
    sent = Pending(order, each.at_s, due_s(member, order, each.at_s, moment.rules))
    if each.problem is None:
        result.pending[name] = sent
        return
    result.pending.pop(name, None)
    if memory.failures == 0:
        moment.tell("change_failed", "warning", name, f"{order.kind} to {told(order)}: {each.problem}")
    result.loads[name] = failed(memory, sent, sent.expected_by_s, moment)


def told(order: Order) -> str:
    """The target in words."""
    return f"{order.power_w:.0f} W" if order.point is None else f"{order.point.name} ({order.power_w:.0f} W)"
