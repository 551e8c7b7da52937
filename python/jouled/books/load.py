"""What a load says of itself: placed well, or calling for something."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple


class Bands(NamedTuple):
    """Percent of capacity, in order; `stale_s` is the age at which a load says nothing of now any more."""

    band_low_pct: float = 60.0
    band_high_pct: float = 80.0
    scale_up_pct: float = 85.0
    scale_down_pct: float = 50.0
    stale_s: float = 3600.0


class Seen(NamedTuple):
    """A load at an instant, in watts. `utilization_pct` is what its metric said of itself."""

    load_w: float
    peak_w: float | None
    at: datetime
    utilization_pct: float | None = None

    def is_stale(self, now: datetime, bands: Bands) -> bool:
        return (now - self.at).total_seconds() > bands.stale_s


class Verdict(NamedTuple):
    """`source` is "site" for a metric of the whole, "zones" for a sum."""

    load_w: float | None
    peak_w: float | None
    utilization_pct: float | None
    status: str
    needs_action: bool
    recommendations: tuple[str, ...]
    source: str | None
    at: datetime | None
    reason: str | None


def utilization_pct(load_w: float | None, capacity_w: float | None) -> float | None:
    return load_w / capacity_w * 100 if load_w is not None and capacity_w else None


def zone_status(utilization: float | None, bands: Bands) -> str:
    if utilization is None:
        return "unknown"
    if utilization > bands.scale_up_pct:
        return "overloaded"
    if utilization >= bands.band_high_pct:
        return "high"
    return "optimal" if utilization >= bands.band_low_pct else "low"


def sheddable_w(load_w: float | None, min_load_w: float, *, can_shed: bool) -> float | None:
    """What a zone could shed; None where its load is not known."""
    if not can_shed:
        return 0.0
    return None if load_w is None else max(0.0, load_w - min_load_w)


def evaluated(
    of_site: Seen | None, of_zones: Sequence[Seen], capacity_w: float | None, now: datetime, bands: Bands
) -> Verdict:
    """The whole site's own metric counts, as long as it says something of now; or else the sum of its zones'."""
    fresh = [seen for seen in of_zones if not seen.is_stale(now, bands)]
    if of_site is not None and not of_site.is_stale(now, bands):
        return _verdict(of_site, "site", capacity_w, bands)
    if fresh:
        return _verdict(_summed(fresh), "zones", capacity_w, bands)
    latest = max((seen for seen in (of_site, *of_zones) if seen is not None), key=lambda seen: seen.at, default=None)
    if latest is None:
        return Verdict(None, None, None, "unknown", False, (), None, None, "no_metrics_available")
    return Verdict(None, None, None, "unknown", False, (), None, latest.at, "metrics_are_stale")


def _summed(zones: Sequence[Seen]) -> Seen:
    peaks = [seen.load_w if seen.peak_w is None else seen.peak_w for seen in zones]
    return Seen(sum(seen.load_w for seen in zones), sum(peaks), max(seen.at for seen in zones))


def _verdict(seen: Seen, source: str, capacity_w: float | None, bands: Bands) -> Verdict:
    utilization = utilization_pct(seen.load_w, capacity_w)
    if utilization is None:
        utilization = seen.utilization_pct
    if utilization is None:
        reason = "no_capacity_known"
        return Verdict(seen.load_w, seen.peak_w, None, "unknown", False, (), source, seen.at, reason)
    words = _recommendations(utilization, bands)
    status = _site_status(utilization, bands)
    return Verdict(seen.load_w, seen.peak_w, utilization, status, bool(words), words, source, seen.at, None)


def _site_status(utilization: float, bands: Bands) -> str:
    if utilization < bands.band_low_pct:
        return "underutilized"
    return "overutilized" if utilization > bands.band_high_pct else "optimal"


def _recommendations(utilization: float, bands: Bands) -> tuple[str, ...]:
    """Both borders are themselves still well."""
    found = f"The load is {utilization:.1f} % of the capacity"
    if utilization > bands.scale_up_pct:
        return (f"{found}, above {bands.scale_up_pct:g} %: add capacity, or shift or shed load.",)
    if utilization < bands.scale_down_pct:
        return (f"{found}, below {bands.scale_down_pct:g} %: take capacity away, or move load here.",)
    return ()
