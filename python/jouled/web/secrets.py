"""Hashed secrets: passwords by scrypt, tokens by SHA-256, and where their hashes are kept.

A token is random and long, so a plain hash of it cannot be turned back; a password is neither, so its
hash is made to cost memory and time.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jouled.errors import ConfigError

# 16 MiB and about 0.2 s: what OWASP's Password Storage page asks of scrypt with so much memory.
SCRYPT_N = 2**14
SCRYPT_R = 8
SCRYPT_P = 5
SALT_BYTES = 16
KEY_BYTES = 32
TOKEN_BYTES = 32
# A hash that somebody else made must not take the daemon's memory, or minutes.
SCRYPT_MEMORY_MAX = 128 * 1024 * 1024
SCRYPT_P_MAX = 16
FILE_BYTES_MAX = 4096
# Above any page, below what scrypt takes.
LARGE_BLOCK_BYTES = 8 * 1024 * 1024

TOKEN_HASH = re.compile(r"sha256\$([0-9a-f]{64})", re.ASCII | re.IGNORECASE)


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
    try:
        word, n, r, p, salt, key = text.split("$")
        found = PasswordHash(
            int(n), int(r), int(p), base64.b64decode(salt, validate=True), base64.b64decode(key, validate=True)
        )
    except (ValueError, binascii.Error):
        raise ValueError("no hash of a password; make one with joulectl hash-secret") from None
    is_power = found.n > 1 and found.n & (found.n - 1) == 0
    if word != "scrypt" or not is_power or found.r < 1 or found.p < 1 or not found.salt or len(found.key) < 16:
        raise ValueError("no hash of a password; make one with joulectl hash-secret")
    if 128 * found.r * found.n > SCRYPT_MEMORY_MAX or found.p > SCRYPT_P_MAX or len(found.key) > 128:
        raise ValueError("this hash would take too much memory or time; make one with joulectl hash-secret")
    return found


def token_digest(text: str) -> bytes:
    """The bytes of `sha256$…`. Raises ValueError for what is none."""
    match = TOKEN_HASH.fullmatch(text)
    if match is None:
        raise ValueError("no hash of a token; make one with joulectl hash-secret --token")
    return bytes.fromhex(match[1])


def resolved(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The hash itself, read from where `credential:NAME` or `file:/PATH` says. Raises ConfigError."""
    kind, _, rest = text.partition(":")
    if kind == "file":
        return _read(Path(rest))
    if kind != "credential":
        return text
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise ConfigError(
            f"{text}: systemd has handed over no credentials; add LoadCredential={rest}:/PATH to the unit"
        )
    if not rest or "/" in rest or rest in {".", ".."}:
        raise ConfigError(f"{text}: not a credential's name; write credential:NAME")
    return _read(Path(folder) / rest)


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


def _read(path: Path) -> str:
    try:
        if path.is_fifo():  # opening it would wait for a writer, and the daemon with it
            raise ConfigError(f"read {path}: it is a pipe; name a file that holds the hash")
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        text = content.decode("ascii").strip()
    except OSError as error:
        raise ConfigError(f"read {path}: {error.strerror}; put the hash there, readable by jouled") from error
    except UnicodeDecodeError:
        raise ConfigError(f"read {path}: not a hash; make one with joulectl hash-secret") from None
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(f"read {path}: more than {FILE_BYTES_MAX} bytes; put only the hash there")
    return text
