"""A site at a glance: its load, its energy today, and whether something is wrong."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from jouled.bookkeeping import load, site_energy
from jouled.bookkeeping.sites import zone_of
from jouled.books import calendar
from jouled.books.emissions import MJ_PER_KWH
from jouled.books.load import Bands
from jouled.errors import InvalidError
from jouled.store.schema.events import alerts
from jouled.store.schema.meters import meters
from jouled.wire.sites import SiteConsumption, SiteLoad, SiteStatus

# Power that a meter showed before that says nothing of now.
FRESH = timedelta(minutes=15)
FULL_PCT = 100.0


class _Power(NamedTuple):
    load_w: float
    at: datetime


def current_load(connection: Connection, site_id: str, now: datetime, bands: Bands) -> SiteLoad:
    """The latest load metrics' power, else that of its main meters: never a sum of energy."""
    seen = load.evaluate(connection, site_id, now, bands)
    if seen.current_load is not None:
        return SiteLoad(site_id, seen.current_load, seen.measured_at, f"load_metrics:{seen.source}", None)
    power = _of_meters(connection, site_id, now)
    if power is not None:
        return SiteLoad(site_id, power.load_w / 1000, power.at, "main_meters", None)
    return SiteLoad(site_id, None, None, None, seen.reason or "no_metrics_available")


def _of_meters(connection: Connection, site_id: str, now: datetime) -> _Power | None:
    table = meters.c
    is_main = table.site_id == site_id, table.kind == "main", table.direction == "consume"
    query = select(func.sum(table.power_w), func.min(table.latest_at), func.count(table.power_w))
    row = connection.execute(query.where(*is_main, table.latest_at >= now - FRESH, table.power_w.is_not(None))).one()
    return _Power(row[0], row[1]) if row[2] else None


def consumption(connection: Connection, site_id: str, which: str | None, now: datetime) -> SiteConsumption:
    """Of a day as the site's calendar has it, today where none is named. Raises InvalidError for what is none."""
    zone = zone_of(connection, site_id)
    day = calendar.day_of(now, zone) if which is None else _date(which)
    period = calendar.Period(calendar.midnight(day, zone), calendar.midnight(day + calendar.ONE_DAY, zone))
    found: dict[str, dict[str, float]] = {"consume": {}, "produce": {}}
    rows = site_energy.sums(connection, site_id, *period, zone)
    for row in rows:
        found[row.direction][row.energy_source] = row.energy_mj / MJ_PER_KWH
    readings = sum(row.readings for row in rows)
    return SiteConsumption(site_id, day.isoformat(), found["consume"], found["produce"], readings)


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidError(f"date {text[:32]!r} is none; write it as 2026-03-29") from None
    if not date(2000, 1, 1) <= day <= date(9000, 1, 1):
        raise InvalidError(f"date {text!r} is outside of the books; they begin with the year 2000")
    return day


def status(connection: Connection, site_id: str, now: datetime, bands: Bands) -> SiteStatus:
    """Calculated: from its load, and from the alerts that are open."""
    seen = load.evaluate(connection, site_id, now, bands)
    current = current_load(connection, site_id, now, bands)
    today = consumption(connection, site_id, None, now)
    query = select(alerts.c.severity, alerts.c.type).where(alerts.c.site_id == site_id).order_by(alerts.c.type)
    severities: set[str] = set()
    reasons: list[str] = []
    for row in connection.execute(query.limit(100)):
        severities.add(row.severity)
        reasons.append(f"alert:{row.type}")
    if seen.utilization is not None and seen.utilization > bands.scale_up_pct:
        severities.add("critical" if seen.utilization > FULL_PCT else "warning")
        reasons.append(f"load:{seen.utilization:.1f} % of capacity")
    worst = "normal" if current.current_load is not None or today.readings else "unknown"
    for severity in ("warning", "critical"):
        if severity in severities:
            worst = severity
    if worst == "unknown":
        reasons.append(current.reason or "no_metrics_available")
    total = sum(today.consumption.values())
    return SiteStatus(site_id, current.current_load, total, worst, tuple(dict.fromkeys(reasons)), now)
