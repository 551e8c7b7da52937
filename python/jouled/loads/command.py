"""A program as a load: it gets the decision as JSON on its standard input, and its exit says whether it is done."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jouled import programs
from jouled.loads.protocol import LoadError
from jouled.wire.decisions import Decision


class CommandLoad:
    """Runs `argv`; it, and all that it started, is killed after `limit_s`."""

    def __init__(self, argv: Sequence[str], limit_s: float = 30.0) -> None:
        self.argv = tuple(argv)
        self.limit_s = limit_s

    def __repr__(self) -> str:
        return f"<CommandLoad {self.argv[0]}>"

    async def act(self, decision: Decision) -> str:
        name = self.argv[0]
        try:
            ended = await programs.run(self.argv, msgspec.json.encode(decision) + b"\n", limit_s=self.limit_s)
        except OSError as error:
            raise LoadError(f"run {name}: {error.strerror}; check load.commands") from error
        if ended.is_late:
            raise LoadError(f"{name} was killed: it took longer than {self.limit_s:g} s")
        if not ended.is_well:
            raise LoadError(f"{name} {ended.how}: {ended.complained or ended.said or 'it said nothing'}")
        return ended.said or f"{name} ended well"
