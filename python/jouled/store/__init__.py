"""Durable records: SQLAlchemy Core tables on SQLite or PostgreSQL, one writer, many readers."""

from __future__ import annotations

from jouled.store.store import Store

__all__ = ["Store"]
