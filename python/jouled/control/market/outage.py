"""Conditions of the market: one event when they begin, one when they are over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import trio
from sqlalchemy import Connection

from jouled.bookkeeping import events
from jouled.errors import StoreError
from jouled.log import log
from jouled.store import Store

# A store that does not answer keeps prices from nobody.
STORE_S = 10.0


class Condition:
    """Told again and again whether something is so; the books hear of what has changed, also later."""

    def __init__(
        self, store: Store | None, clock: Callable[[], datetime], *, begins: str, ends: str, about: str
    ) -> None:
        # None before it is known: an earlier daemon may have left it open.
        self.is_so: bool | None = None
        self._store = store
        self._clock = clock
        self._begins = begins
        self._ends = ends
        self._key = f"{begins}:{about}"
        # What the store was not told yet, because it was away.
        self._untold = False

    def __repr__(self) -> str:
        return f"<Condition {self._key} {self.is_so}>"

    async def look(self, note: str, *, is_so: bool) -> bool:
        """`note` is what the event says. Returns whether it has changed."""
        has_changed = self.is_so != is_so
        self.is_so = is_so
        self._untold = self._untold or has_changed
        if self._untold and self._store is not None:
            self._untold = not await self._tell(self._store, note, is_so=is_so)
        return has_changed

    async def _tell(self, store: Store, note: str, *, is_so: bool) -> bool:
        now = self._clock()

        def work(connection: Connection) -> Any:
            if not is_so:
                return events.clear(connection, self._key, now, type=self._ends, note=note)
            return events.raise_event(
                connection, type=self._begins, severity="warning", dedup_key=self._key, at=now, note=note
            )

        # Once submitted it is done, whether or not it is waited for.
        with trio.move_on_after(STORE_S):
            try:
                await store.commit(work)
            except StoreError:  # which the store says itself
                return False
        return True


class Outage:
    """Nothing is known of now."""

    def __init__(self, zone: str, store: Store | None, clock: Callable[[], datetime]) -> None:
        self._zone = zone
        self._missing = Condition(store, clock, begins="market_missing", ends="market_known", about=zone)

    def __repr__(self) -> str:
        return f"<Outage {self._missing!r}>"

    async def look(self, *, is_known: bool, problem: str | None = None) -> None:
        was_missing = self._missing.is_so
        note = f"market prices of {self._zone} are known again"
        if not is_known:
            note = f"no market price of {self._zone} is known" + (f": {problem}" if problem else "")
        if not await self._missing.look(note, is_so=not is_known):
            return
        if not is_known:
            reason = f": {problem}" if problem else "; see joulectl market providers"
            log.warning(f"no market price of {self._zone} is known now{reason}", goes_on="plan.missing holds")
        elif was_missing:
            log.info(note)
