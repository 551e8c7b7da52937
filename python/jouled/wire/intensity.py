"""Carbon intensity by time, in g CO2e/kWh."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from jouled.wire.instants import Instant

CarbonZone = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$", examples=["DE"])
]
CarbonKind = Literal["average", "marginal"]
GramsPerKwh = Annotated[Decimal, Meta(extra_json_schema={"minimum": 0, "maximum": 5000}, examples=[241.5])]


class IntensitySlot(Struct, frozen=True):
    """From `start` up to, and without, `end`. `quality` is good, or estimated by the provider."""

    zone: str
    kind: str
    start: datetime
    end: datetime
    g_per_kwh: Decimal
    provider: str
    is_forecast: bool
    quality: str
    fetched_at: datetime


class SlotDraft(Struct, frozen=True, forbid_unknown_fields=True):
    """At most a day long."""

    start: Instant
    end: Annotated[datetime, Meta(tz=True, examples=["2026-03-01T13:00:00Z"])]
    g_per_kwh: GramsPerKwh
    is_forecast: bool = False
    quality: Literal["good", "estimated"] = "good"


class SeriesDraft(Struct, frozen=True, forbid_unknown_fields=True):
    """Slots of one zone and one kind, which do not overlap; average and marginal are two series."""

    zone: CarbonZone
    kind: CarbonKind
    slots: Annotated[tuple[SlotDraft, ...], Meta(min_length=1, max_length=100_000)]


class SeriesTaken(Struct, frozen=True):
    """`changed` is less than `count` where a slot was known so, or where a measured one was not to be
    replaced by a forecast.
    """

    zone: str
    kind: str
    count: int
    changed: int
