"""`/api/v1/`: the latest snapshot as JSON, whole or in parts, and the counters read when asked."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import msgspec

from jouled.model import Snapshot
from jouled.rows import Host, Selection, level_of, snapshot_of, zones_of
from jouled.web import query
from jouled.web.counters import Counters
from jouled.web.prepared import Body, Memo, Prepared
from jouled.web.request import RefusedError, Request
from jouled.web.response import JSON, NO_STORE, Headers, Response

VARY = (b"vary", b"accept-encoding, authorization")
SELECTION = ("level", "sort", "limit")


class Live:
    """The routes that answer once; `stream` builds on `snapshot_body`."""

    def __init__(self, prepared: Prepared, counters: Counters, host: Host) -> None:
        self._prepared = prepared
        self._counters = counters
        self._host = host

    async def snapshot(self, request: Request) -> Response:
        memo = await self.memo(request)
        selection = query.selection(request.parameters(SELECTION), memo.snapshot.levels)
        return _answer(await self.snapshot_body(memo, selection, is_gzip=request.takes_gzip))

    async def snapshot_body(self, memo: Memo, selection: Selection, *, is_gzip: bool) -> Body:
        def make(snapshot: Snapshot) -> Body:
            return _encoded(snapshot_of(self._host, snapshot, selection))

        return await self._prepared.body(memo, ("snapshot", selection), make, is_gzip=is_gzip)

    async def workloads(self, request: Request) -> Response:
        memo = await self.memo(request)
        parameters = request.parameters(SELECTION)
        level = query.level(parameters, memo.snapshot.levels)
        selection = query.selection(parameters, memo.snapshot.levels)
        return await self._made(
            request, memo, ("workloads", level, selection), lambda shown: level_of(shown, level, selection)
        )

    async def zones(self, request: Request) -> Response:
        if query.is_now(request.parameters(("now",))):
            counters = await self._counters.get(is_coarse=await request.peer.is_coarse())
            return _answer(_encoded(counters))
        return await self._made(request, await self.memo(request), "zones", zones_of)

    async def memo(self, request: Request) -> Memo:
        """Raises RefusedError before the first interval has been measured."""
        memo = self._prepared.memo(is_coarse=await request.peer.is_coarse())
        if memo is None:
            later: Headers = ((b"retry-after", b"1"),)
            raise RefusedError(503, "no interval has been measured yet; try again in a second", headers=later)
        return memo

    async def _made(self, request: Request, memo: Memo, variant: Hashable, make: Callable[[Snapshot], Any]) -> Response:
        def encode(snapshot: Snapshot) -> Body:
            return _encoded(make(snapshot))

        return _answer(await self._prepared.body(memo, variant, encode, is_gzip=request.takes_gzip))


def _encoded(value: Any) -> Body:
    return Body((msgspec.json.encode(value),), is_gzip=False)


def _answer(body: Body) -> Response:
    return Response(200, JSON, body, (NO_STORE, VARY))
