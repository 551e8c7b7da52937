"""Keeps the books while the daemon runs: what is measured goes in, what is due goes out."""

from __future__ import annotations

import trio

from jouled.config import Config
from jouled.feed import Feed
from jouled.log import log
from jouled.model import Snapshot
from jouled.store import Store


async def keep(
    config: Config,
    store: Store,
    feed: Feed[Snapshot],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until the feed closes, and what it still held is on disk."""
    async with trio.open_nursery() as nursery:
        log.info("books", store=repr(store), site=config.node.site)
        task_status.started()
        async for _ in feed.subscribe():
            pass
        nursery.cancel_scope.cancel()
