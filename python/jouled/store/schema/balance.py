"""What the balancer decided, what came of it, what it found minute by minute, and what operators have set of it."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, UniqueConstraint

from jouled.store.schema.tables import table
from jouled.store.types import Document, Instant, Serial

# One for each change of a load: sent, or only proposed.
balance_decisions = table(
    "balance_decisions",
    Column("seq", Serial, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    # The site's, or the node's where it is of none.
    Column("site", String(256), nullable=False),
    Column("load", String(128), nullable=False),
    Column("at", Instant, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("old_point", String(128)),
    Column("new_point", String(128)),
    Column("old_w", Float),
    Column("new_w", Float, nullable=False),
    # Of the whole site.
    Column("before_w", Float),
    Column("after_w", Float),
    Column("available_w", Float),
    Column("target_w", Float),
    Column("reason", String(1024), nullable=False),
    Column("is_urgent", Boolean, nullable=False),
    # None until it is known.
    Column("success", Boolean),
    Column("error", String(1024)),
    Column("inputs", Document, nullable=False),
    Column("expected", Document, nullable=False),
    Column("observed", Document, nullable=False),
    Column("expires_at", Instant),
    Column("ended_at", Instant),
    Column("who", String(256)),
    Index(None, "site", "at"),
    Index(None, "load", "seq"),
)

# The last verdict of each minute.
balance_minutes = table(
    "balance_minutes",
    Column("site", String(256), primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("band", String(16), nullable=False),
    Column("stage", String(16)),
    Column("mode", String(16), nullable=False),
    Column("supply_w", Float),
    Column("budget_w", Float),
    Column("target_w", Float),
    Column("load_w", Float),
    Column("measured_w", Float),
    Column("unmanaged_w", Float, nullable=False),
    Column("pending", Integer, nullable=False),
    Column("is_saturated", Boolean, nullable=False),
)

# Each change of a setting; the latest of a key holds. A value of null takes it back.
balance_settings = table(
    "balance_settings",
    Column("seq", Serial, primary_key=True),
    Column("site", String(256), nullable=False),
    Column("key", String(16), nullable=False),
    Column("value", Document),
    Column("who", String(256), nullable=False),
    Column("why", String(256), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("site", "key", "at"),
)
