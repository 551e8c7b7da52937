"""What many routes take."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeAlias, get_args

from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import PathParameter, QueryParameter

from jouled.bookkeeping.pages import ROWS_MAX
from jouled.config.books import ApiSettings
from jouled.loads.registry import Loads
from jouled.store import Store
from jouled.web.api.exact import NUL
from jouled.web.api.scopes import Who

Clock: TypeAlias = Callable[[], datetime]
# What each handler may ask for by these names.
TheStore: TypeAlias = NamedDependency[Store]
TheClock: TypeAlias = NamedDependency[Clock]
# Who asks: `writer.name` goes into decisions.
TheWriter: TypeAlias = NamedDependency[Who]
# What acts on the loads of zones, and the bands that these are to be in.
TheLoads: TypeAlias = NamedDependency[Loads]
# `limits.batch` and `limits.rows`, as the operator set them.
TheLimits: TypeAlias = NamedDependency[ApiSettings]
Cursor: TypeAlias = Annotated[str | None, QueryParameter(max_length=256, description="Where the last page ended.")]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=ROWS_MAX, description="Rows at most.")]
# An identifier in a path.
IdInPath: TypeAlias = Annotated[str, PathParameter(max_length=128)]

RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
# What an instant looks like whose plus sign was not written as %2B.
PLUS_LOST = re.compile(r".*\d \d{2}:\d{2}", re.ASCII)


class Question:
    """The query of one route: what it knows, and which of it are instants."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = frozenset(known)
        self.no_texts = frozenset(name for name, kind in known.items() if str not in (kind, *get_args(kind)))
        self.instants = frozenset(name for name, kind in known.items() if _is_instant(kind))

    def __repr__(self) -> str:
        return f"<Question {sorted(self.known)}>"

    def check(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """A parameter with a typing error must not be one ignored, nor one of two."""
        for name, value in connection.path_params.items():
            if NUL in str(value):
                raise ClientException(f"{name} in the path holds the character 0")
        if not connection.scope["query_string"]:
            return
        seen = set()
        for name, value in connection.query_params.multi_items():
            if name not in self.known:
                allowed = f"; there is {', '.join(sorted(self.known))}" if self.known else ""
                raise ClientException(f"unknown parameter {name[:100]!r}{allowed}")
            if name in seen:
                raise ClientException(f"parameter {name!r} is given twice")
            if NUL in value:
                raise ClientException(f"parameter {name!r} holds the character 0")
            if name in self.instants and not RFC3339.fullmatch(value):
                hint = "write its + as %2B" if PLUS_LOST.fullmatch(value) else "write 2026-03-01T12:00:00Z"
                raise ClientException(f"{name} {value[:64]!r} is no instant of RFC 3339 with a zone; {hint}")
            if value == "null" and name in self.no_texts:
                raise ClientException(f"{name} is never null; leave it out")
            seen.add(name)


def _is_instant(kind: Any) -> bool:
    return kind is datetime or any(_is_instant(part) for part in get_args(kind))
