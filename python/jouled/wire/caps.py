"""Power caps: who asks for which, and what holds. Powers are in watts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

Owner = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}\Z", description="Who asks; one cap each.", examples=["operator"]),
]
Watts = Annotated[float, Meta(gt=0, le=1_000_000)]
Ttl = Annotated[
    float, Meta(gt=0, le=31_536_000, description="Seconds from now on that it holds, unless asked for again.")
]
Why = Annotated[str, Meta(min_length=1, max_length=256)]


class CapDraft(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is asked for: the node is to draw at most so much."""

    watts: Watts
    ttl_seconds: Ttl = 3600.0
    reason: Why | None = None
    on_lapse: Annotated[
        Literal["lift"] | None,
        Meta(description="lift: that it ends is meant, and the node's own caps.on_lapse does not hold for it."),
    ] = None


class Lease(Struct, frozen=True):
    """A cap of one owner, until its time has passed. The lowest of all leases counts."""

    owner: str
    watts: float
    until: datetime
    since: datetime
    reason: str | None = None
    on_lapse: Literal["lift"] | None = None


class LimitState(Struct, frozen=True):
    """One limit of one zone. `original_watts` is what will be given back; None where nothing was written."""

    name: str
    watts: float | None
    window_seconds: float | None
    max_watts: float | None
    asked_watts: float | None = None
    original_watts: float | None = None
    problem: str | None = None


class ZoneState(Struct, frozen=True):
    """One zone of the hardware. `ceded_to` says that another program writes it, and that it is left to that one."""

    id: str
    zone: str
    index: str
    interface: Literal["msr", "mmio"]
    enabled: bool | None
    limits: tuple[LimitState, ...]
    # What holds of long_term: the lower one of both interfaces.
    effective_watts: float | None = None
    ceded_to: str | None = None
    problems: tuple[str, ...] = ()


class SliceState(Struct, frozen=True):
    """A slice of low priority. None of CPUs is no limit."""

    slice: str
    cpus: float | None
    asked_cpus: float | None = None
    original_cpus: float | None = None
    ceded_to: str | None = None
    problem: str | None = None


class Caps(Struct, frozen=True):
    """All of it. `is_enabled` false: nothing is ever written here."""

    is_enabled: bool
    is_dry_run: bool
    # The lowest of the leases, and what the hardware's limits add up to.
    asked_watts: float | None
    effective_watts: float | None
    min_watts: float
    max_watts: float | None
    leases: tuple[Lease, ...]
    zones: tuple[ZoneState, ...]
    slices: tuple[SliceState, ...]
    problems: tuple[str, ...] = ()


class CapWrite(Struct, frozen=True):
    """One write of a plan, in its order."""

    path: str
    what: str
    before: str
    after: str


class CapPlan(Struct, frozen=True):
    """What a cap would write; nothing was written."""

    asked_watts: float | None
    expected_watts: float | None
    writes: tuple[CapWrite, ...]
    problems: tuple[str, ...] = ()


class Released(Struct, frozen=True):
    """How many caps were given up."""

    released: int
