"""What every provider's answer is read with: JSON without floats in between, and instants."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import DecimalException
from typing import TypeVar

import msgspec

from jouled.errors import one_line
from jouled.http import AnswerError, is_html

T = TypeVar("T")

# Instants between these; milliseconds taken for seconds, zeros and the ends of calendars are outside.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
EARLIEST_S = int(EARLIEST.timestamp())
LATEST_S = int(LATEST.timestamp())


def decoded(body: bytes, kind: type[T], where: str) -> T:
    """Numbers become Decimals without a float in between. Raises AnswerError."""
    if is_html(body):
        raise AnswerError(f"{where}: a page for browsers came instead of JSON; open it in one, or mend the address")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, DecimalException) as error:
        raise AnswerError(f"{where}: not the answer that was expected: {one_line(str(error))}") from error


def instant_of_unix(seconds: int, where: str) -> datetime:
    """Raises AnswerError where it is not seconds since 1970."""
    if not EARLIEST_S <= seconds <= LATEST_S:
        raise AnswerError(f"{where}: {excerpt(seconds)} is no time in seconds since 1970; none of it is used")
    return datetime.fromtimestamp(seconds, UTC)


def instant_of_unix_ms(milliseconds: int, where: str) -> datetime:
    """Raises AnswerError where it is not milliseconds since 1970, of whole seconds."""
    seconds, rest_ms = divmod(milliseconds, 1000)
    if rest_ms or not EARLIEST_S <= seconds <= LATEST_S:
        raise AnswerError(f"{where}: {excerpt(milliseconds)} is no time in milliseconds since 1970; none of it is used")
    return datetime.fromtimestamp(seconds, UTC)


def instant_of_text(text: str, where: str, *, is_utc: bool = False) -> datetime:
    """ISO 8601, also without seconds. Without a zone only where the provider says that all is UTC."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            if not is_utc:
                raise AnswerError(f"{where}: {text[:40]!r} has no zone; nobody knows when that is")
            at = at.replace(tzinfo=UTC)
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):  # a year before 1 or after 9999, by its zone
        raise AnswerError(f"{where}: {text[:40]!r} is no time") from None
    if not EARLIEST <= at <= LATEST:
        raise AnswerError(f"{where}: {text[:40]!r} is no time of this century; none of it is used")
    return at


def excerpt(value: object, most: int = 40) -> str:
    """What others wrote, short and on one line."""
    text = one_line(str(value))
    return text if len(text) <= most else f"{text[:most]}..."
