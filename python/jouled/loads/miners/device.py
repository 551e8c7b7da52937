"""What all families of miners have in common as loads: each call ends, nothing but LoadError comes out of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager

import trio

from jouled.balance.fleet.words import OFF
from jouled.balance.site.words import Observation, Order, Timing
from jouled.loads.actuator import Description, Original
from jouled.loads.miners.exchange import CALL_S, StrangerError, within
from jouled.loads.miners.keys import Keys
from jouled.loads.protocol import LoadError

# How long a device is believed to be the one that it was, while it answers.
KNOWN_S = 60.0
# For how long it must run before that is taken for its state: an order to stop may still be on its way.
RUNS_S = 120.0


class Miner(ABC):
    """A miner by its MAC, at an address that may change. An implementation of Actuator; see there for what each
    call promises.
    """

    kind: str
    timing: Timing

    def __init__(self, address: str, *, mac: str, keys: Keys, call_s: float = CALL_S) -> None:
        self._mac = mac
        self._keys = keys
        self._call_s = call_s
        self._place = address
        self._known_until = -1.0
        # Another daemon switched it off, by the books that both keep.
        self._is_adopted = False
        self._running_since: float | None = None
        # When it was last looked at, it was off, and not by us.
        self._is_users_pause = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._mac} at {self._place}>"

    @property
    def id(self) -> str:
        return self._mac

    @property
    def address(self) -> str:
        return self._place

    def move(self, address: str) -> None:
        """It answers elsewhere now."""
        if address != self._place:
            self._place = address
            self._known_until = -1.0
            self._moved()

    def adopt(self, point: str | None) -> None:
        """What it was last told by whoever steered it before, by the books: so that their pause is known as ours."""
        self._is_adopted = point == OFF

    async def describe(self) -> Description:
        async with self._call("describe"):
            await self._check_known(anew=True)
            return await self._describe()

    async def measure(self) -> Observation:
        """`away` with the reason for whatever keeps it from being known: it then counts at its last known most."""
        try:
            async with self._call("measure"):
                await self._check_known(anew=trio.current_time() >= self._known_until)
                observed = await self._measure()
        except LoadError as error:
            self._known_until = -1.0
            return Observation(trio.current_time(), "away", note=str(error))
        self._is_users_pause = observed.state == "held" and observed.point == OFF
        await self._watch(observed)
        return observed

    async def original(self) -> Original:
        async with self._call("read the original"):
            await self._check_known(anew=True)
            return await self._original()

    async def apply(self, order: Order) -> None:
        if order.point is None:
            raise LoadError(f"{self._mac}: an order without a point; a miner is set to one of its presets")
        name = order.point.name
        async with self._call(f"set to {name}"):
            await self._check_known(anew=True)
            if name == OFF:
                if self._is_users_pause and await self._is_at(OFF):
                    return  # and it stays its user's: nobody starts it again but him
                # Known as ours before it happens: a controller that dies in between must not leave it off for good.
                await self._keys.mark(self._mac, is_off=True)
                self._running_since = None
                await self._switch_off(is_urgent=order.is_urgent)
            else:
                await self._set(name)

    async def confirm(self, order: Order) -> bool:
        if order.point is None:
            return False
        async with self._call("confirm"):
            await self._check_known(anew=trio.current_time() >= self._known_until)
            return await self._is_at(order.point.name)

    async def give_back(self, original: Original) -> None:
        async with self._call("give back"):
            await self._check_known(anew=True)
            await self._give_back(original)
            # It is its user's again, whatever it does now.
            await self._disown()

    async def aclose(self) -> None:
        """Nothing is open between two calls."""
        await trio.lowlevel.checkpoint()

    async def _watch(self, observed: Observation) -> None:
        """One that has run for a while runs because somebody wants it to: a pause from then on is not ours."""
        if observed.state != "running":
            self._running_since = None
        elif self._running_since is None:
            self._running_since = observed.at_s
        elif observed.at_s - self._running_since >= RUNS_S:
            await self._disown()

    async def _disown(self) -> None:
        self._is_adopted = False
        await self._keys.mark(self._mac, is_off=False)

    def _is_ours(self) -> bool:
        return self._is_adopted or self._keys.is_off(self._mac)

    def _call(self, what: str) -> AbstractAsyncContextManager[None]:
        return within(self._call_s, f"{self._mac} at {self._place}: {what}")

    async def _check_known(self, *, anew: bool) -> None:
        """Addresses are given to other devices: what answers must have the MAC. Raises StrangerError."""
        if not anew:
            return
        mac = await self._mac_there()
        if mac != self._mac:
            self._known_until = -1.0
            found = "a device that does not say its MAC" if mac is None else mac
            raise StrangerError(
                f"{self._place}: {found} answers there, not {self._mac}; it is looked for with the next discovery"
            )
        self._known_until = trio.current_time() + KNOWN_S

    @abstractmethod
    def _moved(self) -> None:
        """What was known only of the old address is forgotten."""

    @abstractmethod
    async def _mac_there(self) -> str | None: ...

    @abstractmethod
    async def _describe(self) -> Description: ...

    @abstractmethod
    async def _measure(self) -> Observation: ...

    @abstractmethod
    async def _original(self) -> Original: ...

    @abstractmethod
    async def _switch_off(self, *, is_urgent: bool) -> None: ...

    @abstractmethod
    async def _set(self, name: str) -> None:
        """To the preset of that name, and running."""

    @abstractmethod
    async def _is_at(self, name: str) -> bool: ...

    @abstractmethod
    async def _give_back(self, original: Original) -> None: ...
