"""Loads that are balanced, and miners among them. Fields without a unit in their names are PowerHive's."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

PresetName = Annotated[str, Meta(max_length=64, examples=["3200"])]
Priority = Annotated[int, Meta(ge=0, le=1000)]


class PresetPower(Struct, frozen=True):
    """What a preset is expected to draw and to do: `power_w` in W, `hashrate_th` in TH/s."""

    preset: str
    power_w: float
    hashrate_th: float
    # False is that the miner would tune itself for hours first; null where it differs by miner.
    is_tuned: bool | None = None


class ModelShown(Struct, frozen=True):
    """A model of miners, with what all of its miners list. One without `max_preset` is not steered.

    `max_preset` and `min_preset` are what holds; what the settings say holds where the API was told nothing.
    """

    name: str
    alias: str
    max_preset: str | None
    min_preset: str | None
    presets: tuple[str, ...]
    presets_power: tuple[PresetPower, ...]
    created_at: datetime
    updated_at: datetime


class ModelPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of its miners; "" and null clear them, and then those of the settings hold."""

    max_preset: PresetName | UnsetType | None = UNSET
    min_preset: PresetName | UnsetType | None = UNSET


class MinerStatus(Struct, frozen=True):
    """What a miner said: `hashrate` in TH/s; `power_usage` and `power_consumption` are the same watts, measured.

    `state` is a word of jouled's: running, starting, tuning, paused, off, held, failed, away, suspect.
    """

    id: str
    state: str
    preset: str | None
    hashrate: float | None
    power_usage: float | None
    power_consumption: float | None
    note: str | None
    recorded_at: datetime


class MinerShown(Struct, frozen=True):
    """A miner by its MAC. `managed` and `enabled` are the same; `unmanaged_reason` says why it is not steered now.

    Bounds that are null are its model's. `presets_power` is of this miner: which ones are tuned differs.
    """

    id: str
    ip: str | None
    online: bool | None
    managed: bool
    enabled: bool
    locked: bool
    priority: int
    circuit: str | None
    min_preset: str | None
    max_preset: str | None
    unmanaged_reason: str | None
    family: str
    firmware: str | None
    model: ModelShown | None
    presets_power: tuple[PresetPower, ...]
    latest_status: MinerStatus | None
    created_at: datetime
    updated_at: datetime


class MinerPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator says of a miner. "" and null clear a bound; null clears circuit and priority.

    `unlock_pass` goes into a file of this daemon's, and is never shown.
    """

    managed: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    locked: bool | UnsetType = UNSET
    priority: Priority | UnsetType | None = UNSET
    circuit: Annotated[str, Meta(max_length=128)] | UnsetType | None = UNSET
    min_preset: PresetName | UnsetType | None = UNSET
    max_preset: PresetName | UnsetType | None = UNSET
    unlock_pass: Annotated[str, Meta(max_length=256)] | UnsetType = UNSET


class Forgotten(Struct, frozen=True):
    """A miner that is not there any more; where it answers again, it is found again."""

    id: str


class LoadPoint(Struct, frozen=True):
    """A way in which a load may run, in watts as they are measured there; `off` is off."""

    name: str
    power_watts: float
    work: float


class LoadSpan(Struct, frozen=True):
    """A load that takes any power from `floor_watts` to `ceiling_watts`."""

    floor_watts: float
    ceiling_watts: float
    need_watts: float | None


class LoadShown(Struct, frozen=True):
    """A load of the balancer: what it is, what it says, and what it may be set to. Work is in TH/s for miners.

    `worst_watts` is what it counts with while nobody knows. `unmanaged_reason` is null where it may be steered.
    """

    id: str
    name: str
    kind: str
    state: str
    point: str | None
    cap_watts: float | None
    power_watts: float | None
    work: float | None
    worst_watts: float | None
    age_seconds: float | None
    is_managed: bool
    unmanaged_reason: str | None
    circuit: str | None
    priority: int
    points: tuple[LoadPoint, ...]
    span: LoadSpan | None
    model: str | None
    firmware: str | None
    address: str | None
    note: str | None
    problem: str | None
    notes: tuple[str, ...]
