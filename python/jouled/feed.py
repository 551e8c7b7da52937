"""The way a snapshot goes from the sampler to its readers: latest wins, nobody waits for a reader."""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Feed(Generic[T]):
    """One writer, any number of readers. A slow reader skips what it missed; records that must not
    be lost do not belong here but in a bounded channel.
    """

    def __init__(self) -> None:
        self._latest: T | None = None
        self.published = 0
        self._is_closed = False
        self._news = trio.Event()

    def __repr__(self) -> str:
        return f"<Feed [{self.published} published{', closed' if self._is_closed else ''}]>"

    @property
    def latest(self) -> T | None:
        """The last value, `None` before the first; it stays readable after `close`."""
        return self._latest

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def publish(self, value: T) -> None:
        """Replace the latest value. Never waits: that is what keeps a tick on time."""
        if self._is_closed:
            raise trio.ClosedResourceError("the feed is closed")
        self._latest = value
        self.published += 1
        self._wake()

    def close(self) -> None:
        """End every subscription, after the latest value has been seen by each."""
        self._is_closed = True
        self._wake()

    def subscribe(self) -> Subscription[T]:
        """Iterate over the values from now on, beginning with the latest if there is one."""
        return Subscription(self)

    async def changed(self) -> None:
        """Wait for the next value or the end."""
        await self._news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()


class Subscription(Generic[T]):
    """One reader's place in a feed. A class, because an abandoned async generator cleans up late."""

    def __init__(self, feed: Feed[T]) -> None:
        self._feed = feed
        self._seen = 0

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> T:
        feed = self._feed
        while self._seen == feed.published:
            if feed.is_closed:
                raise StopAsyncIteration
            await feed.changed()
        self._seen = feed.published
        # Something was published, so the latest is a T; T itself may allow None.
        return feed.latest  # type: ignore[return-value]
