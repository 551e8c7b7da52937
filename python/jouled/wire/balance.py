"""The balancer as others see it: what it found, what it ordered and why, and what it can be told.

Powers are in watts, where a name does not end in `_kw`. The names that PowerHive had are kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

Mode: TypeAlias = Literal["auto", "ask", "observe"]
Band: TypeAlias = Literal["emergency", "reduce", "hold", "raise", "no-data"]
Stage: TypeAlias = Literal["fresh", "stale", "held", "failed"]
SiteStatus: TypeAlias = Literal["NO_DATA", "OVER_TARGET", "WARNING", "OK"]
# As the decisions of the books; `proposed` waits for somebody, or is only said where the mode is observe.
ChangeStatus: TypeAlias = Literal["proposed", "approved", "executing", "completed", "cancelled", "failed", "expired"]

MarginPercent = Annotated[float, Meta(ge=0, le=50, description="Percent of the budget that is not aimed at.")]
LimitWatts = Annotated[float, Meta(ge=0, le=1e9)]
Why = Annotated[str, Meta(min_length=1, max_length=256)]


class PendingChange(Struct, frozen=True):
    """A change in flight: until it was seen, it counts with the larger of both powers."""

    load: str
    from_preset: str | None
    to_preset: str | None
    from_watts: float | None
    to_watts: float
    issued_at: datetime
    expected_by: datetime
    is_urgent: bool
    reason: str


class Paused(Struct, frozen=True):
    """Who has paused the balancer, and why: nothing is raised until it is resumed, and sheds go on."""

    since: datetime
    who: str
    why: str


class BalanceStatus(Struct, frozen=True):
    """What the latest cycle found. What is not known is null, which is not 0.

    `status` goes by the load and the target: more than 5 % above it is OVER_TARGET, above it WARNING.
    `available_power_kw` is the budget: the lowest of what the plant gives, less what cannot be steered, and of
    all limits. `current_consumption_w` are all loads as measured; `managed_consumption_w` those that are steered,
    and `unmanaged_consumption_w` the others, with what else draws from the same supply. `expected_consumption_w`
    is what the loads were told, `expected_delta_w` what is still to come of it.
    """

    plant_generation_kw: float | None
    plant_container_kw: float | None
    available_power_kw: float | None
    safety_margin_percent: float
    target_power_kw: float | None
    target_power_w: float | None
    current_consumption_w: float | None
    managed_consumption_w: float | None
    unmanaged_consumption_w: float | None
    expected_consumption_w: float | None
    expected_delta_w: float | None
    managed_miners_count: int
    status: SiteStatus
    last_reading_at: datetime | None
    # None before the first cycle.
    at: datetime | None
    mode: Mode
    band: Band
    budget_watts: float | None
    # Which bound the budget is: "plant", "contract", "operator", "plan", or a circuit's.
    limited_by: str
    # What safety counts with: the larger of what is measured and what was ordered.
    load_watts: float | None
    # The operator's cap; None is none.
    limit_watts: float | None
    supply_watts: float | None
    stage: Stage | None
    supply_problem: str | None
    is_saturated: bool
    explanation: str
    is_leader: bool
    # Who acts instead, where this one does not.
    leader: str | None
    paused: Paused | None
    pending: tuple[PendingChange, ...]
    # By what they do: {"running": 57, "away": 1, ...}, unmanaged ones too.
    loads: dict[str, int]
    # Changes that wait for somebody to approve them.
    proposed: int
    problems: tuple[str, ...] = ()
    # False where the settings want no balancer: then nothing else of it is known.
    is_enabled: bool = True

    @property
    def is_paused(self) -> bool:
        return self.paused is not None


class BalanceEvent(Struct, frozen=True):
    """A change of a load, as it was decided, and what came of it. Also a decision that waits, or was not taken.

    `miner_id` is the load's, whatever its kind; `success` is null until it is known. `total_consumption_before`,
    `total_consumption_after`, `available_power` and `target_power` are watts of the whole site.
    """

    id: str
    miner_id: str
    old_preset: str | None
    new_preset: str | None
    old_power: float | None
    new_power: float
    reason: str
    total_consumption_before: float | None
    # As expected; `observed` has what was seen.
    total_consumption_after: float | None
    available_power: float | None
    target_power: float | None
    success: bool | None
    error_message: str | None
    recorded_at: datetime
    kind: Literal["shed", "raise", "restore"]
    status: ChangeStatus
    mode: Mode
    is_urgent: bool
    # What it was made from: band, stage, supply, budget, limited_by and more.
    inputs: dict[str, Any]
    expected: dict[str, Any]
    observed: dict[str, Any]
    # Of a proposed one: it is no longer done after that.
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    # Who approved or rejected it.
    who: str | None = None


class BalancePoint(Struct, frozen=True):
    """One minute's verdict, the last of it, for plots."""

    at: datetime
    band: Band
    stage: Stage | None
    mode: Mode
    supply_watts: float | None
    budget_watts: float | None
    target_watts: float | None
    load_watts: float | None
    measured_watts: float | None
    unmanaged_watts: float
    pending: int
    is_saturated: bool


class Setting(Struct, frozen=True):
    """Something that was changed while the daemon ran: it holds instead of the file's until it is taken back."""

    key: Literal["mode", "reserve", "limit", "pause"]
    # None takes it back: the file's holds again.
    value: str | float | None
    who: str
    why: str
    at: datetime


class PauseDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Why it is paused."""

    reason: Why | None = None


class MarginDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The safety margin, as PowerHive has it."""

    safety_margin_percent: MarginPercent
    reason: Why | None = None


class SettingsDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be another one. What is left out stays; null takes back what was set: the file's holds again, and
    there is no operator's cap.
    """

    mode: Mode | UnsetType | None = UNSET
    safety_margin_percent: MarginPercent | UnsetType | None = UNSET
    limit_watts: LimitWatts | UnsetType | None = UNSET
    reason: Why | None = None


class BalanceSettings(Struct, frozen=True):
    """What holds now, and what of it was changed while the daemon ran."""

    safety_margin_percent: float
    mode: Mode
    # The operator's cap; None is none.
    limit_watts: float | None
    # The contract's or breaker's, of the file.
    contract_watts: float | None
    strategy: str
    cycle_seconds: float
    on_exit: Literal["hold", "restore", "safe"]
    changed: tuple[Setting, ...]
    # False where the settings want no balancer: then these are the file's, and nothing goes by them.
    is_enabled: bool = True
