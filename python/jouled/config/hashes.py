"""The forms of a hashed secret that the settings take; the web room verifies secrets against them."""

from __future__ import annotations

import base64
import binascii
import re

MAKE_ONE = "make a hash with joulectl hash-secret"
# A file of systemd's LoadCredential=, any file that holds it, or a variable of the daemon's environment.
ELSEWHERE = re.compile(
    r"credential:(?!\.{1,2}$)[A-Za-z0-9_.@-]{1,255}|file:/[^\0\n]+|env:[A-Za-z_][A-Za-z0-9_]{0,255}", re.ASCII
)
TOKEN = re.compile(r"sha256\$[0-9a-fA-F]{64}", re.ASCII)
PASSWORD = re.compile(
    r"scrypt\$(\d{1,8})\$(\d{1,3})\$(\d{1,3})\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})", re.ASCII
)
# What verifying one password may take: whoever knocks makes the daemon spend it.
SCRYPT_BYTES_MAX = 128 * 1024 * 1024
SCRYPT_P_MAX = 16
HASH_BYTES_MIN = 16
HASH_BYTES_MAX = 128


def password_problem(text: str) -> str | None:
    """What is wrong with this entry of `users`; None where nothing is. Never quotes it: it may be a password."""
    if ELSEWHERE.fullmatch(text):
        return None
    match = PASSWORD.fullmatch(text)
    if match is None:
        if TOKEN.fullmatch(text):
            return f"is the hash of a token, which is too quick to guess for a password; {MAKE_ONE}"
        return f"is not scrypt$N$R$P$SALT$HASH, credential:NAME or file:/PATH; {MAKE_ONE}"
    n, r, p = (int(match[index]) for index in (1, 2, 3))
    is_power_of_two = n > 1 and n & (n - 1) == 0
    # OpenSSL takes N below 2**(16 r) only (RFC 7914, section 2: N < 2**(128 r / 8)).
    if (
        not is_power_of_two
        or n.bit_length() > 16 * r
        or not 1 <= p <= SCRYPT_P_MAX
        or not 0 < 128 * n * r <= SCRYPT_BYTES_MAX
    ):
        return f"asks for scrypt with n={n} r={r} p={p}, which is out of bounds; {MAKE_ONE}"
    if not _length(match[4]) or not HASH_BYTES_MIN <= _length(match[5]) <= HASH_BYTES_MAX:
        return f"has a salt or hash of a wrong length; {MAKE_ONE}"
    return None


def token_problem(text: str) -> str | None:
    """The same of an entry of `tokens`."""
    if TOKEN.fullmatch(text) or ELSEWHERE.fullmatch(text):
        return None
    return "is not sha256$HEX, credential:NAME or file:/PATH; make a token with joulectl hash-secret --token"


def is_elsewhere(text: str) -> bool:
    """Only says where the hash is, so it may be shown."""
    return ELSEWHERE.fullmatch(text) is not None


def _length(text: str) -> int:
    try:
        return len(base64.b64decode(text, validate=True))
    except binascii.Error:
        return 0
