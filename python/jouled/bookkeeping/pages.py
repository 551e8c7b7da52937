"""Long lists in parts: where the next part begins is in a cursor, so that new rows move nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Row

from jouled.errors import InvalidError
from jouled.wire.problems import Page

T = TypeVar("T")

ROWS = 100
ROWS_MAX = 1000
PLACE_MAX = 2**62


def cursor_of(value: str | int | tuple[str | int, ...]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def place_of(cursor: str, kind: type[T]) -> T:
    """Raises InvalidError for a cursor that no page gave out."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(text, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidError(f"cursor {cursor[:64]!r} is none; leave it out to begin anew") from None
    # No page gives out what a store cannot compare with.
    if (isinstance(place, int) and not 0 <= place < PLACE_MAX) or (isinstance(place, str) and "\0" in place):
        raise InvalidError(f"cursor {cursor[:64]!r} is none; leave it out to begin anew")
    return place


def page(rows: Sequence[Row[Any]], limit: int, make: Callable[[Row[Any]], T], key: str) -> Page[T]:
    """Of one row more than `limit`, if there are: it says that there is a next page."""
    shown = rows[:limit]
    more = cursor_of(getattr(shown[-1], key)) if len(rows) > limit else None
    return Page(len(shown), tuple(make(row) for row in shown), more)
