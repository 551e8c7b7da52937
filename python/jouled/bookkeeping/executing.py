"""Decisions become deeds: by the loads of their zones, each decision once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import trio
from sqlalchemy import Connection

from jouled.bookkeeping import decisions
from jouled.books import decisions as rules
from jouled.errors import ConflictError, StoreError
from jouled.loads.protocol import Load, LoadError
from jouled.loads.registry import GRACE, RUN, Loads
from jouled.log import log
from jouled.store import Store
from jouled.wire.decisions import Decision

# Between two looks at what has expired, was interrupted, or can be observed.
LOOK_EVERY_S = 10.0
# Beyond its own limit a load is not waited for.
PATIENCE_S = 5.0
RETRY_S = 1.0


async def execute(store: Store, loads: Loads, decision_id: str, who: str, clock: Callable[[], datetime]) -> Decision:
    """Carry out an approved decision. Returns it as completed or failed.

    Of two calls at the same time one gets ConflictError, and so does whoever names a decision on whose
    zone nothing can act: that one stays as it is.
    """
    decision = await store.fetch(partial(decisions.get, decision_id=decision_id))
    rules.check_move(decision_id, decision.status, "executing")
    acting = _acting(loads, decision)
    limit_s = sum(load.limit_s + PATIENCE_S for load in acting)
    deadline_at = clock() + timedelta(seconds=limit_s) + GRACE
    # Once something acts its end is waited for, also where the client has gone; it is bounded by the loads' limits.
    with trio.CancelScope(shield=True):
        decision = await store.commit(
            lambda connection: decisions.start(
                connection, decision_id, who, clock(), executor=loads.executor, deadline_at=deadline_at
            )
        )
        is_done, result = await _act(acting, decision)
        ended = await _finish(store, decision_id, who, clock, deadline_at, is_done=is_done, result=result)
    return ended  # noqa: RET504  (mypy cannot know that the scope swallows nothing)


def _acting(loads: Loads, decision: Decision) -> list[Load]:
    """Raises ConflictError where nothing can act."""
    zones = rules.zones_of(decision.source_zone_id, decision.target_zone_id)
    if not zones:
        raise ConflictError(f"decision {decision.id} names no zone: there is nothing to act on; cancel it")
    # What takes load away has to; where it comes to may need no telling.
    if loads.of(zones[0]) is None:
        raise ConflictError(f"no load is attached to zone {zones[0]!r}; attach one by load.commands, or act by hand")
    return loads.acting(zones)


async def _act(acting: Sequence[Load], decision: Decision) -> tuple[bool, str]:
    """One after the other: what adds load waits until the other has gone. The first failure ends it."""
    said: list[str] = []
    for load in acting:
        try:
            with trio.fail_after(load.limit_s + PATIENCE_S):
                said.append(await load.act(decision))
        except LoadError as error:
            return False, "; ".join([*said, str(error)])
        except trio.TooSlowError:
            return False, "; ".join([*said, f"{load!r} did not answer within {load.limit_s:g} s"])
        except Exception as error:  # noqa: BLE001  (whatever a load does, the decision gets its end)
            log.error("a load failed", load=repr(load), decision=decision.id, exc_info=error)
            return False, "; ".join([*said, f"a defect of {load!r}: {error}; the log says more"])
    return True, "; ".join(said)


async def _finish(
    store: Store,
    decision_id: str,
    who: str,
    clock: Callable[[], datetime],
    deadline_at: datetime,
    *,
    is_done: bool,
    result: str,
) -> Decision:
    """The deed is done, so the store is given time to take that down."""
    while True:
        try:
            return await store.commit(
                lambda connection: decisions.finish(
                    connection, decision_id, who, clock(), is_done=is_done, result=result
                )
            )
        except StoreError:
            if clock() + timedelta(seconds=RETRY_S) >= deadline_at:
                raise
            await trio.sleep(RETRY_S)
        except ConflictError:  # an earlier try was taken down after all, or its deadline has passed
            return await store.fetch(partial(decisions.get, decision_id=decision_id))


def utc_now() -> datetime:
    return datetime.now(UTC)


async def look_after(
    store: Store, loads: Loads, clock: Callable[[], datetime] = utc_now, period_s: float = LOOK_EVERY_S
) -> None:
    """Until cancelled: what was interrupted fails, what is late expires, and effects are looked for.

    First of all at the start: what an earlier life of this daemon was executing has no other end.
    """
    while True:
        try:
            failed, expired = await store.commit(partial(_look, loads=loads, now=clock()))
        except StoreError:
            pass  # the store says so itself; nothing is lost, as the next look sees the same
        else:
            if failed:
                log.warning("decisions were interrupted; look at their loads", count=failed)
            if expired:
                log.info("decisions expired", count=expired)
        await trio.sleep(period_s)


def _look(connection: Connection, *, loads: Loads, now: datetime) -> tuple[int, int]:
    failed = decisions.fail_interrupted(connection, loads.node, RUN, now)
    expired = decisions.expire(connection, now)
    decisions.observe(connection, timedelta(seconds=loads.settings.settle_s), now)
    return failed, expired
