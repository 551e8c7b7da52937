"""A program that caps as the daemon does, to be killed at any of its steps.

    capping.py FOLDER

FOLDER holds a `LimitTree`. It caps both packages and a slice, caps lower, raises again, and gives all of it back.
"""

from __future__ import annotations

import sys
from pathlib import Path

from jouled.balance.writes import Write
from jouled.journal import Journal
from jouled.loads.cgroup import Cgroups, plan
from jouled.loads.rapl import Rapl

SLICE = "batch.slice"
PACKAGES_W = (50, 40, 70)


def main(folder: Path) -> None:
    sysfs = str(folder / "sys")
    rapl, cgroups = Rapl(sysfs), Cgroups(sysfs)
    with Journal.open(str(folder / "state" / "caps"), procfs=str(folder / "proc"), sysfs=sysfs) as journal:
        journal.keep_policy("restore")
        for round_, watts in enumerate(PACKAGES_W):
            (limit,) = cgroups.read([SLICE])
            of_slice = plan(limit, 0.2 + 0.1 * round_)
            powers = [write for zone in rapl.read() for write in powers_of(Path(zone.directory), watts * 1_000_000)]
            begun = journal.begin([*of_slice, *powers])
            assert not begun.problems, begun.problems
            cgroups.apply(of_slice, lambda done: journal.wrote(done.write.path, done.held or ""))
            done = rapl.apply(powers, lambda done: journal.wrote(done.write.path, done.held or ""))
            assert not [one.problem for one in done if one.problem], done
        assert journal.restore().is_whole


def powers_of(zone: Path, power_uw: int) -> list[Write]:
    name = (zone / "name").read_text().strip()
    writes = [
        Write(
            str(zone / f"constraint_{number}_power_limit_uw"),
            f"{name} {number}",
            str(power_uw),
            (str(zone / "name"), name),
        )
        for number in (0, 1)
    ]
    return [*writes, Write(str(zone / "enabled"), f"{name} enabled", "1", (str(zone / "name"), name))]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
