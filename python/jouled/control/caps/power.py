"""What the node draws, as its keeper of caps needs it: of the latest snapshot, if that is no older than it may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jouled.control.caps.turns import Power
from jouled.feed import Feed
from jouled.model import Snapshot

PACKAGE = "package"


class Measured:
    """Called for the power of now. None where nobody knows: no feed, an old one, or no package's counter.

    `is_fresh` says whether the latest snapshot is no older than three intervals. Power limits act on
    packages: what they draw is what is compared with a cap.
    """

    def __init__(self, feed: Feed[Snapshot], is_fresh: Callable[[], bool], slices: Sequence[str] = ()) -> None:
        self._feed = feed
        self._is_fresh = is_fresh
        self._slices = slices
        # Of the latest snapshot, if there was one: the CPU time of each unit.
        self._has_before = False
        self._cpu_s: dict[tuple[str, str], float] = {}
        self._drawn: dict[str, tuple[float, float]] = {}

    def __repr__(self) -> str:
        return f"<Measured of {self._feed!r}>"

    def __call__(self) -> Power | None:
        snapshot = self._feed.latest
        if snapshot is None or not self._is_fresh():
            return None
        packages_w: dict[int, float] = {}
        for zone in snapshot.zones():
            number = zone.index.partition("-")[0]
            if zone.zone == PACKAGE and zone.watts is not None and number.isascii() and number.isdigit():
                packages_w[int(number)] = packages_w.get(int(number), 0.0) + zone.watts
        if not packages_w:
            return None
        return Power(sum(packages_w.values()), packages_w, self._drawn)

    def observe(self, snapshot: Snapshot) -> None:
        """To be told of every snapshot: how busy a slice was is what grew since the one before."""
        if not self._slices or "unit" not in snapshot.levels or not snapshot.interval_s:
            return
        cpu_s: dict[tuple[str, str], float] = {}
        drawn: dict[str, tuple[float, float]] = {}
        for row in snapshot.workloads("unit"):
            path = row.labels.get("slice", "")
            for name in self._slices:
                if not lies_in(path, name):
                    continue
                key = (path, row.labels.get("unit", ""))
                cpu_s[key] = row.cpu_s
                # A unit that is new began within the interval: all of its time is of now.
                busy = max(0.0, row.cpu_s - self._cpu_s.get(key, 0.0)) / snapshot.interval_s
                watts, cpus = drawn.get(name, (0.0, 0.0))
                drawn[name] = (watts + row.watts.get(PACKAGE, 0.0), cpus + busy)
        # Without a snapshot before it nobody knows how busy they were.
        self._drawn = drawn if self._has_before else {}
        self._has_before, self._cpu_s = True, cpu_s


def lies_in(path: str, name: str) -> bool:
    """Whether a unit's `slice` label, `a.slice` or `a.slice/b.service`, names the slice or one below it:
    systemd's names say where each one lies, `a-b.slice` in `a.slice`.
    """
    stem = name.removesuffix(".slice")
    return any(part == name or (part.startswith(f"{stem}-") and part.endswith(".slice")) for part in path.split("/"))
