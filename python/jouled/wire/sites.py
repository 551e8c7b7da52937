"""Sites, and what they are divided into. Capacities and loads are in kW, as their name says where it does not."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

# `$` also matches before a line's end, which no name has.
Id = Annotated[
    str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]*(?!\n)$", examples=["hydro-plant"])
]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Kilowatts = Annotated[float, Meta(ge=0, le=1e9)]
EnergySource = Literal["grid", "solar", "wind", "natural_gas", "coal", "nuclear", "hydro", "battery"]

# Of its currency per kWh.
PRICE_MAX = 10**9


class SiteDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What makes a site. `timezone` is a name of the IANA database; budgets and days follow it."""

    name: Name
    id: Id | None = None
    location: Annotated[str, Meta(max_length=256)] | None = None
    timezone: Annotated[str, Meta(max_length=64)] = "UTC"
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")] = "EUR"
    total_capacity: Kilowatts | None = None
    energy_sources: tuple[EnergySource, ...] = ("grid",)
    carbon_zone: Annotated[str, Meta(max_length=64)] | None = None
    carbon_kind: Literal["average", "marginal"] | None = None
    price_per_kwh: (
        Annotated[
            Decimal,
            Meta(
                extra_json_schema={"minimum": -PRICE_MAX, "maximum": PRICE_MAX},
                description="Of its currency, to six decimals.",
            ),
        ]
        | None
    ) = None
    is_active: bool = True


class Site(Struct, frozen=True):
    """One grid connection and timezone: what elsewhere is a facility.

    `current_load` is the sum of its zones' latest loads, null where none is known; `utilization_rate`
    its part of `total_capacity` in percent.
    """

    id: str
    name: str
    location: str | None
    timezone: str
    currency: str
    total_capacity: float | None
    current_load: float | None
    utilization_rate: float | None
    energy_sources: tuple[str, ...]
    carbon_zone: str | None
    carbon_kind: str | None
    carbon_budget_id: str | None
    price_per_kwh: Decimal | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


class CircuitDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A node of a site's power distribution; `limit` is what it may carry, in kW."""

    facility_id: Id
    name: Name
    id: Id | None = None
    parent_id: Id | None = None
    limit: Kilowatts | None = None


class Circuit(Struct, frozen=True):
    """`effective_limit` is the least of its own limit and those above it; null where nothing limits it."""

    id: str
    facility_id: str
    parent_id: str | None
    name: str
    limit: float | None
    effective_limit: float | None
    created_at: datetime


ZoneType = Literal["production", "office", "hvac", "lighting", "data_center", "manufacturing", "storage", "general"]


class SiteZoneDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a site that uses power together. A higher priority keeps its power for longer."""

    facility_id: Id
    name: Name
    capacity: Annotated[float, Meta(ge=0.001, le=1e9, description="kW")]
    id: Id | None = None
    circuit_id: Id | None = None
    zone_type: ZoneType = "general"
    priority: Annotated[int, Meta(ge=0, le=1000)] = 5
    can_shed_load: bool = False
    min_load: Kilowatts = 0.0
    max_load: Kilowatts | None = None


class SiteZone(Struct, frozen=True):
    """`current_load` (kW) is the latest metric's, null before the first; `utilization` its part of the capacity in %."""

    id: str
    facility_id: str
    circuit_id: str | None
    name: str
    zone_type: str
    capacity: float
    current_load: float | None
    current_load_at: datetime | None
    utilization: float | None
    priority: int
    can_shed_load: bool
    min_load: float
    max_load: float | None
    scheduled_events: tuple[ScheduledEvent, ...]
    created_at: datetime


EventType = Literal[
    "maintenance",
    "production_run",
    "equipment_start",
    "equipment_stop",
    "load_shift",
    "peak_shaving",
    "demand_response",
]
EventStatus = Literal["scheduled", "active", "completed", "cancelled", "delayed"]
When = Annotated[datetime, Meta(tz=True, examples=["2026-03-29T00:30:00Z"])]


class ScheduledEventDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something planned for a zone; `estimated_impact` in kW, negative where it uses less. Its rule is RFC 5545's."""

    event_type: EventType
    start_time: When
    end_time: When
    estimated_impact: Annotated[float, Meta(ge=-1e9, le=1e9)] | None = None
    recurrence_rule: Annotated[str, Meta(max_length=256, pattern=r"^FREQ=[A-Z0-9=;,:+-]+(?!\n)$")] | None = None


class ScheduledEvent(Struct, frozen=True):
    """`status` follows the time, unless somebody set it to cancelled, delayed or completed."""

    id: str
    zone_id: str
    event_type: str
    start_time: datetime
    end_time: datetime
    estimated_impact: float | None
    recurrence_rule: str | None
    status: str


class StatusDraft(Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a planned event."""

    status: EventStatus


class SiteLoad(Struct, frozen=True):
    """Power now in kW: null with the reason where nothing recent says it. `source` says what it is from."""

    facility_id: str
    current_load: float | None
    measured_at: datetime | None
    source: str | None
    reason: str | None
    unit: str = "kW"


class SiteConsumption(Struct, frozen=True):
    """Energy of one day of the site's calendar, by source: what was consumed, and what was produced."""

    facility_id: str
    date: str
    consumption: dict[str, float]
    production: dict[str, float]
    readings: int
    unit: str = "kWh"


class SiteStatus(Struct, frozen=True):
    """`status` is the worst of what `reasons` say: normal, warning, critical; unknown where nothing is known.

    `total_daily_usage` is what was consumed today, in kWh.
    """

    facility_id: str
    current_load: float | None
    total_daily_usage: float
    status: str
    reasons: tuple[str, ...]
    timestamp: datetime
    unit: str = "kW"


class SiteZones(Struct, frozen=True):
    """The zones of one site."""

    facility_id: str
    count: int
    zones: tuple[SiteZone, ...]
    next_cursor: str | None = None
