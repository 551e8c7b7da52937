"""What asking a provider comes to, and what it is asked with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple, Protocol

from jouled.books.intensity import Slot
from jouled.http import SignalError


class Source(NamedTuple):
    """What a provider is told by the settings; the token itself, not where it is kept."""

    url: str | None = None
    token: str | None = None


class Fetched(NamedTuple):
    """Slots, and what could not be had beside them: a plan without forecasts still gives the last day."""

    slots: list[Slot]
    problems: tuple[str, ...] = ()


class Provider(Protocol):
    """One of the modules beside this one."""

    @property
    def name(self) -> str: ...

    async def fetch(self, zone: str, now: datetime) -> Fetched:
        """Raises SignalError where nothing could be had."""


async def gathered(*parts: Callable[[], Awaitable[list[Slot]]]) -> Fetched:
    """All parts that could be had, one after the other. Raises the first error where that is nothing."""
    slots: list[Slot] = []
    errors: list[SignalError] = []
    for part in parts:
        try:
            slots += await part()
        except SignalError as error:
            errors.append(error)
    if errors and not slots:
        raise errors[0]
    return Fetched(slots, tuple(str(error) for error in errors))
