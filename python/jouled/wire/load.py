"""Load metrics and what they say of a site: kW, kWh and percent, as their names say where they do not."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from jouled.wire.readings import Key
from jouled.wire.sites import Id, Kilowatts

# A metric of a year; more is a mistake of units.
WINDOW_MAX_S = 366 * 86_400.0
# Above capacity is possible, a hundred times is not.
Percent = Annotated[float, Meta(ge=0, le=10_000, description="%", examples=[72.5])]
Watched = Annotated[float, Meta(gt=0, le=WINDOW_MAX_S, description="Seconds that the metric is of.", examples=[60.0])]
When = Annotated[
    datetime,
    Meta(tz=True, description="The end of its window; RFC 3339 with its zone.", examples=["2026-03-01T12:00:00Z"]),
]


class LoadMetricDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was seen of a load in a window of time that ends at `timestamp`, which is now where it is left out.

    Without `zone_id` it is of the whole site. `total_consumption` is average times window where it is left
    out, and utilization the part of the zone's (or site's) capacity.
    """

    facility_id: Id
    avg_consumption: Kilowatts
    zone_id: Id | None = None
    timestamp: When | None = None
    window_duration: Watched = 60.0
    peak_consumption: Kilowatts | None = None
    min_consumption: Kilowatts | None = None
    total_consumption: Annotated[float, Meta(ge=0, le=1e9, description="kWh")] | None = None
    avg_utilization: Percent | None = None
    peak_utilization: Percent | None = None
    reactive_power: Annotated[float, Meta(ge=-1e9, le=1e9, description="kVAR")] | None = None
    harmonic_distortion: Annotated[float, Meta(ge=0, le=1000, description="THD of the current, %")] | None = None
    power_factor: Annotated[float, Meta(ge=0, le=1)] | None = None
    sample_count: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    key: Key | None = None


class Accepted(Struct, frozen=True):
    """It is in the books. `message` says what became of it."""

    id: str
    message: str


class Evaluation(Struct, frozen=True):
    """What the load of a site calls for.

    `utilization` is percent of the capacity; `status` underutilized, optimal, overutilized or unknown.
    `current_load` and `peak_load` (kW) are those of the latest metric of the whole site or, where there is
    none that still says something of now, the sums of its zones' (of the peaks: an upper bound, as they
    need not come together). `reason` says why something is not known.
    """

    facility_id: str
    current_load: float | None
    peak_load: float | None
    utilization: float | None
    status: str
    needs_action: bool
    recommendations: tuple[str, ...]
    source: str | None = None
    measured_at: datetime | None = None
    reason: str | None = None


class ZoneLoad(Struct, frozen=True):
    """A site's zone and its load. `status` is overloaded, high, optimal, low or unknown; `sheddable` (kW) is what
    it could shed: its load above its least, 0 where it may not.
    """

    zone_id: str
    zone_name: str
    zone_type: str
    capacity: float
    current_load: float | None
    utilization: float | None
    status: str
    can_shed_load: bool
    sheddable: float | None
    measured_at: datetime | None


class ZoneLoads(Struct, frozen=True):
    """All zones of a site, by their ids."""

    facility_id: str
    zones: dict[str, ZoneLoad]
