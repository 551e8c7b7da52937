"""The open minute: takes each snapshot, and gives what has become complete."""

from __future__ import annotations

from jouled.books.minutes import MINUTE_US, Interval, interval
from jouled.books.records import Counts, Mark, Part, count, part
from jouled.model import Snapshot, ZoneKey


class Recording:
    """Cheap within a minute; at its end it looks at all rows.

    `top` workloads of each level are told apart. `period_s` is the usual time between two scans.
    """

    def __init__(self, *, top: int, period_s: float) -> None:
        self._top = top
        self._period_us = round(period_s * 1e6)
        self._last: Snapshot | None = None
        # The last interval's length: the period may have been changed while the daemon runs.
        self._usual_us = 0
        self._minute_us: int | None = None
        self._mark: Mark | None = None
        self._covered_us: dict[ZoneKey, int] = {}
        self._is_guess = False

    def __repr__(self) -> str:
        return f"<Recording of {self._minute_us}>"

    def is_within(self, snapshot: Snapshot) -> bool:
        """Whether `take` only notes that so much more of the open minute was measured."""
        pieces = self._place(snapshot).pieces()
        return self._mark is not None and len(pieces) == 1 and pieces[0].minute_us == self._minute_us

    def take(self, snapshot: Snapshot) -> list[Part]:
        """Returns the parts that ended with it, the oldest first. Nothing happened between snapshots of
        one number.
        """
        if self._last is not None and snapshot.sequence == self._last.sequence:
            return []
        place = self._place(snapshot)
        if self._mark is None:
            self._open(place.to_us - place.to_us % MINUTE_US, Mark(self._count(snapshot)))
            self._remember(snapshot, place)
            return []
        if self.is_within(snapshot):
            self._cover(snapshot, place.to_us - place.from_us)
            self._is_guess |= place.is_guess
            self._remember(snapshot, place)
            return []
        parts = self._cross(snapshot, place)
        self._remember(snapshot, place)
        return parts

    def close(self) -> list[Part]:
        """What of the open minute was measured so far. Nothing is taken after it."""
        if self._mark is None or self._last is None:
            return []
        return self._end(Mark(count(self._last, None, None, with_rows=self._top > 0)))

    def _cross(self, snapshot: Snapshot, place: Interval) -> list[Part]:
        counts = self._count(snapshot)
        parts = []
        for piece in place.pieces():
            if piece.minute_us != self._minute_us:
                mark = Mark(counts, place.part_after(piece.from_us))
                parts += self._end(mark)
                self._open(piece.minute_us, mark)
            self._cover(snapshot, piece.to_us - piece.from_us)
            self._is_guess |= place.is_guess
        return parts

    def _place(self, snapshot: Snapshot) -> Interval:
        end_us = round(snapshot.wall_s * 1e6)
        span_us = round((snapshot.interval_s or 0.0) * 1e6)
        before_us = None if self._last is None else round(self._last.wall_s * 1e6)
        if self._last is not None and before_us is not None and self._has_missed(snapshot) and end_us > before_us:
            span_us = end_us - before_us
        return interval(before_us, end_us, span_us, max(self._period_us, self._usual_us))

    def _has_missed(self, snapshot: Snapshot) -> bool:
        return self._last is not None and snapshot.sequence != self._last.sequence + 1

    def _count(self, snapshot: Snapshot) -> Counts:
        with_rows = self._top > 0
        missed_since = None
        if self._last is not None and self._has_missed(snapshot):
            missed_since = count(self._last, None, None, with_rows=with_rows)
        return count(snapshot, self._last, missed_since, with_rows=with_rows)

    def _open(self, minute_us: int, mark: Mark) -> None:
        self._minute_us, self._mark = minute_us, mark
        self._covered_us, self._is_guess = {}, False

    def _end(self, mark: Mark) -> list[Part]:
        if self._mark is None or self._minute_us is None:
            return []
        ended = part(self._mark, mark, self._minute_us, self._covered_us, top=self._top, is_guess=self._is_guess)
        return [] if ended.is_empty else [ended]

    def _cover(self, snapshot: Snapshot, length_us: int) -> None:
        """For the zones that were measured: absence is not zero."""
        for zone in snapshot.zones():
            if zone.watts is not None:
                key = (zone.zone, zone.index, zone.source)
                self._covered_us[key] = self._covered_us.get(key, 0) + length_us

    def _remember(self, snapshot: Snapshot, place: Interval) -> None:
        if self._last is not None:
            self._usual_us = place.to_us - place.from_us
        self._last = snapshot
