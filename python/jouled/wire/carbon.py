"""Emissions, factors and carbon budgets. Amounts are in kg of CO2 equivalents, intensities in g per kWh."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from jouled.wire.readings import Key, Kwh, Quality, ReadingDraft, When
from jouled.wire.sites import EnergySource, Id

BudgetPeriod = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]
# A gigatonne: all of a large country's year is below it, and its micrograms stay inside 64 bits.
AMOUNT_MAX_KG = 1e9


class ProcessDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A reading, saved or not: one that the books hold is not counted again."""

    meter_id: Id
    facility_id: Id
    consumption: Kwh
    timestamp: When
    energy_source: EnergySource | None = None
    voltage: Annotated[float, Meta(ge=0, le=1e6, description="V")] | None = None
    current: Annotated[float, Meta(ge=-1e6, le=1e6, description="A")] | None = None
    power_factor: Annotated[float, Meta(ge=-1, le=1)] | None = None
    frequency: Annotated[float, Meta(ge=0, le=1000, description="Hz")] | None = None
    quality: Quality = "good"
    metadata: dict[str, Any] | None = None
    key: Key | None = None
    # What a saved one carries besides.
    id: Annotated[str, Meta(min_length=1, max_length=36)] | None = None
    direction: Literal["consume", "produce"] | None = None
    created_at: When | None = None

    def draft(self) -> ReadingDraft:
        return ReadingDraft(
            meter_id=self.meter_id,
            facility_id=self.facility_id,
            consumption=self.consumption,
            timestamp=self.timestamp,
            energy_source=self.energy_source,
            voltage=self.voltage,
            current=self.current,
            power_factor=self.power_factor,
            frequency=self.frequency,
            quality=self.quality,
            metadata=self.metadata,
            key=self.key,
        )


class Emission(Struct, frozen=True):
    """What one reading emitted.

    `id` is the reading's: an emission is calculated with its reading, and once. `method` says by which
    factors or series; `emission_factor` is in kg/kWh, `carbon_intensity` the same in g/kWh.
    """

    id: str
    reading_id: str
    facility_id: str
    energy_source: str
    emission_factor: float
    consumption: float
    total_emission: float
    carbon_intensity: float
    method: str
    timestamp: datetime
    calculated_at: datetime


class Processed(Struct, frozen=True):
    """The emission of a reading, now in the books."""

    id: str
    total_emission: float
    carbon_intensity: float
    method: str
    is_new: bool
    unit: str = "kg CO2"


class SiteEmissions(Struct, frozen=True):
    """Newest first."""

    facility_id: str
    start_time: datetime
    end_time: datetime
    count: int
    emissions: tuple[Emission, ...]
    next_cursor: str | None = None


class EmissionsBySource(Struct, frozen=True):
    """In kg, by source of energy; a source that was not read is not there."""

    facility_id: str
    start_time: datetime
    end_time: datetime
    by_source: dict[str, float]
    unit: str = "kg CO2"


class EmissionsTotal(Struct, frozen=True):
    """`readings` were counted, of which `estimated_readings` are estimates."""

    facility_id: str
    start_time: datetime
    end_time: datetime
    total: float
    readings: int
    estimated_readings: int
    unit: str = "kg CO2"


class SiteIntensity(Struct, frozen=True):
    """Emission by energy over the range; null where no energy was counted."""

    facility_id: str
    start_time: datetime
    end_time: datetime
    carbon_intensity: float | None
    unit: str = "g CO2/kWh"


class FactorsDraft(Struct, frozen=True, forbid_unknown_fields=True):
    """A version of the factors in kg/kWh. Sources that are left out keep the factor that held before."""

    version: Annotated[str, Meta(max_length=48, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(?!\n)$", examples=["de-2026"])]
    valid_from: When
    factors: dict[EnergySource, Annotated[float, Meta(ge=0, le=5)]]


class FactorsVersion(Struct, frozen=True):
    """Emission factors in kg/kWh, from an instant until the next version's."""

    version: str
    valid_from: datetime
    factors: dict[str, float]


class BudgetDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An amount in kg for each period of the site's own calendar; thresholds are in percent of it."""

    facility_id: Id
    budget_period: BudgetPeriod
    budget_amount: Annotated[float, Meta(ge=0, le=AMOUNT_MAX_KG, description="kg, above 0.", examples=[1200])]
    id: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]*(?!\n)$")] | None = None
    warning_threshold: Annotated[float, Meta(ge=0, le=100)] = 80.0
    critical_threshold: Annotated[float, Meta(ge=0, le=100)] = 95.0


class BudgetForecast(Struct, frozen=True):
    """If the period goes on as it began: null with the `reason`, `expected_amount` at its end in kg."""

    exhausted_at: datetime | None
    expected_amount: float | None
    reason: str | None


class Budget(Struct, frozen=True):
    """A budget in its running period, or in the period that was asked for."""

    id: str
    facility_id: str
    budget_period: str
    budget_amount: float
    used_amount: float
    remaining_amount: float
    usage_percentage: float
    status: str
    warning_threshold: float
    critical_threshold: float
    period_start: datetime
    period_end: datetime
    forecast: BudgetForecast
    is_active: bool
    created_at: datetime
    updated_at: datetime
    unit: str = "kg CO2"


class BudgetMade(Struct, frozen=True):
    """The new budget; what was emitted in its running period already is used of it."""

    id: str
    budget: Budget
    message: str = "carbon budget created"


class BudgetStatus(Struct, frozen=True):
    """Of the site's active budgets the one of which most is used."""

    facility_id: str
    status: str
    budget: Budget
