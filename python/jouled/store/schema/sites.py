"""Sites, their circuits, zones and what is planned there."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Integer, String

from jouled.store.schema.tables import reference, table
from jouled.store.types import Document, Instant

sites = table(
    "sites",
    Column("id", String(128), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("location", String(256)),
    Column("timezone", String(64), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("capacity_w", Float),
    Column("energy_sources", Document, nullable=False),
    # Where its carbon intensity comes from: None are the factors by source.
    Column("carbon_zone", String(64)),
    Column("carbon_kind", String(16)),
    # Millionths of the currency per kWh, where no tariff says more.
    Column("price_micro_per_kwh", BigInteger),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

circuits = table(
    "circuits",
    Column("id", String(128), primary_key=True),
    Column("site_id", ForeignKey(reference("sites.id")), nullable=False, index=True),
    Column("parent_id", ForeignKey(reference("circuits.id"))),
    Column("name", String(256), nullable=False),
    Column("limit_w", Float),
    Column("created_at", Instant, nullable=False),
)

# Parts of a site that use power together: production, office, data_center... Not a zone of the hardware.
site_zones = table(
    "site_zones",
    Column("id", String(128), primary_key=True),
    Column("site_id", ForeignKey(reference("sites.id")), nullable=False, index=True),
    Column("circuit_id", ForeignKey(reference("circuits.id"))),
    Column("name", String(256), nullable=False),
    Column("zone_type", String(32), nullable=False),
    Column("capacity_w", Float, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("can_shed_load", Boolean, nullable=False),
    Column("min_load_w", Float, nullable=False),
    Column("max_load_w", Float),
    # The latest metric's, None before the first: absence is not zero.
    Column("current_load_w", Float),
    Column("current_load_at", Instant),
    Column("created_at", Instant, nullable=False),
)

scheduled_events = table(
    "scheduled_events",
    Column("id", String(64), primary_key=True),
    Column("zone_id", ForeignKey(reference("site_zones.id")), nullable=False, index=True),
    Column("event_type", String(32), nullable=False),
    Column("start_at", Instant, nullable=False),
    Column("end_at", Instant, nullable=False),
    Column("estimated_impact_w", Float),
    Column("recurrence_rule", String(256)),
    Column("status", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
)
