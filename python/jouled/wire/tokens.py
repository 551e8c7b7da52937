"""Tokens of the API, without their secrets."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Token(Struct, frozen=True):
    """One that was given out. `used_at` may be a minute old."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None

    def state(self, now: datetime) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"
