"""Wake-ups among the daemons of one store, and the latest reading of each meter.

A daemon that has written says so, and the others look at the store at once instead of a little later.
Without the server each looks by itself: nothing is lost, only later.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import trio

from jouled.config.books import Redis
from jouled.sharing.server import AwayError, Server

# How long the listening thread waits for a word before it asks whether the server is still there.
LISTEN_S = 2.0
# A reading is forgotten after this, whatever may have gone wrong with its successor.
LATEST_S = 60
# Readings that wait to be told; of each meter the latest only.
WAITING_MAX = 10_000

# Only a later reading takes an earlier one's place. KEYS: the reading. ARGV: its instant, itself, seconds.
REPLACE = """
local known = redis.call('HGET', KEYS[1], 'at')
if known and tonumber(known) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'at', ARGV[1], 'body', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""


class Latest(NamedTuple):
    """A meter's reading as it goes over the API."""

    at_us: int
    body: bytes


class Relay:
    """Of one daemon. `wake` is called in Trio's thread when another daemon has written."""

    def __init__(self, settings: Redis, wake: Callable[[], None]) -> None:
        """Raises ConfigError."""
        assert settings.url is not None  # noqa: S101  (without a URL there is no relay)
        self._server = Server(settings.url)
        self._wake = wake
        self._prefix = settings.prefix
        self._name = uuid.uuid4().hex.encode()
        self._waiting: OrderedDict[str, Latest] = OrderedDict()
        self._has_written = False
        # What other daemons know may be older than the store after an outage, until it has been removed.
        self._is_suspect = True
        self._news = trio.Event()
        # A thread each: to tell and to ask never waits behind the one that listens.
        self._telling, self._listening = trio.CapacityLimiter(2), trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<Relay {self._server!r}>"

    @property
    def is_away(self) -> bool:
        return self._server.is_away

    def written(self) -> None:
        """This daemon has written something. Never waits."""
        self._has_written = True
        self._news.set()

    def remember(self, readings: Mapping[str, Latest]) -> None:
        """The latest readings by meter. Never waits."""
        for meter, latest in readings.items():
            known = self._waiting.pop(meter, None)
            self._waiting[meter] = latest if known is None or latest.at_us >= known.at_us else known
        while len(self._waiting) > WAITING_MAX:
            self._waiting.popitem(last=False)
            self._is_suspect = True
        if readings:
            self._news.set()

    def doubt(self) -> None:
        """There are readings that nobody showed us: what is cached may be older than they are."""
        self._is_suspect = True
        self._news.set()

    async def latest(self, meter: str) -> bytes | None:
        """None where it is not known here: ask the store."""
        if self._is_suspect or self._server.pause_s or meter in self._waiting:
            return None
        key = self._key(meter)
        try:
            body = await self._in_thread(lambda client: client.hget(key, "body"))
        except AwayError:
            self._is_suspect = True
            return None
        return body if isinstance(body, bytes) else None

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell)
                nursery.start_soon(self._listen)
        finally:
            self._server.close()

    async def _tell(self) -> None:
        while True:
            await trio.sleep(self._server.pause_s)
            try:
                if self._is_suspect:
                    await self._in_thread(self._forget)
                    self._is_suspect = False
                await self._news.wait()
                self._news = trio.Event()
                has_written, self._has_written = self._has_written, False
                waiting, self._waiting = self._waiting, OrderedDict()
                await self._in_thread(partial(self._send, has_written=has_written, readings=waiting))
            except AwayError:
                # What could not be told is in the store; the others look there by themselves.
                self._is_suspect = True

    async def _listen(self) -> None:
        while True:
            await trio.sleep(self._server.pause_s)
            try:
                channel = await self._in_thread(self._subscribed, self._listening)
                self._wake()  # there may have been words that nobody heard
                while True:
                    if await self._in_thread(partial(_heard, channel, self._name), self._listening):
                        self._wake()
            except AwayError:
                continue

    async def _in_thread(self, call: Callable[[Any], Any], limiter: trio.CapacityLimiter | None = None) -> Any:
        # Left behind on cancel: each ends by its own deadline.
        return await trio.to_thread.run_sync(
            self._server.do, call, limiter=limiter or self._telling, abandon_on_cancel=True
        )

    def _send(self, client: Any, *, has_written: bool, readings: Mapping[str, Latest]) -> None:
        pipeline = client.pipeline(transaction=False)
        for meter, latest in readings.items():
            pipeline.eval(REPLACE, 1, self._key(meter), latest.at_us, latest.body, LATEST_S)
        if has_written:
            pipeline.publish(self._prefix + "written", self._name)
        pipeline.execute()

    def _forget(self, client: Any) -> None:
        keys = list(client.scan_iter(match=_literal(self._key("")) + "*", count=1000))
        for start in range(0, len(keys), 1000):
            client.unlink(*keys[start : start + 1000])

    def _subscribed(self, client: Any) -> Any:
        channel = client.pubsub(ignore_subscribe_messages=True)
        channel.subscribe(self._prefix + "written")
        return channel

    def _key(self, meter: str) -> str:
        return f"{self._prefix}latest:{meter}"


def _heard(channel: Any, own: bytes, _: Any) -> bool:
    """Whether another daemon has written; False where nobody said anything for a while."""
    from redis.exceptions import ConnectionError as LostError

    found = channel.get_message(timeout=LISTEN_S)
    if found is None:
        channel.ping()
        found = channel.get_message(timeout=LISTEN_S)
        if found is None:
            channel.close()
            raise LostError("it does not answer any more")
    return bool(found["type"] == "message" and found["data"] != own)


def _literal(text: str) -> str:
    """As a pattern that means itself."""
    return "".join(f"\\{char}" if char in "*?[]\\^" else char for char in text)
