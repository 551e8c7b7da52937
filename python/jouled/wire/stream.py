"""The stream's messages, as whoever reads and whoever sends them knows them. No part of it needs a store."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

# Those that are numbered and kept for a while.
KEPT = ("readings", "events", "decisions")


class Message(NamedTuple):
    """What was posted with what it tells of."""

    seq: int
    topic: str
    at: datetime
    body: Any


class Bounds(NamedTuple):
    """`first` is the oldest that is kept, `last` the latest number that was given; where none is kept,
    `first` is one more than `last`.
    """

    first: int
    last: int


class Item(NamedTuple):
    """A message, encoded once for all clients."""

    seq: int
    topic: str
    at: datetime
    site: str | None
    device: str | None
    body: bytes


class TooSlowError(Exception):
    """A reader is too far behind."""
