"""Pages of a daemon, each a tick later than the one before; every wait has an end."""

from __future__ import annotations

import time
from collections.abc import Callable

from pages import Page
from running import Running

LONGEST_S = 90.0


def page(daemon: Running) -> Page:
    return Page(daemon.get("/metrics"))


def page_when(daemon: Running, is_so: Callable[[Page], bool], longest_s: float = LONGEST_S) -> Page:
    """The first page of which that is so."""
    end_s = time.monotonic() + longest_s
    while True:
        found = page(daemon)
        if is_so(found):
            return found
        assert time.monotonic() < end_s, f"not in {longest_s:g} s:\n{found.text.decode()}"
        time.sleep(0.2)


def ticks_later(daemon: Running, before: Page, ticks: int = 1) -> Page:
    """A page at least so many scans after another one."""
    wanted = before.sum("jouled_ticks_total") + ticks
    return page_when(daemon, lambda found: found.sum("jouled_ticks_total") >= wanted)
