"""Hashed secrets: passwords by scrypt, tokens by SHA-256, and where their hashes are kept.

A token is random and long, so a plain hash of it cannot be turned back; a password is neither, so its
hash is made to cost memory and time.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import os
import secrets
from typing import NamedTuple

from jouled.config import hashes
from jouled.config.secrets import resolved

__all__ = ["PasswordHash", "hash_password", "hash_token", "new_token", "password_hash", "resolved", "token_digest"]

# 16 MiB and about 0.2 s: what OWASP's Password Storage page asks of scrypt with so much memory.
SCRYPT_N = 2**14
SCRYPT_R = 8
SCRYPT_P = 5
SALT_BYTES = 16
KEY_BYTES = 32
TOKEN_BYTES = 32
# Above any page, below what scrypt takes.
LARGE_BLOCK_BYTES = 8 * 1024 * 1024


class PasswordHash(NamedTuple):
    """`scrypt$n$r$p$salt$hash`, salt and hash in base64."""

    n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    def __str__(self) -> str:
        salt, key = (base64.b64encode(part).decode() for part in (self.salt, self.key))
        return f"scrypt${self.n}${self.r}${self.p}${salt}${key}"

    def __repr__(self) -> str:
        return f"<PasswordHash scrypt {self.n} {self.r} {self.p}>"

    def is_of(self, password: bytes) -> bool:
        """Takes the same time for every password. Some tenths of a second: call it in a thread."""
        return hmac.compare_digest(self._key_of(password), self.key)

    def decoy(self) -> PasswordHash:
        """A hash that nobody's password has, and that costs as much: for users that do not exist."""
        return self._replace(salt=os.urandom(len(self.salt)), key=os.urandom(len(self.key)))

    def _key_of(self, password: bytes) -> bytes:
        memory = 128 * self.r * (self.n + self.p + 2)
        return hashlib.scrypt(
            password, salt=self.salt, n=self.n, r=self.r, p=self.p, maxmem=memory, dklen=len(self.key)
        )


def hash_password(password: bytes, *, n: int = SCRYPT_N, r: int = SCRYPT_R, p: int = SCRYPT_P) -> PasswordHash:
    blank = PasswordHash(n, r, p, os.urandom(SALT_BYTES), bytes(KEY_BYTES))
    return blank._replace(key=blank._key_of(password))  # noqa: SLF001  (its own)


def hash_token(token: bytes) -> str:
    return f"sha256${hashlib.sha256(token).hexdigest()}"


def new_token() -> str:
    """A random token that fits into a header, a URL and a shell's command line."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def password_hash(text: str) -> PasswordHash:
    """Raises ValueError for what is no hash, or one that would cost too much."""
    match = hashes.PASSWORD.fullmatch(text)
    if match is None:
        raise ValueError("no hash of a password; make one with joulectl hash-secret")
    problem = hashes.password_problem(text)
    if problem is not None:
        raise ValueError(f"this hash {problem}")
    n, r, p = (int(match[index]) for index in (1, 2, 3))
    return PasswordHash(n, r, p, base64.b64decode(match[4]), base64.b64decode(match[5]))


def token_digest(text: str) -> bytes:
    """The bytes of `sha256$…`. Raises ValueError for what is none."""
    if not hashes.TOKEN.fullmatch(text):
        raise ValueError("no hash of a token; make one with joulectl hash-secret --token")
    return bytes.fromhex(text.partition("$")[2])


@functools.cache
def give_back_large_blocks() -> None:
    """From now on what scrypt frees goes back to the system at once. Of itself glibc keeps such blocks
    once one was freed, in each thread's own heap: 16 MiB for a password that was verified days ago.
    """
    import ctypes

    # `M_MMAP_THRESHOLD`: blocks above are mapped, and unmapped. Other C libraries have no such word, and no need.
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(-3, LARGE_BLOCK_BYTES)
