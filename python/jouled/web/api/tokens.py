"""Tokens of the store, as the API checks them: a few seconds remembered, so that a request costs no look-up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import trio

from jouled.bookkeeping import tokens
from jouled.errors import StoreError
from jouled.store import Store
from jouled.web.api.limits import Rate
from jouled.wire.tokens import Token

# A token that is revoked is refused after this at the latest.
REMEMBERED_S = 2.0
REMEMBERED_MAX = 1024
# When it was used is told to the minute: a write for each request would cost as much as the request.
USED_EVERY_S = 60.0
# Wrong ones of one address: each is a look-up.
WRONG_PER_S = 10.0
CHARS_MAX = 128


class _Known(NamedTuple):
    token: Token | None
    until_s: float


class TooManyError(Exception):
    """Too many wrong tokens came from this address."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


def bearer(authorization: str) -> str | None:
    """The token of the store in an `Authorization` header, if there is one; others are the listener's."""
    scheme, _, credentials = authorization.strip().partition(" ")
    credentials = credentials.strip()
    return credentials if scheme.lower() == "bearer" and credentials.startswith(tokens.MARK) else None


class Tokens:
    """Raises StoreError where the store is away: nobody knows then whether a token is revoked."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._used_at_s: dict[str, float] = {}
        self._wrong = Rate(WRONG_PER_S)

    def __repr__(self) -> str:
        return f"<Tokens [{len(self._known)} remembered]>"

    async def valid(self, secret: str, address: str) -> Token | None:
        """Raises TooManyError for an address that tries many."""
        if len(secret) > CHARS_MAX:
            return None
        sha256 = tokens.digest(secret)
        known = self._known.get(sha256)
        if known is None or known.until_s <= trio.current_time():
            # Before the look-up: guessing is what must not cost anything.
            if known is None and (wait_s := self._wrong.wait_s(address)):
                raise TooManyError(wait_s)
            known = await self._look_up(sha256)
        token = known.token
        if token is None or token.state(self._clock()) != "valid":
            return None
        await self._note_use(token)
        return token

    async def _look_up(self, sha256: str) -> _Known:
        token = await self._store.fetch(lambda connection: tokens.found(connection, sha256))
        known = _Known(token, trio.current_time() + REMEMBERED_S)
        self._known[sha256] = known
        self._known.move_to_end(sha256)
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return known

    async def _note_use(self, token: Token) -> None:
        now_s = trio.current_time()
        if now_s - self._used_at_s.get(token.id, -USED_EVERY_S) < USED_EVERY_S:
            return
        self._used_at_s[token.id] = now_s
        at = self._clock()
        with suppress(StoreError):  # it only tells who may still be about
            await self._store.commit(lambda connection: tokens.used(connection, token.id, at))
