"""What /metrics shows of the books: sums that never fall, and the latest of what goes up and down."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select, text

from jouled.store.schema.carbon import carbon_budget_periods, carbon_budgets
from jouled.store.schema.events import alerts
from jouled.store.schema.load import decision_steps, decisions
from jouled.store.schema.measured import zones
from jouled.store.schema.meters import meters
from jouled.store.schema.readings import site_energy
from jouled.store.schema.sites import site_zones, sites

# Rows of each table: a metrics page of more is no page.
ROWS_MAX = 2000
# A meter that has been silent for longer has no power now: absence is not zero.
FRESH = timedelta(minutes=30)
DAY_S = 86_400
HALF = 1_000_000

Rows = Sequence[Row[Any]]


class SiteEnergy(NamedTuple):
    """Of one source and direction, ever."""

    site_id: str
    energy_source: str
    direction: str
    energy_mj: int
    emission_ug: int


class Figures(NamedTuple):
    """Rows as the store has them. `cut` names those of which there were more than are shown."""

    energy: Sequence[SiteEnergy]
    # site_id, id, budget_period, amount_ug, used_ug
    budgets: Rows
    # id, site_id, kind, direction, power_w, charge_pct, latest_at
    meters: Rows
    # id, site_id, current_load_w, capacity_w
    zones: Rows
    # id, load_w, capacity_w
    sites: Rows
    # site_id, decision_type, to_status, count: how often decisions came to be so
    steps: Rows
    # site_id, decision_type, count
    decisions: Rows
    # severity, count
    alerts: Rows
    # node, zone, zone_index, source, total_mj
    recorded: Rows
    size_bytes: int
    cut: tuple[str, ...]


def read(connection: Connection, now: datetime) -> Figures:
    cut: list[str] = []

    def rows(name: str, query: Select[Any]) -> Rows:
        found = connection.execute(query.limit(ROWS_MAX + 1)).all()
        if len(found) > ROWS_MAX:
            cut.append(name)
        return found[:ROWS_MAX]

    return Figures(
        energy=[_whole(row) for row in rows("site_energy", _energy())],
        budgets=rows("budgets", _budgets(now)),
        meters=rows("meters", _meters(now)),
        zones=rows("site_zones", _zones(now)),
        sites=rows("sites", _sites(now)),
        steps=rows("decision_steps", _steps()),
        decisions=rows("decisions", _decisions()),
        alerts=rows("alerts", select(alerts.c.severity, func.count().label("number")).group_by(alerts.c.severity)),
        recorded=rows("zones", _recorded()),
        size_bytes=_size_bytes(connection),
        cut=tuple(cut),
    )


def _energy() -> Select[Any]:
    """Of all days there ever were: retention leaves them."""
    by = (site_energy.c.site_id, site_energy.c.energy_source, site_energy.c.direction)
    # A sum of sums goes beyond 64 bits where no cell does: it is added in two halves.
    sums = [
        half
        for column in (site_energy.c.energy_mj, site_energy.c.emission_ug)
        for half in (
            func.sum(column // HALF).label(f"{column.name}_high"),
            func.sum(column % HALF).label(f"{column.name}_low"),
        )
    ]
    return select(*by, *sums).where(site_energy.c.resolution_s == DAY_S).group_by(*by).order_by(*by)


def _whole(row: Row[Any]) -> SiteEnergy:
    return SiteEnergy(
        row.site_id,
        row.energy_source,
        row.direction,
        int(row.energy_mj_high) * HALF + int(row.energy_mj_low),
        int(row.emission_ug_high) * HALF + int(row.emission_ug_low),
    )


def _budgets(now: datetime) -> Select[Any]:
    """With what was used in the period that is now; nothing where nothing has come yet."""
    periods = carbon_budget_periods.c
    current = and_(periods.budget_id == carbon_budgets.c.id, periods.start_at <= now, periods.end_at > now)
    used_ug = func.coalesce(periods.used_ug, 0).label("used_ug")
    budget = carbon_budgets.c
    return (
        select(budget.site_id, budget.id, budget.budget_period, budget.amount_ug, used_ug)
        .outerjoin_from(carbon_budgets, carbon_budget_periods, current)
        .where(budget.is_active, budget.amount_ug > 0)
        .order_by(budget.site_id, budget.id)
    )


def _meters(now: datetime) -> Select[Any]:
    meter = meters.c
    columns = (meter.id, meter.site_id, meter.kind, meter.direction, meter.power_w, meter.charge_pct, meter.latest_at)
    return select(*columns).where(meter.latest_at > now - FRESH).order_by(meter.id)


def _zones(now: datetime) -> Select[Any]:
    zone = site_zones.c
    columns = (zone.id, zone.site_id, zone.current_load_w, zone.capacity_w)
    return select(*columns).where(_is_known(now)).order_by(zone.id)


def _is_known(now: datetime) -> ColumnElement[bool]:
    return and_(site_zones.c.current_load_at > now - FRESH, site_zones.c.current_load_w.is_not(None))


def _sites(now: datetime) -> Select[Any]:
    zone = site_zones.c
    load_w = func.sum(zone.current_load_w).label("load_w")
    return (
        select(sites.c.id, load_w, sites.c.capacity_w)
        .join_from(sites, site_zones, and_(zone.site_id == sites.c.id, _is_known(now)))
        .where(sites.c.capacity_w > 0)
        .group_by(sites.c.id, sites.c.capacity_w)
        .order_by(sites.c.id)
    )


def _steps() -> Select[Any]:
    """Steps are never removed, while a decision's status changes."""
    by = (decisions.c.site_id, decisions.c.decision_type, decision_steps.c.to_status)
    joined = decision_steps.c.decision_id == decisions.c.id
    return (
        select(*by, func.count().label("number"))
        .join_from(decision_steps, decisions, joined)
        .group_by(*by)
        .order_by(*by)
    )


def _decisions() -> Select[Any]:
    by = (decisions.c.site_id, decisions.c.decision_type)
    return select(*by, func.count().label("number")).group_by(*by).order_by(*by)


def _recorded() -> Select[Any]:
    zone = zones.c
    return select(zone.node, zone.zone, zone.zone_index, zone.source, zone.total_mj).order_by(zone.id)


def _size_bytes(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        return int(pages) * int(connection.execute(text("PRAGMA page_size")).scalar_one())
    return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
