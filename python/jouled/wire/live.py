"""What goes over the API, typed: the daemon encodes these, every client decodes them.

Names carry their unit. Joules count since `created_seconds` and never fall; watts are the mean of the
last interval; what is not known is absent or null, never 0.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

LEVELS = ("process", "unit", "container", "pod", "vm", "user")
SORTS = ("watts", "joules", "cpu", "name")


class Zone(Struct, frozen=True):
    """A hardware energy counter. `zone` is its class, `index` its socket or die."""

    zone: str
    index: str
    source: str
    path: str
    joules_total: float
    active_joules_total: float
    idle_joules_total: float
    watts: float | None
    active_watts: float | None
    idle_watts: float | None
    created_seconds: float


class Workload(Struct, frozen=True):
    """A workload, or a residual (labels `level` and `reason`); joules and watts by zone class."""

    labels: dict[str, str]
    joules_total: dict[str, float]
    watts: dict[str, float]
    cpu_seconds_total: float
    state: Literal["running", "terminated"]
    created_seconds: float


class Level(Struct, frozen=True):
    """One level's workloads, and what none of them owns; together they are all active energy.

    Where only some were asked for, `omitted` says how many workloads are left out.
    """

    level: str
    workloads: tuple[Workload, ...]
    residuals: tuple[Workload, ...]
    omitted: int = 0


class Snapshot(Struct, frozen=True):
    """The host after one interval. `time_seconds` is UTC."""

    version: str
    hostname: str
    source: str
    sequence: int
    time_seconds: float
    interval_seconds: float | None
    cpu_busy_ratio: float | None
    processes: int
    cgroups: int
    zones: tuple[Zone, ...]
    levels: dict[str, Level] = {}


class ZoneCount(Struct, frozen=True):
    """One zone's counter, read when it was asked for.

    `joules_total` counts since the daemon began to read it so; `monotonic_seconds` is when it was read
    (CLOCK_MONOTONIC of the host), and `watts` the mean power before that, to reckon to the moment itself.
    `gaps` counts the times that energy was lost in between: the counter was reset, or could not be read.
    """

    zone: str
    index: str
    source: str
    joules_total: float
    monotonic_seconds: float
    watts: float | None
    gaps: int


class Counters(Struct, frozen=True):
    """What `/api/v1/zones?now=1` answers. `rate_hertz` and `resolution_joules` are what this reader is
    held to; null is no limit. Readings are of one series only where `opened_seconds` is the same: when
    the daemon began to read the counters so (CLOCK_MONOTONIC).
    """

    source: str
    opened_seconds: float
    rate_hertz: float | None
    resolution_joules: float | None
    zones: tuple[ZoneCount, ...]
