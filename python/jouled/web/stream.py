"""`/api/v1/stream`: snapshots, caps and the balancer's verdicts as they come, and the books' readings, events and
decisions; each client at its own pace.

Of snapshots, caps and verdicts the latest wins: who reads slowly misses some. Of the others none is missed: each has a
number, and a client comes back with the last one it saw. One that falls too far behind is dropped.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import msgspec
import trio

from jouled.errors import StoreError
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.rows import Selection
from jouled.web import query
from jouled.web.live import SELECTION, Live
from jouled.web.prepared import Memo
from jouled.web.request import RefusedError, Request
from jouled.wire.stream import KEPT, Bounds, Item, TooSlowError

if TYPE_CHECKING:  # a node that only measures imports no SQLAlchemy
    from jouled.web.broadcast import Broadcast, Follower
    from jouled.wire.balance import BalanceStatus
    from jouled.wire.caps import Caps

SNAPSHOTS = "snapshots"
CAPS = "caps"
BALANCE = "balance"
# What is told as it is, and again after each change.
STATES = (CAPS, BALANCE)
TOPICS = (SNAPSHOTS, *KEPT, *STATES)
PARAMETERS = (*SELECTION, "interval", "topics", "site", "device", "after")
# Below the patience of clients and proxies; it also finds out who has gone, and who may not read any more.
KEEP_ALIVE_S = 5.0
NAME_MAX = 128
# Who hears these must not come back as it is; any other refusal is of a store that cannot tell.
REFUSALS = frozenset({401, 403})

# Raises RefusedError for a client that may not read, or not any more; True for what the books hold.
Admit: TypeAlias = Callable[[Request, bool], Awaitable[None]]


class End(enum.Enum):
    """Why a stream is over."""

    STOPPING = "the daemon stops"
    REFUSED = "what let you in is not valid any more"
    SLOW = "too slow; resume after the last id you have"
    AWAY = "the store is away; resume after the last id you have"


class Question(NamedTuple):
    """What a client asked for. `topics` None is a client that knows of snapshots only."""

    topics: tuple[str, ...] | None
    selection: Selection | None
    every_s: float
    site: str | None
    device: str | None
    after: int | None

    @property
    def kept(self) -> frozenset[str]:
        return frozenset(self.topics or ()) & frozenset(KEPT)

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(topic for topic in STATES if topic in (self.topics or ()))

    @property
    def is_of_books(self) -> bool:
        """Whether it takes who may read the books, and not only who may read what is measured."""
        return bool(self.kept or self.states)

    @property
    def has_snapshots(self) -> bool:
        return self.topics is None or SNAPSHOTS in self.topics

    def wants(self, item: Item) -> bool:
        return (
            item.topic in self.kept
            and (self.site is None or item.site == self.site)
            and (self.device is None or item.device == self.device)
        )


class Outlet(Protocol):
    """How one client is told: server-sent events, or a WebSocket's messages."""

    async def snapshot(self, number: int, body: Sequence[bytes]) -> None: ...
    async def messages(self, items: Sequence[Item]) -> None: ...
    async def state(self, topic: str, body: bytes) -> None: ...
    async def reset(self, after: int, bounds: Bounds) -> None:
        """Messages beyond `after` are gone; what is kept follows."""

    async def position(self, seq: int | None) -> None:
        """Nothing to tell for a while; all up to `seq` has been looked at."""


class Stream:
    """One client's stream, agreed upon; `run` tells `outlet` of it until it ends."""

    def __init__(
        self,
        live: Live,
        feed: Feed[Snapshot],
        request: Request,
        question: Question,
        *,
        follower: Follower | None = None,
        states: Mapping[str, Feed[Any]],
        admit: Admit,
    ) -> None:
        self.request = request
        self.question = question
        self._live = live
        self._feed = feed
        self._follower = follower
        self._states = states
        self._admit = admit
        self._policy = request.peer.policy
        self._end = End.STOPPING
        self._told_at_s = trio.current_time()

    @property
    def start(self) -> int | None:
        """What it follows on; None where it has no numbered messages."""
        return self._follower.seq if self._follower is not None else None

    async def run(self, outlet: Outlet) -> End:
        """Until the daemon stops, or the client must go."""
        self.request.peer.lasts()
        async with trio.open_nursery() as nursery:
            scope = nursery.cancel_scope
            if self.question.has_snapshots:
                nursery.start_soon(self._tell_snapshots, outlet, scope)
            if self._follower is not None:
                nursery.start_soon(self._tell_messages, outlet, self._follower, scope)
            for topic, state in self._states.items():
                nursery.start_soon(self._tell_state, outlet, topic, state, scope)
            nursery.start_soon(self._keep_alive, outlet, scope)
            await self._until_closed()
            scope.cancel()
        return self._end

    def close(self) -> None:
        if self._follower is not None:
            self._follower.close()

    async def _until_closed(self) -> None:
        while not self._feed.is_closed:
            await self._feed.changed()

    async def _tell_snapshots(self, outlet: Outlet, scope: trio.CancelScope) -> None:
        selection = self.question.selection
        assert selection is not None  # noqa: S101  (whoever asks for snapshots says which rows)
        sent: Snapshot | None = None
        not_before_s = trio.current_time()
        while (memo := await self._next(sent, not_before_s)) is not None:
            sent = memo.snapshot
            not_before_s = trio.current_time() + self.question.every_s
            if not await self._is_still_admitted(scope):
                return
            body = await self._live.snapshot_body(memo, selection, is_gzip=False)
            await outlet.snapshot(sent.sequence, body.parts)
            self._told_at_s = trio.current_time()

    async def _next(self, sent: Snapshot | None, not_before_s: float) -> Memo | None:
        """Not the one that was sent, and not before its time. None at the end of the feed."""
        while not self._feed.is_closed:
            wait_s = not_before_s - trio.current_time()
            if wait_s <= 0:
                memo = await self._live.memo(self.request)
                if memo.snapshot is not sent:
                    return memo
            with trio.move_on_after(wait_s if wait_s > 0 else float("inf")):
                await self._feed.changed()
        return None

    async def _tell_messages(self, outlet: Outlet, follower: Follower, scope: trio.CancelScope) -> None:
        try:
            if follower.missed is not None:
                await outlet.reset(self.question.after or 0, follower.missed)
            while (items := await follower.next()) is not None:
                wanted = [item for item in items if self.question.wants(item)]
                if not wanted:
                    continue
                if not await self._is_still_admitted(scope):
                    return
                await outlet.messages(wanted)
                self._told_at_s = trio.current_time()
        except TooSlowError:
            self._over(End.SLOW, scope)
        except StoreError:
            self._over(End.AWAY, scope)

    async def _tell_state(self, outlet: Outlet, topic: str, feed: Feed[Any], scope: trio.CancelScope) -> None:
        """All of it as it is, and again after each change."""
        async for state in feed.subscribe():
            if not await self._is_still_admitted(scope):
                return
            await outlet.state(topic, msgspec.json.encode(state))
            self._told_at_s = trio.current_time()

    async def _keep_alive(self, outlet: Outlet, scope: trio.CancelScope) -> None:
        while True:
            await trio.sleep_until(self._told_at_s + KEEP_ALIVE_S)
            if not await self._is_still_admitted(scope, is_due=True):
                return
            if trio.current_time() >= self._told_at_s + KEEP_ALIVE_S:
                await outlet.position(self.start)
                self._told_at_s = trio.current_time()

    async def _is_still_admitted(self, scope: trio.CancelScope, *, is_due: bool = False) -> bool:
        """A reload may have taken the client's secret away, or somebody its token; a stream must not outlive it."""
        policy = self.request.peer.policy
        if policy is self._policy and not is_due:
            return True
        try:
            await self._admit(self.request, self.question.is_of_books)
        except RefusedError as refused:
            self._over(End.REFUSED if refused.status in REFUSALS else End.AWAY, scope)
            return False
        self._policy = policy
        return True

    def _over(self, end: End, scope: trio.CancelScope) -> None:
        self._end = end
        scope.cancel()


class Streams:
    """Opens streams. `broadcast` is None where there is no store, `caps` where nobody keeps caps, `balance` where
    nothing is balanced: then there is nothing but snapshots.
    """

    def __init__(
        self,
        live: Live,
        feed: Feed[Snapshot],
        broadcast: Broadcast | None,
        admit: Admit,
        *,
        caps: Feed[Caps] | None = None,
        balance: Feed[BalanceStatus] | None = None,
    ) -> None:
        self._live = live
        self._feed = feed
        self._broadcast = broadcast
        found: dict[str, Feed[Any] | None] = {CAPS: caps, BALANCE: balance}
        self._states = {topic: state for topic, state in found.items() if state is not None}
        self._admit = admit

    async def open(self, request: Request) -> Stream:
        """Raises RefusedError for what cannot be asked for. The stream must be closed."""
        question = await self._question(request)
        await self._admit(request, question.is_of_books)
        follower = None
        if question.kept:
            assert self._broadcast is not None  # noqa: S101  (refused before)
            try:
                follower = await self._broadcast.follow(question.after)
            except StoreError as error:
                raise RefusedError(503, str(error), headers=((b"retry-after", b"5"),)) from None
        states = {topic: self._states[topic] for topic in question.states}
        return Stream(self._live, self._feed, request, question, follower=follower, states=states, admit=self._admit)

    def _absent(self) -> dict[str, str]:
        """The topics that there is nothing of here, and what to set for them."""
        absent = dict.fromkeys(KEPT if self._broadcast is None else (), "without books; set store.url")
        return absent | {topic: f"here; set {topic}.enabled = true" for topic in STATES if topic not in self._states}

    async def _question(self, request: Request) -> Question:
        parameters = request.parameters(PARAMETERS)
        topics = _topics(parameters["topics"], self._absent()) if "topics" in parameters else None
        selection = None
        if topics is None or SNAPSHOTS in topics:
            memo = await self._live.memo(request)
            selection = query.selection(parameters, memo.snapshot.levels)
        elif asked := [name for name in (*SELECTION, "interval") if name in parameters]:
            raise RefusedError(400, f"parameter {asked[0]!r} is one of the topic {SNAPSHOTS}, which is not asked for")
        last = parameters.get("after") or request.header(b"last-event-id")
        question = Question(
            topics,
            selection,
            query.interval_s(parameters),
            _name("site", parameters.get("site")),
            _name("device", parameters.get("device")),
            None,
        )
        if not question.kept:
            if unused := [name for name in ("site", "device", "after") if name in parameters]:
                raise RefusedError(400, f"parameter {unused[0]!r} is one of the topics {', '.join(KEPT)}", TOPICS)
            return question
        return question._replace(after=query.whole("after", last, 2**63 - 1, digits=19) if last else None)


def _topics(text: str, absent: Mapping[str, str]) -> tuple[str, ...]:
    names = {query.one_of("topics", name, TOPICS) for name in text.split(",")}
    if missing := sorted(names & absent.keys()):
        there = tuple(name for name in TOPICS if name not in absent)
        raise RefusedError(400, f"there are no {missing[0]} {absent[missing[0]]}", there)
    return tuple(name for name in TOPICS if name in names)


def _name(parameter: str, text: str | None) -> str | None:
    if text is not None and not 0 < len(text) <= NAME_MAX:
        raise RefusedError(400, f"{parameter} {text[:32]!r} is none; it has 1 to {NAME_MAX} characters")
    return text
