"""What is made of a snapshot: at most once a tick and variant, compressed at most once, served as bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Hashable
from typing import NamedTuple

import trio

from jouled.config import Access
from jouled.feed import Feed
from jouled.model import Snapshot

# On a page of 10,000 series, level 1 makes 156 KB of 1 MB in 2.9 ms, level 6 makes 110 KB in 5.4 ms:
# the joules of the processor weigh more than 46 KB on a wire.
GZIP_LEVEL = 1
# zlib's way to say: with a gzip header and trailer.
GZIP_WBITS = 31
# Different questions about one snapshot that are remembered; further ones are answered, each time anew.
VARIANTS_MAX = 32


class Body(NamedTuple):
    """Bytes to send, in parts: joining them would copy megabytes at every tick."""

    parts: tuple[bytes, ...]
    is_gzip: bool

    @property
    def length(self) -> int:
        return sum(map(len, self.parts))


class Memo:
    """What has been made of one snapshot. It goes when the last request that uses it is answered."""

    def __init__(self, snapshot: Snapshot, resolution_j: float | None) -> None:
        self.snapshot = snapshot
        # None for those who may read finely.
        self.resolution_j = resolution_j
        self.shown: Snapshot | None = None
        self.bodies: dict[tuple[Hashable, bool], Body] = {}
        # One rendering at a time: requests that come meanwhile wait for it and find its result. A
        # lock rather than a shared future, so that a cancelled request hands the work to the next.
        self.lock = trio.Lock()


class Prepared:
    """The latest snapshot in all its forms, for those who may read finely and for those who may not.

    The latter are held to `access.resolution_j`, and to `access.rate_hz` where ticks are more frequent.
    """

    def __init__(self, feed: Feed[Snapshot], access: Access, interval_s: float) -> None:
        self.renderings_total = 0
        self.compressions_total = 0
        self.feed = feed
        self._memos: dict[bool, Memo] = {}
        self._adopted_at_s = -float("inf")
        # Its own thread: a render never takes the place of a scan or waits behind one.
        self._limiter = trio.CapacityLimiter(1)
        self.apply(access, interval_s)

    def __repr__(self) -> str:
        return f"<Prepared [{self.renderings_total} rendered, {self.compressions_total} compressed]>"

    def apply(self, access: Access, interval_s: float) -> None:
        """From now on; what has been made is forgotten."""
        self._resolution_j = access.resolution_j
        period_s = 1 / access.rate_hz
        self._coarse_period_s = period_s if interval_s < period_s else 0.0
        self._memos.clear()

    def memo(self, *, is_coarse: bool) -> Memo | None:
        """Of the snapshot that such readers get now; None before the first interval has been measured."""
        latest = self.feed.latest
        if latest is None or latest.interval_s is None:
            return None
        memo = self._memos.get(is_coarse)
        if memo is not None and (memo.snapshot is latest or (is_coarse and not self._may_adopt())):
            return memo
        if is_coarse:
            self._adopted_at_s = trio.current_time()
        memo = Memo(latest, self._resolution_j if is_coarse else None)
        self._memos[is_coarse] = memo
        return memo

    async def body(self, memo: Memo, variant: Hashable, make: Callable[[Snapshot], Body], *, is_gzip: bool) -> Body:
        """`make` is called in a thread, with the snapshot as this memo's readers may see it."""
        async with memo.lock:
            text = memo.bodies.get((variant, False))
            if text is None:
                self.renderings_total += 1
                text = await trio.to_thread.run_sync(_made, memo, make, limiter=self._limiter)
                self._keep(memo, (variant, False), text)
            if not is_gzip:
                return text
            small = memo.bodies.get((variant, True))
            if small is None:
                self.compressions_total += 1
                small = await trio.to_thread.run_sync(compress, text, limiter=self._limiter)
                self._keep(memo, (variant, True), small)
            return small

    def _keep(self, memo: Memo, key: tuple[Hashable, bool], body: Body) -> None:
        if len(memo.bodies) < VARIANTS_MAX:
            memo.bodies[key] = body

    def _may_adopt(self) -> bool:
        return trio.current_time() - self._adopted_at_s >= self._coarse_period_s


def _made(memo: Memo, make: Callable[[Snapshot], Body]) -> Body:
    if memo.shown is None:
        is_fine = memo.resolution_j is None or memo.resolution_j == 0
        memo.shown = memo.snapshot if is_fine else memo.snapshot.coarse(memo.resolution_j or 0.0)
    return make(memo.shown)


def compress(body: Body) -> Body:
    """The same as gzip. zlib releases the interpreter lock while it works."""
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WBITS)
    parts = [compressor.compress(part) for part in body.parts]
    return Body((b"".join([*parts, compressor.flush()]),), is_gzip=True)
