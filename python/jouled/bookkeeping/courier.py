"""The tasks that tell of events: a line in the log, and each target at its own pace."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from typing import Protocol

import trio
from sqlalchemy import Connection

from jouled.bookkeeping import deliveries
from jouled.bookkeeping.deliveries import Claimed, NewEvent
from jouled.bookkeeping.events import Target, deliver_to
from jouled.bookkeeping.whole import read_whole
from jouled.books.deliveries import Failure
from jouled.config.books import Alerts
from jouled.config.secrets import resolved
from jouled.errors import ConfigError, StoreError
from jouled.log import log
from jouled.restarts import keep_running
from jouled.signals.command import Command
from jouled.store import Store
from jouled.wire.events import Event

LOOK_EVERY_S = 2.0
TIDY_EVERY_S = 3600.0
# A transaction that began earlier may end later, and its events have lower numbers.
LOOK_BACK = 200
LEVELS = {"info": "info", "warning": "warning", "critical": "error"}


class Carrier(Protocol):
    """Brings one event to its target, within a limit of time of its own. None is delivered."""

    @property
    def target(self) -> Target: ...

    async def carry(self, event: Event) -> Failure | None: ...


async def tell_as_set(
    settings: Alerts,
    store: Store,
    clock: Callable[[], datetime],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until cancelled. Raises ConfigError at the start for settings that cannot be."""
    async with AsyncExitStack() as undo:
        carriers: list[Carrier] = []
        if settings.webhook is not None:
            carriers.append(await open_webhook(settings, settings.webhook, clock, undo))
        if settings.command:
            carriers.append(Command(settings.command))
        deliver_to(carrier.target for carrier in carriers)
        undo.callback(deliver_to, ())
        await tell(store, carriers, clock, task_status=task_status)


async def open_webhook(settings: Alerts, url: str, clock: Callable[[], datetime], undo: AsyncExitStack) -> Carrier:
    from jouled.http import Http
    from jouled.signals.webhook import DEADLINE_S, Webhook

    secret = None
    if settings.secret is not None:
        secret = resolved(settings.secret, what="secret").encode()
        if not secret:
            raise ConfigError(f"alerts.secret {settings.secret}: it is empty; put the secret there")
    http = await undo.enter_async_context(Http("alerts", address="alerts.webhook", deadline_s=DEADLINE_S))
    return Webhook(http, url, secret, clock)


async def tell(
    store: Store,
    carriers: Sequence[Carrier],
    clock: Callable[[], datetime],
    look_every_s: float = LOOK_EVERY_S,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until cancelled. A target that hangs holds up no other, and nothing holds up the log."""
    announcer = Announcer(store, [carrier.target for carrier in carriers], clock, look_every_s)
    await announcer.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_running, "events", announcer.run)
        for carrier in carriers:
            name = f"alerts.{carrier.target}"
            nursery.start_soon(keep_running, name, partial(deliver, store, carrier, clock, look_every_s))
        nursery.start_soon(keep_running, "deliveries", partial(_tidy, store, clock))
        task_status.started()


class Announcer:
    """Each event one line at its severity, from now on; and for all targets, whoever wrote it."""

    def __init__(
        self, store: Store, targets: Collection[Target], clock: Callable[[], datetime], look_every_s: float
    ) -> None:
        self._store = store
        self._targets = targets
        self._clock = clock
        self._look_every_s = look_every_s
        self._reached: int | None = None
        self._seen: deque[int] = deque(maxlen=2 * LOOK_BACK)

    def __repr__(self) -> str:
        return f"<Announcer after {self._reached}>"

    async def begin(self) -> None:
        """What is there already was told by an earlier life."""
        try:
            self._reached = await read_whole(self._store, deliveries.newest)
        except StoreError:  # the store says so itself; it begins where the store is when it is back
            return
        self._seen.extend(range(max(0, self._reached - LOOK_BACK), self._reached + 1))

    async def run(self) -> None:
        while True:
            try:
                is_behind = await self._look()
            except StoreError:
                is_behind = False
            await trio.sleep(0.0 if is_behind else self._look_every_s)

    async def _look(self) -> bool:
        """Whether there is more than one look shows."""
        if self._reached is None:
            await self.begin()
            return False
        unseen = partial(_unseen, after=self._reached, seen=frozenset(self._seen))
        new = await read_whole(self._store, unseen)
        if new and self._targets:
            seqs = [event.seq for event in new]
            queue = partial(deliveries.queue, seqs=seqs, targets=self._targets, now=self._clock())
            await self._store.commit(queue)
        for seq, event in new:
            say(event)
            self._seen.append(seq)
            self._reached = max(self._reached, seq)
        return len(new) >= deliveries.EVENTS_MAX - LOOK_BACK


def say(event: Event) -> None:
    about = {name: getattr(event, name) for name in ("site_id", "device_id", "meter_id", "value")}
    fields = {name: value for name, value in about.items() if value is not None}
    say_it = getattr(log, LEVELS.get(event.severity, "warning"))
    say_it(event.note or event.type, type=event.type, id=event.id, **fields)


async def deliver(
    store: Store, carrier: Carrier, clock: Callable[[], datetime], look_every_s: float = LOOK_EVERY_S
) -> None:
    """One after the other, those first that wait longest."""
    is_well = True
    while True:
        claimed = await _claim(store, carrier.target, clock)
        if claimed is None:
            await trio.sleep(look_every_s)
            continue
        failure = await carrier.carry(claimed.event)
        state = await store.commit(
            partial(deliveries.settle, claimed=claimed, failure=failure, now=clock(), jitter=random.random())  # noqa: S311  (spreads load, keeps no secret)
        )
        _say_how(carrier.target, claimed, failure, state, was_well=is_well)
        is_well = failure is None or failure.is_final
        if not is_well:  # the receiver is away: the others would only use up their tries
            await trio.sleep(look_every_s)


async def _claim(store: Store, target: str, clock: Callable[[], datetime]) -> Claimed | None:
    """Looks before it writes: most of the time nothing is due."""
    try:
        if not await read_whole(store, partial(deliveries.is_due, target=target, now=clock())):
            return None
        return await store.commit(partial(deliveries.claim, target=target, now=clock()))
    except StoreError:  # the store says so itself, and what is due stays so
        return None


def _say_how(target: str, claimed: Claimed, failure: Failure | None, state: str, *, was_well: bool) -> None:
    if failure is None:
        if not was_well:
            log.info(f"alerts.{target}: events are delivered again")
    elif state == "dead":
        log.warning(
            f"alerts.{target}: an event was given up: {failure.words}",
            event_id=claimed.event.id,
            tries=claimed.attempts,
            again=f"POST /api/v1/deliveries/{claimed.seq}/retry",
        )
    elif was_well:
        log.warning(f"alerts.{target}: {failure.words}", goes_on="events are kept and tried again")


def _unseen(connection: Connection, after: int, seen: Collection[int]) -> list[NewEvent]:
    return [new for new in deliveries.events_after(connection, after - LOOK_BACK) if new.seq not in seen]


async def _tidy(store: Store, clock: Callable[[], datetime]) -> None:
    while True:
        forgotten = await store.commit(partial(deliveries.tidy, now=clock()))
        # In parts, so that others can write in between.
        await trio.sleep(TIDY_EVERY_S if forgotten < deliveries.TIDIED_MAX else 1.0)
