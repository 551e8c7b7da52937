"""Load metrics, decisions with all that happened to them, and recommendations."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String

from jouled.store.schema.tables import reference, table
from jouled.store.types import Document, Instant, Money, Serial

load_metrics = table(
    "load_metrics",
    Column("seq", Serial, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("key", String(200), unique=True),
    # Of what the client sent: the same key with other content is a mistake.
    Column("draft_sha256", String(64), nullable=False),
    Column("site_id", ForeignKey(reference("sites.id")), nullable=False),
    # None is the whole site.
    Column("zone_id", ForeignKey(reference("site_zones.id"))),
    Column("at", Instant, nullable=False),
    Column("window_s", Float, nullable=False),
    Column("avg_w", Float, nullable=False),
    Column("peak_w", Float),
    Column("min_w", Float),
    Column("energy_mj", BigInteger, nullable=False),
    Column("avg_utilization_pct", Float),
    Column("peak_utilization_pct", Float),
    Column("reactive_power_kvar", Float),
    Column("harmonic_distortion_pct", Float),
    Column("power_factor", Float),
    Column("sample_count", Integer),
    Column("created_at", Instant, nullable=False),
    Index(None, "site_id", "at"),
    Index(None, "site_id", "zone_id", "at"),
)

decisions = table(
    "decisions",
    Column("seq", Serial, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("key", String(200), unique=True),
    Column("draft_sha256", String(64)),
    # Of a decision that jouled proposed by itself, as long as it is open: there is never a second one.
    Column("open_key", String(512), unique=True),
    Column("site_id", ForeignKey(reference("sites.id")), nullable=False),
    Column("decision_type", String(16), nullable=False),
    Column("source_zone_id", String(128)),
    Column("target_zone_id", String(128)),
    Column("load_shift_w", Float, nullable=False),
    Column("reason", String(1024), nullable=False),
    Column("triggering_condition", String(128)),
    Column("priority", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("scheduled_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("approved_at", Instant),
    Column("executed_at", Instant),
    Column("completed_at", Instant),
    Column("cancelled_at", Instant),
    # Which life of which daemon executes it, and until when it has to be done.
    Column("executor", String(256)),
    Column("deadline_at", Instant),
    Column("inputs", Document, nullable=False),
    Column("expected", Document, nullable=False),
    # Watts of its zones when its execution began, and what became of them.
    Column("before", Document),
    Column("observed", Document),
    Column("result", String(1024)),
    Column("created_by", String(128), nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "site_id", "seq"),
    Index(None, "status", "expires_at"),
)

# Every change of a decision's status: who, when and why.
decision_steps = table(
    "decision_steps",
    Column("seq", Serial, primary_key=True),
    Column("decision_id", ForeignKey(reference("decisions.id")), nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("who", String(128), nullable=False),
    Column("from_status", String(16)),
    Column("to_status", String(16), nullable=False),
    Column("why", String(1024), nullable=False),
)

# Those that somebody has decided on, as they were then. The others are computed when they are asked for.
recommendations = table(
    "recommendations",
    Column("id", String(64), primary_key=True),
    Column("site_id", ForeignKey(reference("sites.id")), nullable=False, index=True),
    Column("zone_id", String(128)),
    Column("category", String(32), nullable=False),
    Column("title", String(256), nullable=False),
    Column("description", String(2048), nullable=False),
    Column("implementation", String(1024), nullable=False),
    Column("method", String(1024), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("period_s", BigInteger, nullable=False),
    Column("savings_mj", BigInteger),
    Column("savings_ug", BigInteger),
    Column("savings", Money),
    # Why a saving is None, by its name.
    Column("unknown", Document, nullable=False),
    Column("status", String(16), nullable=False),
    Column("note", String(1024)),
    Column("who", String(128), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
