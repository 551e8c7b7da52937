"""What nodes measured, by minute, quarter-hour and day. Energy is exact to the millijoule in which it is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

Resolution = Literal["minute", "quarter-hour", "day"]


class ZoneRecord(Struct, frozen=True):
    """A zone's energy in the period that begins at `start`.

    `coverage_ratio` is the part of the period that was measured, of which `watts` is the mean; null where
    none of it was. `quality` is good, estimated (a model's, or spread over a gap) or suspect (reads failed,
    or the counter was reset).
    """

    node: str
    zone: str
    index: str
    source: str
    start: datetime
    energy_joules: float
    idle_joules: float
    watts: float | None
    covered_seconds: float
    coverage_ratio: float
    quality: str


class WorkloadRecord(Struct, frozen=True):
    """What a workload's work caused in the zones of one class.

    `reason` is null for a workload and names a residual else: idle, exited, kernel, unattributed, ungrouped
    or other, which holds all that is outside the top. With them the rows of a level add up to the zones.
    A period in which it caused nothing has no record. `cpu_seconds` are of the periods that have one.
    """

    node: str
    level: str
    name: str
    reason: str | None
    labels: dict[str, str]
    zone: str
    start: datetime
    energy_joules: float
    cpu_seconds: float
    watts: float | None
    coverage_ratio: float
    quality: str


class ZoneTotal(Struct, frozen=True):
    """All that was ever recorded of a zone, also what is no longer kept in periods."""

    node: str
    zone: str
    index: str
    source: str
    since: datetime
    energy_joules: float
