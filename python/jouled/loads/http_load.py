"""A service over HTTP as a load: GET of its address says what it can and does, PUT there sets it; both are JSON.

What it says is in the words of `loads.said`, all in one object; what is PUT is a target of the same words, and after
the balancer the original of it, with `is_original` true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import httpx2
import trio

from jouled.balance.site.words import Observation, Order
from jouled.loads.actuator import Description, Original
from jouled.loads.protocol import LoadError
from jouled.loads.remote import Remote, no_token
from jouled.loads.said import Bounds, Said, description_of, is_as, is_set, observation_of, original_of, target_of


class HttpLoad:
    """`url` is the whole address of it."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        token: Callable[[], str | None] = no_token,
        ca: str | None = None,
        timeout_s: float = 5.0,
        bounds: Bounds | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._name = name
        self._bounds = bounds or Bounds()
        self._remote = Remote(name, url, token=token, ca=ca, timeout_s=timeout_s, transport=transport)

    def __repr__(self) -> str:
        return f"<HttpLoad {self._name} at {self._remote.url}>"

    @property
    def id(self) -> str:
        return self._name

    @property
    def kind(self) -> Literal["http"]:
        return "http"

    async def describe(self) -> Description:
        return description_of(await self._look(), self._name, self.kind, self._remote.url, self._bounds)

    async def measure(self) -> Observation:
        try:
            return observation_of(await self._look())
        except LoadError as error:
            # A service that refuses, or says what makes no sense, says nothing of what is behind it.
            return Observation(trio.current_time(), "away", note=str(error))

    async def original(self) -> Original:
        return original_of(await self._look())

    async def apply(self, order: Order) -> None:
        await self._remote.ask("PUT", "", target_of(order))

    async def confirm(self, order: Order) -> bool:
        return is_set(await self._look(), order)

    async def give_back(self, original: Original) -> None:
        await self._remote.ask("PUT", "", {**original, "is_original": True})
        if not is_as(await self._look(), original):
            raise LoadError(f"the load {self._name} at {self._remote.url}: it is not as it was; set it by hand")

    async def aclose(self) -> None:
        await self._remote.aclose()

    async def _look(self) -> Said:
        return await self._remote.get("", Said)
