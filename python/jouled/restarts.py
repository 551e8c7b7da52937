"""A task at the edge is started again when it fails: what is outside comes and goes, the daemon stays."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import trio

from jouled.errors import JouledError
from jouled.log import log

PAUSE_S = 1.0
PAUSE_MAX_S = 300.0


async def keep_running(
    name: str,
    task: Callable[[], Awaitable[None]],
    *,
    pause_s: float = PAUSE_S,
    pause_max_s: float = PAUSE_MAX_S,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Until the task returns. After each failure it is waited longer, up to `pause_max_s`; a task that ran
    for so long begins anew. The same failure is said once as long as it lasts.
    """
    wait_s = pause_s
    said: str | None = None
    while True:
        began_s = trio.current_time()
        try:
            await task()
        except Exception as error:  # noqa: BLE001  (this is the edge: whatever it is, the daemon goes on)
            if trio.current_time() - began_s >= pause_max_s:
                wait_s, said = pause_s, None
            said = _say(name, error, said)
        else:
            return
        await trio.sleep(wait_s * (0.5 + jitter()))
        wait_s = min(2 * wait_s, pause_max_s)


def _say(name: str, error: Exception, said: str | None) -> str:
    words = f"{type(error).__name__} {error}"
    if words != said:
        if isinstance(error, JouledError):
            log.warning(f"{name}: {error}", goes_on="tried again")
        else:
            log.error(f"{name} failed; it is started again", exc_info=error)
    return words
