"""CPU time of slices: how much they may use, read and planned and written. Blocks: call it in a worker thread.

What was there before goes into the journal first, as with power limits. systemd writes the CPU limits of its
units anew when they are reloaded or their properties are set: that is another program's write, and is seen
as one.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from jouled.balance.writes import Write
from jouled.errors import one_line
from jouled.journal.files import read_attribute, write_attribute
from jouled.journal.page import is_same
from jouled.loads.writing import Applied, apply_each

# What the kernel takes at least, and what it assumes, as quota and period (sched: cfs_bandwidth).
QUOTA_MIN_US = 1000
PERIOD_US = 100_000
_GONE = {errno.ENOENT, errno.ENODEV, errno.ENOTDIR}


class Slice(NamedTuple):
    """A slice's limit of CPU time, as read at one time."""

    name: str
    # The file of its limit; None where there is none, and `problem` says why.
    path: str | None
    # None is no limit.
    quota_us: int | None = None
    period_us: int = PERIOD_US
    problem: str | None = None

    @property
    def cpus(self) -> float | None:
        """How many CPUs it may keep busy; None is no limit."""
        return None if self.quota_us is None else self.quota_us / self.period_us

    @property
    def is_there(self) -> bool:
        return self.path is not None


class Controller(NamedTuple):
    """The hierarchy of cgroups that limits CPU time."""

    directory: str
    version: Literal[1, 2]

    @property
    def file(self) -> str:
        return "cpu.max" if self.version == 2 else "cpu.cfs_quota_us"


def controller(sysfs: str = "/sys") -> Controller | None:
    """Where the scanner finds cgroups as well, below SYSFS/fs/cgroup: version 2, hybrid or version 1.

    Not by the list of mounts, which tells of the real ones where SYSFS stands for another host.
    """
    base = f"{sysfs}/fs/cgroup"
    for directory in (base, f"{base}/unified"):
        try:
            controllers = read_attribute(f"{directory}/cgroup.controllers").split()
        except OSError:
            continue
        if "cpu" in controllers:
            return Controller(directory, 2)
    for directory in (f"{base}/cpu", f"{base}/cpu,cpuacct"):
        if Path(directory).is_dir():
            return Controller(directory, 1)
    return None


def read(names: Iterable[str], sysfs: str = "/sys") -> tuple[Slice, ...]:
    """Their limits, in the order of `names`. Raises nothing: what cannot be read is a problem of its slice."""
    found = controller(sysfs)
    return tuple(_read(name, found, sysfs) for name in names)


def plan(limit: Slice, cpus: float) -> tuple[Write, ...]:
    """What to write so that the slice keeps at most so many CPUs busy; nothing where it holds, or is not there.

    The period stays as it is. Lifting the limit is no plan: the journal gives the original back.
    """
    if limit.path is None:
        return ()
    quota_us = max(QUOTA_MIN_US, int(cpus * limit.period_us))
    if quota_us == limit.quota_us:
        return ()
    value = f"{quota_us} {limit.period_us}" if limit.path.endswith("/cpu.max") else str(quota_us)
    return (Write(limit.path, f"CPU time of {limit.name}", value),)


def cpus_of(original: str, period_us: int = PERIOD_US) -> float | None:
    """The CPUs that a limit as the journal has it comes to; `period_us` is that of a version 1 file. None is no limit."""
    quota_us, period_us = _parsed(original, period_us)
    return None if quota_us is None else quota_us / period_us


class Cgroups:
    """Reads and writes the limits of slices. With `dry_run` nothing is written, and each write says so."""

    def __init__(self, sysfs: str = "/sys", *, dry_run: bool = False) -> None:
        self.sysfs = sysfs
        self.dry_run = dry_run

    def __repr__(self) -> str:
        return f"<Cgroups {self.sysfs}{' dry run' if self.dry_run else ''}>"

    def read(self, names: Iterable[str]) -> tuple[Slice, ...]:
        return read(names, self.sysfs)

    def apply(self, writes: Iterable[Write], on_write: Callable[[Applied], None] | None = None) -> tuple[Applied, ...]:
        """As `apply_each` says."""
        return apply_each(writes, _apply, on_write, dry_run=self.dry_run)


def _read(name: str, found: Controller | None, sysfs: str) -> Slice:
    if found is None:
        return Slice(
            name,
            None,
            problem=f"{name}: no cgroup hierarchy below {sysfs}/fs/cgroup has the cpu controller; boot with cgroup v2,"
            " or leave caps.slices out",
        )
    directory = _directory(found, name)
    if directory is None:
        return Slice(name, None, problem=f"{name}: it cannot be limited; name a slice below it in caps.slices")
    path = f"{directory}/{found.file}"
    try:
        period_us = PERIOD_US
        if found.version == 1:
            period_us = int(read_attribute(f"{directory}/cpu.cfs_period_us"))
        quota_us, period_us = _parsed(read_attribute(path), period_us)
    except OSError as error:
        return Slice(name, None, problem=_unreadable(name, directory, path, error))
    except ValueError:
        return Slice(name, None, problem=f"read {path}: it is no limit of CPU time as this jouled knows it")
    return Slice(name, path, quota_us, period_us)


def _directory(found: Controller, name: str) -> str | None:
    """As systemd nests them: `a-b.slice` lies in `a.slice`. None for what is no slice below the root's."""
    stem = name.removesuffix(".slice")
    parts = stem.split("-")
    if stem == name or not all(parts) or "/" in name:
        return None
    nested = ["-".join(parts[: count + 1]) + ".slice" for count in range(len(parts))]
    return "/".join((found.directory, *nested))


def _parsed(text: str, period_us: int) -> tuple[int | None, int]:
    """`cpu.max` is `QUOTA PERIOD`, and `cpu.cfs_quota_us` a quota alone. Raises ValueError."""
    quota, *rest = text.split()
    if rest:
        period_us = int(rest[0])
    if period_us <= 0:
        raise ValueError(text)
    return (None if quota == "max" or int(quota) < 0 else int(quota)), period_us


def _unreadable(name: str, directory: str, path: str, error: OSError) -> str:
    if error.errno not in _GONE:
        return f"read {path}: {str(error.strerror).lower()}; run this as root, or let the daemon's unit write it"
    if not Path(directory).is_dir():
        return f"{name}: there is no such slice now; it is made when something runs in it"
    return (
        f"{name}: {directory} has no cpu controller; switch it on: systemctl set-property {name} CPUAccounting=yes"
        " CPUWeight=100"
    )


def _apply(write: Write) -> Applied:
    try:
        write_attribute(write.path, write.value)
    except OSError as error:
        reason, line = _refusal(write, error)
        return Applied(write, None, line, reason)
    try:
        held = read_attribute(write.path).strip()
    except OSError as error:
        return Applied(
            write, None, f"read {write.path}: {str(error.strerror).lower()}; nobody knows what holds", "failed"
        )
    if is_same(held, write.value):
        return Applied(write, held)
    line = (
        f"write {write.path}: {write.value} was asked for and it holds {one_line(held)}; another program has written it"
    )
    return Applied(write, held, line, "other")


def _refusal(write: Write, error: OSError) -> tuple[str, str]:
    what = f"write {write.path}: {str(error.strerror).lower()}"
    if error.errno in _GONE:
        return "gone", f"{what}; the slice has ended"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "denied", f"{what}; run this as root, or let the daemon's unit write it"
    if error.errno == errno.EINVAL:
        return (
            "failed",
            f"{what}; a child of the slice may have a higher quota (cgroup v1), or cpu.max.burst is above it",
        )
    return "failed", f"{what}; look at the kernel's messages"
