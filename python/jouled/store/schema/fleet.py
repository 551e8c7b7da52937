"""Miners by their MACs, their models, and what they said."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String

from jouled.store.schema.tables import reference, table
from jouled.store.types import Document, Instant, Serial

miner_models = table(
    "miner_models",
    Column("name", String(128), primary_key=True),
    # Its name in addresses.
    Column("alias", String(128), nullable=False, unique=True),
    # By the operator; None is as the settings say.
    Column("min_preset", String(64)),
    Column("max_preset", String(64)),
    # As its miners list them: tuned ones differ by miner.
    Column("presets", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

miners = table(
    "miners",
    # The MAC in lower case.
    Column("id", String(64), primary_key=True),
    Column("family", String(16), nullable=False),
    Column("address", String(256)),
    Column("model", ForeignKey(reference("miner_models.name")), index=True),
    # By the operator; None is as the model or the settings say.
    Column("is_enabled", Boolean, nullable=False),
    Column("is_locked", Boolean, nullable=False),
    Column("priority", Integer),
    Column("circuit", String(128)),
    Column("min_preset", String(64)),
    Column("max_preset", String(64)),
    # What it is and can do, as it said itself.
    Column("description", Document),
    # What it counts with after a restart while it does not answer.
    Column("worst_w", Float),
    Column("point", String(64)),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

# One a minute, and one more whenever it does something else.
miner_statuses = table(
    "miner_statuses",
    Column("seq", Serial, primary_key=True),
    # The miner may be forgotten before them.
    Column("miner", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Column("state", String(16), nullable=False),
    Column("preset", String(64)),
    Column("power_w", Float),
    Column("work_ths", Float),
    Column("note", String(512)),
    Index(None, "miner", "at"),
    Index(None, "at"),
)
