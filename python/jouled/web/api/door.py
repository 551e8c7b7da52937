"""The door of the API: who comes in, how often, and from which page; what leaves says how it may be shown."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import datetime
from typing import NoReturn
from urllib.parse import urlsplit

from jouled.bookkeeping.audit import Entry
from jouled.books.scopes import READ
from jouled.config.address import UNIX, is_loopback, split_address
from jouled.config.books import ApiSettings
from jouled.errors import StoreError
from jouled.store import Store
from jouled.web.api.audit import Auditor, RecordedStore, sha256_of
from jouled.web.api.limits import Rate
from jouled.web.api.no_store import NoStore, NoStoreError, Notebook
from jouled.web.api.scopes import CHALLENGE, READING, WAYS, Who, of_user
from jouled.web.api.tokens import Tokens, TooManyError, bearer
from jouled.web.bodies import DROPPED
from jouled.web.peer import Peer
from jouled.web.request import AsgiApp, Message, Receive, RefusedError, Request, Scope, Send
from jouled.web.response import refusal, send_response

BEARER = ((b"www-authenticate", CHALLENGE.encode()),)
# For all but the page of documents, which has its own. Nothing of this is to be kept, framed or run.
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
JSON = "application/json"
UNKNOWN = "?"


class Door:
    """Stands before the application: `books` answers whom it lets in."""

    def __init__(self, books: AsgiApp, store: Store, settings: ApiSettings, clock: Callable[[], datetime]) -> None:
        self._books = books
        self._store = store
        self._clock = clock
        self._tokens = Tokens(store, clock)
        self._reads = Rate(settings.read_hz)
        self._writes = Rate(settings.write_hz)
        self._auditor = Notebook() if isinstance(store, NoStore) else Auditor(store)

    def __repr__(self) -> str:
        return f"<Door {self._reads!r} {self._writes!r}>"

    async def vouches(self, request: Request) -> bool:
        """Whether a token of the store opens what else the listener guards: measurements and metrics."""
        return bearer(request.header(b"authorization")) is not None and (await self._who(request)).may(READ)

    async def may_read(self, request: Request) -> bool:
        """Whether this client, whom the listener's gate has let in, may read the books."""
        _check_host(request)
        return (await self._who(request)).may(READ)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        is_head = request.method == "HEAD"
        answer = _Answer(send, method=request.method)
        try:
            if request.method in READING:
                await self._read(request, receive, answer)
            else:
                await self._write(request, receive, answer)
        except RefusedError as refused:
            await send_response(refusal(refused, is_json=True), answer, is_head=is_head)

    async def _read(self, request: Request, receive: Receive, answer: _Answer) -> None:
        _check_host(request)
        who = await self._who(request)
        _take(self._reads, who)
        if not who.may(READ):
            raise RefusedError(401, f"reading the books here needs a token; {WAYS}", headers=BEARER)
        request.scope["state"]["who"] = who
        request.scope["state"]["store"] = self._store
        if request.method == "HEAD":
            request.scope["method"] = "GET"
        elif request.method == "OPTIONS":
            # What no route knows is answered with what it knows; of itself Litestar names one handler's methods.
            request.scope["method"] = UNKNOWN
        await self._books(request.scope, receive, answer)

    async def _write(self, request: Request, receive: Receive, answer: _Answer) -> None:
        """The body is asked for last: whoever may not write has none kept."""
        anybody = Who("nobody", request.peer.address, frozenset(), request.peer.address)
        store = RecordedStore(self._store, self._entry(request, anybody, b""))
        try:
            _check_host(request)
            who = await self._who(request)
            store.entry = self._entry(request, who, b"")
            _take(self._writes, who)
            _check_origin(request)
            _check_writer(who)
            message = await receive()
            if message["type"] != "http.request":
                return  # the client has gone
            store.entry = self._entry(request, who, message["body"])
            _check_json(request, message)
            request.scope["state"]["who"] = who
            request.scope["state"]["store"] = self._store if isinstance(self._store, NoStore) else store
            await self._books(request.scope, _again(message, receive), answer)
        except RefusedError as refused:
            await send_response(refusal(refused, is_json=True), answer, is_head=False)
        if store.recorded != answer.status:
            await self._auditor.record(store.entry, answer.status)

    def _entry(self, request: Request, who: Who, body: bytes) -> Entry:
        return Entry(self._clock(), who.name, who.address, request.method, request.path, sha256_of(body))

    async def _who(self, request: Request) -> Who:
        peer = request.peer
        secret = bearer(request.header(b"authorization"))
        if secret is not None:
            return await self._holder(secret, peer)
        if peer.uid is not None:
            # Root could write the limits by hand, whatever the settings call privileged.
            return of_user(peer.uid, is_privileged=peer.uid == 0 or await peer.policy.is_privileged(peer.uid))
        # Whom the listener's own gate has let in may read, and so may everybody on this machine.
        scopes = frozenset({READ}) if _is_trusted(peer) else frozenset[str]()
        return Who(f"address {peer.address}", peer.address, scopes, peer.address)

    async def _holder(self, secret: str, peer: Peer) -> Who:
        address = peer.address or f"uid {peer.uid}"
        try:
            token = await self._tokens.valid(secret, address)
        except TooManyError as error:
            _too_often("too many wrong tokens", error.wait_s)
        except NoStoreError as error:
            raise RefusedError(401, str(error), headers=BEARER) from None
        except StoreError as error:
            raise RefusedError(503, str(error), headers=((b"retry-after", b"5"),)) from None
        if token is None:
            words = "this token is not known, has expired or was revoked; joulectl token list shows which there are"
            raise RefusedError(401, words, headers=BEARER)
        return Who(f"token {token.name}", f"token {token.id}", frozenset(token.scopes), address, is_known=True)


class _Answer:
    """What goes out, with its headers; it keeps the status. The body of an answer to HEAD or OPTIONS stays here."""

    def __init__(self, send: Send, *, method: str) -> None:
        self.status = 500
        self._send = send
        self._is_bare = method in {"HEAD", "OPTIONS"}
        self._is_options = method == "OPTIONS"

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._is_options and message["status"] == 405:
                allow = [pair for pair in message["headers"] if pair[0] == b"allow"]
                message = {**message, "status": 204, "headers": allow}
            self.status = message["status"]
            given = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in (*HEADERS, POLICY) if pair[0] not in given)]
        elif self._is_bare and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


def _again(message: Message, receive: Receive) -> Receive:
    """The body was read for its hash, and is read once more."""
    waiting = [message]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again


def _is_trusted(peer: Peer) -> bool:
    listener = peer.policy.listener
    is_by_certificate = listener.tls is not None and listener.tls.client_ca is not None
    return is_loopback(listener.address) or is_by_certificate or not peer.policy.gate.is_open


def _take(rate: Rate, who: Who) -> None:
    if wait_s := rate.wait_s(who.key):
        _too_often("too many requests", wait_s)


def _too_often(what: str, wait_s: int) -> NoReturn:
    raise RefusedError(429, f"{what}; come again in {wait_s} s", headers=((b"retry-after", str(wait_s).encode()),))


def _check_host(request: Request) -> None:
    """A page of another site can have its name resolve to 127.0.0.1; then it reads here as its own."""
    address = request.peer.policy.listener.address
    if address.startswith(UNIX) or not is_loopback(address):
        return
    name = _name_of(request.header(b"host"))
    if name not in {"localhost", split_address(address)[0].lower()} and not _is_loopback_number(name):
        raise RefusedError(403, f"host {name[:100]!r} is not this machine's own name; ask localhost or 127.0.0.1")


def _check_origin(request: Request) -> None:
    """A browser says which page sends it; only one of this listener may write."""
    site = request.header(b"sec-fetch-site")
    origin = request.header(b"origin")
    host = request.header(b"host")
    if site not in {"", "same-origin", "none"} or (origin and _place_of(origin) != host.lower()):
        raise RefusedError(403, "a page of another site must not write here")


def _check_writer(who: Who) -> None:
    """Each route asks for its own scope; who has none but reading needs none of them."""
    if who.scopes - {READ}:
        return
    if who.is_known:
        raise RefusedError(403, f"{who.name} may only read; use one that has the scope of this")
    raise RefusedError(401, f"a write needs to be somebody's: {WAYS}", headers=BEARER)


def _check_json(request: Request, message: Message) -> None:
    """The forms of other pages cannot say so, so this alone keeps them out."""
    if message.get(DROPPED):
        raise RefusedError(503, "too many large bodies at once; come again in 1 s", headers=((b"retry-after", b"1"),))
    if (coding := request.header(b"content-encoding").strip().lower()) not in {"", "identity"}:
        raise RefusedError(415, f"a body in the encoding {coding[:32]!r} is not taken; send it as it is")
    kind = request.header(b"content-type").partition(";")[0].strip().lower()
    if kind != JSON and (message["body"] or kind):
        raise RefusedError(415, f"a body of type {kind[:100] or 'none'!r} is not taken; send {JSON}")


def _place_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name_of(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_loopback_number(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
