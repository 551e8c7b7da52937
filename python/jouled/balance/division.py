"""An amount divided among parts that have floors, ceilings and needs. Whole microwatts: nothing is rounded away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """One of those that share. All in microwatts, 0 <= floor <= ceiling."""

    floor: int
    # None is no ceiling.
    ceiling: int | None
    # What it would take if nobody held it; None is unknown, and counts as all it can have.
    need: int | None = None


def divide(amount: int, parts: Sequence[Part]) -> tuple[int, ...]:
    """What each part gets: equal shares, but none above its need while another is below its own.

    What nobody needs is spread evenly as headroom, so that a load that rises is not held at what it drew
    before. The shares add up to `amount`, to the sum of the ceilings where that is less, and to the sum
    of the floors where that is more. More to divide never gives a part less.
    """
    most = [amount if part.ceiling is None else min(part.ceiling, amount) for part in parts]
    floors = [part.floor for part in parts]
    tops = [max(floor, top) for floor, top in zip(floors, most, strict=True)]
    needs = [
        top if part.need is None else min(max(part.need, part.floor), top)
        for part, top in zip(parts, tops, strict=True)
    ]
    shares = fill(amount, floors, needs)
    spare = amount - sum(shares)
    if spare <= 0:
        return shares
    room = [top - share for top, share in zip(tops, shares, strict=True)]
    extra = fill(spare, [0] * len(parts), room)
    return tuple(share + more for share, more in zip(shares, extra, strict=True))


def fill(amount: int, floors: Sequence[int], tops: Sequence[int]) -> tuple[int, ...]:
    """As water in vessels: all stand at one level, but for those whose floor is above or whose top is below it."""

    def at(level: int) -> list[int]:
        return [min(max(level, floor), top) for floor, top in zip(floors, tops, strict=True)]

    # The highest whole level that does not need more than there is.
    low, high = 0, max(tops, default=0)
    while low < high:
        level = (low + high + 1) // 2
        if sum(at(level)) <= amount:
            low = level
        else:
            high = level - 1
    shares = at(low)
    rest = amount - sum(shares)
    # Less than one microwatt for each: the first ones get it.
    for index, share in enumerate(shares):
        if rest > 0 and share == low and share < tops[index]:
            shares[index] += 1
            rest -= 1
    return tuple(shares)
