"""What is left behind: loads as they are, as they were found, or at their least."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import trio

from jouled.balance.fleet.words import OFF, Point
from jouled.balance.site.words import Member, Order
from jouled.control.site.facing import Fleet, Lead
from jouled.control.site.originals import Kept, Originals
from jouled.journal import JournalError
from jouled.loads.actuator import Actuator
from jouled.loads.protocol import LoadError
from jouled.log import log

# At once: all of a large site have to be told within a second or two.
TOGETHER = 256
SAVE_S = 0.5
UNANSWERED = "it did not answer in time"


class Left(NamedTuple):
    """What became of one load. `problem` is None where it is as it is to be."""

    load: str
    name: str
    problem: str | None


async def leave(
    fleet: Fleet,
    originals: Originals,
    on_exit: Literal["hold", "restore", "safe"],
    lead: Lead,
    clock: Callable[[], datetime],
) -> None:
    """To be cancelled where it takes too long: what was not done by then stays in the journal, and is said."""
    kept = originals.loads
    if not kept or not lead.is_leader:
        return
    done: list[Left] = []
    try:
        if on_exit == "restore":
            await restored(kept, fleet.actuator, originals, done.append)
        elif on_exit == "safe":
            await _at_least(fleet, originals, done.append, clock)
    finally:
        _say(on_exit, kept, done)
        originals.leave(on_exit)
        await _save(originals)


async def _save(originals: Originals) -> None:
    """A disk that hangs holds up neither the end nor what else is given back then."""
    with trio.CancelScope(shield=True), trio.move_on_after(SAVE_S) as limit:
        try:
            await originals.save()
        except JournalError as error:
            log.warning(f"balance: {error}")
    if limit.cancelled_caught:
        log.warning(f"balance: write {originals.directory}: not done within {SAVE_S:g} s; check its disk")


async def restored(
    kept: Sequence[Kept],
    actuator_of: Callable[[str], Actuator | None],
    originals: Originals,
    told: Callable[[Left], None],
) -> None:
    """Each as it was found, the latest first, side by side."""

    async def give_back(one: Kept) -> None:
        actuator = actuator_of(one.load)
        if actuator is None:
            raise LoadError("it is not there any more; look for it by its name, and set it by hand")
        await actuator.give_back(one.original)

    async def one_by_itself(one: Kept) -> None:
        problem = await _problem_of(lambda: give_back(one))
        if problem is None:
            originals.drop(one.load)
        else:
            originals.note_problem(one.load, problem)
        told(Left(one.load, one.name, problem))

    limiter = trio.CapacityLimiter(TOGETHER)
    async with trio.open_nursery() as nursery:
        for one in reversed(kept):
            nursery.start_soon(_in_turn, limiter, one_by_itself, one)


async def _in_turn(limiter: trio.CapacityLimiter, work: Callable[[Kept], Awaitable[None]], one: Kept) -> None:
    async with limiter:
        await work(one)


async def _at_least(
    fleet: Fleet, originals: Originals, told: Callable[[Left], None], clock: Callable[[], datetime]
) -> None:
    """Only those that were changed: the others are as their users want them."""
    members = {member.id: member for member in fleet.members(trio.current_time())}

    async def lower(one: Kept) -> None:
        member, actuator = members.get(one.load), fleet.actuator(one.load)
        order = None if member is None else least(member)
        if actuator is None or member is None:
            told(Left(one.load, one.name, "it is not there any more"))
            return
        if order is None:
            told(Left(one.load, one.name, None))
            return
        point = None if order.point is None else order.point.name
        originals.note_order(one.load, point, order.power_w, clock())
        told(Left(one.load, one.name, await _problem_of(lambda: actuator.apply(order))))

    limiter = trio.CapacityLimiter(TOGETHER)
    async with trio.open_nursery() as nursery:
        for one in originals.loads:
            nursery.start_soon(_in_turn, limiter, lower, one)


def least(member: Member) -> Order | None:
    """The lowest that it runs at. One that is off, or can only be off, is off: nothing is raised at the end."""
    is_off = member.seen is not None and member.seen.state in ("off", "paused")
    point: Point | None = None
    if member.span is not None:
        power_w = member.span.floor_w
    elif member.points:
        running = [one for one in member.points if one.name != OFF]
        if is_off or not running:
            return None
        point = min(running, key=lambda one: one.power_w)
        power_w = point.power_w
        before = next((one for one in member.points if member.seen and one.name == member.seen.point), None)
        if before is not None and before.power_w <= power_w:
            return None
    else:
        return None
    before_point = None if member.seen is None else member.seen.point
    before_w = None if member.seen is None else member.seen.power_w
    return Order(
        f"exit/{member.id}", member.id, "shed", point, power_w, before_point, before_w, True, "balance.on_exit = safe"
    )


async def _problem_of(work: Callable[[], Awaitable[None]]) -> str | None:
    try:
        await work()
    except LoadError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  (a driver's defect must not keep the others as they are)
        log.error("balance: a driver failed", exc_info=error)
        return f"its driver failed: {type(error).__name__}: {error}"
    return None


def _say(on_exit: str, kept: Sequence[Kept], done: Sequence[Left]) -> None:
    if on_exit == "hold":
        log.info(f"balance: {len(kept)} loads stay as they are, by balance.on_exit = hold")
        return
    failed = [left for left in done if left.problem is not None]
    told = {left.load for left in done}
    failed += [Left(one.load, one.name, UNANSWERED) for one in kept if one.load not in told]
    for left in failed:
        log.warning(f"balance: {left.name}: {left.problem}; `joulectl balance restore` tries again", load=left.load)
    words = {"restore": "as they were found", "safe": "at their least"}
    log.info(f"balance: {len(kept) - len(failed)} of {len(kept)} loads are {words.get(on_exit, on_exit)}")
