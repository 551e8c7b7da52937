"""Waiting in whatever event loop the caller runs: Trio, asyncio, or none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def running_trio() -> Any | None:
    """Trio, where the caller runs in it; it is looked for only if somebody has imported it."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_run() else None


async def to_its_end(call: Callable[[], T]) -> T:
    """Runs `call` in a thread, to its end also where the task is cancelled meanwhile."""
    trio = running_trio()
    if trio is not None:
        with trio.CancelScope(shield=True):
            return await trio.to_thread.run_sync(call)  # type: ignore[no-any-return]  # of a module found by name
    import asyncio

    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        # It was asked for again and again, perhaps; each time it is the same wish, and the end comes first.
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # looked at: whoever is cancelled hears of that alone
        raise


async def in_thread(call: Callable[[], T]) -> T:
    """Runs `call` in a thread, which is left to itself where the task is cancelled."""
    trio = running_trio()
    if trio is not None:
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True)  # type: ignore[no-any-return]  # as above
    import asyncio

    return await asyncio.to_thread(call)


async def sleep(seconds: float) -> None:
    trio = running_trio()
    if trio is not None:
        await trio.sleep(seconds)
        return
    import asyncio

    await asyncio.sleep(seconds)
