"""Energy readings with what they emitted, and their sums by site."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Float, ForeignKey, Index, Integer, String

from jouled.store.schema.tables import reference, table
from jouled.store.types import Document, Instant, Serial

energy_readings = table(
    "energy_readings",
    Column("seq", Serial, primary_key=True),
    # Made of what makes it the same reading, the client's key or else meter, instant and source: so it is
    # there once.
    Column("id", String(36), nullable=False, unique=True),
    Column("key", String(128)),
    # No foreign keys: who writes here has just read both, and to look again at each row costs more than the row.
    Column("meter_id", String(128), nullable=False),
    Column("site_id", String(128), nullable=False),
    Column("energy_source", String(16), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("energy_mj", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("voltage_v", Float),
    Column("current_a", Float),
    Column("power_factor", Float),
    Column("frequency_hz", Float),
    Column("quality", String(16), nullable=False),
    Column("metadata", Document),
    Column("created_at", Instant, nullable=False),
    # Its emission, calculated in the same transaction: grams are kept in millionths.
    Column("emission_ug", BigInteger, nullable=False),
    Column("intensity_ug_per_kwh", BigInteger, nullable=False),
    Column("emission_method", String(160), nullable=False),
    Index(None, "site_id", "at"),
)

# Below the end of 64 bits, so that a sum is refused before it becomes another number.
SUM_MAX = 2**62

# Sums of a site's energy readings but those of quality bad, by quarter-hours and by days of its own calendar.
site_energy = table(
    "site_energy",
    Column("site_id", ForeignKey(reference("sites.id")), primary_key=True),
    Column("resolution_s", Integer, primary_key=True),
    Column("start_at", Instant, primary_key=True),
    Column("energy_source", String(16), primary_key=True),
    Column("direction", String(8), primary_key=True),
    Column("energy_mj", BigInteger, nullable=False),
    Column("emission_ug", BigInteger, nullable=False),
    Column("readings", Integer, nullable=False),
    Column("estimated_readings", Integer, nullable=False),
    CheckConstraint(f"energy_mj <= {SUM_MAX} AND emission_ug <= {SUM_MAX}", name="sums"),
)
