"""The real hands on plain files that stand in for the kernel's: a host whose limits a test may read and write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jouled.balance.leases import Leases
from jouled.config.caps import Caps as Settings
from jouled.control.caps.acting import LimitHands
from jouled.control.caps.squeezing import Squeezer
from jouled.control.caps.turns import KeptLeases, Outcome, Power, Wanted
from jouled.journal import Journal
from jouled.loads.cgroup import Cgroups
from jouled.loads.rapl import Rapl
from limit_trees import LimitTree

PL1, PL2 = "constraint_0_power_limit_uw", "constraint_1_power_limit_uw"


class Host:
    """Two sockets of 95 W each, PL2 at 118.75 W. `now_s` is the clock of the hands."""

    def __init__(self, folder: Path, sockets: int = 2) -> None:
        self.tree = LimitTree(folder)
        self.zones = [self.tree.package(number) for number in range(sockets)]
        self.originals = self.tree.limits()
        self.now_s = 0.0

    def hands(
        self, settings: Settings | None = None, *, apply: Callable[[Rapl], Rapl] = lambda rapl: rapl
    ) -> LimitHands:
        """A new life: whoever had the journal before must have closed it."""
        caps = settings or Settings(enabled=True)
        sysfs, procfs = str(self.tree.sysfs), str(self.tree.procfs)
        journal = None if caps.dry_run else Journal.open(str(self.tree.caps), procfs=procfs, sysfs=sysfs)
        squeezer = (
            Squeezer(caps, Cgroups(sysfs, dry_run=caps.dry_run), cpus=8, interval_s=1.0, clock=lambda: self.now_s)
            if caps.slices
            else None
        )
        rapl = apply(Rapl(sysfs, dry_run=caps.dry_run))
        return LimitHands(caps, rapl, journal, sysfs=sysfs, procfs=procfs, squeezer=squeezer, clock=lambda: self.now_s)

    def limit(self, socket: int, attribute: str = PL1) -> int:
        return int((self.zones[socket] / attribute).read_text())

    def write(self, socket: int, value: int, attribute: str = PL1) -> None:
        """As another program does."""
        (self.zones[socket] / attribute).write_text(f"{value}\n")

    @property
    def is_as_it_was(self) -> bool:
        return self.tree.limits() == self.originals


def wanted(watts: float | None, *, power: Power | None = None, has_slept: bool = False) -> Wanted:
    leases = Leases() if watts is None else Leases().with_one("operator", watts, 600, None, 0.0)
    return Wanted(watts, KeptLeases(leases.held), power, has_slept)


def kinds(outcome: Outcome) -> list[str]:
    return [happening.kind for happening in outcome.happenings]
