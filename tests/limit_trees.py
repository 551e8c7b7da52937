"""Power limits and slices as plain files that stand in for the kernel's: written in place, as sysfs is."""

from __future__ import annotations

from pathlib import Path

from jouled.balance.writes import Write

BOOT = "0c1b6d3a-8c4f-4b5e-9d53-5b1f7a1f0e01"


class LimitTree:
    """A host's sysfs and procfs below a folder."""

    def __init__(self, folder: Path) -> None:
        self.sysfs = folder / "sys"
        self.procfs = folder / "proc"
        self.caps = folder / "state" / "caps"
        self.powercap = self.sysfs / "class" / "powercap"
        self.powercap.mkdir(parents=True)
        self.boots(BOOT)

    def boots(self, boot_id: str) -> None:
        file = self.procfs / "sys" / "kernel" / "random" / "boot_id"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{boot_id}\n")

    def package(self, number: int, *, kind: str = "intel-rapl", name: str | None = None, **limits_uw: int) -> Path:
        """A zone with the limits long_term and short_term, or those given."""
        zone = self.powercap / f"{kind}:{number:x}"
        zone.mkdir()
        (zone / "name").write_text(f"{name or f'package-{number}'}\n")
        (zone / "enabled").write_text("1\n")
        for index, (limit, power_uw) in enumerate(
            (limits_uw or {"long_term": 95_000_000, "short_term": 118_750_000}).items()
        ):
            (zone / f"constraint_{index}_name").write_text(f"{limit}\n")
            (zone / f"constraint_{index}_power_limit_uw").write_text(f"{power_uw}\n")
            (zone / f"constraint_{index}_time_window_us").write_text("27983872\n")
        return zone

    def slice(self, path: str, limit: str = "max 100000", *, version: int = 2) -> Path:
        """The directory of a slice in the one hierarchy that there is."""
        base = self.sysfs / "fs" / "cgroup"
        if version == 2:
            base.mkdir(parents=True, exist_ok=True)
            (base / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
        else:
            base = base / "cpu,cpuacct"
        directory = base / path
        directory.mkdir(parents=True)
        if version == 2:
            (directory / "cpu.max").write_text(f"{limit}\n")
        else:
            (directory / "cpu.cfs_quota_us").write_text(f"{limit}\n")
            (directory / "cpu.cfs_period_us").write_text("100000\n")
        return directory

    def limits(self) -> dict[str, bytes]:
        """Every file that could have been written, as it is."""
        return {
            str(path.relative_to(self.sysfs)): path.read_bytes()
            for path in sorted(self.sysfs.rglob("*"))
            if path.is_file()
        }


def power_write(zone: Path, value: int, attribute: str = "constraint_0_power_limit_uw") -> Write:
    """A planned write to a zone, which it is known by."""
    name = (zone / "name").read_text().strip()
    return Write(str(zone / attribute), f"{name} {attribute}", str(value), (str(zone / "name"), name))
