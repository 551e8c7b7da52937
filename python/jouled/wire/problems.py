"""The one form of an error, and of a page of a long list."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Problem(Struct, frozen=True, omit_defaults=True):
    """Every answer of status 400 and above: a code for programs, a sentence for people, and what else is known."""

    error: str
    message: str
    detail: Any = None


class Page(Struct, Generic[T], frozen=True):
    """A part of a list, newest or first by name. `next_cursor` asks for what follows; null at the end."""

    count: int
    items: tuple[T, ...]
    next_cursor: str | None = None
