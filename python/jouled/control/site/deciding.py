"""Decisions of the balancer: from the wish of a cycle to what was seen of it."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from msgspec.structs import replace

from jouled.balance.site.memory import BalanceState, Remembered
from jouled.balance.site.words import Applied, Member, Order, Verdict
from jouled.config.balance import Balance
from jouled.errors import ConflictError, NotFoundError
from jouled.wire.balance import BalanceEvent, Mode

# In memory, for a site without books, and for those that are still open.
EVENTS_MAX = 1000
EVENTS_LEAST = 900
OPEN = frozenset({"proposed", "approved", "executing"})
# Without a cycle that calls for it, a proposal stays open for so many.
CYCLES = 2
# What was approved may differ so little from what the next cycle wants.
SAME = 1.02
TEXT_MAX = 1024

NOT_SEEN = "it was not seen to happen in time; until it is known, the load counts with the larger power"
# Load, kind of change, preset.
Wish: TypeAlias = tuple[str, str, str | None]


def wish_of(order: Order) -> Wish:
    return order.load, order.kind, None if order.point is None else order.point.name


class Decisions:
    """`tell` hears of each new state of each decision, and must not wait."""

    def __init__(self, tell: Callable[[BalanceEvent], None], settings: Balance) -> None:
        self.settings = settings
        # By id, oldest first.
        self.recent: OrderedDict[str, BalanceEvent] = OrderedDict()
        self._forget_at = EVENTS_MAX + 1
        self._tell = tell
        self._proposed: dict[Wish, str] = {}
        self._approved: dict[Wish, str] = {}
        # Until when a wish is not proposed again.
        self._rejected: dict[Wish, datetime] = {}
        # Decisions that were sent, by the order's id.
        self._executing: dict[str, tuple[str, Order]] = {}
        # Observe: when each wish was last heard of.
        self._wanted_at: dict[Wish, datetime] = {}

    def __repr__(self) -> str:
        return f"<Decisions [{len(self._proposed)} proposed, {len(self._executing)} executing]>"

    @property
    def proposed(self) -> tuple[BalanceEvent, ...]:
        """Those that wait for somebody."""
        return tuple(self.recent[key] for key in self._proposed.values())

    @property
    def executing(self) -> int:
        return len(self._executing)

    def sort(
        self, orders: Sequence[Order], verdict: Verdict, supply_w: float | None, mode: Mode, *, may_act: bool
    ) -> tuple[tuple[Order, ...], tuple[Order, ...]]:
        """Which are sent now, and which are only wished for."""
        sent, withheld = [], []
        for order in orders:
            if not may_act:
                withheld.append(order)
            elif mode == "auto" or (mode == "ask" and (order.is_urgent or self._is_approved(order))):
                sent.append(order)
                self._send(order, verdict, supply_w, mode)
            else:
                withheld.append(order)
                self._propose(order, verdict, supply_w, mode)
        self._expire(verdict.at)
        return tuple(sent), tuple(withheld)

    def _is_approved(self, order: Order) -> bool:
        key = self._approved.get(wish_of(order))
        if key is None:
            return False
        allowed_w = self.recent[key].new_power
        return order.kind != "raise" or order.power_w <= allowed_w * SAME

    def _send(self, order: Order, verdict: Verdict, supply_w: float | None, mode: Mode) -> None:
        wish = wish_of(order)
        key = self._approved.pop(wish, None) or self._proposed.pop(wish, None)
        self._wanted_at.pop(wish, None)
        known = None if key is None else self.recent.get(key)
        if known is None:
            known = self._made(order, verdict, supply_w, mode, "executing")
        # The order that is sent, not the one that was proposed: by it the journal's is found again.
        inputs = {**known.inputs, "order": order.id}
        self._put(replace(known, status="executing", new_power=order.power_w, inputs=inputs, expires_at=None))
        self._executing[order.id] = known.id, order

    def _propose(self, order: Order, verdict: Verdict, supply_w: float | None, mode: Mode) -> None:
        wish = wish_of(order)
        if wish in self._approved or self._rejected.get(wish, verdict.at) > verdict.at:
            return
        self._wanted_at[wish] = verdict.at
        key = self._proposed.get(wish)
        expires_at = self._expiry(wish, verdict.at)
        if key is None:
            made = self._made(order, verdict, supply_w, mode, "proposed")
            self._proposed[wish] = made.id
            self._put(replace(made, expires_at=expires_at))
        else:
            # The same wish again is no news for the books.
            self.recent[key] = replace(self.recent[key], new_power=order.power_w, expires_at=expires_at)

    def _expiry(self, wish: Wish, wanted_at: datetime) -> datetime:
        """A shed is wanted in each cycle, or no longer; a raise has to wait anew after each other change."""
        waits_s = self.settings.raise_after_s if wish[1] == "raise" else 0.0
        return wanted_at + timedelta(seconds=waits_s + CYCLES * self.settings.cycle_s + 1)

    def _expire(self, at: datetime) -> None:
        """What no cycle wants any more is no longer offered."""
        for wishes in (self._proposed, self._approved):
            for wish, key in tuple(wishes.items()):
                if at >= self._expiry(wish, self._wanted_at.get(wish, at)):
                    del wishes[wish]
                    self._wanted_at.pop(wish, None)
                    self._end(self.recent[key], "expired", at, "it is no longer called for")
        self._rejected = {wish: until for wish, until in self._rejected.items() if until > at}

    def approve(self, decision_id: str, who: str, at: datetime) -> BalanceEvent:
        """It is done at the next cycle, if that still calls for it. Raises NotFoundError, ConflictError."""
        wish = self._wish_of(decision_id)
        del self._proposed[wish]
        self._approved[wish] = decision_id
        self._wanted_at[wish] = at
        return self._put(replace(self.recent[decision_id], status="approved", who=who))

    def reject(self, decision_id: str, who: str, at: datetime) -> BalanceEvent:
        """It is not done, nor proposed again for a while. Raises NotFoundError, ConflictError."""
        wish = self._wish_of(decision_id)
        del self._proposed[wish]
        self._wanted_at.pop(wish, None)
        self._rejected[wish] = at + timedelta(seconds=self.settings.rejected_s)
        return self._end(replace(self.recent[decision_id], who=who), "cancelled", at, None)

    def _wish_of(self, decision_id: str) -> Wish:
        known = self.recent.get(decision_id)
        if known is None:
            raise NotFoundError(f"there is no decision {decision_id!r} of this daemon; see joulectl balance decisions")
        for wish, key in self._proposed.items():
            if key == decision_id:
                if known.mode == "observe":
                    raise ConflictError("the balancer only observes; set its mode to ask or auto")
                return wish
        raise ConflictError(f"decision {decision_id!r} is {known.status}; only a proposed one can be decided on")

    def drop_open(self, at: datetime, why: str) -> None:
        """Where this daemon no longer acts, or in another mode."""
        for wishes in (self._proposed, self._approved):
            for key in wishes.values():
                self._end(self.recent[key], "expired", at, why)
            wishes.clear()
        self._wanted_at.clear()

    # ---- what came of it ----

    def applied(self, result: Applied, at: datetime) -> None:
        if result.problem is None:
            return
        held = self._executing.pop(result.order.id, None)
        if held is not None:
            self._end(self.recent[held[0]], "failed" if result.is_sent else "cancelled", at, result.problem)

    def look(self, state: BalanceState, members: Mapping[str, Member], at: datetime) -> None:
        """What is no longer in flight was seen to happen, or was given up."""
        for order_id, (key, order) in tuple(self._executing.items()):
            pending, memory = state.pending.get(order.load), state.loads.get(order.load)
            if pending is not None and pending.order.id == order_id:
                continue
            del self._executing[order_id]
            event = replace(self.recent[key], observed=observed(members.get(order.load)))
            if pending is not None and not _has_arrived(order, memory):
                self._end(event, "cancelled", at, "a newer order took its place")
            elif memory is None:
                self._end(event, "failed", at, "the load is not there any more")
            elif memory.doubted is not None and memory.doubted.order.id == order_id:
                self._end(event, "failed", at, NOT_SEEN)
            else:
                self._end(event, "completed", at, None)

    def abandon(self, at: datetime, why: str) -> None:
        """The daemon ends: nobody looks at what is still in flight."""
        self.drop_open(at, why)
        for key, _ in self._executing.values():
            self._end(self.recent[key], "failed", at, why)
        self._executing.clear()

    def note(self, event: BalanceEvent) -> None:
        """One that is over already."""
        self._put(event)

    # ---- inside ----

    def _made(self, order: Order, verdict: Verdict, supply_w: float | None, mode: Mode, status: str) -> BalanceEvent:
        delta_w = order.power_w - (order.before_w or 0.0)
        after_w = verdict.load_w + delta_w
        return BalanceEvent(
            id=str(uuid.uuid4()),
            miner_id=order.load,
            old_preset=order.before_point,
            new_preset=None if order.point is None else order.point.name,
            old_power=order.before_w,
            new_power=order.power_w,
            reason=order.reason[:TEXT_MAX],
            total_consumption_before=verdict.load_w,
            total_consumption_after=after_w,
            available_power=verdict.budget_w,
            target_power=verdict.target_w,
            success=None,
            error_message=None,
            recorded_at=verdict.at,
            kind=order.kind,
            status=status,  # type: ignore[arg-type]  # one of its words
            mode=mode,
            is_urgent=order.is_urgent,
            inputs=inputs_of(verdict, supply_w, order),
            expected={"watts": order.power_w, "delta_watts": delta_w},
            observed={},
        )

    def _end(self, event: BalanceEvent, status: str, at: datetime, problem: str | None) -> BalanceEvent:
        success = {"completed": True, "failed": False}.get(status)
        ended = replace(
            event,
            status=status,
            success=success,
            ended_at=at,
            error_message=None if problem is None else problem[:TEXT_MAX],
        )
        return self._put(ended)

    def _put(self, event: BalanceEvent) -> BalanceEvent:
        self.recent[event.id] = event
        if len(self.recent) >= self._forget_at:
            self._forget(event.id)
        self._tell(event)
        return event

    def _forget(self, latest: str) -> None:
        """The oldest of those that are over. Many at once: in a large fleet there may be more that are open."""
        over = [key for key, event in self.recent.items() if event.status not in OPEN and key != latest]
        for key in over[: len(self.recent) - EVENTS_LEAST]:
            del self.recent[key]
        self._forget_at = len(self.recent) + EVENTS_MAX - EVENTS_LEAST + 1


def inputs_of(verdict: Verdict, supply_w: float | None, order: Order) -> dict[str, Any]:
    return {
        "order": order.id,
        "band": verdict.band,
        "stage": verdict.stage,
        "supply_watts": supply_w,
        "budget_watts": verdict.budget_w,
        "limited_by": verdict.limited_by,
        "target_watts": verdict.target_w,
        "load_watts": verdict.load_w,
        "measured_watts": verdict.measured_w,
        "commanded_watts": verdict.commanded_w,
        "unmanaged_watts": verdict.unmanaged_w,
        "explanation": verdict.explanation[:TEXT_MAX],
    }


def _has_arrived(order: Order, memory: Remembered | None) -> bool:
    """Whether the load was where the order wanted it, before the next one came."""
    point = None if order.point is None else order.point.name
    return memory is not None and memory.is_ours and (memory.point, memory.commanded_w) == (point, order.power_w)


def observed(member: Member | None) -> dict[str, Any]:
    """What a load says of itself, for the books."""
    if member is None or member.seen is None:
        return {}
    seen = member.seen
    found = {
        "state": seen.state,
        "preset": seen.point,
        "cap_watts": seen.cap_w,
        "watts": seen.power_w,
        "work": seen.work,
    }
    return {name: value for name, value in found.items() if value is not None}
