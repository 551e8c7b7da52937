"""A site with meters, and readings of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select

from jouled.bookkeeping import readings, sites
from jouled.store.schema.carbon import carbon_budget_periods
from jouled.store.schema.meters import meters
from jouled.store.schema.readings import energy_readings, site_energy
from jouled.wire.readings import Ingested, ReadingDraft
from jouled.wire.sites import SiteDraft

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def make_site(connection: Connection, site_id: str = "mill", timezone: str = "Europe/Berlin", **fields: Any) -> None:
    sites.create(connection, SiteDraft(name=site_id.title(), id=site_id, timezone=timezone, **fields), NOW)


def make_meter(connection: Connection, meter_id: str = "main", site_id: str = "mill", **columns: Any) -> None:
    values = {"kind": "main", "direction": "consume", "energy_source": "grid", "state": "unknown", **columns}
    connection.execute(insert(meters).values(id=meter_id, name=meter_id, site_id=site_id, created_at=NOW, **values))


def mill(connection: Connection) -> None:
    """A grid connection, panels and a battery."""
    make_site(connection)
    make_meter(connection)
    make_meter(connection, "panels", kind="solar", direction="produce", energy_source="solar")
    make_meter(connection, "battery", kind="battery", direction="produce", energy_source="battery")


def draft(kwh: float = 1.0, at: datetime = NOW, meter_id: str = "main", **fields: Any) -> ReadingDraft:
    return ReadingDraft(
        meter_id=meter_id, facility_id=fields.pop("facility_id", "mill"), consumption=kwh, timestamp=at, **fields
    )


def ingest(connection: Connection, *drafts: ReadingDraft, now: datetime = NOW) -> list[Ingested]:
    return readings.ingest(connection, drafts, now)


def ago(**how_long: float) -> datetime:
    return NOW - timedelta(**how_long)


def books(connection: Connection) -> dict[str, Any]:
    """All sums that readings feed, to be compared: where nothing was doubled and nothing is missing they are the same."""
    sums = connection.execute(select(site_energy)).all()
    used = connection.execute(
        select(carbon_budget_periods.c.budget_id, carbon_budget_periods.c.start_at, carbon_budget_periods.c.used_ug)
    ).all()
    rows = connection.execute(
        select(energy_readings.c.id, energy_readings.c.energy_mj, energy_readings.c.emission_ug)
    ).all()
    return {
        "sums": sorted(tuple(row) for row in sums),
        "used": sorted(tuple(row) for row in used),
        "readings": sorted(tuple(row) for row in rows),
    }
