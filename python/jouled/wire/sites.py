"""Sites, and what they are divided into. Capacities and loads are in kW, as their name says where it does not."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

Id = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Kilowatts = Annotated[float, Meta(ge=0, le=1e9)]
EnergySource = Literal["grid", "solar", "wind", "natural_gas", "coal", "nuclear", "hydro", "battery"]


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
    price_per_kwh: Decimal | None = None
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
