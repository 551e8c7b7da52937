"""Which messages are certain to be all there are up to a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from jouled.bookkeeping.stream import Span
from jouled.wire.stream import Item, Message

# Another program's transaction may last; a message behind it waits for so long at most.
GAP_S = 10.0

M = TypeVar("M", Message, Item)


class _Barrier(NamedTuple):
    seq: int
    next: int
    at_s: float


class Order:
    """PostgreSQL numbers messages when they are written, and shows them when they are committed: with
    several writers a lower number may appear after a higher one. Where a number is missing, what
    follows is held back until every transaction that could bring it has ended.
    """

    def __init__(self, head: int) -> None:
        self.head = head
        self._barrier: _Barrier | None = None

    def __repr__(self) -> str:
        return f"<Order [at {self.head}{', holding back' if self._barrier else ''}]>"

    @property
    def is_holding_back(self) -> bool:
        return self._barrier is not None

    def take(self, found: Sequence[M], span: Span | None, now_s: float) -> list[M]:
        """`found` are those beyond `head`, oldest first; `span` was read around them. Returns the certain ones."""
        certain = len(found) if span is None else self._certain(found, span, now_s)
        if certain:
            self.head = found[certain - 1].seq
        return list(found[:certain])

    def _certain(self, found: Sequence[M], span: Span, now_s: float) -> int:
        seq = self.head
        if self._barrier is not None and (span.oldest >= self._barrier.next or now_s - self._barrier.at_s > GAP_S):
            seq, self._barrier = self._barrier.seq, None
        count = 0
        for message in found:
            if message.seq > seq + 1:
                break
            seq = max(seq, message.seq)
            count += 1
        if count < len(found) and self._barrier is None:
            self._barrier = _Barrier(found[-1].seq, span.next, now_s)
        return count
