"""What the plant said, and whether it was believed."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, String, UniqueConstraint

from jouled.store.schema.tables import MARK, table
from jouled.store.types import Document, Instant, Serial

plant_readings = table(
    "plant_readings",
    Column("seq", Serial, primary_key=True),
    Column("plant", String(128), nullable=False),
    # When it came; the times of its oldest source and of its collection are the feed's own.
    Column("recorded_at", Instant, nullable=False),
    Column("sourced_at", Instant, nullable=False),
    Column("collected_at", Instant),
    # None is what is no number.
    Column("generation_w", Float),
    Column("consumption_w", Float),
    Column("exported_w", Float),
    Column("confidence", Float),
    # Not only how it looked by itself: what the balancer made of it.
    Column("judgement", String(16), nullable=False),
    Column("problem", String(512)),
    Column("stage", String(16), nullable=False),
    Column("supply_w", Float),
    # By side and name, bounded; never the answer as it came.
    Column("sources", Document, nullable=False),
    # Kept for as long as records of minutes are.
    Column("is_first_of_minute", Boolean, nullable=False),
    # Written once, also where a write is done again and where several daemons ask the same plant.
    UniqueConstraint("plant", "sourced_at", "judgement", name=f"uq_{MARK}plant_readings_once"),
    Index(None, "plant", "recorded_at"),
    Index(None, "recorded_at"),
)
