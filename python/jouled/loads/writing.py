"""Planned writes, done one by one; and what came of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from jouled.balance.writes import Write


class Applied(NamedTuple):
    """What came of one write."""

    write: Write
    # What the attribute holds now, as the kernel writes it; None where nothing was written, or nobody knows.
    held: str | None
    # Why it does not hold what was asked for: a line with the file and the fix. None: it does, rounding apart.
    problem: str | None = None
    # "wrong" (refused before anything was tried), "denied", "gone" (the zone went away, or is another one
    # now), "locked", "failed", "other" (it holds another value); "dry" where nothing was to be written.
    reason: str | None = None


def apply_each(
    writes: Iterable[Write],
    apply: Callable[[Write], Applied],
    on_write: Callable[[Applied], None] | None = None,
    *,
    dry_run: bool = False,
) -> tuple[Applied, ...]:
    """Does each write, in order, whatever became of the others; `on_write` hears of each before the next.

    What a file held before must be in the journal already. What `on_write` raises ends it.
    """
    done = []
    for write in writes:
        applied = Applied(write, None, None, "dry") if dry_run else apply(write)
        done.append(applied)
        if on_write is not None:
            on_write(applied)
    return tuple(done)
