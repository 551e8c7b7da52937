"""Whose pause it is: what jouled switched off is `off` or `paused`, and what anybody else did is `held`. Pure."""

from __future__ import annotations

from typing import NamedTuple

from jouled.balance.fleet.words import OFF
from jouled.balance.site.words import State

STILL: frozenset[State] = frozenset({"off", "paused"})


class Seen(NamedTuple):
    """What to tell of it."""

    state: State
    # The point at which it is; None where it is at none of its own.
    point: str | None
    note: str | None


def seen(state: State, preset: str | None, note: str | None, *, is_ours: bool) -> Seen:
    """`is_ours`: it was jouled that switched it off."""
    if state not in STILL:
        return Seen(state, preset, note)
    if is_ours:
        return Seen(state, OFF, note)
    return Seen("held", OFF, note or f"it is {state}, and not by jouled: start it there to have it steered")
