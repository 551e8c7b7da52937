"""Recommendations: computed from the records whenever they are asked for, and kept once somebody has judged them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import BigInteger, Connection, Row, case, func, select, type_coerce

from jouled.bookkeeping import site_energy
from jouled.bookkeeping.load import site_row
from jouled.bookkeeping.upserts import upsert
from jouled.books import advice as rules
from jouled.books.advice import Advice, Hour, Record, Terms
from jouled.books.emissions import MJ_PER_KWH, UG_PER_G, average_ug_per_kwh
from jouled.books.load import Bands
from jouled.errors import NotFoundError
from jouled.store.schema.carbon import carbon_intensity
from jouled.store.schema.load import load_metrics, recommendations
from jouled.store.schema.sites import site_zones
from jouled.store.types import MICRO, instant
from jouled.wire.reports import Judgement, Recommendation, Recommendations

# Long enough to hold the weekend and the end of the month, short enough to be of today's site.
WINDOW = timedelta(days=30)
# The largest zones: 720 hours of each are read.
ZONES_MAX = 200
# Slots of five minutes for the window, and some more.
SLOTS_MAX = 10_000
KEPT_MAX = 1000
HOUR_US = 3_600_000_000
HOUR = timedelta(hours=1)


def recommended(connection: Connection, site_id: str, now: datetime, bands: Bands) -> Recommendations:
    """Most urgent first; those that were judged stay, also where the records do not advise them any more."""
    site = site_row(connection, site_id)
    kept = {row.id: row for row in connection.execute(_kept(site_id))}
    found = _computed(connection, site, now, bands)
    made = [_judged(advised, kept.pop(advised.id, None)) for advised in found]
    made += [_of_row(row, site.currency) for row in kept.values()]
    reason = None if made else _reason(connection, site_id, now)
    return Recommendations(site_id, len(made), tuple(made), reason)


def judge(
    connection: Connection,
    site_id: str,
    recommendation_id: str,
    judgement: Judgement,
    *,
    who: str,
    now: datetime,
    bands: Bands,
) -> Recommendation:
    """Keep what somebody decided, with the recommendation as it is now."""
    shown = recommended(connection, site_id, now, bands).recommendations
    found = next((advised for advised in shown if advised.id == recommendation_id), None)
    if found is None:
        raise NotFoundError(f"site {site_id!r} has no recommendation {recommendation_id!r} now")
    values = {
        "site_id": site_id,
        "zone_id": found.zone_id,
        "category": found.category,
        "title": found.title,
        "description": found.description[:2048],
        "implementation": found.implementation[:1024],
        "method": found.method[:1024],
        "priority": found.priority,
        "period_s": round(found.period_days * 86_400),
        "savings_mj": None if found.savings_kwh is None else round(found.savings_kwh * MJ_PER_KWH),
        "savings_ug": None if found.savings_gco2e is None else round(found.savings_gco2e * UG_PER_G),
        "savings": found.estimated_savings,
        "unknown": found.unknown,
        "status": judgement.status,
        "note": judgement.note,
        "who": who[:128],
        "updated_at": now,
    }
    put = upsert(connection, recommendations).values(id=found.id, created_at=now, **values)
    connection.execute(put.on_conflict_do_update(index_elements=["id"], set_=values))
    row = connection.execute(select(recommendations).where(recommendations.c.id == found.id)).one()
    return _of_row(row, found.currency)


def _kept(site_id: str) -> Any:
    table = recommendations.c
    return select(recommendations).where(table.site_id == site_id).order_by(table.priority, table.id).limit(KEPT_MAX)


def _computed(connection: Connection, site: Row[Any], now: datetime, bands: Bands) -> list[Recommendation]:
    records = _records(connection, site, now)
    if not records:
        return []
    terms = _terms(connection, site, now)
    return [_shown(site, advice) for advice in rules.advised(records, terms, bands)]


def _reason(connection: Connection, site_id: str, now: datetime) -> str:
    query = select(load_metrics.c.seq).where(load_metrics.c.site_id == site_id, load_metrics.c.at > now - WINDOW)
    if connection.execute(query.limit(1)).first() is None:
        return f"no load metrics of the last {WINDOW.days} days"
    return f"the load metrics of the last {WINDOW.days} days call for nothing"


def _terms(connection: Connection, site: Row[Any], now: datetime) -> Terms:
    sums = site_energy.sums(connection, site.id, now - WINDOW, now, ZoneInfo(site.timezone))
    mean = average_ug_per_kwh(sum(row.emission_ug for row in sums), site_energy.counted_mj(sums))
    price = site.price_micro_per_kwh
    return Terms(None if price is None else price * MICRO, site.currency, mean, site.carbon_zone is not None)


def _records(connection: Connection, site: Row[Any], now: datetime) -> list[Record]:
    largest = (
        select(site_zones)
        .where(site_zones.c.site_id == site.id)
        .order_by(site_zones.c.capacity_w.desc(), site_zones.c.id)
    )
    zones = {row.id: row for row in connection.execute(largest.limit(ZONES_MAX))}
    found: dict[str | None, list[Row[Any]]] = {}
    for row in connection.execute(_hours(site.id, now)):
        if row.zone_id is None or row.zone_id in zones:
            found.setdefault(row.zone_id, []).append(row)
    intensity = _intensity(connection, site, sorted({row.hour for rows in found.values() for row in rows}))
    return [_record(site, zones.get(zone_id or ""), rows, intensity) for zone_id, rows in found.items()]


def _hours(site_id: str, now: datetime) -> Any:
    """Sums of each zone's hours. A metric is of the hour in which its window ended."""
    table = load_metrics.c
    hour = (type_coerce(table.at, BigInteger) - 1) // HOUR_US
    energy = table.avg_w * table.window_s
    return (
        select(
            table.zone_id,
            hour.label("hour"),
            func.sum(table.window_s).label("window_s"),
            func.sum(energy).label("energy"),
            func.sum(table.power_factor * energy).label("power_factor"),
            func.sum(case((table.power_factor.is_not(None), energy))).label("power_factor_of"),
            func.sum(table.harmonic_distortion_pct * table.window_s).label("distortion"),
            func.sum(case((table.harmonic_distortion_pct.is_not(None), table.window_s))).label("distortion_of"),
            func.sum(table.avg_utilization_pct * table.window_s).label("utilization"),
            func.sum(case((table.avg_utilization_pct.is_not(None), table.window_s))).label("utilization_of"),
            func.max(func.coalesce(table.peak_utilization_pct, table.avg_utilization_pct)).label("peak"),
        )
        .where(table.site_id == site_id, table.at > now - WINDOW, table.at <= now)
        .group_by(table.zone_id, hour)
        .order_by(table.zone_id, hour)
    )


def _record(site: Row[Any], zone: Row[Any] | None, rows: Sequence[Row[Any]], intensity: dict[int, int]) -> Record:
    hours = tuple(
        Hour(instant(row.hour * HOUR_US), row.energy / row.window_s, row.window_s, intensity.get(row.hour))
        for row in rows
    )
    peaks = [row.peak for row in rows if row.peak is not None]
    return Record(
        zone_id=None if zone is None else zone.id,
        name=site.name if zone is None else zone.name,
        capacity_w=site.capacity_w if zone is None else zone.capacity_w,
        min_load_w=0.0 if zone is None else zone.min_load_w,
        can_shed=zone is not None and zone.can_shed_load,
        hours=hours,
        power_factor=_mean(rows, "power_factor"),
        distortion_pct=_mean(rows, "distortion"),
        mean_utilization_pct=_mean(rows, "utilization"),
        peak_utilization_pct=max(peaks, default=None),
    )


def _mean(rows: Sequence[Row[Any]], name: str) -> float | None:
    """Of what was weighted: None where nothing was."""
    known = [row._mapping for row in rows if row._mapping[f"{name}_of"]]  # noqa: SLF001  (its public name for this)
    weight = sum(row[f"{name}_of"] for row in known)
    return sum(row[name] for row in known) / weight if weight else None


def _intensity(connection: Connection, site: Row[Any], hours: Sequence[int]) -> dict[int, int]:
    if site.carbon_zone is None or not hours:
        return {}
    table = carbon_intensity.c
    starts = [instant(hour * HOUR_US) for hour in hours]
    query = select(table.start_at, table.end_at, table.ug_per_kwh).where(
        table.zone == site.carbon_zone,
        table.kind == (site.carbon_kind or "average"),
        table.start_at >= starts[0] - HOUR,
        table.start_at < starts[-1] + HOUR,
    )
    slots = [tuple(row) for row in connection.execute(query.order_by(table.start_at).limit(SLOTS_MAX))]
    means = rules.hourly(slots, starts)
    return {hour: means[start] for hour, start in zip(hours, starts, strict=True) if start in means}


def _shown(site: Row[Any], advice: Advice) -> Recommendation:
    return Recommendation(
        id=advice.id_at(site.id),
        facility_id=site.id,
        zone_id=advice.zone_id,
        category=advice.category,
        title=advice.title,
        description=advice.description,
        implementation=advice.implementation,
        method=advice.method,
        priority=advice.priority,
        period_days=WINDOW / timedelta(days=1),
        estimated_savings=advice.savings,
        currency=site.currency,
        savings_kwh=None if advice.savings_mj is None else advice.savings_mj / MJ_PER_KWH,
        savings_gco2e=None if advice.savings_ug is None else advice.savings_ug / UG_PER_G,
        unknown=advice.unknown,
        status="pending",
    )


def _judged(advised: Recommendation, row: Row[Any] | None) -> Recommendation:
    """The numbers of now, and what was decided."""
    if row is None:
        return advised
    return msgspec.structs.replace(advised, status=row.status, note=row.note)


def _of_row(row: Row[Any], currency: str) -> Recommendation:
    return Recommendation(
        id=row.id,
        facility_id=row.site_id,
        zone_id=row.zone_id,
        category=row.category,
        title=row.title,
        description=row.description,
        implementation=row.implementation,
        method=row.method,
        priority=row.priority,
        period_days=row.period_s / 86_400,
        estimated_savings=None if row.savings is None else Decimal(row.savings),
        currency=currency,
        savings_kwh=None if row.savings_mj is None else row.savings_mj / MJ_PER_KWH,
        savings_gco2e=None if row.savings_ug is None else row.savings_ug / UG_PER_G,
        unknown=row.unknown,
        status=row.status,
        note=row.note,
    )
