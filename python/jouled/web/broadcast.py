"""One reader of the store's messages for all streams: who follows takes them from here, each at its own pace."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import trio
from sqlalchemy import Connection

from jouled.bookkeeping import stream
from jouled.bookkeeping.stream import Span
from jouled.errors import StoreError
from jouled.store import Store
from jouled.web.order import Order
from jouled.wire.stream import Bounds, Item, Message, TooSlowError

# What other programs write to the same store is seen this late; what this daemon writes, at once.
POLL_S = 0.5
# While a message is held back for one that is on its way.
HOLD_S = 0.02
# Commits of this daemon follow each other faster than anybody reads.
GATHER_S = 0.01
PAGE = 1000
# How far a client may be behind before it is dropped; it can resume from the store.
BEHIND_MAX = 16_384
BEHIND_BYTES_MAX = 16 * 1024 * 1024
# What is taken from before the first client came: numbers of these may still be on their way.
HISTORY = 256
# To one client at a time.
TAKEN_MAX = 256


class Broadcast:
    """The latest messages, read while anybody follows; with `on_items` always.

    `on_items` is called with all that is new, by this daemon or by others; `on_written` after each commit
    of this daemon.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_items: Callable[[Sequence[Item]], None] | None = None,
        on_written: Callable[[], None] | None = None,
    ) -> None:
        self.on_items = on_items
        self.on_written = on_written
        self._store = store
        self._ring: deque[Item] = deque()
        self._ring_bytes = 0
        # All messages beyond `tail` and up to `head` are in the ring; None while nobody follows.
        self.tail = 0
        self._order: Order | None = None
        self._has_read = False
        self._followers = 0
        self._is_closed = False
        self._wake = trio.Event()
        self._news = trio.Event()
        # Whoever resumes reads the store itself, one page of one client at a time.
        self._resuming = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<Broadcast [{len(self._ring)} messages, {self._followers} followers]>"

    @property
    def head(self) -> int:
        return self._order.head if self._order is not None else 0

    def wake(self) -> None:
        """There may be something new in the store."""
        self._wake.set()

    def close(self) -> None:
        self._is_closed = True
        self.wake()
        self._tell()

    async def run(self) -> None:
        """Until cancelled, or closed."""
        token = trio.lowlevel.current_trio_token()

        def written() -> None:
            with suppress(trio.RunFinishedError):  # nobody listens any more
                token.run_sync_soon(self._written, idempotent=True)

        self._store.watch.when_written = written
        await self._follow_store()

    def _written(self) -> None:
        self.wake()
        if self.on_written is not None:
            self.on_written()

    async def _follow_store(self) -> None:
        while not self._is_closed:
            if not self._followers and self.on_items is None:
                self._forget()
                await self._next_wake()
                continue
            try:
                is_more = await self._read()
            except StoreError:
                is_more = False  # the store says so itself; the stream goes on once it is back
            if is_more:
                continue
            is_holding = self._order is not None and self._order.is_holding_back
            with trio.move_on_after(HOLD_S if is_holding else POLL_S):
                await self._next_wake()
                await trio.sleep(GATHER_S)

    async def follow(self, after: int | None) -> Follower:
        """From `after`, or from now on. Raises StoreError where the store is away."""
        self._followers += 1
        try:
            self.wake()
            bounds = await self._store.fetch(stream.bounds)
            while not self._has_read and not self._is_closed:
                await self._news.wait()
        except BaseException:
            self._followers -= 1
            raise
        follower = Follower(self, self.head if after is None else after)
        if after is not None and not bounds.first - 1 <= after <= bounds.last:
            follower.missed = bounds
            follower.seq = bounds.first - 1
        return follower

    def left(self) -> None:
        self._followers -= 1

    async def older(self, seq: int) -> list[Item]:
        """From the store: those beyond `seq` that are not in the ring."""
        tail = self.tail

        def query(connection: Connection) -> list[Item]:
            return [encoded(message) for message in stream.after(connection, seq, None, TAKEN_MAX)]

        async with self._resuming:
            return [item for item in await self._store.fetch(query) if item.seq <= tail]

    def newer(self, seq: int) -> list[Item]:
        """Of the ring, oldest first."""
        found: deque[Item] = deque()
        for item in reversed(self._ring):
            if item.seq <= seq:
                break
            found.appendleft(item)
        return list(itertools.islice(found, TAKEN_MAX))

    async def changed(self) -> None:
        """Something is new, or the end has come."""
        await self._news.wait()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    @property
    def is_reading(self) -> bool:
        return self._order is not None

    async def _read(self) -> bool:
        """Whether there is more."""
        if self._order is None:
            bounds = await self._store.fetch(stream.bounds)
            self.tail = max(bounds.first - 1, bounds.last - HISTORY, 0)
            self._order = Order(self.tail)
        order, known = self._order, self._order.head

        def query(connection: Connection) -> tuple[list[Item], Span | None]:
            found = stream.found_after(connection, known, PAGE)
            return [encoded(message) for message in found.messages], found.span

        found, span = await self._store.fetch(query)
        self._has_read = True
        items = order.take(found, span, trio.current_time())
        self._keep(items)
        if items and self.on_items is not None:
            self.on_items(items)
        self._tell()
        return len(items) == PAGE

    def _keep(self, items: Sequence[Item]) -> None:
        for item in items:
            self._ring.append(item)
            self._ring_bytes += len(item.body)
        while len(self._ring) > BEHIND_MAX or self._ring_bytes > BEHIND_BYTES_MAX:
            oldest = self._ring.popleft()
            self._ring_bytes -= len(oldest.body)
            self.tail = oldest.seq

    def _forget(self) -> None:
        self._ring.clear()
        self._ring_bytes = 0
        self._order = None
        self._has_read = False

    async def _next_wake(self) -> None:
        await self._wake.wait()
        self._wake = trio.Event()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()


class Follower:
    """One client's place. `missed` says what is kept where the client asked for more."""

    def __init__(self, broadcast: Broadcast, seq: int) -> None:
        self.seq = seq
        self.missed: Bounds | None = None
        self._broadcast = broadcast
        self._is_resuming = True

    def __repr__(self) -> str:
        return f"<Follower [after {self.seq}]>"

    async def next(self) -> list[Item] | None:
        """What is new, of all topics; None at the end. Raises TooSlowError, and StoreError while resuming."""
        broadcast = self._broadcast
        while not broadcast.is_closed:
            if broadcast.is_reading and self.seq < broadcast.tail:
                if items := await self._resumed():
                    return items
                continue
            if items := broadcast.newer(self.seq):
                self.seq = items[-1].seq
                self._is_resuming = False
                return items
            await broadcast.changed()
        return None

    async def _resumed(self) -> list[Item]:
        if not self._is_resuming:
            raise TooSlowError(f"more than {BEHIND_MAX} messages behind; resume after {self.seq}")
        tail = self._broadcast.tail
        items = await self._broadcast.older(self.seq)
        self.seq = items[-1].seq if items else max(self.seq, tail)
        return items

    def close(self) -> None:
        self._broadcast.left()


def encoded(message: Message) -> Item:
    body = message.body
    known = body if isinstance(body, dict) else {}
    return Item(
        message.seq,
        message.topic,
        message.at,
        known.get("facility_id", known.get("site_id")),
        known.get("device_id"),
        msgspec.json.encode(body),
    )
