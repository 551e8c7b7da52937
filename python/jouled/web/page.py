"""The metrics page: rendered at most once a tick and form, compressed at most once, served as bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

import trio

from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.web.negotiate import Form

# On a page of 10,000 series, level 1 makes 156 KB of 1 MB in 2.9 ms, level 6 makes 110 KB in 5.4 ms:
# the joules of the processor weigh more than 46 KB on a wire.
GZIP_LEVEL = 1
# zlib's way to say: with a gzip header and trailer.
GZIP_WBITS = 31


class Body(NamedTuple):
    """Bytes to send, in parts: joining them would copy megabytes at every tick."""

    parts: tuple[bytes, ...]
    is_gzip: bool

    @property
    def length(self) -> int:
        return sum(map(len, self.parts))


class _Memo:
    """What has been made of one snapshot. It goes when the last request that uses it is answered."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.bodies: dict[tuple[Form, bool], Body] = {}
        # One rendering at a time: requests that come meanwhile wait for it and find its result. A
        # lock rather than a shared future, so that a cancelled request hands the work to the next.
        self.lock = trio.Lock()


class Page:
    """The latest snapshot as a page. `own` gives the daemon's own metrics, the last of the page."""

    def __init__(self, feed: Feed[Snapshot], own: Callable[[Form, Snapshot], bytes]) -> None:
        self.renderings_total = 0
        self.compressions_total = 0
        self._feed = feed
        self._own = own
        self._memo: _Memo | None = None
        # Its own thread: a render never takes the place of a scan or waits behind one.
        self._limiter = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<Page [{self.renderings_total} rendered, {self.compressions_total} compressed]>"

    async def get(self, form: Form, *, is_gzip: bool) -> Body | None:
        """The page of the latest snapshot; `None` before the first interval has been measured."""
        memo = self._latest_memo()
        if memo is None:
            return None
        async with memo.lock:
            text = memo.bodies.get((form, False))
            if text is None:
                self.renderings_total += 1
                text = await trio.to_thread.run_sync(self._render, form, memo.snapshot, limiter=self._limiter)
                memo.bodies[form, False] = text
            if not is_gzip:
                return text
            small = memo.bodies.get((form, True))
            if small is None:
                self.compressions_total += 1
                small = await trio.to_thread.run_sync(compress, text, limiter=self._limiter)
                memo.bodies[form, True] = small
            return small

    def _latest_memo(self) -> _Memo | None:
        snapshot = self._feed.latest
        if snapshot is None or snapshot.interval_s is None:
            return None
        if self._memo is None or self._memo.snapshot is not snapshot:
            self._memo = _Memo(snapshot)
        return self._memo

    def _render(self, form: Form, snapshot: Snapshot) -> Body:
        # The own part comes last, because prometheus_client ends OpenMetrics with its `# EOF`.
        zones = snapshot.exposition(form is Form.OPENMETRICS)
        return Body((zones, self._own(form, snapshot)), is_gzip=False)


def compress(body: Body) -> Body:
    """The same as gzip. zlib releases the interpreter lock while it works."""
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WBITS)
    parts = [compressor.compress(part) for part in body.parts]
    return Body((b"".join([*parts, compressor.flush()]),), is_gzip=True)
