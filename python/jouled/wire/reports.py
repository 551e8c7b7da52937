"""Recommendations and reports of a site."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

RecommendationStatus = Literal["pending", "approved", "implemented", "dismissed"]
ReportType = Literal["daily", "weekly", "monthly", "quarterly", "annual", "custom"]


class Recommendation(Struct, frozen=True):
    """What the records advise.

    The savings are of `period_days`, as `method` calculates them from the records; null where they
    cannot be known, and `unknown` says why by the name of the field. `estimated_savings` is money, in the
    site's `currency`. `id` is the same whenever the same is advised again.
    """

    id: str
    facility_id: str
    zone_id: str | None
    category: str
    title: str
    description: str
    implementation: str
    method: str
    priority: int
    period_days: float
    estimated_savings: Decimal | None
    currency: str
    savings_kwh: float | None
    savings_gco2e: float | None
    unknown: dict[str, str]
    status: str
    note: str | None = None


class Recommendations(Struct, frozen=True):
    """Most urgent first. `reason` says why there is none."""

    facility_id: str
    count: int
    recommendations: tuple[Recommendation, ...]
    reason: str | None = None


class Judgement(Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody decided on a recommendation."""

    status: RecommendationStatus
    note: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None


class SourceTotal(Struct, frozen=True):
    """Energy of one source, consumed and produced apart: kWh, and kgCO2e of what was consumed."""

    consumption: float
    production: float
    emission: float
    readings: int
    estimated_readings: int


class Applied(Struct, frozen=True):
    """A decision that was carried out."""

    id: str
    decision_type: str
    load_shift_amount: float
    completed_at: datetime
    result: str | None


class Report(Struct, frozen=True):
    """A site from `start_time` up to `end_time`, from its readings, load metrics and decisions.

    Energies are in kWh, powers in kW, `total_emission` in kgCO2e, `carbon_intensity` in gCO2e/kWh. What
    came out of a battery is in `by_source` and not in the totals: it was consumed when it went in.
    `coverage` is the part of the range's hours, as far as they have begun, in which there is a reading.
    `peak_demand_from` says what the peak is of; the savings are what the open recommendations would
    save, as far as that is known. What is null has its reason in `unknown`.
    """

    facility_id: str
    report_type: str
    start_time: datetime
    end_time: datetime
    generated_at: datetime
    timezone: str
    total_consumption: float
    total_production: float
    by_source: dict[str, SourceTotal]
    total_emission: float
    carbon_intensity: float | None
    total_cost: Decimal | None
    currency: str
    average_demand: float | None
    peak_demand: float | None
    peak_demand_at: datetime | None
    peak_demand_from: str | None
    coverage: float | None
    readings: int
    estimated_readings: int
    energy_savings: float | None
    cost_savings: Decimal | None
    carbon_savings: float | None
    optimizations_applied: int
    optimizations: tuple[Applied, ...]
    recommendations: tuple[Recommendation, ...]
    unknown: dict[str, str]
