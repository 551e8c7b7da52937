"""What cannot be is taken out before anything is decided on it: a figure that no load has, circuits that are no tree.

A planner that refuses a question would leave a whole site unbalanced for the sake of one load or one circuit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jouled.balance.fleet.words import Circuit, Point, Span
from jouled.balance.site.inputs import Inputs
from jouled.balance.site.words import Member, Observation

# What the planner takes: more is a wrong unit.
POWER_MAX_W, WORK_MAX, WEIGHT_MAX = 1e8, 1e15, 1e9
NO_SPAN = "its least and most power cannot be"
PROBLEMS_TOLD = 20


class Sound(NamedTuple):
    """What a cycle may look at, and what of the circuits was wrong."""

    inputs: Inputs
    problems: tuple[str, ...]


def sound(inputs: Inputs) -> Sound:
    members = tuple(map(sound_member, inputs.members))
    tree = sound_tree(inputs.circuits, members)
    return Sound(inputs._replace(members=members, circuits=tree.circuits), tree.problems)


def sound_member(member: Member) -> Member:
    """Without figures that cannot be: unknown is safer than a lie."""
    seen, span, points, worst_w = member.seen, member.span, member.points, member.worst_w
    if seen is not None:
        seen = _sound_seen(seen)
    if not all(map(_is_sound_point, points)):
        points = tuple(filter(_is_sound_point, points))
    if worst_w is not None and not _is_power(worst_w):
        worst_w = None
    unmanaged, weight = member.unmanaged, member.weight
    if span is not None and not _is_sound_span(span):
        span, unmanaged = None, unmanaged or NO_SPAN
    if not 0.0 <= weight <= WEIGHT_MAX:
        weight = 1.0
    is_sound = seen is member.seen and span is member.span and points is member.points and worst_w is member.worst_w
    if is_sound and weight is member.weight:
        return member
    return member._replace(seen=seen, span=span, points=points, worst_w=worst_w, weight=weight, unmanaged=unmanaged)


def _sound_seen(seen: Observation) -> Observation:
    power_w, cap_w, work = seen.power_w, seen.cap_w, seen.work
    if power_w is not None and not _is_power(power_w):
        seen = seen._replace(power_w=None)
    if cap_w is not None and not 0.0 <= cap_w < math.inf:
        seen = seen._replace(cap_w=None)
    if work is not None and not 0.0 <= work <= WORK_MAX:
        seen = seen._replace(work=None)
    return seen


def _is_power(power_w: float) -> bool:
    return 0.0 <= power_w <= POWER_MAX_W


def _is_sound_point(point: Point) -> bool:
    return 0.0 <= point.power_w <= POWER_MAX_W and 0.0 <= point.work <= WORK_MAX


def _is_sound_span(span: Span) -> bool:
    need_w = span.need_w
    return 0.0 <= span.floor_w <= span.ceiling_w <= POWER_MAX_W and (need_w is None or 0.0 <= need_w < math.inf)


class Tree(NamedTuple):
    """Circuits that are one, and what was wrong with those that were given."""

    circuits: tuple[Circuit, ...]
    problems: tuple[str, ...]


def sound_tree(circuits: Iterable[Circuit], members: Iterable[Member]) -> Tree:
    """Every limit that there is still holds; of two, the lower one."""
    found: dict[str, Circuit] = {}
    problems: list[str] = []
    for circuit in circuits:
        limit_w, other = circuit.limit_w, found.get(circuit.id)
        if limit_w is not None and not 0.0 <= limit_w < math.inf:
            limit_w = None if limit_w == math.inf else 0.0
            problems.append(f"circuit {circuit.id} has a limit of {circuit.limit_w} W: correct it")
        if other is not None:
            limit_w = min((each for each in (limit_w, other.limit_w) if each is not None), default=None)
            problems.append(f"there are two circuits {circuit.id}: each needs an id of its own")
        found[circuit.id] = circuit._replace(limit_w=limit_w, parent=circuit.parent if other is None else other.parent)
    parents = {name: circuit.parent for name, circuit in found.items()}
    for name in sorted(found):
        parent = parents[name]
        if parent is None:
            continue
        if parent not in found:
            problems.append(f"circuit {name} hangs on {parent}, which there is not: no limit of that is kept")
        elif ring := _ring(name, parents):
            problems.append(f"circuit {name} is fed by itself: it is taken to hang on the site")
            limits = [limit_w for each in ring if (limit_w := found[each].limit_w) is not None]
            # All that flows in a ring flows through each part of it.
            found[name] = found[name]._replace(limit_w=min(limits, default=None))
        else:
            continue
        parents[name] = None
        found[name] = found[name]._replace(parent=None)
    unknown = sorted({one.circuit for one in members if one.circuit is not None and one.circuit not in found})
    problems += [
        f"there is no circuit {name}: what hangs on it is not raised, as nobody knows its limit" for name in unknown
    ]
    return Tree(tuple(found.values()), tuple(problems[:PROBLEMS_TOLD]))


def _ring(circuit: str, parents: Mapping[str, str | None]) -> list[str]:
    """The circuits from this one round to itself; none where it is not fed by itself."""
    ring = [circuit]
    while (at := parents.get(ring[-1])) is not None and at != circuit:
        if len(ring) > len(parents):
            return []
        ring.append(at)
    return [] if at is None else ring
