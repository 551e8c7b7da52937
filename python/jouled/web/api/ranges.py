"""`start_time` and `end_time`, as many routes take them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, TypeAlias

from litestar.params import QueryParameter

from jouled.books.calendar import Period, outside
from jouled.errors import InvalidError

StartTime: TypeAlias = Annotated[
    datetime | None, QueryParameter(description="RFC 3339 with its zone; by default a day before the end.")
]
EndTime: TypeAlias = Annotated[
    datetime | None, QueryParameter(description="RFC 3339 with its zone, not included; by default now.")
]

DEFAULT = timedelta(hours=24)


def asked(start: datetime | None, end: datetime | None, now: datetime) -> Period:
    """Raises InvalidError for a range that is none."""
    until = now if end is None else end
    for at in (start, until):
        problem = None if at is None else outside(at)
        if problem is not None:
            raise InvalidError(problem)
    since = until - DEFAULT if start is None else start
    if since >= until:
        raise InvalidError(f"start_time {since.isoformat()} is not before end_time {until.isoformat()}")
    return Period(since, until)
