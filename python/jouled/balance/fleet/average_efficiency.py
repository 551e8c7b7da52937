"""The greedy of PowerHive, as it was: the baseline that other ways to choose are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from jouled.balance.fleet.words import OFF, Load, Point

# How far from its target that program left a fleet alone; its document says 500 W.
TOLERANCE_W = 2_000.0


def step_by_average_efficiency(
    loads: Sequence[Load],
    target_w: float,
    *,
    tolerance_w: float = TOLERANCE_W,
    may_switch_off: bool = False,
    may_switch_on: bool = False,
) -> dict[str, Point]:
    """One cycle: which loads step to a neighbouring point, by load. Empty where all is within the tolerance.

    Above the target the loads with most watts per work step down first, below it those with fewest step up first,
    each by one point, until the sum is back within `tolerance_w` of `target_w`. It counts with what points say,
    as if each change were done at once, and looks at neither circuits, priorities, weights nor change costs.
    Without `may_switch_off` OFF is no point to step to, and a load that is off stays so, but where `may_switch_on`
    lets it step up: somebody else has switched it off.

    A load with a span, or whose current point is unknown, does not step and is not counted.
    """
    steerable = [
        (_watts_per_work(point), load.id, load, point)
        for load in loads
        if (point := _here(load)) is not None and (may_switch_off or may_switch_on or point.name != OFF)
    ]
    drawn_w = sum(point.power_w for *_, point in steerable)
    is_down = drawn_w > target_w
    if abs(drawn_w - target_w) <= tolerance_w:
        return {}
    steps: dict[str, Point] = {}
    for _, load_id, load, point in sorted(steerable, key=itemgetter(0, 1), reverse=is_down):
        after = _neighbour(load, point, is_down=is_down, may_switch_off=may_switch_off)
        if after is not None:
            steps[load_id] = after
            drawn_w += after.power_w - point.power_w
        if abs(drawn_w - target_w) <= tolerance_w or (drawn_w > target_w) is not is_down:
            break
    return steps


def _here(load: Load) -> Point | None:
    return next((point for point in load.points if point.name == load.current), None)


def _neighbour(load: Load, here: Point, *, is_down: bool, may_switch_off: bool) -> Point | None:
    """The next point by power; of those that draw the same, by name."""
    ladder = sorted(
        (point for point in load.points if may_switch_off or point.name != OFF or point is here),
        key=itemgetter(1, 0),
        reverse=is_down,
    )
    place = ladder.index(here) + 1
    return ladder[place] if place < len(ladder) else None


def _watts_per_work(point: Point) -> float:
    """One that does no work is raised first and shed last, as there."""
    return point.power_w / point.work if point.work > 0 else -1.0
