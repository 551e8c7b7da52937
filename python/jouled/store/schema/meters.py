"""Devices, meters, and the power readings of meters: raw, and by minute, quarter-hour and day."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Integer, String, UniqueConstraint

from jouled.store.schema.tables import reference, table
from jouled.store.types import Instant, Serial

devices = table(
    "devices",
    Column("id", String(128), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("site_id", ForeignKey(reference("sites.id")), index=True),
    Column("shutdown_threshold", Float, nullable=False),
    Column("low_threshold", Float, nullable=False),
    Column("critical_threshold", Float, nullable=False),
    Column("full_threshold", Float, nullable=False),
    Column("target_wh", Float),
    Column("created_at", Instant, nullable=False),
)

meters = table(
    "meters",
    Column("id", String(128), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("kind", String(16), nullable=False),  # main, battery, solar, ups, generation
    Column("direction", String(8), nullable=False),  # consume, produce
    # grid, solar, wind, natural_gas, coal, nuclear, hydro, battery: what its energy is made of.
    Column("energy_source", String(16), nullable=False),
    Column("site_id", ForeignKey(reference("sites.id")), index=True),
    Column("device_id", ForeignKey(reference("devices.id")), index=True),
    Column("circuit_id", ForeignKey(reference("circuits.id"))),
    Column("zone_id", ForeignKey(reference("site_zones.id"))),
    Column("capacity_wh", Float),
    Column("state", String(16), nullable=False, default="unknown"),
    # Which way its power flows, and how far its discharge has gone: edges and hysteresis begin here.
    Column("flow", String(16), nullable=False, default="unknown"),
    Column("stage", Integer, nullable=False, default=0),
    Column("smooth_w", Float),
    # Its latest power reading.
    Column("latest_at", Instant),
    Column("voltage_v", Float),
    Column("current_a", Float),
    Column("power_w", Float),
    Column("charge_pct", Float),
    Column("created_at", Instant, nullable=False),
)

power_readings = table(
    "power_readings",
    Column("seq", Serial, primary_key=True),
    Column("meter_id", ForeignKey(reference("meters.id")), nullable=False),
    Column("at", Instant, nullable=False),
    Column("key", String(128)),
    Column("voltage_v", Float),
    Column("current_a", Float),
    Column("power_w", Float),
    Column("charge_pct", Float),
    Column("quality", String(16), nullable=False),
    # What was answered, for those who send it again.
    Column("state", String(16), nullable=False),
    # As it was said: None where it was left to the sign of the power.
    Column("status", String(16)),
    UniqueConstraint("meter_id", "key"),
    UniqueConstraint("meter_id", "at"),
)

# Energy of power readings, weighted by time. `resolution_s` is 60, 900 or 86,400.
meter_energy = table(
    "meter_energy",
    Column("meter_id", ForeignKey(reference("meters.id")), primary_key=True),
    Column("resolution_s", Integer, primary_key=True),
    Column("start_at", Instant, primary_key=True),
    # Of positive and of negative power apart, so that charge and discharge do not cancel out.
    Column("energy_mj", BigInteger, nullable=False),
    Column("returned_mj", BigInteger, nullable=False),
    Column("covered_us", BigInteger, nullable=False),
    Column("power_max_w", Float),
    Column("power_min_w", Float),
    Column("charge_min_pct", Float),
    Column("readings", Integer, nullable=False),
)
