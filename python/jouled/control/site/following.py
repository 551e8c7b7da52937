"""What other daemons of the site have left in the books: what operators told them, and what they switched off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from jouled.balance.fleet.words import OFF
from jouled.control.site.facing import Fleet
from jouled.errors import StoreError
from jouled.wire.balance import Setting

if TYPE_CHECKING:  # a site without books imports none of them
    from jouled.store import Store

FETCH_S = 5.0
# Between two looks at who leads: whoever takes over gives no order before the one before has stopped.
LEAD_S = 0.25
SOON_S = 1.0


async def follow_settings(
    store: Store | None, site: str, take: Callable[[Iterable[Setting]], None], period_s: Callable[[], float]
) -> None:
    """Another daemon of this site may have been told, or an earlier one with another state directory."""
    if store is None:
        return
    from jouled.bookkeeping import balance as books

    while True:
        with trio.move_on_after(FETCH_S), suppress(StoreError):  # which the store says itself
            take(await store.fetch(partial(books.settings, site=site)))
        await trio.sleep(max(SOON_S, period_s()))


async def adopt_orders(store: Store | None, site: str, fleet: Fleet, leads: Callable[[], bool]) -> None:
    """What the one who led before has switched off is this one's to start: nobody else will."""
    if store is None:
        return
    is_done = False
    while True:
        await trio.sleep(LEAD_S)
        is_done = leads() and (is_done or await _adopt(store, site, fleet))


async def _adopt(store: Store, site: str, fleet: Fleet) -> bool:
    """Whether the books have told it."""
    from jouled.bookkeeping import balance as books

    with trio.move_on_after(FETCH_S):
        try:
            loads = await store.fetch(partial(books.left_off, site=site))
        except StoreError:
            return False
        for load in loads:
            adopt = getattr(fleet.actuator(load), "adopt", None)
            if adopt is not None:
                adopt(OFF)
                fleet.hurry(load, SOON_S)
        return True
    return False
