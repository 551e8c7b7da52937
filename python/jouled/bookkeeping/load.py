"""Load metrics, and what they say of sites and zones."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, or_, select, update

from jouled.bookkeeping.ids import new_id
from jouled.books import load as rules
from jouled.books.load import Bands, Seen
from jouled.books.readings import EARLIEST
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store.schema.load import load_metrics
from jouled.store.schema.sites import site_zones, sites
from jouled.wire.load import Accepted, Evaluation, LoadMetricDraft, ZoneLoad, ZoneLoads

# A kilowatt-hour in millijoules.
MJ_PER_KWH = 3_600_000_000
AHEAD_MAX = timedelta(minutes=5)
# A site has rooms and halls, not racks' sockets: one answer holds them all.
ZONES_MAX = 10_000


def record(connection: Connection, draft: LoadMetricDraft, now: datetime) -> Accepted:
    """Also brings the zone's load up to date, unless a later metric has already."""
    sha256 = sha256_of(draft)
    if draft.key is not None:
        known = connection.execute(select(load_metrics).where(load_metrics.c.key == draft.key)).one_or_none()
        if known is not None:
            check_same(draft.key, known.draft_sha256, sha256)
            return Accepted(known.id, "load metric recorded already")
    site = site_row(connection, draft.facility_id)
    zone = None if draft.zone_id is None else zone_row(connection, draft.facility_id, draft.zone_id)
    at = draft.timestamp or now
    _check(draft, at, now)
    metric_id = new_id()
    capacity_w = site.capacity_w if zone is None else zone.capacity_w
    values = _values(draft, capacity_w)
    connection.execute(
        insert(load_metrics).values(
            id=metric_id, key=draft.key, draft_sha256=sha256, at=at, created_at=now, site_id=site.id, **values
        )
    )
    if zone is not None:
        connection.execute(
            update(site_zones)
            .where(
                site_zones.c.id == zone.id,
                or_(site_zones.c.current_load_at.is_(None), site_zones.c.current_load_at <= at),
            )
            .values(current_load_w=values["avg_w"], current_load_at=at)
        )
    return Accepted(metric_id, "load metric recorded successfully")


def evaluate(connection: Connection, site_id: str, now: datetime, bands: Bands) -> Evaluation:
    """What the load of a site calls for."""
    site = site_row(connection, site_id)
    zones = zone_rows(connection, site_id)
    capacity_w = site.capacity_w or sum(zone.capacity_w for zone in zones)
    of_zones = [seen for zone in zones if (seen := latest(connection, site_id, zone.id)) is not None]
    verdict = rules.evaluated(latest(connection, site_id, None), of_zones, capacity_w, now, bands)
    return Evaluation(
        facility_id=site_id,
        current_load=_kw(verdict.load_w),
        peak_load=_kw(verdict.peak_w),
        utilization=verdict.utilization_pct,
        status=verdict.status,
        needs_action=verdict.needs_action,
        recommendations=verdict.recommendations,
        source=verdict.source,
        measured_at=verdict.at,
        reason=verdict.reason,
    )


def zone_loads(connection: Connection, site_id: str, now: datetime, bands: Bands) -> ZoneLoads:
    """All zones of a site. A load that is too old to say something of now is shown, and its status is unknown."""
    site_row(connection, site_id)
    return ZoneLoads(site_id, {row.id: _zone_load(row, now, bands) for row in zone_rows(connection, site_id)})


def latest(connection: Connection, site_id: str, zone_id: str | None) -> Seen | None:
    """The latest metric of a zone, or of the whole site where `zone_id` is None."""
    of = load_metrics.c.zone_id.is_(None) if zone_id is None else load_metrics.c.zone_id == zone_id
    row = connection.execute(
        select(load_metrics)
        .where(load_metrics.c.site_id == site_id, of)
        .order_by(load_metrics.c.at.desc(), load_metrics.c.seq.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Seen(row.avg_w, row.peak_w, row.at, row.avg_utilization_pct)


def site_row(connection: Connection, site_id: str) -> Row[Any]:
    row = connection.execute(select(sites).where(sites.c.id == site_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no site {site_id!r}; POST /api/v1/sites makes one")
    return row


def zone_row(connection: Connection, site_id: str, zone_id: str) -> Row[Any]:
    of = (site_zones.c.id == zone_id, site_zones.c.site_id == site_id)
    row = connection.execute(select(site_zones).where(*of)).one_or_none()
    if row is None:
        raise InvalidError(f"site {site_id!r} has no zone {zone_id!r}; GET /api/v1/load/zones/{site_id} lists them")
    return row


def zone_rows(connection: Connection, site_id: str) -> list[Row[Any]]:
    query = select(site_zones).where(site_zones.c.site_id == site_id).order_by(site_zones.c.id).limit(ZONES_MAX)
    return list(connection.execute(query).all())


def sha256_of(draft: msgspec.Struct) -> str:
    """Of all that a client said, so that the same again is known as the same."""
    return hashlib.sha256(msgspec.json.encode(draft, order="deterministic")).hexdigest()


def check_same(key: str, known: str | None, sha256: str) -> None:
    if known != sha256:
        raise ConflictError(f"key {key!r} was given to something else before; give each record a key of its own")


def _check(draft: LoadMetricDraft, at: datetime, now: datetime) -> None:
    if at > now + AHEAD_MAX:
        raise InvalidError(f"timestamp {at.isoformat()} is in the future; check the sender's clock")
    if at < EARLIEST:
        raise InvalidError(f"timestamp {at.isoformat()} is before the year 2000; set the sender's clock")
    powers = [draft.min_consumption, draft.avg_consumption, draft.peak_consumption]
    known = [power for power in powers if power is not None]
    if known != sorted(known):
        raise InvalidError("min_consumption, avg_consumption and peak_consumption are not in that order")
    mean, peak = draft.avg_utilization, draft.peak_utilization
    if mean is not None and peak is not None and mean > peak:
        raise InvalidError("avg_utilization is above peak_utilization")


def _values(draft: LoadMetricDraft, capacity_w: float | None) -> dict[str, Any]:
    avg_w = draft.avg_consumption * 1000
    peak_w = None if draft.peak_consumption is None else draft.peak_consumption * 1000
    kwh = draft.total_consumption
    energy_mj = avg_w * draft.window_duration * 1000 if kwh is None else kwh * MJ_PER_KWH
    average, peak = draft.avg_utilization, draft.peak_utilization
    return {
        "zone_id": draft.zone_id,
        "window_s": draft.window_duration,
        "avg_w": avg_w,
        "peak_w": peak_w,
        "min_w": None if draft.min_consumption is None else draft.min_consumption * 1000,
        "energy_mj": round(energy_mj),
        "avg_utilization_pct": rules.utilization_pct(avg_w, capacity_w) if average is None else average,
        "peak_utilization_pct": rules.utilization_pct(peak_w, capacity_w) if peak is None else peak,
        "reactive_power_kvar": draft.reactive_power,
        "harmonic_distortion_pct": draft.harmonic_distortion,
        "power_factor": draft.power_factor,
        "sample_count": draft.sample_count,
    }


def _zone_load(row: Row[Any], now: datetime, bands: Bands) -> ZoneLoad:
    load_w = row.current_load_w
    utilization = rules.utilization_pct(load_w, row.capacity_w)
    is_stale = load_w is not None and Seen(load_w, None, row.current_load_at).is_stale(now, bands)
    return ZoneLoad(
        zone_id=row.id,
        zone_name=row.name,
        zone_type=row.zone_type,
        capacity=row.capacity_w / 1000,
        current_load=_kw(load_w),
        utilization=utilization,
        status="unknown" if is_stale else rules.zone_status(utilization, bands),
        can_shed_load=row.can_shed_load,
        sheddable=_kw(rules.sheddable_w(load_w, row.min_load_w, can_shed=row.can_shed_load)),
        measured_at=row.current_load_at,
    )


def _kw(power_w: float | None) -> float | None:
    return None if power_w is None else power_w / 1000
