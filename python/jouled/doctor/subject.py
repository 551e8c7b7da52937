"""What the doctor examines: a host's files, its counters at two moments, and what meters and daemon said."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from jouled.capture import Tree

POWERCAP = "sys/class/powercap"
CAP_DAC_READ_SEARCH = 2
CAP_SYS_PTRACE = 19
# The first namespaces of the kernel have fixed numbers (include/linux/proc_ns.h).
FIRST_NAMESPACES = {"pid": 0xEFFFFFFC, "cgroup": 0xEFFFFFFB, "user": 0xEFFFFFFD}


class PowercapZone(NamedTuple):
    """A directory of the powercap class that holds, or should hold, a counter."""

    id: str
    """Its directory: `intel-rapl:0:1`."""
    name: str
    """What the kernel calls it: `package-0-die-1`, `dram`."""

    @property
    def directory(self) -> str:
        return f"{POWERCAP}/{self.id}"

    @property
    def energy(self) -> str:
        return f"{self.directory}/energy_uj"

    @property
    def is_mmio(self) -> bool:
        return self.id.startswith("intel-rapl-mmio:")

    @property
    def is_top(self) -> bool:
        return self.id.count(":") == 1

    @property
    def package(self) -> str | None:
        """`0` of `package-0` and of `package-0-die-1`."""
        found = re.fullmatch(r"package-(\d+)(?:-die-\d+)?", self.name)
        return found[1] if found else None

    @property
    def die(self) -> str | None:
        """`1` of `package-0-die-1`."""
        found = re.fullmatch(r"package-\d+-die-(\d+)", self.name)
        return found[1] if found else None


class Look(NamedTuple):
    """All counters at one moment; an int is microjoules, a text is why there is none."""

    uptime_s: float | None
    counters: Mapping[str, int | str]
    steal_ticks: int
    total_ticks: int


class DaemonSeen(NamedTuple):
    """What was seen of the daemon. `sums` are its own metrics by name, summed over their labels."""

    url: str | None = None
    """Where it answered; None where it did not."""
    trouble: str = ""
    """Why it did not."""
    is_denied: bool = False
    is_ready: bool = True
    readiness: str = ""
    source: str = ""
    sums: Mapping[str, float] = {}
    left: str = ""
    """The journal of power limits that are not given back; empty where there is none, or it answers."""


@dataclass(frozen=True)
class Subject:
    """A host under examination. `source` is what the meter that works calls itself, None where none
    does; `notices` and `problems` are its own words.
    """

    tree: Tree
    before: Look
    after: Look
    source: str | None
    notices: Sequence[str] = ()
    problems: Sequence[str] = ()
    daemon: DaemonSeen | None = None

    @cached_property
    def zones(self) -> list[PowercapZone]:
        return powercap_zones(self.tree)

    @cached_property
    def comms(self) -> dict[int, str]:
        """The names of all processes, as far as they may be read."""
        found = ((pid, self.tree.text(f"proc/{pid}/comm")) for pid in self.tree.pids())
        return {pid: comm for pid, comm in found if comm is not None}

    @cached_property
    def own_status(self) -> dict[str, str]:
        """Who looks: the lines of /proc/self/status."""
        return status_lines(self.tree.text("proc/self/status") or "")

    @property
    def uid(self) -> int | None:
        """The effective user that looks."""
        words = self.own_status.get("Uid", "").split()
        return int(words[1]) if len(words) > 1 else None

    @property
    def elapsed_s(self) -> float | None:
        """Between the two looks."""
        if self.before.uptime_s is None or self.after.uptime_s is None:
            return None
        return self.after.uptime_s - self.before.uptime_s

    def is_capable(self, capability: int, *, which: str = "CapEff") -> bool | None:
        """Whether who looks has a capability; None where nobody says so."""
        text = self.own_status.get(which)
        return None if text is None else bool(int(text, 16) >> capability & 1)

    def value(self, zone: PowercapZone) -> int | None:
        """The counter at the second look, in microjoules."""
        found = self.after.counters.get(zone.id)
        return found if isinstance(found, int) else None

    def growth_uj(self, zone: PowercapZone) -> int | None:
        """How far the counter went between the two looks; None where it went round or was not read."""
        before, after = self.before.counters.get(zone.id), self.after.counters.get(zone.id)
        if not isinstance(before, int) or not isinstance(after, int) or after < before:
            return None
        return after - before

    def refusal(self, zone: PowercapZone) -> str | None:
        """The errno's word for why the counter cannot be read; "number" where it holds none."""
        found = self.after.counters.get(zone.id)
        return found if isinstance(found, str) else None

    def is_first_namespace(self, kind: str) -> bool | None:
        """Whether who looks is in the host's own namespace; None where that cannot be told."""
        link = self.tree.link(f"proc/self/ns/{kind}")
        found = re.fullmatch(rf"{kind}:\[(\d+)\]", link or "")
        return int(found[1]) == FIRST_NAMESPACES[kind] if found else None


def look(tree: Tree) -> Look:
    """Reads all counters once."""
    words = (tree.text("proc/stat") or "").partition("\n")[0].split()[1:9]
    ticks = [int(word) for word in words if word.isdigit()]
    counters = {zone.id: _counter(tree, zone) for zone in powercap_zones(tree)}
    return Look(tree.uptime_s(), counters, ticks[7] if len(ticks) > 7 else 0, sum(ticks))


def powercap_zones(tree: Tree) -> list[PowercapZone]:
    """All zones of RAPL that have a counter, in whatever way it may be read."""
    ids = [name for name in tree.names(POWERCAP) if name.startswith("intel-rapl") and ":" in name]
    zones = (PowercapZone(id_, tree.text(f"{POWERCAP}/{id_}/name") or "") for id_ in ids)
    return [zone for zone in zones if zone.name and tree.exists(zone.energy)]


def status_lines(text: str) -> dict[str, str]:
    """`/proc/P/status` by its keys."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, _, value in pairs}


def _counter(tree: Tree, zone: PowercapZone) -> int | str:
    try:
        text = tree.read(zone.energy).strip()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "EIO")
    return int(text) if text.isdigit() else "number"
