"""What nodes measured: energy of zones and workloads by minute, quarter-hour and day."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, UniqueConstraint

from jouled.store.schema.tables import reference, table
from jouled.store.types import Document, Instant, Serial

# Who measures. `run` and `part` say what of it is written: a part whose commit nobody knows of is not added twice.
nodes = table(
    "nodes",
    Column("name", String(256), primary_key=True),
    Column("run", String(36), nullable=False),
    Column("part", BigInteger, nullable=False),
    # Hashed; None where the host has no name of its own.
    Column("machine", String(64)),
    # By whose calendar its days are: its site's, else UTC. Where that was changed, from when on it holds, and
    # which one held before: a day that had begun ends there.
    Column("timezone", String(64), nullable=False),
    Column("timezone_at", Instant),
    Column("timezone_before", String(64)),
    Column("at", Instant, nullable=False),
)

zones = table(
    "zones",
    Column("id", Serial, primary_key=True),
    Column("node", String(256), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("zone_index", String(64), nullable=False),
    Column("source", String(16), nullable=False),
    # Of all its records ever, also those that retention has removed.
    Column("total_mj", BigInteger, nullable=False),
    Column("since_at", Instant, nullable=False),
    UniqueConstraint("node", "zone", "zone_index", "source"),
)

zone_energy = table(
    "zone_energy",
    Column("zone_id", ForeignKey(reference("zones.id")), primary_key=True, autoincrement=False),
    Column("resolution_s", Integer, primary_key=True, autoincrement=False),
    Column("start_at", Instant, primary_key=True, autoincrement=False),
    Column("energy_mj", BigInteger, nullable=False),
    Column("idle_mj", BigInteger, nullable=False),
    Column("covered_us", BigInteger, nullable=False),
    Column("quality", String(16), nullable=False),
    sqlite_with_rowid=False,
)

# A row of a level: a workload, or a residual such as idle, exited, kernel, unattributed and other.
workloads = table(
    "workloads",
    Column("id", Serial, primary_key=True),
    Column("node", String(256), nullable=False),
    Column("level", String(16), nullable=False),
    # SHA-256 of the labels: what makes it the same workload.
    Column("labels_sha256", String(64), nullable=False),
    # What people call it: its unit, command, user... or the reason of a residual.
    Column("name", String(512), nullable=False),
    Column("reason", String(16)),
    Column("labels", Document, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    UniqueConstraint("node", "level", "labels_sha256"),
    Index(None, "level", "name"),
)

# By class of zone (package, dram...), as sockets of workloads are not told apart.
workload_energy = table(
    "workload_energy",
    Column("workload_id", ForeignKey(reference("workloads.id")), primary_key=True, autoincrement=False),
    Column("resolution_s", Integer, primary_key=True, autoincrement=False),
    Column("start_at", Instant, primary_key=True, autoincrement=False),
    Column("zone", String(64), primary_key=True),
    Column("energy_mj", BigInteger, nullable=False),
    Column("cpu_us", BigInteger, nullable=False),
    Column("covered_us", BigInteger, nullable=False),
    Column("quality", String(16), nullable=False),
    sqlite_with_rowid=False,
)
