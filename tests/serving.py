"""A web room on a feed that the test fills: the real server and the real sockets, without a host."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import trio

from fakes import FakeSnapshot
from jouled.config import Access, Config, Listener
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.sampler import Sampler
from jouled.store import Store
from jouled.web import sockets
from jouled.web.access import Policy, Privileged
from jouled.web.gate import Gate
from jouled.web.peer import Peer, Slots
from jouled.web.room import Room
from jouled.web.sockets import Place

FREE = "127.0.0.1:0"


def policy_of(listener: Listener | None = None, access: Access | None = None) -> Policy:
    listener = listener or Listener(FREE)
    access = access or Access()
    return Policy(listener, access, Gate(listener), Privileged(access))


def peer_of(listener: Listener | None = None, access: Access | None = None, *, uid: int | None = None) -> Peer:
    return Peer(policy_of(listener, access), streams=Slots(2), uid=uid)


@contextmanager
def listening(*listeners: Listener) -> Iterator[list[Place]]:
    with ExitStack() as undo:
        yield [undo.enter_context(place) for place in sockets.open_all(listeners or (Listener(FREE),))]


def port_of(place: Place) -> int:
    return int(place.socket.getsockname()[1])


def sampler_of(feed: Feed[Snapshot]) -> Sampler:
    async def no_scan() -> Snapshot:
        return FakeSnapshot()

    return Sampler(no_scan, feed, period_s=1.0)


@dataclass
class FakeZoneCount:
    joules: float = 1.2345678
    at_ns: int = 5_000_000_000
    watts: float | None = 9.87654321
    zone: str = "package"
    index: str = "0"
    source: str = "fake"
    gaps: int = 3
    path: str = "fake"
    kind: str = "counter"
    spread_ns: int = 0
    is_edge: bool = False


@dataclass
class FakeReading:
    zones: Sequence[FakeZoneCount]
    at_ns: int = 5_000_000_000
    busy_s: float | None = None
    capacity_s: float | None = None
    problems: Sequence[str] = ()


@dataclass
class FakeMeter:
    """Each reading is a joule above the last."""

    source: str = "fake"
    reads: int = 0
    troubles: list[Exception] = field(default_factory=list)

    def read(self) -> FakeReading:
        if self.troubles:
            raise self.troubles.pop()
        self.reads += 1
        return FakeReading([FakeZoneCount(joules=self.reads + 0.2345678, at_ns=self.reads * 1_000_000_000)])


class Rig:
    """A room that serves, what it is fed with, and where it listens."""

    def __init__(self, config: Config, places: Sequence[Place], store: Store | None = None, keeper: Any = None) -> None:
        self.feed: Feed[Snapshot] = Feed()
        self.sampler = sampler_of(self.feed)
        self.meter = FakeMeter()
        self.stop = trio.Event()
        self.places = places
        self.config = config
        self.room = Room(
            config,
            self.feed,
            self.sampler,
            source="fake",
            open_meter=lambda: self.meter,
            places=places,
            store=store,
            caps=keeper,
        )

    def tick(self, snapshot: Snapshot | None = None) -> None:
        self.sampler.completed_at_s = trio.current_time()
        self.feed.publish(FakeSnapshot() if snapshot is None else snapshot)

    def end(self) -> None:
        self.feed.close()
        self.stop.set()

    async def get(self, path: str, *, place: int = 0, **headers: str) -> Reply:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        request = "\r\n".join([f"GET {path} HTTP/1.1", "host: x", "connection: close", *lines, "", ""])
        return Reply.of(await self.send(request.encode(), place=place))

    async def send(self, request: bytes, *, place: int = 0) -> bytes:
        """The whole answer, until the connection ends."""
        async with await connected(self.places[place]) as stream:
            with trio.fail_after(60):
                await stream.send_all(request)
                return await read_all(stream)


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, raw: bytes) -> Reply:
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        return cls(
            int(first.split()[1]), {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}, body
        )

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    parts = []
    try:
        while part := await stream.receive_some(65536):
            parts.append(bytes(part))
    except trio.BrokenResourceError:
        pass
    return b"".join(parts)


def with_small_buffers(place: Place) -> None:
    """For connections from now on: who does not read is waited for soon, however much this system would keep."""
    place.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    place.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)


async def connected(place: Place, *, receive_bytes: int | None = None) -> trio.abc.Stream:
    """A client, that trusts whatever certificate it is shown."""
    client = trio.socket.socket(place.socket.family)
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await client.connect(place.socket.getsockname())
    stream = trio.SocketStream(client)
    return stream if place.listener.tls is None else trusting(stream)


def trusting(stream: trio.SocketStream) -> trio.SSLStream[trio.SocketStream]:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return trio.SSLStream(stream, context, server_hostname="localhost", https_compatible=True)


@asynccontextmanager
async def serving(
    *listeners: Listener, store: Store | None = None, keeper: Any = None, **settings: Any
) -> AsyncIterator[Rig]:
    """A room with one snapshot; it must end on its own once it is told to."""
    config = Config(listen=listeners or (Listener(FREE),), **settings)
    with listening(*config.listeners) as places:
        rig = Rig(config, places, store, keeper)
        async with trio.open_nursery() as nursery:
            await nursery.start(rig.room.serve, rig.stop)
            rig.tick()
            try:
                yield rig
            finally:
                rig.end()
