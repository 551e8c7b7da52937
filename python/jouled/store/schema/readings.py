"""Energy readings with what they emitted, and their sums by site."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String

from jouled.store.schema.tables import reference, table
from jouled.store.types import Document, Instant, Serial

energy_readings = table(
    "energy_readings",
    Column("seq", Serial, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    # What makes it the same reading: the client's key, or meter, instant and source.
    Column("key", String(200), nullable=False, unique=True),
    Column("meter_id", ForeignKey(reference("meters.id")), nullable=False),
    Column("site_id", ForeignKey(reference("sites.id")), nullable=False),
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
    Column("emission_method", String(64), nullable=False),
    Index(None, "site_id", "at"),
    Index(None, "meter_id", "at"),
)

# Sums of a site's energy readings, by quarter-hours and by days of its own calendar.
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
)
