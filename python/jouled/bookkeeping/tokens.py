"""Tokens of the API: given out, found by their hash, revoked. The secret itself is never kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from jouled.books import scopes as rules
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store.schema.access import tokens
from jouled.wire.tokens import Token

# By which programs that look for leaked secrets know one.
MARK = "jouled_"
SECRET_BYTES = 32
NAME_MAX = 128
# Each request with one that is not remembered looks it up, and whoever lists them reads them all.
TOKENS_MAX = 10_000
# Built once: building a statement takes longer than its answer.
_BY_SHA256 = select(tokens).where(tokens.c.sha256 == bindparam("sha256"))


class NewToken(NamedTuple):
    """With its secret, which nobody can read again."""

    secret: str
    token: Token


def digest(secret: str) -> str:
    """A plain hash: the secret is random and long, so it cannot be turned back."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def create(
    connection: Connection, name: str, scopes: Collection[str], expires_at: datetime | None, now: datetime
) -> NewToken:
    """The only time that the secret is there to be read."""
    if not name.strip() or len(name) > NAME_MAX or not name.isprintable():
        raise InvalidError(f"a token's name has 1 to {NAME_MAX} printable characters; name whom it is for")
    if expires_at is not None and expires_at <= now:
        raise InvalidError(f"it would have expired at {expires_at.isoformat()}; choose a time to come")
    if connection.execute(select(func.count()).select_from(tokens)).scalar_one() >= TOKENS_MAX:
        raise ConflictError(f"there are {TOKENS_MAX} tokens; use one of them")
    secret = MARK + secrets.token_urlsafe(SECRET_BYTES)
    token = Token(secrets.token_hex(4), name, rules.checked(scopes), now, expires_at, None, None)
    connection.execute(
        insert(tokens).values(
            id=token.id,
            name=name,
            sha256=digest(secret),
            scopes=list(token.scopes),
            created_at=now,
            expires_at=expires_at,
        )
    )
    return NewToken(secret, token)


def listed(connection: Connection) -> tuple[Token, ...]:
    """All, the oldest first."""
    return tuple(map(_token, connection.execute(select(tokens).order_by(tokens.c.created_at, tokens.c.id))))


def found(connection: Connection, sha256: str) -> Token | None:
    """Whoever has this hash, expired and revoked ones too."""
    row = connection.execute(_BY_SHA256, {"sha256": sha256}).one_or_none()
    # The index has compared them already; what it may have told by its time is a hash, not the secret.
    return None if row is None or not secrets.compare_digest(row.sha256, sha256) else _token(row)


def revoke(connection: Connection, token_id: str, now: datetime) -> Token:
    """For ever. Again changes nothing."""
    unrevoked = (tokens.c.id == token_id) & tokens.c.revoked_at.is_(None)
    connection.execute(update(tokens).where(unrevoked).values(revoked_at=now))
    row = connection.execute(select(tokens).where(tokens.c.id == token_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no token {token_id!r}; joulectl token list shows them")
    return _token(row)


def used(connection: Connection, token_id: str, now: datetime) -> None:
    connection.execute(update(tokens).where(tokens.c.id == token_id).values(used_at=now))


def _token(row: Row[Any]) -> Token:
    return Token(row.id, row.name, tuple(row.scopes), row.created_at, row.expires_at, row.revoked_at, row.used_at)
