"""What the balancer tells the books. It never waits for them: they may be away for hours."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from jouled.balance.site.words import Happening
from jouled.control.site.originals import Kept
from jouled.wire.balance import BalanceEvent, BalancePoint, Setting

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from jouled.store import Store

# Of records that wait for a store that is away: changes of a fleet, and the minutes of a day.
RECORDS_MAX = 20_000
MINUTES_MAX = 1440
EVENTS_MAX = 1000
# Looked for at once at the start, so that a large fleet keeps nobody waiting.
UNTOLD_TOGETHER = 100
MINUTE = timedelta(minutes=1)
# Conditions that stay open as alerts, and what ends each.
ENDS = {
    "emergency_over": ("emergency",),
    "saturated_over": ("saturated",),
    "supply_fresh": ("supply_stale", "supply_held", "supply_failed"),
    "load_back": ("load_away",),
    "actuator_back": ("no_actuator",),
}
OPENS = frozenset(kind for kinds in ENDS.values() for kind in kinds)


class Books:
    """Without a store it does nothing."""

    def __init__(self, store: Store | None, site: str) -> None:
        self._site = site
        self._minute: BalancePoint | None = None
        self._decisions = self._minutes = self._events = None
        if store is not None:
            from jouled.store.buffer import Backlog

            self._decisions = Backlog(store, limit=RECORDS_MAX)
            self._minutes = Backlog(store, limit=MINUTES_MAX)
            self._events = Backlog(store, limit=EVENTS_MAX)

    def __repr__(self) -> str:
        return f"<Books of {self._site} {self._decisions!r}>"

    async def run(self) -> None:
        """Until it is closed, and a little longer where the store is away."""
        async with trio.open_nursery() as nursery:
            for backlog in (self._decisions, self._minutes, self._events):
                if backlog is not None:
                    nursery.start_soon(backlog.run)

    def close(self) -> None:
        self._write_minute()
        for backlog in (self._decisions, self._minutes, self._events):
            if backlog is not None:
                backlog.close()

    def begin(self, at: datetime, kept: Sequence[Kept] = ()) -> None:
        """What an earlier daemon left open: whatever is still so is found anew. `kept` is what it told last, which
        its books may never have heard of.
        """
        if self._decisions is None or self._events is None:
            return
        from jouled.bookkeeping import balance as books

        untold = tuple(_untold(one) for one in kept if one.told is not None and one.ordered_at is not None)
        for first in range(0, len(untold), UNTOLD_TOGETHER):
            batch = untold[first : first + UNTOLD_TOGETHER]
            self._decisions.put(partial(books.put_missing, events=batch, site=self._site))
        self._decisions.put(partial(books.end_left, site=self._site, at=at))
        self._events.put(partial(_clear_left, site=self._site, at=at))

    def decision(self, event: BalanceEvent) -> None:
        if self._decisions is not None:
            from jouled.bookkeeping import balance as books

            self._decisions.put(partial(books.put, event=event, site=self._site))

    def setting(self, setting: Setting) -> None:
        if self._decisions is not None:
            from jouled.bookkeeping import balance as books

            self._decisions.put(partial(books.put_setting, setting=setting, site=self._site))

    def verdict(self, point: BalancePoint) -> None:
        """Kept once its minute is over."""
        if self._minute is not None and self._minute.at != point.at:
            self._write_minute()
        self._minute = point

    def happening(self, happening: Happening, at: datetime) -> None:
        if self._events is not None:
            self._events.put(partial(_note, happening=happening, site=self._site, at=at))

    def _write_minute(self) -> None:
        point, self._minute = self._minute, None
        if point is not None and self._minutes is not None:
            from jouled.bookkeeping import balance as books

            self._minutes.put(partial(books.put_minute, point=point, site=self._site))


def _untold(kept: Kept) -> BalanceEvent:
    """The decision as far as the journal has it."""
    told, power_w = kept.told, kept.power_w or 0.0
    assert told is not None and kept.ordered_at is not None  # noqa: S101, PT018  (whoever calls has looked)
    return BalanceEvent(
        id=str(uuid.uuid4()),
        miner_id=kept.load,
        old_preset=told.before_point,
        new_preset=kept.point,
        old_power=told.before_w,
        new_power=power_w,
        reason=told.reason,
        total_consumption_before=None,
        total_consumption_after=None,
        available_power=None,
        target_power=None,
        success=None,
        error_message=None,
        recorded_at=kept.ordered_at,
        kind=told.kind,
        status="executing",
        mode="auto",
        is_urgent=told.is_urgent,
        inputs={"order": told.order},
        expected={"watts": power_w, "delta_watts": power_w - (told.before_w or 0.0)},
        observed={},
    )


def _key(kind: str, site: str, source: str) -> str:
    return f"{kind}:{site}:{source}"


def _words(happening: Happening) -> dict[str, Any]:
    return {"type": happening.kind, "severity": happening.severity, "note": happening.note}


def _note(connection: Connection, happening: Happening, site: str, at: datetime) -> None:
    from sqlalchemy import select

    from jouled.bookkeeping import events
    from jouled.store.schema.events import events as table

    key = _key(happening.kind, site, happening.source)
    if happening.kind in OPENS:
        events.raise_event(connection, dedup_key=key, at=at, **_words(happening))
    elif happening.kind in ENDS:
        for kind in ENDS[happening.kind]:
            begun = _key(kind, site, happening.source)
            events.clear(connection, begun, at, type=happening.kind, note=happening.note)
    else:
        # Once, also where it is done again because nobody knows whether the first commit came through.
        known = select(table.c.seq).where(table.c.dedup_key == key[: events.KEY_MAX], table.c.at == at).limit(1)
        if connection.execute(known).first() is None:
            events.note_event(connection, dedup_key=key, at=at, **_words(happening))


def _clear_left(connection: Connection, site: str, at: datetime) -> None:
    from sqlalchemy import select

    from jouled.bookkeeping import events
    from jouled.store.schema.events import alerts

    prefixes = tuple(_key(kind, site, "") for kind in OPENS)
    for key in connection.execute(select(alerts.c.dedup_key).where(alerts.c.type.in_(OPENS))).scalars().all():
        if key.startswith(prefixes):
            events.clear(connection, key, at)
