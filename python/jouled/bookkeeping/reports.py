"""Reports: what a site took, gave, emitted and paid in a range of time, and what was done about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Connection, Row, and_, func, or_, select, type_coerce, union

from jouled.bookkeeping import site_energy
from jouled.bookkeeping.advice import recommended
from jouled.bookkeeping.load import site_row
from jouled.bookkeeping.site_energy import Sum
from jouled.books import reports as rules
from jouled.books.calendar import QUARTER_HOUR_S, quarter_hour, quarter_hour_from
from jouled.books.emissions import MJ_PER_KWH, UG_PER_G, UG_PER_KG, average_ug_per_kwh
from jouled.books.load import Bands
from jouled.books.reports import Asked
from jouled.store.schema.load import decisions, load_metrics
from jouled.store.schema.readings import energy_readings
from jouled.store.schema.readings import site_energy as energy
from jouled.store.types import MICRO, instant
from jouled.wire.reports import Applied, Recommendation, Report, SourceTotal

# The latest of them are in the report; all are counted.
APPLIED_MAX = 100
QUARTER_HOUR_US = QUARTER_HOUR_S * 1_000_000
HOUR_US = 3_600_000_000


class Peak(NamedTuple):
    """The highest demand, and what it is of."""

    power_w: float
    at: datetime
    source: str


class Read(NamedTuple):
    """In how many quarter-hours and hours there is a reading."""

    quarters: int
    hours: int

    @property
    def span_hours(self) -> float:
        """What the readings stand for: their quarter-hours, or the hours of meters that are read so often only."""
        return self.quarters / 4 if rules.is_quarter_hourly(self.quarters, self.hours) else float(self.hours)


def report(
    connection: Connection,
    site_id: str,
    *,
    report_type: str | None,
    start: datetime | None,
    end: datetime | None,
    now: datetime,
    bands: Bands,
) -> Report:
    """Of any range; what is left out of it ends now and is a week long."""
    site = site_row(connection, site_id)
    asked = rules.asked(report_type, start, end, now)
    sums = site_energy.sums(connection, site_id, asked.start, asked.end, ZoneInfo(site.timezone))
    read = _read(connection, site_id, asked)
    peak = _peak(connection, site_id, asked, read)
    unknown: dict[str, str] = {}
    consumed_mj = _total_mj(sums, "consume")
    intensity = average_ug_per_kwh(sum(row.emission_ug for row in sums), site_energy.counted_mj(sums))
    if intensity is None:
        unknown["carbon_intensity"] = "no energy was counted in the range"
    if peak is None:
        unknown["peak_demand"] = "no load metrics in the range, and no readings every hour or more often"
    if not read.hours:
        unknown["average_demand"] = "no readings in the range"
    cost = _cost(site, consumed_mj, unknown)
    advised = recommended(connection, site_id, now, bands).recommendations
    savings = _savings(advised, unknown)
    count, applied = _applied(connection, site_id, asked)
    return Report(
        facility_id=site_id,
        report_type=asked.report_type,
        start_time=asked.start,
        end_time=asked.end,
        generated_at=now,
        timezone=site.timezone,
        total_consumption=consumed_mj / MJ_PER_KWH,
        total_production=_total_mj(sums, "produce") / MJ_PER_KWH,
        by_source=_by_source(sums),
        total_emission=sum(row.emission_ug for row in sums) / UG_PER_KG,
        carbon_intensity=None if intensity is None else intensity / UG_PER_G,
        total_cost=cost,
        currency=site.currency,
        average_demand=consumed_mj / MJ_PER_KWH / read.span_hours if read.hours else None,
        peak_demand=None if peak is None else peak.power_w / 1000,
        peak_demand_at=None if peak is None else peak.at,
        peak_demand_from=None if peak is None else peak.source,
        coverage=rules.coverage(read.hours, asked.start, asked.end, now),
        readings=sum(row.readings for row in sums),
        estimated_readings=sum(row.estimated_readings for row in sums),
        energy_savings=savings.kwh,
        cost_savings=savings.money,
        carbon_savings=savings.kg,
        optimizations_applied=count,
        optimizations=applied,
        recommendations=advised,
        unknown=unknown,
    )


def _total_mj(sums: Sequence[Sum], direction: str) -> int:
    """Without batteries: what comes out of one was counted when it went in."""
    return sum(row.energy_mj for row in sums if row.direction == direction and row.energy_source != "battery")


def _by_source(sums: Sequence[Sum]) -> dict[str, SourceTotal]:
    found: dict[str, SourceTotal] = {}
    for source in sorted({row.energy_source for row in sums}):
        rows = [row for row in sums if row.energy_source == source]
        found[source] = SourceTotal(
            consumption=sum(row.energy_mj for row in rows if row.direction == "consume") / MJ_PER_KWH,
            production=sum(row.energy_mj for row in rows if row.direction == "produce") / MJ_PER_KWH,
            emission=sum(row.emission_ug for row in rows) / UG_PER_KG,
            readings=sum(row.readings for row in rows),
            estimated_readings=sum(row.estimated_readings for row in rows),
        )
    return found


def _cost(site: Row[Any], consumed_mj: int, unknown: dict[str, str]) -> Decimal | None:
    if site.price_micro_per_kwh is None:
        unknown["total_cost"] = "the site has no price_per_kwh"
        return None
    return rules.cost(consumed_mj, site.price_micro_per_kwh * MICRO)


def _read(connection: Connection, site_id: str, asked: Asked) -> Read:
    """Of whole quarter-hours by their sums, at the ends of the range by the readings themselves: what was read
    outside of it says nothing of it.
    """
    first, last = quarter_hour_from(asked.start), quarter_hour(asked.end)
    sums, single = energy.c, energy_readings.c
    whole = select((type_coerce(sums.start_at, BigInteger) // QUARTER_HOUR_US).label("quarter")).where(
        sums.site_id == site_id,
        sums.resolution_s == QUARTER_HOUR_S,
        sums.start_at >= first,
        sums.start_at < last,
        sums.readings > 0,
    )
    at_ends = select((type_coerce(single.at, BigInteger) // QUARTER_HOUR_US).label("quarter")).where(
        single.site_id == site_id,
        or_(
            and_(single.at >= asked.start, single.at < min(first, asked.end)),
            and_(single.at >= max(last, asked.start), single.at < asked.end),
        ),
        single.quality != "bad",
    )
    quarters = union(whole, at_ends).subquery()
    hours = func.count((quarters.c.quarter // 4).distinct())
    row = connection.execute(select(func.count(), hours).select_from(quarters)).one()
    return Read(*row)


def _peak(connection: Connection, site_id: str, asked: Asked, read: Read) -> Peak | None:
    """From the whole site's load metrics, or else its zones', or else its readings."""
    return (
        _peak_of_site(connection, site_id, asked)
        or _peak_of_zones(connection, site_id, asked)
        or _peak_of_readings(connection, site_id, asked, read)
    )


def _metrics(site_id: str, asked: Asked) -> tuple[Any, ...]:
    table = load_metrics.c
    return table.site_id == site_id, table.at > asked.start, table.at <= asked.end


def _peak_of_site(connection: Connection, site_id: str, asked: Asked) -> Peak | None:
    table = load_metrics.c
    power = func.coalesce(table.peak_w, table.avg_w)
    query = select(power, table.at).where(*_metrics(site_id, asked), table.zone_id.is_(None))
    row = connection.execute(query.order_by(power.desc(), table.at).limit(1)).one_or_none()
    return None if row is None else Peak(*row, "load_metrics")


def _peak_of_zones(connection: Connection, site_id: str, asked: Asked) -> Peak | None:
    """The highest sum of the zones' quarter-hours: their own peaks need not come together."""
    table = load_metrics.c
    quarter = ((type_coerce(table.at, BigInteger) - 1) // QUARTER_HOUR_US).label("quarter")
    mean = func.sum(table.avg_w * table.window_s) / func.sum(table.window_s)
    means = (
        select(quarter, mean.label("mean_w"))
        .where(*_metrics(site_id, asked), table.zone_id.is_not(None))
        .group_by(table.zone_id, quarter)
        .subquery()
    )
    power = func.sum(means.c.mean_w)
    query = select(power, means.c.quarter).group_by(means.c.quarter).order_by(power.desc(), means.c.quarter).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else Peak(row[0], instant(row[1] * QUARTER_HOUR_US), "load_metrics_of_zones")


def _peak_of_readings(connection: Connection, site_id: str, asked: Asked, read: Read) -> Peak | None:
    """Of whole quarter-hours, or of whole hours where meters are read that often only."""
    if not read.hours:
        return None
    is_quarterly = rules.is_quarter_hourly(read.quarters, read.hours)
    length_us = QUARTER_HOUR_US if is_quarterly else HOUR_US
    bucket = (type_coerce(energy.c.start_at, BigInteger) // length_us).label("bucket")
    total = func.sum(energy.c.energy_mj)
    query = (
        select(total, bucket)
        .where(
            energy.c.site_id == site_id,
            energy.c.resolution_s == QUARTER_HOUR_S,
            energy.c.start_at >= asked.start,
            energy.c.start_at <= asked.end - timedelta(seconds=QUARTER_HOUR_S),
            energy.c.direction == "consume",
            energy.c.energy_source != "battery",
        )
        .group_by(bucket)
        .order_by(total.desc(), bucket)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    source = "readings_by_quarter_hour" if is_quarterly else "readings_by_hour"
    return Peak(float(row[0]) * 1000 / length_us, instant(row[1] * length_us), source)


class _Savings(NamedTuple):
    kwh: float | None
    money: Decimal | None
    kg: float | None


def _savings(advised: Sequence[Recommendation], unknown: dict[str, str]) -> _Savings:
    """Of the open ones, as far as it is known. Each is None where it is known of none."""
    still = [one for one in advised if one.status in {"pending", "approved"}]
    kwh = [one.savings_kwh for one in still if one.savings_kwh is not None]
    money = [one.estimated_savings for one in still if one.estimated_savings is not None]
    grams = [one.savings_gco2e for one in still if one.savings_gco2e is not None]
    known = {"energy_savings": kwh, "cost_savings": money, "carbon_savings": grams}
    for name, values in known.items():
        if not values:
            unknown[name] = "it is known of none of the recommendations" if still else "nothing is recommended"
    return _Savings(
        sum(kwh) if kwh else None,
        sum(money, Decimal(0)) if money else None,
        sum(grams) / 1000 if grams else None,
    )


def _applied(connection: Connection, site_id: str, asked: Asked) -> tuple[int, tuple[Applied, ...]]:
    table = decisions.c
    within = (
        table.site_id == site_id,
        table.status == "completed",
        table.completed_at >= asked.start,
        table.completed_at < asked.end,
    )
    count = connection.execute(select(func.count()).select_from(decisions).where(*within)).scalar_one()
    rows = connection.execute(select(decisions).where(*within).order_by(table.seq.desc()).limit(APPLIED_MAX))
    applied = tuple(
        Applied(row.id, row.decision_type, row.load_shift_w / 1000, row.completed_at, row.result) for row in rows
    )
    return count, applied
