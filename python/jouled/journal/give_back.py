"""One original back into the kernel, verified; and what came of it."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from jouled.errors import one_line
from jouled.journal.files import inode_of, read_attribute, write_attribute
from jouled.journal.page import Entry, is_same
from jouled.journal.places import real_path

# Powers are kept in eighths of a watt: what was read from the kernel comes back as it was, or so near.
POWER_STEP_UW = 125_000

Outcome: TypeAlias = Literal["restored", "already", "made-safe", "ceded", "gone", "void", "failed"]
# Vanished between two looks, as a zone does that is unplugged.
_GONE = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR}


class GivenBack(NamedTuple):
    """What came of one original.

    restored    it holds again
    already     it held already
    made-safe   the value of the safe cap was written instead, as the settings ask for
    ceded       another program has made it its own, and it was left to that one
    gone        there is no such zone now; it stays in the journal, should the zone return
    void        the limit has ended by itself: with its slice, or with the boot that it was written in
    failed      it could not be given back; it stays in the journal
    """

    path: str
    what: str
    outcome: Outcome
    original: str
    # What was there before, and after; None where it could not be read, or was not looked at.
    found: str | None = None
    holds: str | None = None
    # Whether what was there was neither ours nor the original.
    is_foreign: bool = False
    # Why, and what to do about it.
    problem: str | None = None

    @property
    def is_done(self) -> bool:
        return self.outcome not in {"gone", "failed", "made-safe"}


class Restored(NamedTuple):
    """What came of all of them, in the order in which they were given back."""

    items: tuple[GivenBack, ...] = ()
    # Where the journal itself could not be brought up to date: it may name what holds again already.
    problem: str | None = None

    @property
    def restored(self) -> tuple[GivenBack, ...]:
        return tuple(item for item in self.items if item.outcome in {"restored", "already"})

    @property
    def gone(self) -> tuple[GivenBack, ...]:
        return tuple(item for item in self.items if item.outcome in {"gone", "void"})

    @property
    def foreign(self) -> tuple[GivenBack, ...]:
        """What others had written meanwhile: left where it was ceded to them, given back all the same elsewhere."""
        return tuple(item for item in self.items if item.is_foreign)

    @property
    def failed(self) -> tuple[GivenBack, ...]:
        return tuple(item for item in self.items if item.outcome == "failed")

    @property
    def is_whole(self) -> bool:
        return not self.failed and self.problem is None


def give_back(entry: Entry, sysfs: str, *, is_dry_run: bool = False, is_safe: bool = False) -> GivenBack:
    """Never raises for what the kernel says. `is_safe` writes the value of the safe cap where one was prepared."""
    target = entry.safe if is_safe and entry.safe is not None else entry.original
    is_original = target is entry.original
    try:
        path = locate(entry, sysfs)
        found = read_attribute(real_path(path, sysfs)) if path is not None else ""
    except ValueError as error:
        return _said(entry, "failed", str(error))
    except OSError as error:
        return _gone(entry) if error.errno in _GONE else _said(entry, "failed", _why("read", entry.path, error))
    if path is None:
        return _gone(entry)
    is_foreign = not entry.is_ours(found) and not is_same(found, entry.original)
    said = GivenBack(
        path, entry.what, "already" if is_original else "made-safe", entry.original, found, found, is_foreign
    )
    if entry.ceded_to is not None and is_foreign:
        problem = f"{path}: left to {one_line(entry.ceded_to)}, which has set it to {one_line(found.strip())}"
        return said._replace(outcome="ceded", problem=problem)
    # Byte by byte of an original: numbers alone would leave a file that was cut as it is.
    if found == target or (not is_original and is_same(found, target)):
        return said
    said = said._replace(outcome="restored" if is_original else "made-safe", holds=None)
    return said if is_dry_run else _written(entry, sysfs, target, said)


def _written(entry: Entry, sysfs: str, target: str, said: GivenBack) -> GivenBack:
    """Writes it and looks what became of it."""
    path = said.path
    try:
        real = real_path(path, sysfs)
        write_attribute(real, target)
    except OSError as error:
        if error.errno in _GONE:
            return _gone(entry)
        return said._replace(outcome="failed", problem=_why("write", path, error))
    try:
        holds = read_attribute(real)
    except OSError as error:
        return said._replace(outcome="failed", holds=None, problem=_why("read back", path, error))
    if is_same(holds, target):
        return said._replace(holds=holds)
    problem = f"{path}: holds {one_line(holds.strip())} instead of {target.strip()}"
    if _is_near(path, holds, target):
        return said._replace(holds=holds, problem=problem)
    return said._replace(
        outcome="failed", holds=holds, problem=f"{problem}; the hardware, or another program, does not take it"
    )


def locate(entry: Entry, sysfs: str) -> str | None:
    """Where the attribute is now; None where its zone or slice is gone. Raises OSError, and ValueError where
    it is no limit below `sysfs`: then nothing is opened.

    A zone that comes back may have another number: it is looked for by its name, among the zones of the
    same kind. A slice that was made anew has no limit of ours.
    """
    real_path(entry.path, sysfs)
    if entry.identity is None:
        return entry.path if entry.inode is None or inode_of(entry.path) == entry.inode else None
    name_file, name = entry.identity
    if holds_name(name_file, name):
        return entry.path
    zone = str(Path(name_file).parent)
    if not entry.path.startswith(f"{zone}/"):
        return None
    found = [other for other in _siblings(zone) if holds_name(f"{other}/name", name)]
    # Two of one name could be either.
    return found[0] + entry.path[len(zone) :] if len(found) == 1 else None


def holds_name(name_file: str, name: str) -> bool:
    try:
        return read_attribute(name_file).strip() == name
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise


def _siblings(zone: str) -> list[str]:
    """Zones of the same kind and depth: `intel-rapl:1` of `intel-rapl:0`, `intel-rapl:0:1` of `intel-rapl:0:0`."""
    parent, separator, _ = Path(zone).name.rpartition(":")
    try:
        others = sorted(Path(zone).parent.iterdir())
    except OSError:
        return []
    return [str(other) for other in others if separator and other.name.rpartition(":")[0] == parent]


def _is_near(path: str, holds: str, target: str) -> bool:
    if not path.endswith("_power_limit_uw"):
        return False
    try:
        return abs(int(holds) - int(target)) <= POWER_STEP_UW
    except ValueError:
        return False


def _gone(entry: Entry) -> GivenBack:
    """A slice takes its limit along; a zone may come back."""
    outcome: Outcome = "gone" if entry.identity is not None else "void"
    return _said(entry, outcome, f"{one_line(entry.path)}: there is no {one_line(entry.what)} now")


def _said(entry: Entry, outcome: Outcome, problem: str) -> GivenBack:
    return GivenBack(entry.path, entry.what, outcome, entry.original, problem=problem)


def _why(verb: str, path: str, error: OSError) -> str:
    reason = f"{verb} {one_line(path)}: {str(error.strerror).lower()}"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"{reason}; run this as root, or let the daemon's unit write limits"
    if error.errno == errno.ENODATA:
        return (
            f"{reason}; the firmware may have locked it, or the limit is disabled: a restart of the host sets it anew"
        )
    if error.errno == errno.EINVAL and "/cpu." in path:
        return f"{reason}; a child of the slice may have a higher quota, or cpu.max.burst is above it"
    return f"{reason}; try again, a restart of the host sets it anew"
