"""What happens to caps, into the books. Control never waits for them: they may be away for hours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import trio
from sqlalchemy import Connection, select

from jouled.bookkeeping import events
from jouled.control.caps.turns import Happening
from jouled.store import Store
from jouled.store.buffer import Backlog
from jouled.store.schema.events import alerts
from jouled.store.schema.events import events as table

# More than an hour of a writer that is fought with at every look; the oldest are dropped, and counted.
EVENTS_MAX = 1000
# These conditions stay open as alerts, until the other kind ends them.
OPENS = {"cap_failed": "cap_recovered", "cap_ceded": "cap_lifted", "zone_gone": "zone_back"}


class CapEvents:
    """`tell` never waits; `run` writes until `close`."""

    def __init__(self, store: Store, clock: Callable[[], datetime], *, node: str) -> None:
        self._backlog = Backlog(store, limit=EVENTS_MAX)
        self._clock = clock
        self._node = node
        # Alerts that are open, by the kind that ends them.
        self._open: dict[str, set[str]] = {}
        at = clock()
        self._backlog.put(lambda connection: _end_left(connection, node, at))

    def __repr__(self) -> str:
        return f"<CapEvents {self._backlog!r}>"

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until it is closed, and what was told is written."""
        task_status.started()
        await self._backlog.run()

    def tell(self, happening: Happening) -> None:
        at = self._clock()
        if happening.kind in OPENS:
            key = f"{happening.kind}:{self._node}:{happening.about}"
            self._open.setdefault(OPENS[happening.kind], set()).add(key)
            self._backlog.put(lambda connection: _open_alert(connection, happening, key, at))
            return
        key = f"{happening.kind}:{self._node}:{happening.about}"
        ended = self._ended(happening)
        self._backlog.put(lambda connection: _note(connection, happening, key, ended, at))

    def close(self) -> None:
        self._backlog.close()

    def _ended(self, happening: Happening) -> tuple[str, ...]:
        """The alerts that this ends: all of its kind for `cap_lifted`, else the one about the same thing."""
        waiting = self._open.get(happening.kind, set())
        of_it = f":{self._node}:{happening.about}"
        ended = {key for key in waiting if happening.kind == "cap_lifted" or key.endswith(of_it)}
        waiting -= ended
        return tuple(sorted(ended))


def _end_left(connection: Connection, node: str, at: datetime) -> None:
    """What was open when an earlier daemon ended: whatever is still so is found anew."""
    of_node = tuple(f"{kind}:{node}:" for kind in OPENS)
    for key in connection.execute(select(alerts.c.dedup_key).where(alerts.c.type.in_(OPENS))).scalars().all():
        if key.startswith(of_node):
            events.clear(connection, key, at)


def _open_alert(connection: Connection, happening: Happening, key: str, at: datetime) -> None:
    events.raise_event(connection, dedup_key=key, at=at, **_words(happening))


def _note(connection: Connection, happening: Happening, key: str, ended: tuple[str, ...], at: datetime) -> None:
    """Once, also where it is done again because nobody knows whether the first commit came through."""
    for other in ended:
        events.clear(connection, other, at)
    known = select(table.c.seq).where(table.c.dedup_key == key[: events.KEY_MAX], table.c.at == at).limit(1)
    if connection.execute(known).first() is not None:
        return
    events.note_event(connection, dedup_key=key, at=at, **_words(happening))


def _words(happening: Happening) -> dict[str, Any]:
    return {"type": happening.kind, "severity": happening.severity, "note": happening.note, "value": happening.watts}
