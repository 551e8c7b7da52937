"""What answers at an address: which family of miners, and which MAC."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import trio

from jouled.http import Http
from jouled.loads.miners import braiins_answers, vnish_answers
from jouled.loads.miners.braiins import BASE as BRAIINS
from jouled.loads.miners.braiins import BraiinsMiner
from jouled.loads.miners.exchange import AwayError, Exchange
from jouled.loads.miners.keys import MemoryKeys
from jouled.loads.miners.vnish import BASE as VNISH
from jouled.loads.protocol import LoadError

Family: TypeAlias = Literal["vnish", "braiins", "pyasic"]
# Of all questions to one address.
PROBE_S = 10.0


class Found(NamedTuple):
    """A miner. `mac` is in lower case; None where it does not tell it, and `problem` says why."""

    address: str
    family: Family
    mac: str | None
    model: str | None
    firmware: str | None
    name: str | None
    problem: str | None = None


async def probe(address: str, http: Http, *, password: str | None = None, limit_s: float = PROBE_S) -> Found | None:
    """None for what does not answer, and for what is no miner of a family known here. Raises nothing.

    `password` is what Braiins OS asks for before it tells its MAC; VNish tells it to everybody.
    """
    with trio.move_on_after(limit_s):
        exchange = Exchange(address, http)
        try:
            return await _vnish(exchange) or await _braiins(exchange, http, password)
        except LoadError:
            return None
    return None


async def _vnish(exchange: Exchange) -> Found | None:
    """Raises AwayError, which ends the search: it would not answer a second question either."""
    reply = await exchange.ask("GET", f"{VNISH}/info")
    info = vnish_answers.info_of(reply.content) if reply.is_well else None
    if info is None:
        return None
    problem = None if info.mac is not None else "it does not tell its MAC"
    return Found(exchange.address, "vnish", info.mac, info.model, info.firmware, info.name, problem)


async def _braiins(exchange: Exchange, http: Http, password: str | None) -> Found | None:
    reply = await exchange.ask("GET", f"{BRAIINS}/version/")
    if not reply.is_well or not braiins_answers.is_version(reply.content):
        return None
    stranger = BraiinsMiner(exchange.address, http, mac="", password=password, keys=MemoryKeys())
    try:
        found = await stranger.details()
    except AwayError:
        return None
    except LoadError as error:
        return Found(exchange.address, "braiins", None, None, "Braiins OS", None, str(error))
    problem = None if found.mac is not None else "it does not tell its MAC"
    return Found(exchange.address, "braiins", found.mac, found.model, found.firmware, found.name, problem)
