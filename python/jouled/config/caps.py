"""What the operator may set of power limits: whether jouled may write them, how, and what it leaves behind."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct, field

from jouled.config.about import DAY_S, about
from jouled.config.refused import RefusedError
from jouled.config.units import Seconds, Watts, shown

ON_EXIT_WORDS = Literal["restore", "hold", "safe"]
ON_LAPSE_WORDS = Literal["lift", "safe"]
DIVISION_WORDS = Literal["equal", "load"]


class Caps(Struct, frozen=True, forbid_unknown_fields=True):
    """Power limits. Nothing is written to hardware unless `enabled` says so."""

    enabled: Annotated[bool, about("Write power limits; without it jouled only reads them.")] = False
    dry_run: Annotated[bool, about("Say what would be written, and write nothing.", flag="--dry-run")] = False
    on_exit: Annotated[
        ON_EXIT_WORDS,
        about("What the daemon leaves behind: the original limits, its caps as they are, or safe.", is_live=True),
    ] = "restore"
    on_lapse: Annotated[
        ON_LAPSE_WORDS,
        about(
            "What holds where a cap ends because nobody has asked for it again: nothing of it, or safe, until somebody"
            " asks or safe is lifted.",
            is_live=True,
        ),
    ] = "lift"
    safe_w: Annotated[
        Watts | None,
        about(
            "The cap of the node that on_exit = safe leaves behind, and on_lapse = safe.",
            absent="none",
            example=150.0,
            is_live=True,
        ),
    ] = field(default=None, name="safe")
    min_w: Annotated[Watts, about("A cap of the node is never below this.", least=1, most=1_000_000, is_live=True)] = (
        field(default=10.0, name="min")
    )
    max_w: Annotated[
        Watts | None,
        about(
            "The most that a cap of the node may be.",
            least=1,
            most=1_000_000,
            absent="the hardware's",
            example=400.0,
            is_live=True,
        ),
    ] = field(default=None, name="max")
    division: Annotated[DIVISION_WORDS, about("How the node's cap is divided over packages.", is_live=True)] = "equal"
    check_s: Annotated[
        Seconds,
        about(
            "Time between two looks at whether the limits are still what was written.",
            least=0.1,
            most=600,
            is_live=True,
        ),
    ] = field(default=5.0, name="check")
    lease_max_s: Annotated[
        Seconds,
        about("The longest that a cap holds without being asked for again.", least=1, most=365 * DAY_S, is_live=True),
    ] = field(default=DAY_S, name="lease_max")
    slices: Annotated[
        tuple[str, ...],
        about(
            "Slices of low priority: their CPU time is squeezed before a power limit is touched.",
            absent="none",
            example=("batch.slice",),
            allowed="a list of names of slices",
        ),
    ] = ()
    slice_min_pct: Annotated[int, about("Percent of one CPU that each such slice keeps.", least=1, most=10_000)] = (
        field(default=10, name="slice_min")
    )

    @property
    def lapse_w(self) -> float | None:
        """What the node falls back to where a cap was not asked for again; None is that the cap is lifted."""
        return self.safe_w if self.on_lapse == "safe" else None

    def __post_init__(self) -> None:
        if self.on_exit == "safe" and self.safe_w is None:
            raise RefusedError(("on_exit",), "safe needs caps.safe, the cap to leave behind")
        if self.on_lapse == "safe" and self.safe_w is None:
            raise RefusedError(("on_lapse",), "safe needs caps.safe, the cap to fall back to")
        if self.max_w is not None and self.max_w < self.min_w:
            raise RefusedError(("max",), f"{self.max_w:g} W is below caps.min {self.min_w:g} W", others=(("min",),))
        if self.safe_w is not None and self.safe_w < self.min_w:
            raise RefusedError(("safe",), f"{self.safe_w:g} W is below caps.min {self.min_w:g} W", others=(("min",),))
        for index, name in enumerate(self.slices):
            if not name.endswith(".slice") or "/" in name or "\0" in name:
                raise RefusedError(("slices", index), f"{shown(name)} is no slice; write its name, as batch.slice")
