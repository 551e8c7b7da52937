"""The one form of an error, and of a page of a long list."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")

# By status: the word for programs.
CODES = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    411: "length_required",
    413: "too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
    429: "too_many_requests",
    431: "too_large",
    500: "internal_error",
    501: "not_implemented",
    503: "unavailable",
}


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
