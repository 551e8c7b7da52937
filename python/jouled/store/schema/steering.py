"""What was decided of the node's power, and from what."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, String

from jouled.store.schema.tables import table
from jouled.store.types import Document, Instant, Serial

# One each time that the budget became another one. None of watts is no limit.
cap_decisions = table(
    "cap_decisions",
    Column("seq", Serial, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("node", String(256), nullable=False),
    Column("at", Instant, nullable=False),
    Column("start_at", Instant, nullable=False),
    Column("end_at", Instant, nullable=False),
    Column("power_w", Float),
    # What was taken of it; None where it was refused, or is no limit.
    Column("applied_w", Float),
    Column("reason", String(1024), nullable=False),
    Column("inputs", Document, nullable=False),
    # Why it could not be applied.
    Column("problem", String(1024)),
    Index(None, "node", "at"),
)
