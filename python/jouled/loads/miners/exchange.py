"""Asking one device: JSON over HTTP, every request bounded, every refusal a typed error that says the fix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple, TypeVar

import msgspec
import trio

from jouled.errors import one_line
from jouled.http import Answer, Http, SignalError, UnreachableError
from jouled.loads.miners.words import base_url
from jouled.loads.protocol import LoadError

# Of one request; a miner answers within a fraction of a second, or is restarting.
DEADLINE_S = 5.0
# Of one call of a load, which is several requests.
CALL_S = 20.0
BYTES_MAX = 2 * 1024 * 1024
# All miners share one client: one that hangs holds one connection, and the others must not wait for it.
CONNECTIONS_MAX = 1024
SAID_CHARS = 160

T = TypeVar("T")


class AwayError(LoadError):
    """It does not answer, or with nothing but a page of a web server that is starting."""


class LockedError(LoadError):
    """401 and 403, also after it was unlocked anew."""


class UnsupportedError(LoadError):
    """404, 405 and 501: its firmware has no such thing."""


class ConflictError(LoadError):
    """409 and 412: not in the state that it is in, or not within what it allows."""


class StrangerError(LoadError):
    """At its address answers another device."""


def miners_http(deadline_s: float = DEADLINE_S) -> Http:
    """The client that all miners share."""
    return Http(
        "miners",
        address="miners.subnets",
        token="miners.password",  # noqa: S106  (the name of the setting)
        deadline_s=deadline_s,
        bytes_max=BYTES_MAX,
        tries=1,
        connections_max=CONNECTIONS_MAX,
    )


class Reply(NamedTuple):
    """`content` is what the JSON says; None for no body, and for one that is not JSON."""

    status: int
    content: Any
    where: str

    @property
    def is_well(self) -> bool:
        return 200 <= self.status < 300

    @property
    def complaint(self) -> str | None:
        """What it says is wrong; some say it with status 200."""
        if isinstance(self.content, dict):
            for name in ("err", "error", "message"):
                if isinstance(said := self.content.get(name), str) and said and (name == "err" or not self.is_well):
                    return one_line(said)[:SAID_CHARS]
        return None


class Exchange:
    """`address` may change: a device keeps its MAC and gets another address."""

    def __init__(self, address: str, http: Http) -> None:
        self.address = address
        self._http = http

    async def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Whatever it says, once. Raises AwayError."""
        sent = None if body is None else msgspec.json.encode(body)
        kind = {"content-type": "application/json"} if sent is not None else {}
        try:
            answer = await self._http.ask(
                method,
                base_url(self.address) + path,
                body=sent,
                headers={"accept": "application/json", **kind, **(headers or {})},
            )
        except UnreachableError as error:
            raise AwayError(str(error)) from error
        except SignalError as error:
            raise LoadError(str(error)) from error
        reply = Reply(answer.status, _content(answer), answer.where)
        if reply.status in {502, 503, 504}:
            raise AwayError(f"{reply.where}: {reply.status}; it is starting, or its web server is; it is asked again")
        return reply


def checked(reply: Reply) -> Any:
    """What it says, where that is no complaint. Raises LoadError of a kind for what to do."""
    said = "" if reply.complaint is None else f" {reply.complaint!r}"
    place = f"{reply.where}: {reply.status}{said}"
    if reply.status in {401, 403}:
        raise LockedError(f"{place}; check miners.password")
    if reply.status in {404, 405, 501}:
        raise UnsupportedError(f"{place}; its firmware has no such thing: update it, or leave it unmanaged")
    if reply.status == 409:
        raise ConflictError(f"{place}; it cannot in the state that it is in: it is looked at again")
    if reply.status == 412:
        raise ConflictError(f"{place}; it is not running, or that is outside its own limits: look at its page")
    if not reply.is_well or said:
        raise LoadError(f"{place}; look at its page and its log")
    return reply.content


def mapping(content: object, *path: str) -> dict[str, Any]:
    """The object that is found along `path`; an empty one where there is none."""
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


async def looked_for(look: Callable[[], Awaitable[T]], is_so: Callable[[T], bool], *, looks: int, pause_s: float) -> T:
    """What was seen last; after `looks` it may still not be so."""
    seen = await look()
    for _ in range(looks - 1):
        if is_so(seen):
            break
        await trio.sleep(pause_s)
        seen = await look()
    return seen


@asynccontextmanager
async def within(limit_s: float, what: str) -> AsyncIterator[None]:
    """Ends by itself. Raises AwayError where it takes longer."""
    try:
        with trio.fail_after(limit_s):
            yield
    except trio.TooSlowError:
        raise AwayError(f"{what}: not done within {limit_s:g} s; it is looked at again") from None


@contextmanager
def told(what: str) -> Iterator[None]:
    """Says of an order without an answer that it may have been carried out all the same."""
    try:
        yield
    except AwayError as error:
        raise AwayError(f"{what}, and nobody knows whether it does: {error}") from error


def _content(answer: Answer) -> Any:
    try:
        return msgspec.json.decode(answer.body) if answer.body.strip() else None
    except msgspec.DecodeError:
        return None
