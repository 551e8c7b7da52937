"""A small site for tests of loads, and who asks the API about it without a server in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

from sqlalchemy import Connection, insert

from jouled.bookkeeping import load, sites
from jouled.books.scopes import ALL
from jouled.config.books import ApiSettings
from jouled.loads.protocol import Load, LoadError
from jouled.loads.registry import Loads
from jouled.store import Store
from jouled.store.schema.sites import site_zones
from jouled.web.api.application import application
from jouled.web.api.scopes import Who
from jouled.wire.decisions import Decision
from jouled.wire.load import LoadMetricDraft
from jouled.wire.sites import SiteDraft

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


class FakeClock:
    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, **how_long: float) -> None:
        self.at += timedelta(**how_long)


class FakeLoad:
    """Keeps what it was asked for. `fails` is what it says instead of doing it."""

    def __init__(self, fails: Exception | None = None, during: Callable[[], Any] | None = None) -> None:
        self.orders: list[Decision] = []
        self.limit_s = 1.0
        self._fails = fails
        self._during = during

    async def act(self, decision: Decision) -> str:
        self.orders.append(decision)
        if self._during is not None:
            await self._during()
        if self._fails is not None:
            raise self._fails
        return f"moved {decision.load_shift_amount} kW"


BROKEN = LoadError("the switch is stuck")


def make_site(connection: Connection, site_id: str = "mill", **fields: Any) -> None:
    sites.create(connection, SiteDraft(name=site_id.title(), id=site_id, **fields), NOW)


def make_zone(connection: Connection, zone_id: str, capacity_kw: float = 100.0, **columns: Any) -> None:
    values = {"site_id": "mill", "name": zone_id.title(), "zone_type": "production", "priority": 5, "min_load_w": 0.0}
    values |= {"can_shed_load": False, "created_at": NOW, "capacity_w": capacity_kw * 1000, **columns}
    connection.execute(insert(site_zones).values(id=zone_id, **values))


def see(connection: Connection, kw: float, zone: str | None = None, at: datetime = NOW, **fields: Any) -> str:
    """One load metric."""
    draft = LoadMetricDraft(facility_id="mill", avg_consumption=kw, zone_id=zone, timestamp=at, **fields)
    return load.record(connection, draft, max(at, NOW)).id


def mill(connection: Connection) -> None:
    """Two halls of 100 kW; the first may shed down to 20 kW."""
    make_site(connection, total_capacity=200, price_per_kwh=Decimal("0.30"))
    make_zone(connection, "hall-1", can_shed_load=True, min_load_w=20_000.0)
    make_zone(connection, "hall-2")


@cache
def _application() -> tuple[Any, FakeClock, Loads]:
    """One for all tests: it takes a second to make."""
    clock, loads = FakeClock(), Loads()
    return application(ApiSettings(), clock, loads), clock, loads


class Answer(NamedTuple):
    status: int
    body: Any


class Api:
    """Asks the application itself, as somebody who may do everything."""

    def __init__(self, store: Store, loads: Mapping[str, Load] | None = None) -> None:
        self._store = store
        self._app, self.clock, shared = _application()
        self.clock.at = NOW
        shared._loads = dict(loads or {})

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.ask("GET", path, None, query)

    async def post(self, path: str, body: Any = None) -> Answer:
        return await self.ask("POST", path, body, {})

    async def patch(self, path: str, body: Any) -> Answer:
        return await self.ask("PATCH", path, body, {})

    async def ask(self, method: str, path: str, body: Any, query: dict[str, Any]) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        headers = [(b"host", b"localhost"), (b"content-length", str(len(content)).encode())]
        if content:
            headers.append((b"content-type", b"application/json"))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": f"/api/v1{path}",
            "raw_path": f"/api/v1{path}".encode(),
            "root_path": "",
            "query_string": urlencode(query).encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 9917),
            "state": {"who": Who("ann", "ann", ALL), "store": self._store},
            "extensions": {},
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        status = next(message["status"] for message in sent if message["type"] == "http.response.start")
        answer = b"".join(message.get("body", b"") for message in sent)
        return Answer(status, json.loads(answer) if answer else None)
