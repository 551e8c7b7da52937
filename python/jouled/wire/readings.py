"""Energy readings: what a meter counted up to an instant, in kWh."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from jouled.wire.sites import EnergySource, Id

# A gigawatt-hour in one reading: more is a mistake of units. Sums of it stay far inside 64 bits of millijoules.
CONSUMPTION_MAX_KWH = 1_000_000.0
Quality = Literal["good", "suspect", "bad", "estimated"]
Kwh = Annotated[
    float,
    Meta(ge=0, le=CONSUMPTION_MAX_KWH, description="kWh; what was produced is positive as well.", examples=[1.25]),
]
When = Annotated[datetime, Meta(tz=True, description="RFC 3339 with its zone.", examples=["2026-03-29T00:30:00Z"])]
# The client's own name for one reading: the same again is the same reading.
Key = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[!-~]+(?!\n)$", examples=["batch-7-row-12"])]


class ReadingDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a meter counted.

    `energy_source` is the meter's where it is left out. `key` makes it the same reading however often it
    is sent; without one, meter, timestamp and source do.
    """

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


class Reading(Struct, frozen=True):
    """A reading in the books. `direction` is its meter's; `key` the client's, null where it gave none."""

    id: str
    meter_id: str
    facility_id: str
    energy_source: str
    direction: str
    consumption: float
    voltage: float | None
    current: float | None
    power_factor: float | None
    frequency: float | None
    timestamp: datetime
    quality: str
    metadata: dict[str, Any]
    key: str | None
    created_at: datetime


class Ingested(Struct, frozen=True):
    """One reading is in the books: `is_new` says whether it was not before."""

    id: str
    timestamp: datetime
    is_new: bool
    message: str = "reading ingested successfully"


class Refused(Struct, frozen=True):
    """One reading of a batch that was not taken, with the status it would have had alone."""

    status: int
    error: str
    message: str


class BatchItem(Struct, frozen=True, omit_defaults=True):
    """What became of one reading of a batch, in the batch's order."""

    status: int
    id: str | None = None
    error: str | None = None
    message: str | None = None


class ReadingBatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Many readings in one request; [api] batch bounds them further."""

    readings: Annotated[tuple[ReadingDraft, ...], Meta(min_length=1, max_length=100_000)]


class BatchAnswer(Struct, frozen=True):
    """`count` were sent, of which `new` were not in the books before, and `refused` are not now."""

    count: int
    new: int
    refused: int
    items: tuple[BatchItem, ...]


class SiteReadings(Struct, frozen=True):
    """Newest first."""

    facility_id: str
    start_time: datetime
    end_time: datetime
    count: int
    readings: tuple[Reading, ...]
    next_cursor: str | None = None
