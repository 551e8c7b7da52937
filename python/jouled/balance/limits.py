"""Power limits as the kernel shows them, read at one time. What is to be written is planned from this."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Interface: TypeAlias = Literal["msr", "mmio"]


class Constraint(NamedTuple):
    """One limit of a zone. None is what the zone does not have, or did not tell."""

    # The N of constraint_N_*: files are found by it, limits by their name.
    number: int
    # "long_term" (PL1), "short_term" (PL2) or "peak_power" (PL4).
    name: str
    power_uw: int | None
    window_us: int | None
    # What the processor is made for, not a hard maximum; 0 and values below the present limit are seen.
    max_power_uw: int | None
    min_power_uw: int | None = None
    min_window_us: int | None = None
    max_window_us: int | None = None
    # Why the limit cannot be read: a line with the file and the fix.
    problem: str | None = None


class LimitZone(NamedTuple):
    """One directory of the powercap class that has limits, or could have."""

    # "intel-rapl:0", as the kernel numbers it; it may be another one after a hot-plug.
    id: str
    directory: str
    # "package-0", "psys", "dram".
    name: str
    interface: Interface
    # The socket; None for psys and what belongs to no socket.
    package: int | None
    die: int | None
    # The zone that this one lies in: "intel-rapl:0" of "intel-rapl:0:1".
    parent: str | None
    enabled: bool | None
    constraints: tuple[Constraint, ...]
    problems: tuple[str, ...] = ()
