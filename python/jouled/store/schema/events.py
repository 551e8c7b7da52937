"""Events, open alerts, who is still to be told, and the messages of the stream."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, UniqueConstraint

from jouled.store.schema.tables import table
from jouled.store.types import Document, Instant, Serial

# Edge-triggered: something happened. `dedup_key` names the condition.
events = table(
    "events",
    Column("seq", Serial, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("type", String(64), nullable=False),
    Column("severity", String(16), nullable=False),  # info, warning, critical
    Column("site_id", String(128)),
    Column("device_id", String(128)),
    Column("meter_id", String(128)),
    Column("value", Float),
    Column("at", Instant, nullable=False),
    Column("note", String(1024), nullable=False),
    Column("dedup_key", String(256), nullable=False),
    Index(None, "device_id", "at"),
    Index(None, "site_id", "at"),
)

# Conditions that are still open: an event is made when one begins.
alerts = table(
    "alerts",
    Column("dedup_key", String(256), primary_key=True),
    Column("type", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("event_id", String(36), nullable=False),
    Column("since_at", Instant, nullable=False),
    Column("value", Float),
    Column("site_id", String(128), index=True),
    Column("device_id", String(128), index=True),
    Column("meter_id", String(128)),
    Column("note", String(1024), nullable=False),
)

deliveries = table(
    "deliveries",
    Column("seq", Serial, primary_key=True),
    Column("event_seq", BigInteger, nullable=False),
    Column("target", String(16), nullable=False),  # webhook, command
    Column("attempts", Integer, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("state", String(16), nullable=False),  # pending, delivered, dead
    Column("last_error", String(1024)),
    UniqueConstraint("event_seq", "target"),
    Index(None, "state", "next_at"),
)

# What /api/v1/stream sends: written with what it tells of, kept for resuming, and then removed.
messages = table(
    "messages",
    Column("seq", Serial, primary_key=True),
    Column("topic", String(16), nullable=False),  # readings, events, decisions
    Column("at", Instant, nullable=False),
    Column("body", Document, nullable=False),
    # A number is never given twice, also when the last messages have been removed.
    sqlite_autoincrement=True,
)
