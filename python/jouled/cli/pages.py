"""Lists that the daemon gives in pages, as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar
from urllib.parse import urlencode

from jouled.client import Client
from jouled.wire.problems import Page

Row = TypeVar("Row")

# Rows of one page, and pages: beyond them a list is no longer read by a person.
ROWS = 1000
PAGES_MAX = 1000


def pages(client: Client, path: str, kind: type[Page[Row]]) -> Iterator[Row]:
    """Every row of `path`, which has a query of its own or none. Raises DaemonError."""
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        asked = {"limit": str(ROWS)} | ({"cursor": cursor} if cursor is not None else {})
        page = client.ask(f"{path}{'&' if '?' in path else '?'}{urlencode(asked)}", kind)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
