"""Who is let in at a listener: users by password, tokens, or everybody where it names neither."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import trio

from jouled.config import Listener
from jouled.errors import ConfigError
from jouled.web import secrets

# Verified credentials that are remembered: hashing a password costs 16 MiB and 0.2 s, a scrape neither.
REMEMBERED_MAX = 64
# Passwords that are tried: for each client's address, and for all of a listener together.
ADDRESS_BURST, ADDRESS_PER_S = 5, 0.5
LISTENER_BURST, LISTENER_PER_S = 10, 2.0
ADDRESSES_MAX = 256
# More than any password manager makes; base64 of it fits well into a request's head.
CREDENTIALS_CHARS_MAX = 2048


Hash = TypeVar("Hash")


class Refusal(NamedTuple):
    """Why nobody is let in, and what the answer's head says of it."""

    status: int
    words: str
    headers: tuple[tuple[bytes, bytes], ...]


class Bucket:
    """So many at once, then so many a second. `now_s` is any clock that does not go back."""

    def __init__(self, burst: int, per_s: float, now_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left = float(burst)
        self._at_s = now_s

    def wait_s(self, now_s: float) -> float:
        """How long until there is one to take; 0 if there is."""
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        return max(0.0, (1 - self._left) / self._per_s)

    def take(self) -> None:
        self._left -= 1


class Gate:
    """One listener's users and tokens. Raises ConfigError for a hash that is none, or cannot be read."""

    def __init__(self, listener: Listener) -> None:
        self._users = {
            name: _hash(secrets.password_hash, text, f"the password of {name}", listener)
            for name, text in listener.users.items()
        }
        self._tokens = [_hash(secrets.token_digest, text, "a token", listener) for text in listener.tokens]
        decoys = [known.decoy() for known in self._users.values()]
        if self._users:
            secrets.give_back_large_blocks()
        self._decoy = max(decoys, key=lambda decoy: decoy.n * decoy.r * decoy.p, default=None)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._key = os.urandom(32)
        self._listener_bucket: Bucket | None = None
        self._address_buckets: OrderedDict[str, Bucket] = OrderedDict()
        # One password at a time: guessing takes no more memory and no more than one processor.
        self._lock = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<Gate [{len(self._users)} users, {len(self._tokens)} tokens]>"

    @property
    def is_open(self) -> bool:
        return not self._users and not self._tokens

    async def admit(self, authorization: str, address: str) -> Refusal | None:
        """None where this `Authorization` header lets in; `address` is the client's, without its port."""
        if self.is_open:
            return None
        scheme, _, credentials = authorization.strip().partition(" ")
        credentials = credentials.strip()
        if len(credentials) <= CREDENTIALS_CHARS_MAX:
            if scheme.lower() == "bearer" and self._is_token(credentials):
                return None
            if scheme.lower() == "basic" and self._users:
                return await self._admit_user(credentials, address)
        return self._refusal()

    def _is_token(self, token: str) -> bool:
        digest = hashlib.sha256(token.encode("latin-1", "replace")).digest()
        # All are compared, so that the time does not tell which was nearly right.
        return sum([hmac.compare_digest(digest, known) for known in self._tokens]) > 0

    async def _admit_user(self, credentials: str, address: str) -> Refusal | None:
        try:
            pair = base64.b64decode(credentials, validate=True)
        except (binascii.Error, ValueError):
            return self._refusal()
        mark = hmac.digest(self._key, pair, "sha256")
        if mark in self._remembered:
            self._remembered.move_to_end(mark)
            return None
        async with self._lock:
            # Several scrapes begin at once after a start: the first is verified for all of them.
            if mark in self._remembered:
                return None
            return await self._verify(pair, mark, address)

    async def _verify(self, pair: bytes, mark: bytes, address: str) -> Refusal | None:
        buckets = self._buckets(address)
        now_s = trio.current_time()
        wait_s = max(bucket.wait_s(now_s) for bucket in buckets)
        if wait_s > 0:
            retry = (b"retry-after", str(int(wait_s) + 1).encode())
            return Refusal(429, "too many wrong passwords; try again later", (retry,))
        name, _, password = pair.partition(b":")
        known = self._users.get(name.decode("utf-8", "replace"))
        tried = known or self._decoy
        assert tried is not None  # noqa: S101  (there are users, so there is a decoy)
        is_right = await trio.to_thread.run_sync(tried.is_of, password, limiter=self._limiter, abandon_on_cancel=True)
        if not is_right or known is None:
            for bucket in buckets:
                bucket.take()
            return self._refusal()
        self._remembered[mark] = None
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return None

    def _buckets(self, address: str) -> tuple[Bucket, Bucket]:
        now_s = trio.current_time()
        if self._listener_bucket is None:
            self._listener_bucket = Bucket(LISTENER_BURST, LISTENER_PER_S, now_s)
        bucket = self._address_buckets.setdefault(address, Bucket(ADDRESS_BURST, ADDRESS_PER_S, now_s))
        self._address_buckets.move_to_end(address)
        if len(self._address_buckets) > ADDRESSES_MAX:
            self._address_buckets.popitem(last=False)
        return self._listener_bucket, bucket

    def _refusal(self) -> Refusal:
        challenges = []
        if self._users:
            challenges.append((b"www-authenticate", b'Basic realm="jouled", charset="UTF-8"'))
        if self._tokens:
            challenges.append((b"www-authenticate", b'Bearer realm="jouled"'))
        ways = " or ".join(["a user's password"] * bool(self._users) + ["a bearer token"] * bool(self._tokens))
        return Refusal(401, f"this listener wants {ways}", tuple(challenges))


def _hash(read: Callable[[str], Hash], text: str, whose: str, listener: Listener) -> Hash:
    try:
        return read(secrets.resolved(text))
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"listen on {listener.address}: {whose}: {error}") from error
