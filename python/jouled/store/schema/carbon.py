"""Emission factors, carbon intensity by time, and carbon budgets."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, String

from jouled.store.schema.tables import reference, table
from jouled.store.types import Instant

# A version is never changed: emissions name the one they were calculated with.
emission_factors = table(
    "emission_factors",
    Column("version", String(64), primary_key=True),
    Column("energy_source", String(16), primary_key=True),
    Column("ug_per_kwh", BigInteger, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
)

carbon_intensity = table(
    "carbon_intensity",
    Column("zone", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),  # average or marginal: never mixed
    Column("start_at", Instant, primary_key=True),
    Column("end_at", Instant, nullable=False),
    Column("ug_per_kwh", BigInteger, nullable=False),
    Column("provider", String(32), nullable=False),
    Column("is_forecast", Boolean, nullable=False),
    Column("quality", String(16), nullable=False),
    Column("fetched_at", Instant, nullable=False),
    Column("body_sha256", String(64)),
)

carbon_budgets = table(
    "carbon_budgets",
    Column("id", String(64), primary_key=True),
    Column("site_id", ForeignKey(reference("sites.id")), nullable=False, index=True),
    Column("budget_period", String(16), nullable=False),
    Column("amount_ug", BigInteger, nullable=False),
    Column("warning_pct", Float, nullable=False),
    Column("critical_pct", Float, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("closed_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

# What was used in each period: the next one begins at zero, and the last one stays as it was.
carbon_budget_periods = table(
    "carbon_budget_periods",
    Column("budget_id", ForeignKey(reference("carbon_budgets.id")), primary_key=True),
    Column("start_at", Instant, primary_key=True),
    Column("end_at", Instant, nullable=False),
    Column("used_ug", BigInteger, nullable=False),
    # The threshold of which somebody was told.
    Column("status", String(16), nullable=False),
    Column("exceeded_at", Instant),
    Column("updated_at", Instant, nullable=False),
)
