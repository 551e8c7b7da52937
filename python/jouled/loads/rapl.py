"""Power limits of the processor: read as they are, and written one by one. What to write is planned elsewhere.

All of it blocks on the kernel for some microseconds a file: call it in a worker thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from jouled import _core
from jouled.balance.limit_plan import ROUNDING_UW
from jouled.balance.limits import Constraint, Interface, LimitZone
from jouled.balance.writes import Write
from jouled.errors import LimitError, one_line
from jouled.loads.writing import Applied, apply_each


def read(sysfs: str = "/sys") -> tuple[LimitZone, ...]:
    """All zones below SYSFS/class/powercap as they are now; empty where there are none. Raises nothing."""
    return tuple(_zone(zone) for zone in _core.read_limits(sysfs=sysfs))


class Rapl:
    """Writes planned limits. With `dry_run` nothing is written, and each write says so."""

    def __init__(self, sysfs: str = "/sys", *, dry_run: bool = False) -> None:
        self.sysfs = sysfs
        self.dry_run = dry_run

    def __repr__(self) -> str:
        return f"<Rapl {self.sysfs}{' dry run' if self.dry_run else ''}>"

    def read(self) -> tuple[LimitZone, ...]:
        return read(self.sysfs)

    def apply(self, writes: Iterable[Write], on_write: Callable[[Applied], None] | None = None) -> tuple[Applied, ...]:
        """As `apply_each` says."""
        return apply_each(writes, _apply, on_write, dry_run=self.dry_run)


def _apply(write: Write) -> Applied:
    if (stranger := _stranger(write)) is not None:
        return Applied(write, None, stranger, "gone")
    directory, attribute = os.path.split(write.path)
    if not (write.value.isascii() and write.value.isdigit() and len(write.value) < 20):
        return Applied(write, None, f"write {write.path}: {write.value!r} is no number; nothing was written", "wrong")
    try:
        held = _core.write_limit(directory, attribute, int(write.value))
    except LimitError as error:
        return Applied(write, None, str(error), error.reason)
    return _compared(write, attribute, held)


def _stranger(write: Write) -> str | None:
    """Why the file is not that of the planned zone any more: numbers are given anew after a hot-plug."""
    if write.identity is None:
        return None
    path, name = write.identity
    try:
        with Path(path).open("rb", buffering=0) as file:
            found = file.read(256).decode(errors="replace").strip()
    except OSError as error:
        return f"read {path}: {error.strerror}; the zone of {write.what} went away: {write.path} was not written"
    if found == name:
        return None
    return f"read {path}: it is {one_line(found)} now and was {name}; {write.path} was not written"


def _compared(write: Write, attribute: str, held: int) -> Applied:
    """A kernel that keeps another value than it was given says nothing: only the read-back tells."""
    asked = int(write.value)
    is_power = attribute.endswith("_power_limit_uw")
    is_held = held == asked or (is_power and abs(held - asked) < ROUNDING_UW)
    if is_held or attribute.endswith("_time_window_us"):
        # Windows come in steps of up to a quarter: the nearest one is what can be had.
        return Applied(write, str(held))
    if is_power:
        line = (
            f"write {write.path}: {asked / 1e6:g} W was asked for and it holds {held / 1e6:g} W; the firmware has locked "
            "or clamped it, or another program has written it"
        )
    else:
        line = (
            f"write {write.path}: {asked} was asked for and it holds {held}; the firmware has locked the limits: "
            "unlock power limits in the firmware, or cap through the BMC"
        )
    return Applied(write, str(held), line, "other")


def _zone(zone: _core.LimitZone) -> LimitZone:
    return LimitZone(
        id=zone.id,
        directory=zone.directory,
        name=zone.name,
        # The extension knows these two words alone.
        interface=cast(Interface, zone.interface),
        package=zone.package,
        die=zone.die,
        parent=zone.parent,
        enabled=zone.enabled,
        constraints=tuple(_constraint(constraint) for constraint in zone.constraints),
        problems=tuple(zone.problems),
    )


def _constraint(constraint: _core.LimitConstraint) -> Constraint:
    return Constraint(
        number=constraint.number,
        name=constraint.name,
        power_uw=constraint.power_uw,
        window_us=constraint.window_us,
        max_power_uw=constraint.max_power_uw,
        min_power_uw=constraint.min_power_uw,
        min_window_us=constraint.min_window_us,
        max_window_us=constraint.max_window_us,
        problem=constraint.problem,
    )
