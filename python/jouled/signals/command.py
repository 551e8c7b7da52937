"""Events go to a program of the operator's: JSON on its standard input, at least once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from jouled import programs
from jouled.books.deliveries import Failure
from jouled.wire.events import Event

LIMIT_S = 30.0


class Command:
    """Exit code 0 is delivered, everything else is tried again."""

    target: Literal["command"] = "command"

    def __init__(self, argv: Sequence[str], *, limit_s: float = LIMIT_S) -> None:
        self._argv = tuple(argv)
        self._limit_s = limit_s

    def __repr__(self) -> str:
        return f"<Command {self._argv[0]}>"

    async def carry(self, event: Event) -> Failure | None:
        name = self._argv[0]
        environment = {"JOULED_EVENT": event.type, "JOULED_EVENT_ID": event.id}
        try:
            ended = await programs.run(
                self._argv, msgspec.json.encode(event), limit_s=self._limit_s, environment=environment
            )
        except OSError as error:
            return Failure(f"{name}: {error.strerror}; check alerts.command")
        if ended.is_late:
            return Failure(f"{name}: not done within {self._limit_s:g} s; it was ended. {ended.complained}".strip())
        if not ended.is_well:
            return Failure(f"{name} {ended.how}. {ended.complained}".strip())
        return None
