"""The hands of the balancer: orders go out side by side, one at a time to each load, and none ends the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import trio

from jouled.balance.site.words import Applied, Order
from jouled.control.site.facing import Fleet, Lead
from jouled.control.site.originals import Kept, Originals, told_of
from jouled.journal import JournalError
from jouled.loads.actuator import Actuator
from jouled.loads.protocol import LoadError
from jouled.log import Once, log

# A driver ends by itself within some seconds; one that does not is broken off.
ACT_S = 30.0
CONFIRM_S = 10.0
# A disk may take so long to keep how a load was; the shed of a plant that trips waits for it less.
KEEP_S = 10.0
KEEP_URGENT_S = 1.0
# After an order a load is asked more often for so long: its power follows in the meantime.
HURRY_S = 60.0
# Between two looks at whether it was taken: some devices say so a moment later.
CONFIRM_PAUSES_S = (0.0, 1.0, 4.0)
# Orders at once: of those that shed as many as there are, but for a number of sockets.
SHEDS_MAX = 256
RAISES_MAX = 16
# Questions ahead of orders, and renewals: a fleet that hangs in them holds up no order.
ASIDE_MAX = 16
# What is raised by an order that had to wait for longer was room that may be gone by now.
WAIT_S = 30.0
# A disk that took nothing is tried again so often.
DISK_S = 15.0
# An original that was read before the first order is as good as one read now, for so long.
ORIGINAL_S = 3600.0


class Unsent(str):
    """Why an order never reached its load: it is as if it had never been given."""

    __slots__ = ()


NEWER = Unsent("a newer order came before this one was sent")
NO_LEAD = Unsent("another daemon leads this site by now; this one sends nothing")
GONE = "the load is no longer there"
WAITED = Unsent(f"it had to wait for more than {WAIT_S:g} s; a later cycle decides anew")


class Hands:
    """`send` never waits; `run` carries out, and what came of it is in `results` until somebody takes it.

    `told` hears of each result. Originals are journalled before the first order to a load; only what is urgent
    goes out where that cannot be done: a plant that trips is worse than a load that must be set by hand later.
    """

    def __init__(
        self,
        fleet: Fleet,
        originals: Originals,
        lead: Lead,
        clock: Callable[[], datetime],
        told: Callable[[Applied], None] | None = None,
    ) -> None:
        self.failures_total = 0
        self._fleet = fleet
        self._originals = originals
        self._lead = lead
        self._clock = clock
        self._told = told
        self._nursery: trio.Nursery | None = None
        self._sheds = trio.CapacityLimiter(SHEDS_MAX)
        self._raises = trio.CapacityLimiter(RAISES_MAX)
        self._ahead_of_orders = trio.CapacityLimiter(ASIDE_MAX)
        self._renewals = trio.CapacityLimiter(ASIDE_MAX)
        # Why the journal cannot be written; it is tried again until it can.
        self.disk_problem: str | None = None
        self._busy: dict[str, Order] = {}
        self._next: dict[str, Order] = {}
        self._at_work: dict[str, trio.CancelScope] = {}
        # The part of carrying out that a newer order may break off.
        self._looking: dict[str, trio.CancelScope] = {}
        # Read ahead of the first order, by Trio's clock.
        self._ahead: dict[str, tuple[float, Kept]] = {}
        self._reading: set[str] = set()
        self._renewing: dict[str, trio.CancelScope] = {}
        # A load is spoken to by one task at a time.
        self._turns: dict[str, trio.Lock] = {}
        self._results: list[Applied] = []
        self._once = Once()

    def __repr__(self) -> str:
        return f"<Hands [{len(self._busy)} at work, {self.failures_total} failures]>"

    @property
    def at_work(self) -> int:
        return len(self._busy)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._nursery = None

    def take_results(self) -> tuple[Applied, ...]:
        """What came of orders since the last time."""
        results, self._results = self._results, []
        return tuple(results)

    def send(self, orders: Sequence[Order]) -> None:
        """Urgent ones first. One to a load that still has another at hand waits for that, and is the next."""
        for order in sorted(orders, key=lambda one: not one.is_urgent):
            if order.load not in self._busy:
                self._begin(order)
                continue
            if (waiting := self._next.pop(order.load, None)) is not None:
                self._note(waiting, NEWER)
            self._next[order.load] = order
            if (looking := self._looking.get(order.load)) is not None:
                looking.cancel()

    def read_ahead(self, loads: Sequence[str]) -> None:
        """Reads and journals originals of loads that may be changed, so that an emergency need not wait for them."""
        now_s = trio.current_time()
        for load_id in loads:
            held = self._ahead.get(load_id)
            is_known = self._originals.of(load_id) is not None or (held is not None and now_s - held[0] < ORIGINAL_S)
            if is_known or load_id in self._reading or load_id in self._busy or self._nursery is None:
                continue
            self._reading.add(load_id)
            self._nursery.start_soon(self._read_one_ahead, load_id)

    def renew(self, loads: Sequence[str]) -> None:
        """A load that only lends its power is asked for it again, before the lease ends; each decides when that is."""
        for load_id in loads:
            renew = getattr(self._fleet.actuator(load_id), "renew", None)
            if renew is not None and load_id not in self._renewing and self._nursery is not None:
                self._renewing[load_id] = trio.CancelScope()
                self._nursery.start_soon(self._renew_one, load_id, renew)

    async def _renew_one(self, load_id: str, renew: Callable[[], Awaitable[object]]) -> None:
        try:
            with self._renewing[load_id]:
                async with self._renewals, self._turn(load_id):
                    if load_id not in self._busy and self._lead.is_leader:
                        with trio.move_on_after(CONFIRM_S):
                            await renew()
        except LoadError as error:
            self._once.warning(f"its lease is not renewed: {error}")
        except Exception as error:  # noqa: BLE001  (a driver's defect must not end the others)
            self._once.warning(f"{load_id}: its lease is not renewed", error)
        finally:
            del self._renewing[load_id]

    async def _read_one_ahead(self, load_id: str) -> None:
        try:
            async with self._ahead_of_orders:
                actuator = self._fleet.actuator(load_id)
                if actuator is not None and load_id not in self._busy:
                    with trio.move_on_after(CONFIRM_S):
                        self._ahead[load_id] = trio.current_time(), await self._kept(actuator)
        except LoadError:  # it is away, which the fleet says; the order will try again
            pass
        except Exception as error:  # noqa: BLE001  (a driver's defect must not end the others)
            self._once.warning(f"{load_id}: its state could not be read", error)
        finally:
            self._reading.discard(load_id)

    def stop(self) -> None:
        """What is under way is broken off: somebody else gives orders now."""
        for scope in (*self._at_work.values(), *self._renewing.values()):
            scope.cancel()

    def _begin(self, order: Order) -> None:
        if self._nursery is None:  # the daemon ends
            return
        self._busy[order.load] = order
        if (renewing := self._renewing.get(order.load)) is not None:
            renewing.cancel()  # an order says what holds from now on
        self._nursery.start_soon(self._act, order)

    def _turn(self, load_id: str) -> trio.Lock:
        return self._turns.setdefault(load_id, trio.Lock())

    async def _act(self, order: Order) -> None:
        following: Order | None = order
        while following is not None:
            order = following
            problem: str | None = NO_LEAD
            by_s = trio.current_time() + WAIT_S
            with trio.CancelScope() as self._at_work[order.load]:
                async with self._sheds if order.kind == "shed" else self._raises:
                    problem = await self._carry_out(order, by_s)
            self._note(order, problem)
            following = self._next.pop(order.load, None)
            if following is not None:
                self._busy[order.load] = following
        del self._busy[order.load], self._at_work[order.load]
        await self._look(order.load)

    def _note(self, order: Order, problem: str | None) -> None:
        is_sent = not isinstance(problem, Unsent)
        result = Applied(order, trio.current_time(), problem, is_sent)
        self.failures_total += problem is not None and is_sent
        self._results.append(result)
        if self._told is not None:
            self._told(result)

    async def _carry_out(self, order: Order, by_s: float) -> str | None:
        try:
            actuator = self._fleet.actuator(order.load)
            if actuator is None:
                return GONE
            problem = await self._journal(order, actuator)
            if problem is not None:
                return problem
            async with self._turn(order.load):
                # As late as can be: all of it may be another way by now.
                return self._overtaken(order, by_s) or await self._apply(order, actuator)
        except Exception as error:  # noqa: BLE001  (whatever a driver does, the others and the loop go on)
            self._once.warning(f"{order.load}: its driver failed", error)
            return f"its driver failed: {type(error).__name__}: {error}"

    def _overtaken(self, order: Order, by_s: float) -> Unsent | None:
        if not self._lead.is_leader:
            return NO_LEAD
        if order.kind == "shed":  # however many come, one of them gets through
            return None
        if order.load in self._next:
            return NEWER
        return WAITED if trio.current_time() > by_s else None

    async def _journal(self, order: Order, actuator: Actuator) -> str | None:
        problem: str | None
        try:
            if self._originals.of(order.load) is None:
                self._originals.put(await self._original(order, actuator))
            point = None if order.point is None else order.point.name
            self._originals.note_order(order.load, point, order.power_w, self._clock(), told_of(order))
            problem = await self._save(KEEP_URGENT_S if order.is_urgent else KEEP_S)
        except (JournalError, LoadError) as error:
            problem = str(error)
        if problem is None:
            return None
        if not order.is_urgent:
            why = f"it is not changed, for it could not be given back: {problem}"
            # The disk's trouble is not the load's, which an emergency may need the next moment.
            return why if self.disk_problem is None else Unsent(why)
        log.error(f"{order.load}: shed although how it was before could not be kept: {problem}")
        return None

    async def _save(self, limit_s: float) -> str | None:
        """Why not, also where the disk hangs."""
        problem = None
        with trio.move_on_after(limit_s) as limit:
            try:
                await self._originals.save()
            except JournalError as error:
                problem = str(error)
        if limit.cancelled_caught:
            problem = f"write {self._originals.directory}: not done within {limit_s:g} s; check its disk"
        if problem is not None and self.disk_problem is None and self._nursery is not None:
            log.error(f"balance: only what is urgent is sent until originals can be kept: {problem}")
            self._nursery.start_soon(self._save_again)
        self.disk_problem = problem
        return problem

    async def _save_again(self) -> None:
        while self.disk_problem is not None:
            await trio.sleep(DISK_S)
            if await self._save(KEEP_S) is None:
                log.info("balance: originals can be kept again")

    async def _original(self, order: Order, actuator: Actuator) -> Kept:
        """Raises LoadError."""
        held = self._ahead.pop(order.load, None)
        if held is not None and (order.is_urgent or trio.current_time() - held[0] < ORIGINAL_S):
            return held[1]
        with trio.move_on_after(CONFIRM_S):
            return await self._kept(actuator)
        raise LoadError(f"{order.load}: no answer within {CONFIRM_S:g} s")

    async def _kept(self, actuator: Actuator) -> Kept:
        original = await actuator.original()
        address = getattr(actuator, "address", None)
        name = getattr(actuator, "name", None) or actuator.id
        return Kept(actuator.id, actuator.kind, name, original, self._clock(), address)

    async def _apply(self, order: Order, actuator: Actuator) -> str | None:
        """None where it was taken, or where nobody knows and it must count as if."""
        problem: str | None = f"no answer within {ACT_S:g} s"
        with trio.move_on_after(ACT_S):
            try:
                await actuator.apply(order)
            except LoadError as error:
                problem = str(error)
            else:
                problem = None
        is_taken = await self._is_taken(order, actuator, may_wait=problem is None)
        if is_taken:
            return None
        if is_taken is None and problem is None:
            return None  # it is looked at again and again; the cycle says when that has been too long
        if is_taken is None and order.kind != "shed":
            # It may draw more soon: it stays in flight, and counts with the larger power, until somebody sees.
            log.warning(f"{order.load}: nobody knows whether it took an order: {problem}")
            return None
        return problem or "it took the order, and reads back something else"

    async def _is_taken(self, order: Order, actuator: Actuator, *, may_wait: bool) -> bool | None:
        """As read back; None is that it does not say."""
        answer: bool | None = None
        with trio.CancelScope() as looking:
            self._looking[order.load] = looking
            try:
                for pause_s in CONFIRM_PAUSES_S if may_wait else (0.0,):
                    await trio.sleep(pause_s)
                    answer = None
                    with trio.move_on_after(CONFIRM_S):
                        try:
                            answer = await actuator.confirm(order)
                        except LoadError:
                            answer = None
                    if answer:
                        return True
            finally:
                del self._looking[order.load]
        return answer

    async def _look(self, load_id: str) -> None:
        """So that the next cycle sees what has become of it."""
        try:
            self._fleet.hurry(load_id, HURRY_S)
            await self._fleet.look(load_id)
        except Exception as error:  # noqa: BLE001  (as above)
            self._once.warning(f"{load_id}: it could not be looked at", error)
