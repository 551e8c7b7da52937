"""What many routes take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, TypeAlias

from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from jouled.bookkeeping.pages import ROWS_MAX
from jouled.store import Store

Clock: TypeAlias = Callable[[], datetime]
# What each handler may ask for by these names.
TheStore: TypeAlias = NamedDependency[Store]
TheClock: TypeAlias = NamedDependency[Clock]
Cursor: TypeAlias = Annotated[str | None, QueryParameter(max_length=256, description="Where the last page ended.")]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=ROWS_MAX, description="Rows at most.")]
# An identifier in a path.
IdInPath: TypeAlias = Annotated[str, PathParameter(max_length=128)]
