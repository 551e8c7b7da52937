"""Devices, meters and their power: volts, amperes, watts and percent of charge, as they are named in the API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from jouled.wire.sites import EnergySource, Id, Name

Kind = Literal["main", "battery", "solar", "ups", "generation"]
Direction = Literal["consume", "produce"]
State = Literal["normal", "low", "critical", "charging", "full", "discharging", "unknown"]
# Which way a battery's power flows, where it is known better than by a sign.
Status = Literal["charging", "discharging", "full", "idle"]
EventType = Literal["charge_start", "discharge", "low_battery", "shutdown", "restore", "stale"]
Percent = Annotated[float, Meta(ge=0, le=100)]
WattHours = Annotated[float, Meta(gt=0, le=1e12)]
Key = Annotated[str, Meta(min_length=1, max_length=100)]


class DeviceDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What registers a device. What is left out gets its default, or stays as it was.

    Thresholds are in percent of charge; `target_wh` is the energy its batteries should hold.
    """

    name: Name | UnsetType = UNSET
    site_id: Id | UnsetType | None = UNSET
    shutdown_threshold: Percent | UnsetType = UNSET
    low_threshold: Percent | UnsetType = UNSET
    critical_threshold: Percent | UnsetType = UNSET
    full_threshold: Percent | UnsetType = UNSET
    target_wh: WattHours | UnsetType | None = UNSET


class NewDevice(DeviceDraft, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A device that is not there yet."""

    id: Id


class Device(Struct, frozen=True):
    """Something with batteries, or mains, or generators: what `power_manager` calls by this name too."""

    id: str
    name: str
    site_id: str | None
    shutdown_threshold: float
    low_threshold: float
    critical_threshold: float
    full_threshold: float
    target_wh: float | None
    created_at: datetime


class MeterDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What makes a meter, of a device, of a site, or of both.

    `direction` says what a positive power is: consumed there, or given by it. By default main consumes
    and all others produce, so that a battery's positive power is its discharge. `energy_source` is grid
    where it is left out, but for solar and battery.
    """

    kind: Kind = field(name="type")
    name: Name | None = None
    id: Id | None = None
    device_id: Id | None = None
    site_id: Id | None = None
    circuit_id: Id | None = None
    zone_id: Id | None = None
    direction: Direction | None = None
    energy_source: EnergySource | None = None
    capacity_wh: WattHours | None = None


class MeterChange(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What may change of a meter; what is left out stays. Kind and direction give its records their meaning: they stay."""

    name: Name | UnsetType = UNSET
    device_id: Id | UnsetType | None = UNSET
    site_id: Id | UnsetType | None = UNSET
    circuit_id: Id | UnsetType | None = UNSET
    zone_id: Id | UnsetType | None = UNSET
    energy_source: EnergySource | UnsetType = UNSET
    capacity_wh: WattHours | UnsetType | None = UNSET


class Meter(Struct, frozen=True):
    """A meter with its latest power; null is what was never measured."""

    id: str
    name: str
    kind: Kind = field(name="type")
    direction: Direction
    energy_source: str
    device_id: str | None
    site_id: str | None
    circuit_id: str | None
    zone_id: str | None
    capacity_wh: float | None
    state: State
    voltage: float | None
    current_draw: float | None
    wattage: float | None
    charge_pct: float | None
    last_updated: datetime | None
    created_at: datetime


class PowerDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A power to log: voltage (V) times current (A), or `wattage` (W) where only that is known.

    Without a `timestamp` it is now; an older one changes the history and not the state. The same `key`
    again is the same reading. `status` says which way a battery's power flows, whatever its sign.
    """

    voltage: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
    current: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
    wattage: Annotated[float, Meta(ge=-1e9, le=1e9)] | None = None
    charge_pct: Annotated[float, Meta(ge=-1e6, le=1e6, description="Per cent; clamped to 0 to 100.")] | None = None
    timestamp: Annotated[datetime, Meta(tz=True)] | None = None
    key: Key | None = None
    status: Status | None = None
    quality: Literal["good", "suspect", "bad", "estimated"] = "good"
    is_low: Annotated[bool, Meta(description="The device itself says that its battery is low.")] = False


class PowerReading(Struct, frozen=True):
    """A power as it was logged, and the meter's state with it."""

    id: int
    meter_id: str
    voltage: float | None
    current_draw: float | None
    wattage: float | None
    charge_pct: float | None
    state: State
    quality: str
    timestamp: datetime


class PowerBatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Powers of one meter, in any order. All are logged, or none."""

    readings: Annotated[tuple[PowerDraft, ...], Meta(min_length=1, max_length=100_000)]


class PowerLogged(Struct, frozen=True):
    """How many of a batch were new, and how many were there already."""

    meter_id: str
    new: int
    known: int
    state: State


class HistoryEntry(Struct, frozen=True):
    """A logged power (`resolution_seconds` 0), or the mean of a period's covered time.

    `coverage_ratio` is how much of the period was metered.
    """

    meter_id: str
    timestamp: datetime
    resolution_seconds: int
    wattage: float | None
    max_wattage: float | None
    min_wattage: float | None
    charge_pct: float | None
    coverage_ratio: float | None = None
    voltage: float | None = None
    current_draw: float | None = None


class History(Struct, frozen=True):
    """Powers of a meter, oldest first."""

    meter_id: str
    start_time: datetime
    end_time: datetime
    count: int
    readings: tuple[HistoryEntry, ...]


class DeviceEvent(Struct, frozen=True):
    """Something that happened to a device; `value` is the charge in percent, or what the note says."""

    id: str
    device_id: str
    type: str
    value: float | None
    timestamp: datetime
    note: str
    meter_id: str | None = None
    severity: str = "info"


class DeviceEvents(Struct, frozen=True):
    """Events of a device, newest first."""

    device_id: str
    count: int
    events: tuple[DeviceEvent, ...]


class Runtime(Struct, frozen=True):
    """How long a device's batteries last; hours are null where that is not known, and then `reason` says why."""

    device_id: str
    hours: float | None
    hours_to_shutdown: float | None
    reason: str | None
    stored_wh: float | None
    discharge_wattage: float | None


class DeviceBudget(Struct, frozen=True, omit_defaults=True):
    """A device in the budget check; only `error` where it is not there.

    `total_wattage` is its load; what is produced and what charges batteries is apart.
    """

    error: str | UnsetType = UNSET
    total_wattage: float | UnsetType = UNSET
    production_wattage: float | UnsetType = UNSET
    charging_wattage: float | UnsetType = UNSET
    battery_count: int | UnsetType = UNSET
    solar_count: int | UnsetType = UNSET
    avg_charge_pct: float | UnsetType | None = UNSET
    estimated_runtime_hours: float | UnsetType | None = UNSET
    runtime_reason: str | UnsetType | None = UNSET
    stored_wh: float | UnsetType | None = UNSET
    target_wh: float | UnsetType | None = UNSET
    is_target_met: bool | UnsetType | None = UNSET
    states: tuple[str, ...] | UnsetType = UNSET


class MeterReport(Struct, frozen=True, omit_defaults=True):
    """A meter over the period, weighted by time; only its name and a count of 0 where nothing was logged.

    `coverage_ratio` is how much of the period was metered: energy is of that time only.
    """

    meter_id: str
    kind: Kind = field(name="type")
    reading_count: int
    name: str | UnsetType = UNSET
    direction: str | UnsetType = UNSET
    current_state: State | UnsetType = UNSET
    avg_wattage: float | UnsetType | None = UNSET
    max_wattage: float | UnsetType | None = UNSET
    min_charge_pct: float | UnsetType | None = UNSET
    energy_wh: float | UnsetType = UNSET
    returned_wh: float | UnsetType = UNSET
    coverage_ratio: float | UnsetType = UNSET


class DeviceReport(Struct, frozen=True):
    """A device over the last days; of its events the latest twenty, and their count up to 200."""

    device_id: str
    period_days: int
    generated_at: datetime
    period_start: datetime
    meters: tuple[MeterReport, ...]
    event_count: int
    events: tuple[DeviceEvent, ...]
