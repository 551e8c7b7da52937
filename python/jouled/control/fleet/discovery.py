"""Looking for miners: at the addresses that the operator named, and at no others. Nothing is written there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from ipaddress import ip_network
from typing import NamedTuple, Protocol

import trio

from jouled.config.balance import BalancedLoad
from jouled.config.miners import ADDRESSES_MAX, Miners
from jouled.errors import one_line
from jouled.loads.fleet import MINER_KINDS
from jouled.log import log

# At once: a subnet of 4,096 addresses that are not there takes half a minute.
TOGETHER = 64
# Of addresses whose trouble is said once.
SAID_MAX = ADDRESSES_MAX


class Found(Protocol):
    """As loads.miners.probe.Found."""

    @property
    def address(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def mac(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def problem(self) -> str | None: ...


class Sighting(NamedTuple):
    """A miner with a MAC, and the table of the settings that names its address, where one does."""

    found: Found
    named: BalancedLoad | None = None


class Scan(NamedTuple):
    """What one search came to. `took_s` is by the clock that nobody can set."""

    asked: int
    answered: int
    sightings: tuple[Sighting, ...]
    took_s: float


class Discovery:
    """`probe` says what answers at an address; it must raise nothing, and end."""

    def __init__(
        self,
        settings: Miners,
        probe: Callable[[str], Awaitable[Found | None]],
        *,
        named: Sequence[BalancedLoad] = (),
        connects: Callable[[str, int, float], Awaitable[bool]] | None = None,
    ) -> None:
        self._settings = settings
        self._probe = probe
        self._named = {load.address: load for load in named if load.kind in MINER_KINDS and load.address is not None}
        self._connects = connects or _connects
        self._said: set[str] = set()
        # What answers and cannot be taken, as the latest search found it: its address and why not.
        self.refused: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self.scans = 0
        self.latest: Scan | None = None

    def __repr__(self) -> str:
        return f"<Discovery of {len(self._settings.subnets)} subnets [{self.scans} scans]>"

    @property
    def is_wanted(self) -> bool:
        """Whether there is any address to look at."""
        return bool(self._settings.subnets or self._named)

    def addresses(self) -> Iterator[str]:
        """Each once: those that are named, then those of the subnets."""
        seen = set()
        for address in self._named:
            seen.add(address)
            yield address
        port = "" if self._settings.port == 80 else f":{self._settings.port}"
        for subnet in self._settings.subnets:
            network = ip_network(subnet)
            for host in network.hosts():
                address = f"[{host}]{port}" if host.version == 6 and port else f"{host}{port}"
                if address not in seen:
                    seen.add(address)
                    yield address

    async def scan(self, skipped: Collection[str] = ()) -> Scan:
        """One search. Those in `skipped` are known to be well, and are left in peace."""
        began_s = trio.current_time()
        addresses = [address for address in self.addresses() if address not in skipped]
        answered: list[str] = []
        sightings: dict[str, Sighting] = {}
        self._refused = {}
        limiter = trio.CapacityLimiter(TOGETHER)

        async def look(address: str) -> None:
            async with limiter:
                if address not in self._named and not await self._connects(
                    *_place(address, self._settings.port), self._settings.connect_s
                ):
                    return
                answered.append(address)
                found = await self._ask(address)
                if found is not None:
                    self._take(found, address, sightings)

        async with trio.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(look, address)
        self.scans += 1
        self.refused = self._refused
        # By address: what is found does not depend on who answered first.
        ordered = tuple(sightings[mac] for mac in sorted(sightings))
        self.latest = Scan(len(addresses), len(answered), ordered, trio.current_time() - began_s)
        return self.latest

    async def _ask(self, address: str) -> Found | None:
        with trio.move_on_after(self._settings.probe_s):
            try:
                return await self._probe(address)
            except Exception as error:  # noqa: BLE001  (whatever a stranger answers must not end the search)
                self._say(address, f"{type(error).__name__} {one_line(str(error))}")
        return None

    def _take(self, found: Found, address: str, sightings: dict[str, Sighting]) -> None:
        mac = found.mac
        if mac is None:
            self._say(address, found.problem or "it does not tell its MAC")
            return
        self._said.discard(address)
        before = sightings.get(mac)
        if before is not None and before.found.address != address:
            # Which of them it is cannot be told; the first by address is taken, each time.
            self._say(address, f"it says that it is {mac}, as {before.found.address} does: one of them is a copy")
            if before.found.address < address:
                return
        sightings[mac] = Sighting(found, self._named.get(address))

    def _say(self, address: str, words: str) -> None:
        self._refused[address] = words
        if address not in self._said and len(self._said) < SAID_MAX:
            self._said.add(address)
            log.warning(f"miner at {address}: {words}; it is not steered")


def _place(address: str, port: int) -> tuple[str, int]:
    host, colon, rest = address.rpartition(":")
    if colon and rest.isdigit() and (host.startswith("[") or ":" not in host):
        return host.strip("[]"), int(rest)
    return address.strip("[]"), port


async def _connects(host: str, port: int, within_s: float) -> bool:
    """Whether anything takes a connection there."""
    with trio.move_on_after(within_s):
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError:
            return False
        await trio.aclose_forcefully(stream)
        return True
    return False
