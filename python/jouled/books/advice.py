"""What the records advise, each with the way its savings are calculated: from the records, never a constant.

A saving that cannot be known is None, and `unknown` says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from math import acos, tan
from typing import NamedTuple, TypeAlias

from jouled.books.emissions import MJ_PER_KWH
from jouled.books.load import Bands

HOUR_S = 3600.0
POWER_FACTOR_LEAST = 0.85
POWER_FACTOR_WANTED = 0.95
DISTORTION_MOST_PCT = 5.0
# A base of at least this part of the mean is worth a look.
BASE_RATIO = 0.5
# Below that many hours nobody can tell what is base and what is chance.
HOURS_LEAST = 24
# Of a day's hours, those that are moved: from its dirtiest to its cleanest quarter.
MOVED_PART = 4
DAY_HOURS_LEAST = 8
MICRO = Decimal("0.000001")


class Hour(NamedTuple):
    """The mean of an hour, of which `window_s` was recorded. `intensity` is in µgCO2e/kWh, where it is known."""

    start: datetime
    mean_w: float
    window_s: float
    intensity: int | None = None


class Record(NamedTuple):
    """What was recorded of a zone, or of the whole site where `zone_id` is None. Means are weighted: that of the
    power factor by energy, the others by time.
    """

    zone_id: str | None
    name: str
    capacity_w: float | None
    min_load_w: float
    can_shed: bool
    hours: Sequence[Hour]
    power_factor: float | None
    distortion_pct: float | None
    mean_utilization_pct: float | None
    peak_utilization_pct: float | None

    @property
    def window_s(self) -> float:
        return sum(hour.window_s for hour in self.hours)

    @property
    def mean_w(self) -> float:
        return sum(hour.mean_w * hour.window_s for hour in self.hours) / self.window_s if self.hours else 0.0


class Terms(NamedTuple):
    """What energy costs and emits here: None where nobody has said."""

    price_per_kwh: Decimal | None
    currency: str
    ug_per_kwh: float | None
    has_series: bool


class Advice(NamedTuple):
    """One thing to do. Savings are None where they cannot be known, and then `unknown` says why by their names."""

    rule: str
    zone_id: str | None
    category: str
    title: str
    description: str
    implementation: str
    method: str
    priority: int
    savings_mj: int | None
    savings: Decimal | None
    savings_ug: int | None
    unknown: dict[str, str]

    def id_at(self, site_id: str) -> str:
        """The same whenever the same is advised."""
        words = "\0".join((site_id, self.rule, self.zone_id or ""))
        return "rec-" + hashlib.sha256(words.encode()).hexdigest()[:24]


Rule: TypeAlias = Callable[[Record, Terms, Bands], Advice | None]


def advised(records: Sequence[Record], terms: Terms, bands: Bands) -> list[Advice]:
    """Most urgent first."""
    found = [advice for record in records for rule in RULES if (advice := rule(record, terms, bands)) is not None]
    return sorted(found, key=lambda advice: (advice.priority, advice.rule, advice.zone_id or ""))


def _none_known(why: str) -> dict[str, str]:
    return dict.fromkeys(("savings_kwh", "estimated_savings", "savings_gco2e"), why)


def power_factor(record: Record, _: Terms, __: Bands) -> Advice | None:
    factor = record.power_factor
    if factor is None or not 0 < factor < POWER_FACTOR_LEAST:
        return None
    power_kw = record.mean_w / 1000
    kvar = power_kw * (tan(acos(factor)) - tan(acos(POWER_FACTOR_WANTED)))
    less = (1 - factor / POWER_FACTOR_WANTED) * 100
    return Advice(
        "power_factor",
        record.zone_id,
        "power_quality",
        "Improve Power Factor",
        f"The power factor of {record.name} is {factor:.3f}, below {POWER_FACTOR_LEAST}.",
        f"Compensate about {kvar:.2f} kVAR to come to {POWER_FACTOR_WANTED}: the current falls by {less:.0f} %.",
        f"Mean weighted by energy over {_hours(record)}; {power_kw:.3f} kW x (tan acos {factor:.3f} - "
        f"tan acos {POWER_FACTOR_WANTED}) = {kvar:.2f} kVAR; current by 1 - {factor:.3f} / {POWER_FACTOR_WANTED}",
        2,
        None,
        None,
        None,
        _none_known("what the wiring loses is not metered, and no tariff of reactive power is known"),
    )


def distortion(record: Record, _: Terms, __: Bands) -> Advice | None:
    thd = record.distortion_pct
    if thd is None or thd <= DISTORTION_MOST_PCT:
        return None
    extra = ((1 + (thd / 100) ** 2) ** 0.5 - 1) * 100
    return Advice(
        "harmonic_distortion",
        record.zone_id,
        "power_quality",
        "Reduce Harmonic Distortion",
        f"The harmonic distortion of {record.name} is {thd:.1f} %, above {DISTORTION_MOST_PCT:g} %.",
        "Filter harmonics at the loads that make them, or spread these over the phases.",
        f"Mean weighted by time over {_hours(record)}; the current is sqrt(1 + {thd / 100:.4f}^2) of its "
        f"fundamental, {extra:.2f} % more",
        2,
        None,
        None,
        None,
        _none_known("what the wiring and transformers lose is not metered"),
    )


def peak_shaving(record: Record, _: Terms, bands: Bands) -> Advice | None:
    peak = record.peak_utilization_pct
    if peak is None or peak <= bands.scale_up_pct:
        return None
    of_power = ""
    above = f"{peak:.1f} % - {bands.scale_up_pct:g} %"
    if record.capacity_w:
        above_kw = (peak - bands.scale_up_pct) / 100 * record.capacity_w / 1000
        border_w = record.capacity_w * bands.scale_up_pct / 100
        moved_kwh = sum(max(0.0, hour.mean_w - border_w) * hour.window_s for hour in record.hours) / 3.6e6
        of_power = (
            f" of {record.capacity_w / 1000:.3f} kW = {above_kw:.3f} kW to shave; {moved_kwh:.3f} kWh of hourly means lie "
            "above and have to go elsewhere; moving energy saves none"
        )
    unknown = {
        "estimated_savings": "the site has a price of energy, but none of its peak",
        "savings_gco2e": "it depends on when the load runs instead",
    }
    return Advice(
        "peak_shaving",
        record.zone_id,
        "demand_management",
        "Implement Peak Shaving",
        f"The load of {record.name} came to {peak:.1f} % of its capacity, above {bands.scale_up_pct:g} %.",
        "Shift or shed load at the peak; POST /api/v1/balancing/auto proposes what can go where.",
        f"Highest utilization over {_hours(record)}: {above}{of_power}",
        1,
        0,
        None,
        None,
        unknown,
    )


def off_peak(record: Record, terms: Terms, bands: Bands) -> Advice | None:
    """Load that may run at other hours runs when electricity is clean."""
    mean = record.mean_utilization_pct
    saved = _moved(record, bands) if terms.has_series and record.can_shed else None
    has_room = mean is not None and mean < bands.band_low_pct
    if not has_room and not (saved and saved.ug > 0):
        return None
    unknown: dict[str, str] = {}
    if saved is None:
        unknown["savings_kwh"] = unknown["savings_gco2e"] = (
            "the site has no carbon series of these hours"
            if record.can_shed
            else "what may run at other hours is not known: no can_shed_load"
        )
        method = f"Mean utilization over {_hours(record)} {_percent(mean)}"
    else:
        method = (
            f"On each of {saved.days} days the load above min_load {record.min_load_w / 1000:.3f} kW goes from the dirtiest "
            f"quarter of its hours to the cleanest, up to {bands.band_high_pct:g} % of capacity there: {saved.kwh:.3f} kWh, sum "
            f"of energy x difference of intensity = {saved.ug / 1e6:.1f} gCO2e; moving energy saves none"
        )
    if terms.price_per_kwh is None:
        unknown["estimated_savings"] = "the site has no price_per_kwh"
    elif saved is None:
        unknown["estimated_savings"] = unknown["savings_kwh"]
    else:
        method += "; the price is the same at all hours"
    return Advice(
        "off_peak",
        record.zone_id,
        "load_shifting",
        "Optimize Off-Peak Usage",
        f"{record.name} has room at other hours: its mean utilization is {_percent(mean)}.",
        "Run what can wait when the grid is clean or the load is low.",
        method,
        3,
        None if saved is None else 0,
        None if saved is None or terms.price_per_kwh is None else Decimal(0),
        None if saved is None else saved.ug,
        unknown,
    )


def base_load(record: Record, terms: Terms, _: Bands) -> Advice | None:
    """What runs at all hours, also when there is nothing to do."""
    if len(record.hours) < HOURS_LEAST or not record.mean_w:
        return None
    base_w = sorted(hour.mean_w for hour in record.hours)[len(record.hours) // 10]
    if base_w < BASE_RATIO * record.mean_w or base_w <= record.min_load_w:
        return None
    found = f"A tenth of {len(record.hours)} hours is at or below {base_w / 1000:.3f} kW, the mean is {record.mean_w / 1000:.3f} kW"
    unknown: dict[str, str] = {}
    savings_mj, savings, savings_ug = None, None, None
    if record.min_load_w > 0:
        over_w = base_w - record.min_load_w
        savings_mj = round(over_w * record.window_s * 1000)
        kwh = Decimal(savings_mj) / MJ_PER_KWH
        found += f"; ({base_w / 1000:.3f} kW - min_load {record.min_load_w / 1000:.3f} kW) x {_hours(record)} = {kwh:.3f} kWh"
        if terms.price_per_kwh is None:
            unknown["estimated_savings"] = "the site has no price_per_kwh"
        else:
            savings = (kwh * terms.price_per_kwh).quantize(MICRO)
            found += f"; x {terms.price_per_kwh} {terms.currency}/kWh"
        if terms.ug_per_kwh is None:
            unknown["savings_gco2e"] = "the site has no readings from which its carbon intensity follows"
        else:
            savings_ug = round(float(kwh) * terms.ug_per_kwh)
            found += f"; x {terms.ug_per_kwh / 1e6:.1f} gCO2e/kWh"
    else:
        unknown = _none_known("what it needs at rest is not known: set min_load of the zone")
    return Advice(
        "base_load",
        record.zone_id,
        "base_load",
        "Lower the Base Load",
        f"{record.name} takes {base_w / 1000:.3f} kW at nearly all hours, {base_w / record.mean_w * 100:.0f} % of its mean.",
        "Find what runs with nothing to do, and switch it off or let it sleep.",
        found,
        3,
        savings_mj,
        savings,
        savings_ug,
        unknown,
    )


RULES: tuple[Rule, ...] = (peak_shaving, power_factor, distortion, off_peak, base_load)


class _Saved(NamedTuple):
    kwh: float
    ug: int
    days: int


def _moved(record: Record, bands: Bands) -> _Saved | None:
    """None where there is no day of which enough hours are known."""
    days: dict[object, list[Hour]] = {}
    for hour in record.hours:
        if hour.intensity is not None:
            days.setdefault(hour.start.date(), []).append(hour)
    known = [hours for hours in days.values() if len(hours) >= DAY_HOURS_LEAST]
    if not known:
        return None
    limit_w = None if record.capacity_w is None else record.capacity_w * bands.band_high_pct / 100
    kwh, ug = 0.0, 0.0
    for hours in known:
        by_intensity = sorted(hours, key=lambda hour: hour.intensity or 0)
        part = len(hours) // MOVED_PART
        for clean, dirty in zip(by_intensity[:part], reversed(by_intensity[-part:]), strict=True):
            free_w = float("inf") if limit_w is None else max(0.0, limit_w - clean.mean_w)
            moved_w = min(max(0.0, dirty.mean_w - record.min_load_w), free_w)
            moved_kwh = moved_w * min(clean.window_s, dirty.window_s, HOUR_S) / 3.6e6
            kwh += moved_kwh
            ug += moved_kwh * ((dirty.intensity or 0) - (clean.intensity or 0))
    return _Saved(kwh, round(ug), len(known))


def _hours(record: Record) -> str:
    return f"{record.window_s / HOUR_S:.1f} h"


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f} %"


def hourly(slots: Sequence[tuple[datetime, datetime, int]], starts: Sequence[datetime]) -> Mapping[datetime, int]:
    """The mean intensity of each hour, weighted by time; without those of which a part is not known.

    `slots` are start, end and µg/kWh, in order and without overlaps; `starts` are beginnings of hours, in order.
    """
    means: dict[datetime, int] = {}
    first = 0
    for start in starts:
        while first < len(slots) and slots[first][1] <= start:
            first += 1
        covered_s, weighted, place = 0.0, 0.0, first
        while place < len(slots) and (slots[place][0] - start).total_seconds() < HOUR_S:
            begin_s = max(0.0, (slots[place][0] - start).total_seconds())
            end_s = min(HOUR_S, (slots[place][1] - start).total_seconds())
            covered_s += end_s - begin_s
            weighted += slots[place][2] * (end_s - begin_s)
            place += 1
        if covered_s >= HOUR_S:
            means[start] = round(weighted / covered_s)
    return means
