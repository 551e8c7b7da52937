"""The other end of a connection, as the application sees it."""

from __future__ import annotations

from collections.abc import Callable

from jouled.web.access import Policy
from jouled.web.gate import Refusal


def nothing() -> None:
    """A connection without a deadline of its own."""


def no_room() -> bool:
    """Nobody is there to give way."""
    return False


class Slots:
    """So many of a kind at once; `limit` may change."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def take(self) -> bool:
        if self.taken >= self.limit:
            return False
        self.taken += 1
        return True

    def give_back(self) -> None:
        self.taken -= 1


class Peer:
    """A client and what its listener's policy says of it.

    `lasts` lifts the deadline of the request in progress, for a stream; `make_room` gives up the client
    that has kept an answer waiting for longest, and says whether there was one.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        streams: Slots,
        uid: int | None = None,
        address: str = "",
        lasts: Callable[[], None] = nothing,
        make_room: Callable[[], bool] = no_room,
    ) -> None:
        self.policy = policy
        self.uid = uid
        self.address = address
        self.streams = streams
        self.lasts = lasts
        self.make_room = make_room

    async def admit(self, authorization: str) -> Refusal | None:
        """By the policy that holds now: after a reload it is another. None where the client is let in."""
        return await self.policy.gate.admit(authorization, self.address)

    async def is_coarse(self) -> bool:
        return await self.policy.is_coarse(self.uid)
