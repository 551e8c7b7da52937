"""The task that turns snapshots into records of minutes."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import trio

from jouled.bookkeeping.records import NodeRecords
from jouled.books.recording import Recording
from jouled.config import Config
from jouled.feed import Feed
from jouled.log import Once
from jouled.model import Snapshot
from jouled.store import Store
from jouled.store.buffer import Backlog

MACHINE_ID = Path("/etc/machine-id")


def machine_of(file: Path = MACHINE_ID) -> str | None:
    """What no other host has; None where nobody gave it a number. Hashed, as machine-id(5) asks of those who
    show it to others.
    """
    try:
        number = file.read_bytes()[:256].strip()
    except OSError:
        return None
    return hashlib.sha256(b"jouled node\0" + number).hexdigest() if number else None


def node_name(config: Config) -> str:
    return config.node.name or socket.gethostname()


async def record(config: Config, store: Store, feed: Feed[Snapshot]) -> None:
    """Until the feed closes and the open minute, as far as it was measured, is written."""
    recording = Recording(top=config.store.top, period_s=config.interval_s)
    records = NodeRecords(node_name(config), config.node.site, Once().warning, machine=machine_of())
    backlog = Backlog(store)
    # A thread of its own, once a minute: the rows of a large host take a while.
    limiter = trio.CapacityLimiter(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backlog.run)
        async for snapshot in feed.subscribe():
            if recording.is_within(snapshot):
                parts = recording.take(snapshot)
            else:
                parts = await trio.to_thread.run_sync(recording.take, snapshot, limiter=limiter)
            for part in parts:
                backlog.put(records.work(part))
        for part in recording.close():
            backlog.put(records.work(part))
        backlog.close()
