"""Decisions about loads, from the proposal to what came of it. Loads are in kW."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from jouled.wire.readings import Key
from jouled.wire.sites import Id, Kilowatts

DecisionType = Literal["shift_load", "scale_up", "scale_down", "reschedule", "emergency", "optimize"]
Status = Literal["proposed", "approved", "executing", "completed", "cancelled", "failed", "expired"]
# `pending` is what elsewhere a proposed one is called.
StatusWord = Literal["proposed", "pending", "approved", "executing", "completed", "cancelled", "failed", "expired"]
Words = Annotated[str, Meta(min_length=1, max_length=1024)]
When = Annotated[datetime, Meta(tz=True, description="RFC 3339 with its zone.", examples=["2026-03-01T12:00:00Z"])]


class DecisionDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is proposed. It is scheduled for now, and expires a day after that, where nothing else is said.

    `shift_load` needs both zones; `load_shift_amount` is how much is to go from the source to the target,
    or to be taken from or given to the one zone there is. `priority` 1 is the most urgent.
    """

    facility_id: Id
    decision_type: DecisionType
    reason: Words
    source_zone_id: Id | None = None
    target_zone_id: Id | None = None
    load_shift_amount: Kilowatts = 0.0
    triggering_condition: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    priority: Annotated[int, Meta(ge=1, le=10)] = 5
    scheduled_at: When | None = None
    expires_at: When | None = None
    inputs: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    key: Key | None = None


class Why(Struct, frozen=True, forbid_unknown_fields=True):
    """Why somebody approves or cancels."""

    reason: Words | None = None


class Step(Struct, frozen=True):
    """One change of a decision's status."""

    at: datetime
    who: str
    from_status: str | None
    to_status: str
    why: str


class Decision(Struct, frozen=True):
    """A decision. `inputs` is what it was made from, `expected` what it should do, `observed` what was seen of its
    zones some time after it: null until it is known. `result` says how its execution, or it itself, ended.
    """

    id: str
    facility_id: str
    decision_type: str
    source_zone_id: str | None
    target_zone_id: str | None
    load_shift_amount: float
    reason: str
    triggering_condition: str | None
    priority: int
    status: str
    scheduled_at: datetime
    expires_at: datetime
    approved_at: datetime | None
    executed_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    inputs: dict[str, Any]
    expected: dict[str, Any]
    observed: dict[str, Any] | None
    result: str | None
    key: str | None
    created_by: str
    created_at: datetime


class DecisionSteps(Struct, frozen=True):
    """A decision with all that happened to it, oldest first."""

    decision: Decision
    steps: tuple[Step, ...]


class Decisions(Struct, frozen=True):
    """Newest first, also those of the future. `reason` says why jouled proposes nothing."""

    facility_id: str
    count: int
    decisions: tuple[Decision, ...]
    next_cursor: str | None = None
    reason: str | None = None


class Moved(Struct, frozen=True):
    """A decision has another status now."""

    id: str
    message: str
    status: str
    result: str | None = None
