"""A program of the operator's as a load: it is asked one thing at a time, in JSON, and answers in JSON.

It is started anew for each question. On its standard input is one object: `ask` is describe, measure, apply, confirm or
give_back, `load` its name, and with apply and confirm `target`, with give_back `original`. Its standard output is one
object in the words of `loads.said`; confirm answers {"is_set": true}, or as measure. Exit status 0 is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import trio
from msgspec import Struct

from jouled import programs
from jouled.balance.site.words import Observation, Order
from jouled.errors import one_line
from jouled.loads.actuator import Description, Original
from jouled.loads.protocol import LoadError
from jouled.loads.said import Bounds, description_of, is_as, is_set, observation_of, original_of, said_in, target_of

LIMIT_S = 5.0


class _Confirmed(Struct):
    is_set: bool | None = None


class ProgramLoad:
    """`argv` is run without a shell, and killed with all that it started after `limit_s`."""

    def __init__(
        self, name: str, argv: Sequence[str], *, limit_s: float = LIMIT_S, bounds: Bounds | None = None
    ) -> None:
        self._name = name
        self._argv = tuple(argv)
        self._limit_s = limit_s
        self._bounds = bounds or Bounds()
        # Two of it at once would fight for the one device behind it.
        self._turn = trio.Lock()

    def __repr__(self) -> str:
        return f"<ProgramLoad {self._name}: {self._argv[0]}>"

    @property
    def id(self) -> str:
        return self._name

    @property
    def kind(self) -> Literal["command"]:
        return "command"

    async def describe(self) -> Description:
        said = said_in(await self._ask("describe"), self._where)
        return description_of(said, self._name, self.kind, self._argv[0], self._bounds)

    async def measure(self) -> Observation:
        try:
            return observation_of(said_in(await self._ask("measure"), self._where))
        except LoadError as error:
            # A program that fails says nothing of what is behind it.
            return Observation(trio.current_time(), "away", note=str(error))

    async def original(self) -> Original:
        return original_of(said_in(await self._ask("measure"), self._where))

    async def apply(self, order: Order) -> None:
        await self._ask("apply", target=target_of(order))

    async def confirm(self, order: Order) -> bool:
        answer = await self._ask("confirm", target=target_of(order))
        try:
            confirmed = msgspec.json.decode(answer, type=_Confirmed).is_set
        except msgspec.DecodeError as error:
            raise LoadError(f"{self._where}: {one_line(str(error))}; let it answer with is_set") from error
        return is_set(said_in(answer, self._where), order) if confirmed is None else confirmed

    async def give_back(self, original: Original) -> None:
        await self._ask("give_back", original=original)
        if not is_as(said_in(await self._ask("measure"), self._where), original):
            raise LoadError(f"{self._where}: it is not as it was; set it by hand")

    async def aclose(self) -> None:
        """Nothing of it runs between two questions."""

    @property
    def _where(self) -> str:
        return f"the load {self._name}: {self._argv[0]}"

    async def _ask(self, question: str, **more: Any) -> bytes:
        """Raises LoadError where it cannot be run, ends badly or late."""
        told = msgspec.json.encode({"ask": question, "load": self._name, **more}) + b"\n"
        async with self._turn:
            try:
                ended = await programs.run(self._argv, told, limit_s=self._limit_s)
            except OSError as error:
                raise LoadError(f"{self._where}: {error.strerror}; check the load's command") from error
        if ended.is_late:
            raise LoadError(
                f"{self._where} {question}: no end within {self._limit_s:g} s; make it quicker, or timeout longer"
            )
        if not ended.is_well:
            words = ended.complained or ended.said or "it said nothing"
            raise LoadError(f"{self._where} {question} {ended.how}: {words}")
        return ended.output
