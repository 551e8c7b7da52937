"""Keeps the books while the daemon runs: what is measured goes in, what is due goes out."""

from __future__ import annotations

import trio

from jouled.bookkeeping.courier import tell_as_set
from jouled.bookkeeping.executing import look_after, utc_now
from jouled.bookkeeping.recorder import record
from jouled.bookkeeping.rollover import roll_over
from jouled.bookkeeping.supplies import look_at_supplies
from jouled.config import Config
from jouled.feed import Feed
from jouled.loads.registry import loads_of
from jouled.log import log
from jouled.model import Snapshot
from jouled.store import Store
from jouled.store.retention import retain


async def keep(
    config: Config,
    store: Store,
    feed: Feed[Snapshot],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until the feed closes, and what it still held is on disk."""
    async with trio.open_nursery() as nursery:
        log.info("books", store=repr(store), site=config.node.site)
        # First, so that what the others see is told.
        await nursery.start(tell_as_set, config.alerts, store, utc_now)
        nursery.start_soon(look_after, store, loads_of(config))
        nursery.start_soon(roll_over, store)
        nursery.start_soon(look_at_supplies, config, store, utc_now)
        nursery.start_soon(retain, store, config.store.retention, utc_now)
        if config.carbon.provider != "factors":
            from jouled.bookkeeping.carbon_refresh import refresh

            await nursery.start(refresh, config.carbon, store, utc_now)
        task_status.started()
        await record(config, store, feed)
        nursery.cancel_scope.cancel()
