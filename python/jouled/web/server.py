"""Serves an application on the listening sockets until told to stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import trio

from jouled.config import Access, Config
from jouled.errors import ConfigError
from jouled.log import log
from jouled.web.access import Policy, Privileged
from jouled.web.bodies import Bodies
from jouled.web.connections import Connections
from jouled.web.sockets import Place

# What a request in flight may take once the daemon stops.
GRACE_S = 1.0


class Server:
    """The connections of all places."""

    def __init__(self, app: Any, places: Sequence[Place], access: Access) -> None:
        bodies = Bodies()
        self._places = [
            (place, Connections(app, policy, place.tls, bodies=bodies))
            for place, policy in zip(places, _policies(places, access), strict=True)
        ]
        for _, connections in self._places:
            connections.make_room_for_answer = self.cut_slowest_reader

    def __repr__(self) -> str:
        return f"<Server {' '.join(place.url for place, _ in self._places)}>"

    async def serve(self, stop: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop` is set, then for at most `GRACE_S` more. Closes the listening sockets."""
        async with trio.open_nursery() as clients:
            try:
                async with trio.open_nursery() as accepting:
                    for place, connections in self._places:
                        listener = trio.SocketListener(trio.socket.from_stdlib_socket(place.socket))
                        accepting.start_soon(connections.accept_from, listener, clients)
                    task_status.started()
                    await stop.wait()
                    accepting.cancel_scope.cancel()
                with trio.move_on_after(GRACE_S):
                    async with trio.open_nursery() as finishing:
                        for _, connections in self._places:
                            finishing.start_soon(connections.finish)
            finally:
                if count := sum([connections.cut() for _, connections in self._places]):
                    log.info("connections cut at exit: their clients had stopped reading", connections=count)
                clients.cancel_scope.cancel()

    def apply(self, config: Config) -> None:
        """New secrets and access at once; new certificates and limits for connections from now on. A place
        whose new settings cannot be used keeps its own, and says so.
        """
        by_address = {listener.address: listener for listener in config.listeners}
        for place, _ in self._places:
            try:
                place.configure(by_address.get(place.listener.address, place.listener))
            except ConfigError as error:
                log.error(f"{error}; what was there before stays in force")
        policies = _policies([place for place, _ in self._places], config.access)
        for (place, connections), policy in zip(self._places, policies, strict=True):
            connections.configure(policy, place.tls)

    def cut_slowest_reader(self) -> bool:
        """Of all places: whoever does not read must not keep the answers of others."""
        found = [reader for _, connections in self._places if (reader := connections.slowest_reader()) is not None]
        slowest = min(found, key=lambda reader: reader.waits_since_s or 0.0, default=None)
        if slowest is None:
            return False
        slowest.cut()
        return True


def _policies(places: Sequence[Place], access: Access) -> Iterator[Policy]:
    privileged = Privileged(access)
    for place in places:
        yield Policy(place.listener, access, place.gate, privileged)
