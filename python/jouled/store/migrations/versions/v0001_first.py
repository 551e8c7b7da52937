"""The first tables. Written by scripts/migration; once it is released it is not changed any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0001"
down_revision = None


def upgrade() -> None:  # noqa: PLR0915  (all of it is one step)
    op.create_table(
        "jouled__alerts",
        sa.Column("dedup_key", sa.String(length=256), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("site_id", sa.String(length=128), nullable=True),
        sa.Column("device_id", sa.String(length=128), nullable=True),
        sa.Column("meter_id", sa.String(length=128), nullable=True),
        sa.Column("note", sa.String(length=1024), nullable=False),
        sa.PrimaryKeyConstraint("dedup_key", name=op.f("pk_jouled__alerts")),
    )
    op.create_index(op.f("ix_jouled__alerts_device_id"), "jouled__alerts", ["device_id"], unique=False)
    op.create_index(op.f("ix_jouled__alerts_site_id"), "jouled__alerts", ["site_id"], unique=False)
    op.create_table(
        "jouled__audit",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(length=256), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("method", sa.String(length=8), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__audit")),
    )
    op.create_index(op.f("ix_jouled__audit_at"), "jouled__audit", ["at"], unique=False)
    op.create_table(
        "jouled__balance_decisions",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("site", sa.String(length=256), nullable=False),
        sa.Column("load", sa.String(length=128), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("old_point", sa.String(length=128), nullable=True),
        sa.Column("new_point", sa.String(length=128), nullable=True),
        sa.Column("old_w", sa.Float(), nullable=True),
        sa.Column("new_w", sa.Float(), nullable=False),
        sa.Column("before_w", sa.Float(), nullable=True),
        sa.Column("after_w", sa.Float(), nullable=True),
        sa.Column("available_w", sa.Float(), nullable=True),
        sa.Column("target_w", sa.Float(), nullable=True),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.Column("is_urgent", sa.Boolean(), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=True),
        sa.Column("error", sa.String(length=1024), nullable=True),
        sa.Column("inputs", DOCUMENT, nullable=False),
        sa.Column("expected", DOCUMENT, nullable=False),
        sa.Column("observed", DOCUMENT, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("who", sa.String(length=256), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__balance_decisions")),
        sa.UniqueConstraint("id", name=op.f("uq_jouled__balance_decisions_id")),
    )
    op.create_index(
        op.f("ix_jouled__balance_decisions_load_seq"), "jouled__balance_decisions", ["load", "seq"], unique=False
    )
    op.create_index(
        op.f("ix_jouled__balance_decisions_site_at"), "jouled__balance_decisions", ["site", "at"], unique=False
    )
    op.create_table(
        "jouled__balance_minutes",
        sa.Column("site", sa.String(length=256), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("band", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=True),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("supply_w", sa.Float(), nullable=True),
        sa.Column("budget_w", sa.Float(), nullable=True),
        sa.Column("target_w", sa.Float(), nullable=True),
        sa.Column("load_w", sa.Float(), nullable=True),
        sa.Column("measured_w", sa.Float(), nullable=True),
        sa.Column("unmanaged_w", sa.Float(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("is_saturated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("site", "at", name=op.f("pk_jouled__balance_minutes")),
    )
    op.create_table(
        "jouled__balance_settings",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("site", sa.String(length=256), nullable=False),
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("value", DOCUMENT, nullable=True),
        sa.Column("who", sa.String(length=256), nullable=False),
        sa.Column("why", sa.String(length=256), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__balance_settings")),
        sa.UniqueConstraint("site", "key", "at", name=op.f("uq_jouled__balance_settings_site_key_at")),
    )
    op.create_table(
        "jouled__cap_decisions",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("node", sa.String(length=256), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("power_w", sa.Float(), nullable=True),
        sa.Column("applied_w", sa.Float(), nullable=True),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.Column("inputs", DOCUMENT, nullable=False),
        sa.Column("problem", sa.String(length=1024), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__cap_decisions")),
        sa.UniqueConstraint("id", name=op.f("uq_jouled__cap_decisions_id")),
    )
    op.create_index(op.f("ix_jouled__cap_decisions_node_at"), "jouled__cap_decisions", ["node", "at"], unique=False)
    op.create_table(
        "jouled__carbon_intensity",
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("ug_per_kwh", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("is_forecast", sa.Boolean(), nullable=False),
        sa.Column("quality", sa.String(length=16), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("zone", "kind", "start_at", name=op.f("pk_jouled__carbon_intensity")),
    )
    op.create_table(
        "jouled__deliveries",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("event_seq", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_error", sa.String(length=1024), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__deliveries")),
        sa.UniqueConstraint("event_seq", "target", name=op.f("uq_jouled__deliveries_event_seq_target")),
    )
    op.create_index(
        op.f("ix_jouled__deliveries_state_next_at"), "jouled__deliveries", ["state", "next_at"], unique=False
    )
    op.create_table(
        "jouled__emission_factors",
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("energy_source", sa.String(length=16), nullable=False),
        sa.Column("ug_per_kwh", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", "energy_source", name=op.f("pk_jouled__emission_factors")),
    )
    op.create_table(
        "jouled__energy_readings",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=True),
        sa.Column("meter_id", sa.String(length=128), nullable=False),
        sa.Column("site_id", sa.String(length=128), nullable=False),
        sa.Column("energy_source", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("energy_mj", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("voltage_v", sa.Float(), nullable=True),
        sa.Column("current_a", sa.Float(), nullable=True),
        sa.Column("power_factor", sa.Float(), nullable=True),
        sa.Column("frequency_hz", sa.Float(), nullable=True),
        sa.Column("quality", sa.String(length=16), nullable=False),
        sa.Column("metadata", DOCUMENT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("emission_ug", sa.BigInteger(), nullable=False),
        sa.Column("intensity_ug_per_kwh", sa.BigInteger(), nullable=False),
        sa.Column("emission_method", sa.String(length=160), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__energy_readings")),
        sa.UniqueConstraint("id", name=op.f("uq_jouled__energy_readings_id")),
    )
    op.create_index(
        op.f("ix_jouled__energy_readings_site_id_at"), "jouled__energy_readings", ["site_id", "at"], unique=False
    )
    op.create_table(
        "jouled__events",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("site_id", sa.String(length=128), nullable=True),
        sa.Column("device_id", sa.String(length=128), nullable=True),
        sa.Column("meter_id", sa.String(length=128), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=1024), nullable=False),
        sa.Column("dedup_key", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__events")),
        sa.UniqueConstraint("id", name=op.f("uq_jouled__events_id")),
    )
    op.create_index(op.f("ix_jouled__events_device_id_at"), "jouled__events", ["device_id", "at"], unique=False)
    op.create_index(op.f("ix_jouled__events_site_id_at"), "jouled__events", ["site_id", "at"], unique=False)
    op.create_table(
        "jouled__market_fetches",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("delivery_day", sa.Date(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("resolution_s", sa.Integer(), nullable=True),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("quality", sa.String(length=16), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__market_fetches")),
        sa.UniqueConstraint(
            "provider", "zone", "product", "delivery_day", "revision", name="uq_jouled__market_fetches_day"
        ),
    )
    op.create_index(
        op.f("ix_jouled__market_fetches_zone_end_at"), "jouled__market_fetches", ["zone", "end_at"], unique=False
    )
    op.create_table(
        "jouled__messages",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("topic", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__messages")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "jouled__miner_models",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("alias", sa.String(length=128), nullable=False),
        sa.Column("min_preset", sa.String(length=64), nullable=True),
        sa.Column("max_preset", sa.String(length=64), nullable=True),
        sa.Column("presets", DOCUMENT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_jouled__miner_models")),
        sa.UniqueConstraint("alias", name=op.f("uq_jouled__miner_models_alias")),
    )
    op.create_table(
        "jouled__miner_statuses",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("miner", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("preset", sa.String(length=64), nullable=True),
        sa.Column("power_w", sa.Float(), nullable=True),
        sa.Column("work_ths", sa.Float(), nullable=True),
        sa.Column("note", sa.String(length=512), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__miner_statuses")),
    )
    op.create_index(op.f("ix_jouled__miner_statuses_at"), "jouled__miner_statuses", ["at"], unique=False)
    op.create_index(op.f("ix_jouled__miner_statuses_miner_at"), "jouled__miner_statuses", ["miner", "at"], unique=False)
    op.create_table(
        "jouled__nodes",
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("run", sa.String(length=36), nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("timezone_at", sa.BigInteger(), nullable=True),
        sa.Column("timezone_before", sa.String(length=64), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_jouled__nodes")),
    )
    op.create_table(
        "jouled__plant_readings",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("plant", sa.String(length=128), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("sourced_at", sa.BigInteger(), nullable=False),
        sa.Column("collected_at", sa.BigInteger(), nullable=True),
        sa.Column("generation_w", sa.Float(), nullable=True),
        sa.Column("consumption_w", sa.Float(), nullable=True),
        sa.Column("exported_w", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("judgement", sa.String(length=16), nullable=False),
        sa.Column("problem", sa.String(length=512), nullable=True),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("supply_w", sa.Float(), nullable=True),
        sa.Column("sources", DOCUMENT, nullable=False),
        sa.Column("is_first_of_minute", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__plant_readings")),
        sa.UniqueConstraint("plant", "sourced_at", "judgement", name="uq_jouled__plant_readings_once"),
    )
    op.create_index(
        op.f("ix_jouled__plant_readings_plant_recorded_at"),
        "jouled__plant_readings",
        ["plant", "recorded_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_jouled__plant_readings_recorded_at"), "jouled__plant_readings", ["recorded_at"], unique=False
    )
    op.create_table(
        "jouled__sites",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("location", sa.String(length=256), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("capacity_w", sa.Float(), nullable=True),
        sa.Column("energy_sources", DOCUMENT, nullable=False),
        sa.Column("carbon_zone", sa.String(length=64), nullable=True),
        sa.Column("carbon_kind", sa.String(length=16), nullable=True),
        sa.Column("price_micro_per_kwh", sa.BigInteger(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__sites")),
    )
    op.create_table(
        "jouled__tokens",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("scopes", DOCUMENT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__tokens")),
        sa.UniqueConstraint("sha256", name=op.f("uq_jouled__tokens_sha256")),
    )
    op.create_table(
        "jouled__workloads",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("node", sa.String(length=256), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("labels_sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=True),
        sa.Column("labels", DOCUMENT, nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__workloads")),
        sa.UniqueConstraint(
            "node", "level", "labels_sha256", name=op.f("uq_jouled__workloads_node_level_labels_sha256")
        ),
    )
    op.create_index(op.f("ix_jouled__workloads_level_name"), "jouled__workloads", ["level", "name"], unique=False)
    op.create_table(
        "jouled__zones",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("node", sa.String(length=256), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("zone_index", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("total_mj", sa.BigInteger(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__zones")),
        sa.UniqueConstraint(
            "node", "zone", "zone_index", "source", name=op.f("uq_jouled__zones_node_zone_zone_index_source")
        ),
    )
    op.create_table(
        "jouled__carbon_budgets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=128), nullable=False),
        sa.Column("budget_period", sa.String(length=16), nullable=False),
        sa.Column("amount_ug", sa.BigInteger(), nullable=False),
        sa.Column("warning_pct", sa.Float(), nullable=False),
        sa.Column("critical_pct", sa.Float(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["jouled__sites.id"], name=op.f("fk_jouled__carbon_budgets_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__carbon_budgets")),
    )
    op.create_index(op.f("ix_jouled__carbon_budgets_site_id"), "jouled__carbon_budgets", ["site_id"], unique=False)
    op.create_table(
        "jouled__circuits",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("site_id", sa.String(length=128), nullable=False),
        sa.Column("parent_id", sa.String(length=128), nullable=True),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("limit_w", sa.Float(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["jouled__circuits.id"], name=op.f("fk_jouled__circuits_parent_id")),
        sa.ForeignKeyConstraint(["site_id"], ["jouled__sites.id"], name=op.f("fk_jouled__circuits_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__circuits")),
    )
    op.create_index(op.f("ix_jouled__circuits_site_id"), "jouled__circuits", ["site_id"], unique=False)
    op.create_table(
        "jouled__decisions",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("draft_sha256", sa.String(length=64), nullable=True),
        sa.Column("open_key", sa.String(length=512), nullable=True),
        sa.Column("site_id", sa.String(length=128), nullable=False),
        sa.Column("decision_type", sa.String(length=16), nullable=False),
        sa.Column("source_zone_id", sa.String(length=128), nullable=True),
        sa.Column("target_zone_id", sa.String(length=128), nullable=True),
        sa.Column("load_shift_w", sa.Float(), nullable=False),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.Column("triggering_condition", sa.String(length=128), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("scheduled_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("executed_at", sa.BigInteger(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.Column("executor", sa.String(length=256), nullable=True),
        sa.Column("deadline_at", sa.BigInteger(), nullable=True),
        sa.Column("inputs", DOCUMENT, nullable=False),
        sa.Column("expected", DOCUMENT, nullable=False),
        sa.Column("before", DOCUMENT, nullable=True),
        sa.Column("observed", DOCUMENT, nullable=True),
        sa.Column("result", sa.String(length=1024), nullable=True),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["jouled__sites.id"], name=op.f("fk_jouled__decisions_site_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__decisions")),
        sa.UniqueConstraint("id", name=op.f("uq_jouled__decisions_id")),
        sa.UniqueConstraint("key", name=op.f("uq_jouled__decisions_key")),
        sa.UniqueConstraint("open_key", name=op.f("uq_jouled__decisions_open_key")),
    )
    op.create_index(op.f("ix_jouled__decisions_site_id_seq"), "jouled__decisions", ["site_id", "seq"], unique=False)
    op.create_index(
        op.f("ix_jouled__decisions_status_expires_at"), "jouled__decisions", ["status", "expires_at"], unique=False
    )
    op.create_table(
        "jouled__devices",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("site_id", sa.String(length=128), nullable=True),
        sa.Column("shutdown_threshold", sa.Float(), nullable=False),
        sa.Column("low_threshold", sa.Float(), nullable=False),
        sa.Column("critical_threshold", sa.Float(), nullable=False),
        sa.Column("full_threshold", sa.Float(), nullable=False),
        sa.Column("target_wh", sa.Float(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["jouled__sites.id"], name=op.f("fk_jouled__devices_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__devices")),
    )
    op.create_index(op.f("ix_jouled__devices_site_id"), "jouled__devices", ["site_id"], unique=False)
    op.create_table(
        "jouled__market_slots",
        sa.Column("fetch_id", SERIAL, nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("volume_wh", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["fetch_id"], ["jouled__market_fetches.id"], name=op.f("fk_jouled__market_slots_fetch_id")
        ),
        sa.PrimaryKeyConstraint("fetch_id", "start_at", name=op.f("pk_jouled__market_slots")),
    )
    op.create_table(
        "jouled__miners",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("family", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=256), nullable=True),
        sa.Column("model", sa.String(length=128), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("is_locked", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=True),
        sa.Column("circuit", sa.String(length=128), nullable=True),
        sa.Column("min_preset", sa.String(length=64), nullable=True),
        sa.Column("max_preset", sa.String(length=64), nullable=True),
        sa.Column("description", DOCUMENT, nullable=True),
        sa.Column("worst_w", sa.Float(), nullable=True),
        sa.Column("point", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model"], ["jouled__miner_models.name"], name=op.f("fk_jouled__miners_model")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__miners")),
    )
    op.create_index(op.f("ix_jouled__miners_model"), "jouled__miners", ["model"], unique=False)
    op.create_table(
        "jouled__recommendations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=128), nullable=False),
        sa.Column("zone_id", sa.String(length=128), nullable=True),
        sa.Column("category", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(length=256), nullable=False),
        sa.Column("description", sa.String(length=2048), nullable=False),
        sa.Column("implementation", sa.String(length=1024), nullable=False),
        sa.Column("method", sa.String(length=1024), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("period_s", sa.BigInteger(), nullable=False),
        sa.Column("savings_mj", sa.BigInteger(), nullable=True),
        sa.Column("savings_ug", sa.BigInteger(), nullable=True),
        sa.Column("savings", sa.BigInteger(), nullable=True),
        sa.Column("unknown", DOCUMENT, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=1024), nullable=True),
        sa.Column("who", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["jouled__sites.id"], name=op.f("fk_jouled__recommendations_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__recommendations")),
    )
    op.create_index(op.f("ix_jouled__recommendations_site_id"), "jouled__recommendations", ["site_id"], unique=False)
    op.create_table(
        "jouled__site_energy",
        sa.Column("site_id", sa.String(length=128), nullable=False),
        sa.Column("resolution_s", sa.Integer(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("energy_source", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("energy_mj", sa.BigInteger(), nullable=False),
        sa.Column("emission_ug", sa.BigInteger(), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("estimated_readings", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "energy_mj <= 4611686018427387904 AND emission_ug <= 4611686018427387904",
            name=op.f("ck_jouled__site_energy_sums"),
        ),
        sa.ForeignKeyConstraint(["site_id"], ["jouled__sites.id"], name=op.f("fk_jouled__site_energy_site_id")),
        sa.PrimaryKeyConstraint(
            "site_id", "resolution_s", "start_at", "energy_source", "direction", name=op.f("pk_jouled__site_energy")
        ),
    )
    op.create_table(
        "jouled__workload_energy",
        sa.Column("workload_id", SERIAL, autoincrement=False, nullable=False),
        sa.Column("resolution_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("energy_mj", sa.BigInteger(), nullable=False),
        sa.Column("cpu_us", sa.BigInteger(), nullable=False),
        sa.Column("covered_us", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["workload_id"], ["jouled__workloads.id"], name=op.f("fk_jouled__workload_energy_workload_id")
        ),
        sa.PrimaryKeyConstraint(
            "workload_id", "resolution_s", "start_at", "zone", name=op.f("pk_jouled__workload_energy")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "jouled__zone_energy",
        sa.Column("zone_id", SERIAL, autoincrement=False, nullable=False),
        sa.Column("resolution_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("energy_mj", sa.BigInteger(), nullable=False),
        sa.Column("idle_mj", sa.BigInteger(), nullable=False),
        sa.Column("covered_us", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["zone_id"], ["jouled__zones.id"], name=op.f("fk_jouled__zone_energy_zone_id")),
        sa.PrimaryKeyConstraint("zone_id", "resolution_s", "start_at", name=op.f("pk_jouled__zone_energy")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "jouled__carbon_budget_periods",
        sa.Column("budget_id", sa.String(length=64), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("used_ug", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("exceeded_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["budget_id"], ["jouled__carbon_budgets.id"], name=op.f("fk_jouled__carbon_budget_periods_budget_id")
        ),
        sa.PrimaryKeyConstraint("budget_id", "start_at", name=op.f("pk_jouled__carbon_budget_periods")),
    )
    op.create_table(
        "jouled__decision_steps",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(length=128), nullable=False),
        sa.Column("from_status", sa.String(length=16), nullable=True),
        sa.Column("to_status", sa.String(length=16), nullable=False),
        sa.Column("why", sa.String(length=1024), nullable=False),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["jouled__decisions.id"], name=op.f("fk_jouled__decision_steps_decision_id")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__decision_steps")),
    )
    op.create_index(
        op.f("ix_jouled__decision_steps_decision_id"), "jouled__decision_steps", ["decision_id"], unique=False
    )
    op.create_table(
        "jouled__site_zones",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("site_id", sa.String(length=128), nullable=False),
        sa.Column("circuit_id", sa.String(length=128), nullable=True),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("zone_type", sa.String(length=32), nullable=False),
        sa.Column("capacity_w", sa.Float(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("can_shed_load", sa.Boolean(), nullable=False),
        sa.Column("min_load_w", sa.Float(), nullable=False),
        sa.Column("max_load_w", sa.Float(), nullable=True),
        sa.Column("current_load_w", sa.Float(), nullable=True),
        sa.Column("current_load_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["circuit_id"], ["jouled__circuits.id"], name=op.f("fk_jouled__site_zones_circuit_id")),
        sa.ForeignKeyConstraint(["site_id"], ["jouled__sites.id"], name=op.f("fk_jouled__site_zones_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__site_zones")),
    )
    op.create_index(op.f("ix_jouled__site_zones_site_id"), "jouled__site_zones", ["site_id"], unique=False)
    op.create_table(
        "jouled__load_metrics",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("draft_sha256", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=128), nullable=False),
        sa.Column("zone_id", sa.String(length=128), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("window_s", sa.Float(), nullable=False),
        sa.Column("avg_w", sa.Float(), nullable=False),
        sa.Column("peak_w", sa.Float(), nullable=True),
        sa.Column("min_w", sa.Float(), nullable=True),
        sa.Column("energy_mj", sa.BigInteger(), nullable=False),
        sa.Column("avg_utilization_pct", sa.Float(), nullable=True),
        sa.Column("peak_utilization_pct", sa.Float(), nullable=True),
        sa.Column("reactive_power_kvar", sa.Float(), nullable=True),
        sa.Column("harmonic_distortion_pct", sa.Float(), nullable=True),
        sa.Column("power_factor", sa.Float(), nullable=True),
        sa.Column("sample_count", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["jouled__sites.id"], name=op.f("fk_jouled__load_metrics_site_id")),
        sa.ForeignKeyConstraint(["zone_id"], ["jouled__site_zones.id"], name=op.f("fk_jouled__load_metrics_zone_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__load_metrics")),
        sa.UniqueConstraint("id", name=op.f("uq_jouled__load_metrics_id")),
        sa.UniqueConstraint("key", name=op.f("uq_jouled__load_metrics_key")),
    )
    op.create_index(op.f("ix_jouled__load_metrics_site_id_at"), "jouled__load_metrics", ["site_id", "at"], unique=False)
    op.create_index(
        op.f("ix_jouled__load_metrics_site_id_zone_id_at"),
        "jouled__load_metrics",
        ["site_id", "zone_id", "at"],
        unique=False,
    )
    op.create_table(
        "jouled__meters",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("energy_source", sa.String(length=16), nullable=False),
        sa.Column("site_id", sa.String(length=128), nullable=True),
        sa.Column("device_id", sa.String(length=128), nullable=True),
        sa.Column("circuit_id", sa.String(length=128), nullable=True),
        sa.Column("zone_id", sa.String(length=128), nullable=True),
        sa.Column("capacity_wh", sa.Float(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("flow", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("smooth_w", sa.Float(), nullable=True),
        sa.Column("latest_at", sa.BigInteger(), nullable=True),
        sa.Column("voltage_v", sa.Float(), nullable=True),
        sa.Column("current_a", sa.Float(), nullable=True),
        sa.Column("power_w", sa.Float(), nullable=True),
        sa.Column("charge_pct", sa.Float(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["circuit_id"], ["jouled__circuits.id"], name=op.f("fk_jouled__meters_circuit_id")),
        sa.ForeignKeyConstraint(["device_id"], ["jouled__devices.id"], name=op.f("fk_jouled__meters_device_id")),
        sa.ForeignKeyConstraint(["site_id"], ["jouled__sites.id"], name=op.f("fk_jouled__meters_site_id")),
        sa.ForeignKeyConstraint(["zone_id"], ["jouled__site_zones.id"], name=op.f("fk_jouled__meters_zone_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__meters")),
    )
    op.create_index(op.f("ix_jouled__meters_device_id"), "jouled__meters", ["device_id"], unique=False)
    op.create_index(op.f("ix_jouled__meters_site_id"), "jouled__meters", ["site_id"], unique=False)
    op.create_table(
        "jouled__scheduled_events",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("zone_id", sa.String(length=128), nullable=False),
        sa.Column("event_type", sa.String(length=32), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("estimated_impact_w", sa.Float(), nullable=True),
        sa.Column("recurrence_rule", sa.String(length=256), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["zone_id"], ["jouled__site_zones.id"], name=op.f("fk_jouled__scheduled_events_zone_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jouled__scheduled_events")),
    )
    op.create_index(op.f("ix_jouled__scheduled_events_zone_id"), "jouled__scheduled_events", ["zone_id"], unique=False)
    op.create_table(
        "jouled__meter_energy",
        sa.Column("meter_id", sa.String(length=128), nullable=False),
        sa.Column("resolution_s", sa.Integer(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("energy_mj", sa.BigInteger(), nullable=False),
        sa.Column("returned_mj", sa.BigInteger(), nullable=False),
        sa.Column("covered_us", sa.BigInteger(), nullable=False),
        sa.Column("power_max_w", sa.Float(), nullable=True),
        sa.Column("power_min_w", sa.Float(), nullable=True),
        sa.Column("charge_min_pct", sa.Float(), nullable=True),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["meter_id"], ["jouled__meters.id"], name=op.f("fk_jouled__meter_energy_meter_id")),
        sa.PrimaryKeyConstraint("meter_id", "resolution_s", "start_at", name=op.f("pk_jouled__meter_energy")),
    )
    op.create_table(
        "jouled__power_readings",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("meter_id", sa.String(length=128), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=True),
        sa.Column("voltage_v", sa.Float(), nullable=True),
        sa.Column("current_a", sa.Float(), nullable=True),
        sa.Column("power_w", sa.Float(), nullable=True),
        sa.Column("charge_pct", sa.Float(), nullable=True),
        sa.Column("quality", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(["meter_id"], ["jouled__meters.id"], name=op.f("fk_jouled__power_readings_meter_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jouled__power_readings")),
        sa.UniqueConstraint("meter_id", "at", name=op.f("uq_jouled__power_readings_meter_id_at")),
        sa.UniqueConstraint("meter_id", "key", name=op.f("uq_jouled__power_readings_meter_id_key")),
    )
