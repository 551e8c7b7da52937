"""Reading to its end, for tasks that end before the store does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio
from sqlalchemy import Connection

from jouled.store import Store

T = TypeVar("T")


async def read_whole(store: Store, query: Callable[[Connection], T]) -> T:
    """A thread that is left to itself would still hold a connection when the store closes. Only for short queries."""
    with trio.CancelScope(shield=True):
        found = await store.fetch(query)
    await trio.lowlevel.checkpoint_if_cancelled()
    return found
