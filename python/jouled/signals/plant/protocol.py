"""What gives a plant's readings: the shape that every source has."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol

from jouled.balance.site.supply import Reading

# For one answer, whatever it is asked over.
DEADLINE_S = 10.0
# Of one answer: some hundreds of sources.
BYTES_MAX = 256 * 1024
# Of one answer. The names are others' words.
SOURCES_MAX = 256
NAME_CHARS_MAX = 64

WATTS = {"W": 1.0, "kW": 1_000.0, "MW": 1_000_000.0}


class Secrets(NamedTuple):
    """What the settings only point to, resolved. Never shown, and in no error."""

    key: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return "<Secrets>"


class PlantSource(Protocol):
    """Asked again and again; what it answers is judged elsewhere."""

    # For people: where it asks, without anything secret.
    where: str

    async def fetch(self, now: datetime) -> Reading:
        """The latest that is known there. Raises SignalError; nothing else whatever the answer is."""
        ...

    async def aclose(self) -> None: ...
