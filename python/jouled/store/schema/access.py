"""Tokens that may write, and the record of every write by the API."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String

from jouled.store.schema.tables import table
from jouled.store.types import Document, Instant, Serial

tokens = table(
    "tokens",
    Column("id", String(16), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("scopes", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("used_at", Instant),
)

audit = table(
    "audit",
    Column("seq", Serial, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("who", String(256), nullable=False),
    Column("address", String(64), nullable=False),
    Column("method", String(8), nullable=False),
    Column("path", String(512), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body_sha256", String(64)),
    Index(None, "at"),
)
