"""Sites: made, changed, listed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from jouled.bookkeeping.ids import new_id
from jouled.bookkeeping.pages import page, place_of
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store.schema.carbon import carbon_budgets
from jouled.store.schema.readings import site_energy
from jouled.store.schema.sites import site_zones, sites
from jouled.store.types import MICRO
from jouled.wire.problems import Page
from jouled.wire.sites import PRICE_MAX, Site, SiteDraft

_CURRENT_LOAD_W = (
    select(func.sum(site_zones.c.current_load_w)).where(site_zones.c.site_id == sites.c.id).scalar_subquery()
)
_BUDGET_ID = (
    select(func.min(carbon_budgets.c.id))
    .where(carbon_budgets.c.site_id == sites.c.id, carbon_budgets.c.is_active)
    .scalar_subquery()
)
_SITE = select(sites, _CURRENT_LOAD_W.label("current_load_w"), _BUDGET_ID.label("carbon_budget_id"))
# Built once: building a statement takes longer than its answer.
_ONE = _SITE.where(sites.c.id == bindparam("site_id"))
_ZONE = select(sites.c.timezone).where(sites.c.id == bindparam("site_id"))


def create(connection: Connection, draft: SiteDraft, now: datetime) -> Site:
    site_id = draft.id or new_id()
    values = _values(draft)
    try:
        connection.execute(insert(sites).values(id=site_id, created_at=now, updated_at=now, **values))
    except IntegrityError:
        raise ConflictError(f"there is a site {site_id!r} already; change it, or choose another id") from None
    return get(connection, site_id)


def get(connection: Connection, site_id: str) -> Site:
    row = connection.execute(_ONE, {"site_id": site_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no site {site_id!r}; POST /api/v1/sites makes one")
    return _site(row)


def listed(connection: Connection, cursor: str | None, limit: int) -> Page[Site]:
    """By id."""
    query = _SITE.order_by(sites.c.id).limit(limit + 1)
    if cursor is not None:
        query = query.where(sites.c.id > place_of(cursor, str))
    return page(connection.execute(query).all(), limit, _site, "id")


def replace(connection: Connection, site_id: str, draft: SiteDraft, now: datetime) -> Site:
    """Its calendar stays once days of it have been counted."""
    if zone_of(connection, site_id).key != draft.timezone and _has_readings(connection, site_id):
        raise ConflictError(f"days of {site_id!r} have been counted in its timezone; make another site for another one")
    done = connection.execute(update(sites).where(sites.c.id == site_id).values(updated_at=now, **_values(draft)))
    if not done.rowcount:
        raise NotFoundError(f"there is no site {site_id!r}; POST /api/v1/sites makes one")
    return get(connection, site_id)


def _has_readings(connection: Connection, site_id: str) -> bool:
    some = select(site_energy.c.site_id).where(site_energy.c.site_id == site_id).limit(1)
    return connection.execute(some).one_or_none() is not None


def zone_of(connection: Connection, site_id: str) -> ZoneInfo:
    """Its calendar. Raises NotFoundError."""
    name = connection.execute(_ZONE, {"site_id": site_id}).scalar_one_or_none()
    if name is None:
        raise NotFoundError(f"there is no site {site_id!r}; POST /api/v1/sites makes one")
    return ZoneInfo(name)


def _micro(price: Decimal) -> int:
    """As it is kept. Raises InvalidError for one that would be another there."""
    if not abs(price) <= PRICE_MAX:
        raise InvalidError(f"price_per_kwh {price:.6g} cannot be: at most {PRICE_MAX}; is it of another unit?")
    if (micro := price / MICRO) != int(micro):
        raise InvalidError(f"price_per_kwh {price:.12g} has more than six decimals; round it")
    return int(micro)


def _values(draft: SiteDraft) -> dict[str, Any]:
    try:
        ZoneInfo(draft.timezone)
    except (KeyError, ValueError, OSError):
        raise InvalidError(f"timezone {draft.timezone!r} is not known; write a name as Europe/Berlin") from None
    return {
        "name": draft.name,
        "location": draft.location,
        "timezone": draft.timezone,
        "currency": draft.currency,
        "capacity_w": None if draft.total_capacity is None else draft.total_capacity * 1000,
        "energy_sources": list(draft.energy_sources),
        "carbon_zone": draft.carbon_zone,
        "carbon_kind": draft.carbon_kind,
        "price_micro_per_kwh": None if draft.price_per_kwh is None else _micro(draft.price_per_kwh),
        "is_active": draft.is_active,
    }


def _site(row: Row[Any]) -> Site:
    load, capacity = row.current_load_w, row.capacity_w
    return Site(
        id=row.id,
        name=row.name,
        location=row.location,
        timezone=row.timezone,
        currency=row.currency,
        total_capacity=None if capacity is None else capacity / 1000,
        current_load=None if load is None else load / 1000,
        utilization_rate=load / capacity * 100 if capacity and load is not None else None,
        energy_sources=tuple(row.energy_sources),
        carbon_zone=row.carbon_zone,
        carbon_kind=row.carbon_kind,
        carbon_budget_id=row.carbon_budget_id,
        price_per_kwh=None if row.price_micro_per_kwh is None else Decimal(row.price_micro_per_kwh) * MICRO,
        is_active=row.is_active,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
