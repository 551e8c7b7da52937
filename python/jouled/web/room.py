"""The web room as a whole: what the daemon starts, and tells of new settings."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import trio

import jouled
from jouled.config import Config
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.rows import Host
from jouled.sampler import Sampler
from jouled.web.app import App
from jouled.web.counters import Counters, Meter
from jouled.web.live import Live
from jouled.web.metrics import OwnMetrics
from jouled.web.page import Page
from jouled.web.prepared import Prepared
from jouled.web.server import Server
from jouled.web.sockets import Place

if TYPE_CHECKING:  # a node that only measures imports neither SQLAlchemy nor Litestar
    from jouled.store import Store


class Room:
    """Serves the snapshots of `feed`. `open_meter` opens the counters that are read when asked."""

    def __init__(
        self,
        config: Config,
        feed: Feed[Snapshot],
        sampler: Sampler,
        *,
        source: str,
        open_meter: Callable[[], Meter],
        places: Sequence[Place],
        store: Store | None = None,
    ) -> None:
        metrics = OwnMetrics(sampler, source=source)
        self.observe = metrics.observe
        self._prepared = Prepared(feed, config.access, config.interval_s)
        self._counters = Counters(open_meter, feed, config.access)
        host = Host(version=jouled.__version__, hostname=socket.gethostname(), source=source)
        live = Live(self._prepared, self._counters, host)
        self._app = App(
            Page(self._prepared, metrics.render),
            live,
            feed,
            sampler,
            books=None if store is None else open_books(store),
        )
        metrics.requests = self._app.requests
        self._server = Server(self._app, places, config.access)

    def __repr__(self) -> str:
        return f"<Room {self._server!r}>"

    async def serve(self, stop: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop` is set, then for at most a second more. Closes the listening sockets."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._counters.follow)
            await self._server.serve(stop, task_status)
            nursery.cancel_scope.cancel()

    def apply(self, config: Config) -> None:
        """What listeners' tables and `[access]` say now, and how often there is a tick. Raises nothing;
        says what could not be used.
        """
        self._prepared.apply(config.access, config.interval_s)
        self._counters.access = config.access
        self._server.apply(config)


def open_books(store: Store) -> Any:
    """The API over the books, as an ASGI application."""
    from jouled.web.api.application import application

    return application(store)
