"""A schedule of budgets: how much power is allowed, from when to when, and why."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

# What a budget was made of, for whoever asks why: numbers and words, as JSON has them.
Inputs: TypeAlias = Mapping[str, object]


class Budget(NamedTuple):
    """From `start` up to, and without, `end`. None is no limit; 0 is never "none"."""

    start: datetime
    end: datetime
    power_w: float | None
    # One sentence: "price-rank: rank 3 of 96".
    reason: str
    inputs: Inputs = MappingProxyType({})


class Spanned(Protocol):
    """Anything that holds from `start` up to, and without, `end`."""

    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime: ...


Entry = TypeVar("Entry", bound=Spanned)


class Timeline(Generic[Entry]):
    """Finds what holds at an instant in few steps. The entries do not overlap."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = sorted(entries, key=lambda entry: entry.start)
        self._starts = [entry.start for entry in self._entries]

    def __repr__(self) -> str:
        return f"<Timeline [{len(self._entries)} entries]>"

    def at(self, now: datetime) -> Entry | None:
        place = bisect_right(self._starts, now) - 1
        return self._entries[place] if place >= 0 and now < self._entries[place].end else None


class Schedule(NamedTuple):
    """In order of time, without overlap; where there is a gap nothing is known, and the policy decides."""

    budgets: tuple[Budget, ...]

    def at(self, now: datetime) -> Budget | None:
        return next((budget for budget in self.budgets if budget.start <= now < budget.end), None)
