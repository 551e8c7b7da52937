"""New periods of budgets begin by themselves: nobody has to send a reading for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import trio

from jouled.bookkeeping import budgets
from jouled.errors import StoreError
from jouled.log import log
from jouled.store import Store

# An alert of the last period is open for no longer than this after it.
LOOK_EVERY_S = 60.0


def utc_now() -> datetime:
    return datetime.now(UTC)


async def roll_over(store: Store, clock: Callable[[], datetime] = utc_now, period_s: float = LOOK_EVERY_S) -> None:
    """Until cancelled."""
    while True:
        try:
            begun = await store.commit(partial(budgets.roll_over, now=clock()))
        except StoreError:
            pass  # the store says so itself; the next look begins what is due by then
        else:
            if begun:
                log.info("periods of carbon budgets began", count=begun)
        await trio.sleep(period_s)
