"""`/health` as the energy service documents it, with `compat = ["energy-service"]`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from jouled.web.prepared import Body
from jouled.web.request import Request
from jouled.web.response import JSON, NO_STORE, Response

SERVICE = "energy-optimization"


class Health:
    """`/health`: healthy where something is measured, and the store takes it."""

    def __init__(self, is_measuring: Callable[[], bool], is_store_available: Callable[[], bool]) -> None:
        self._is_measuring = is_measuring
        self._is_store_available = is_store_available

    async def __call__(self, _: Request) -> Response:
        if not self._is_measuring():
            return _health(503, reason="nothing has been measured for a while; see the log")
        if not self._is_store_available():
            return _health(503, reason="the store is away; see the log")
        return _health(200)


def _health(status: int, **more: str) -> Response:
    words = {"status": "healthy" if status == 200 else "unhealthy", "service": SERVICE, **more}
    return Response(status, JSON, Body((msgspec.json.encode(words) + b"\n",), is_gzip=False), (NO_STORE,))
