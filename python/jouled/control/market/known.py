"""The series that the daemon holds in memory, and which of them counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Literal, NamedTuple, TypeAlias

from jouled.books.prices import Series
from jouled.books.refresh_times import has_all

Origin: TypeAlias = Literal["provider", "fallback", "persisted"]

# What is over is kept for whoever shows the day before; a clock may also be set back.
KEPT = timedelta(days=2)


class Fresh(NamedTuple):
    """A series, how long ago it was fetched, and whose it is: the first provider's, another one's, or what an
    earlier daemon has left.
    """

    series: Series
    age_s: float
    origin: Origin


class _Held(NamedTuple):
    series: Series
    # In the chain of providers.
    place: int
    is_persisted: bool
    # Looked at often: when its day is over, and whether it has all of it.
    end: datetime
    is_whole: bool

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """The lower counts: whole before broken, fetched before kept, and then as the operator ordered them."""
        return not self.is_whole, self.is_persisted, self.place


class Known:
    """One series of each provider, product and delivery day: the newest."""

    def __init__(self, keep_s: float) -> None:
        self._keep = timedelta(seconds=keep_s)
        self._held: dict[tuple[date, str, str], _Held] = {}

    def __repr__(self) -> str:
        return f"<Known {len(self)} series>"

    def __len__(self) -> int:
        return len(self._held)

    def put(self, series: Series, index: int, *, is_persisted: bool = False) -> Series:
        """Returns it with the number of its revision. What is whole is not replaced by what is not."""
        key = (series.delivery_day, series.provider, series.product)
        before = self._held.get(key)
        if before is not None and is_persisted:
            return series
        if before is not None:
            is_same = (series.body_sha256, series.slots) == (before.series.body_sha256, before.series.slots)
            series = series._replace(revision=before.series.revision + (not is_same))
            if before.is_whole and not has_all(series) and not before.is_persisted:
                return series
        self._held[key] = _Held(series, index, is_persisted, series.bounds[1], has_all(series))
        # One currency: what a fallback has said in another one goes when one before it answers.
        others = (name for name, held in self._held.items() if held.place > index)
        for name in [name for name in others if self._held[name].series.currency != series.currency]:
            del self._held[name]
        return series

    def number(self, series: Series, revision: int) -> None:
        """As the store numbers it, which knows of more revisions; unless it has been replaced meanwhile."""
        key = (series.delivery_day, series.provider, series.product)
        held = self._held.get(key)
        if held is not None and held.series == series:
            self._held[key] = held._replace(series=series._replace(revision=revision))

    def at(self, now: datetime, since: datetime | None = None) -> tuple[Fresh, ...]:
        """In order of time: what is not over, or was not at `since`; one of each delivery day and product."""
        return tuple(self._best(now, lambda held: held.end > (since or now)))

    def of_day(self, day: date, now: datetime) -> tuple[Fresh, ...]:
        return tuple(self._best(now, lambda held: held.series.delivery_day == day))

    def fetched_of(self, day: date) -> Series | None:
        """The best of a day that was fetched by this daemon."""
        held = [held for held in self._held.values() if held.series.delivery_day == day and not held.is_persisted]
        return min(held, key=lambda one: one.rank).series if held else None

    def drop_before(self, now: datetime) -> None:
        self._held = {key: held for key, held in self._held.items() if held.end > now - KEPT}

    def _best(self, now: datetime, is_asked_for: Callable[[_Held], bool]) -> Iterator[Fresh]:
        usable = (held for held in self._held.values() if is_asked_for(held) and self._is_usable(held, now))
        ordered = sorted(usable, key=lambda held: (held.series.delivery_day, held.series.product, held.rank))
        for _, same in groupby(ordered, key=lambda held: (held.series.delivery_day, held.series.product)):
            best = next(same)
            origin: Origin = "persisted" if best.is_persisted else "fallback" if best.place else "provider"
            yield Fresh(best.series, max(0.0, (now - best.series.fetched_at).total_seconds()), origin)

    def _is_usable(self, held: _Held, now: datetime) -> bool:
        return not held.is_persisted or now - held.series.fetched_at <= self._keep
