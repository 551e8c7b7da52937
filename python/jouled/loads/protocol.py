"""What can act on a zone's load, as the books see it."""

from __future__ import annotations

from typing import Protocol

from jouled.errors import JouledError
from jouled.wire.decisions import Decision


class LoadError(JouledError):
    """The load did not do what was asked for, or nobody knows whether it did. The message says why."""


class Load(Protocol):
    """Carries out decisions about the zones that it is attached to."""

    @property
    def limit_s(self) -> float:
        """How long `act` may take at most; it ends by itself within that."""
        ...

    async def act(self, decision: Decision) -> str:
        """Carry out what the decision says. Returns what was done, in a sentence.

        It must not be called twice for one decision, and is not. Raises LoadError.
        """
        ...
