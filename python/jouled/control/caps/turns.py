"""What goes between the keeper of caps and the thread that touches files: what is wanted, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, TypeAlias

from jouled.balance.leases import Held
from jouled.balance.limits import LimitZone
from jouled.config.caps import Caps as Settings
from jouled.journal import Entry
from jouled.wire.caps import CapPlan, Lease, SliceState

Severity: TypeAlias = Literal["info", "warning", "critical"]
Kind: TypeAlias = Literal[
    "cap_set", "cap_lifted", "cap_foreign", "cap_ceded", "cap_failed", "cap_recovered", "zone_gone", "zone_back"
]

# A zone's class and index, as the labels of metrics say them; ("slice", NAME) of a slice.
Place: TypeAlias = tuple[str, str]


class Happening(NamedTuple):
    """Something that the log and the books are told, once."""

    kind: Kind
    severity: Severity
    # What it is about: the path of a limit, or the owner of a cap.
    about: str
    note: str
    watts: float | None = None


class Power(NamedTuple):
    """What was measured, not longer ago than a few intervals."""

    node_w: float
    # By socket, where the packages are told apart.
    packages_w: Mapping[int, float]
    # By slice of low priority: watts, and CPUs that were busy.
    slices: Mapping[str, tuple[float, float]]


class KeptLeases(NamedTuple):
    """For the next life of the daemon."""

    held: tuple[Held, ...] = ()
    # The same as people read them, `at` a time of the wall clock.
    shown: tuple[Lease, ...] = ()
    at: datetime | None = None


class Wanted(NamedTuple):
    """What is to hold from now on."""

    # None is no cap: everything is given back.
    node_w: float | None
    kept: KeptLeases = KeptLeases()
    power: Power | None = None
    # The host has slept, or the daemon is new: what is found otherwise than it was left is no one's fault.
    has_slept: bool = False


class Outcome(NamedTuple):
    """What a turn found and did."""

    zones: tuple[LimitZone, ...] = ()
    slices: tuple[SliceState, ...] = ()
    # The journal's, of all that is not as it was.
    entries: tuple[Entry, ...] = ()
    happenings: tuple[Happening, ...] = ()
    # Lines for people, of what is wrong now.
    problems: tuple[str, ...] = ()
    # What the node can be capped to; None where the hardware does not say.
    least_w: float | None = None
    most_w: float | None = None
    # Whether there is anything here that could be limited.
    can_limit: bool = False
    writes: int = 0
    failed: tuple[Place, ...] = ()
    foreign: tuple[Place, ...] = ()
    unrestored: int = 0
    # Limits that are held where jouled has put them, and did not stand there before.
    holding: int = 0


class Hands(Protocol):
    """Touches the files. All of it blocks, and belongs into one thread at a time."""

    # A reload puts others here.
    settings: Settings

    def turn(self, wanted: Wanted) -> Outcome:
        """Looks, compares, writes and reads back. Raises JournalError where nothing may be written, and nothing was."""
        ...

    def planned(self, node_w: float) -> CapPlan:
        """What would be written for it, by the latest look. Touches no file: it may be called meanwhile."""
        ...

    def leave(self, kept: KeptLeases) -> tuple[str, ...]:
        """What `on_exit` says. Returns what could not be done; nothing is written by `turn` any more."""
        ...
