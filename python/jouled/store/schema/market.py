"""Prices as they were fetched: each answer that differs is a revision, and none is written over."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Index, Integer, String, UniqueConstraint

from jouled.store.schema.tables import MARK, reference, table
from jouled.store.types import Instant, Money, Serial

market_fetches = table(
    "market_fetches",
    Column("id", Serial, primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("product", String(64), nullable=False),
    Column("delivery_day", Date, nullable=False),
    Column("revision", Integer, nullable=False),
    # Whose midnights bound the day, and which instants these are.
    Column("timezone", String(64), nullable=False),
    Column("start_at", Instant, nullable=False),
    Column("end_at", Instant, nullable=False),
    Column("currency", String(3), nullable=False),
    # Of the shortest slot; none where there is no slot.
    Column("resolution_s", Integer),
    Column("slots", Integer, nullable=False),
    Column("quality", String(16), nullable=False),
    Column("body_sha256", String(64), nullable=False),
    # The same answer again changes these two only.
    Column("fetched_at", Instant, nullable=False),
    Column("times", Integer, nullable=False),
    Column("first_at", Instant, nullable=False),
    # By its columns the name would be longer than PostgreSQL takes.
    UniqueConstraint("provider", "zone", "product", "delivery_day", "revision", name=f"uq_{MARK}market_fetches_day"),
    Index(None, "zone", "end_at"),
)

market_slots = table(
    "market_slots",
    Column("fetch_id", ForeignKey(reference("market_fetches.id")), primary_key=True),
    Column("start_at", Instant, primary_key=True),
    Column("end_at", Instant, nullable=False),
    # Of one MWh, in the fetch's currency; it may be below zero. None is missing.
    Column("price", Money),
    Column("volume_wh", BigInteger),
)
