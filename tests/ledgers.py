"""A ledger that a test drives: what the extension's would show after each scan, at watts that were chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fakes import FakeScanStats, FakeWorkload, FakeZone
from jouled.model import ZoneKey

START_S = 1_700_000_040.0  # a minute begins
PACKAGE: ZoneKey = ("package", "0", "rapl")
Labels = tuple[tuple[str, str], ...]
REASONS = ("exited", "kernel", "unattributed", "other")


def labels_of(pid: int) -> Labels:
    return (("comm", f"worker-{pid}"), ("pid", str(pid)))


@dataclass(frozen=True)
class LedgerSnapshot:
    """Frozen, as the extension's is."""

    sequence: int
    wall_s: float
    interval_s: float | None
    found_zones: Sequence[FakeZone]
    rows: Sequence[FakeWorkload]
    rest: Sequence[FakeWorkload]
    scan: FakeScanStats
    levels: Sequence[str] = ("process",)
    busy_ratio: float | None = 0.5
    problems: Sequence[str] = ()
    watts: Mapping[str, float] = field(default_factory=dict)

    def zones(self) -> Sequence[FakeZone]:
        return self.found_zones

    def workloads(self, level: str, sort: str = "watts", limit: int | None = None) -> Sequence[FakeWorkload]:
        def size(row: FakeWorkload) -> float:
            return sum((row.watts if sort == "watts" else row.joules).values())

        return sorted(self.rows, key=size, reverse=True)[:limit]

    def count(self, level: str) -> int:
        return len(self.rows)

    def residuals(self, level: str) -> Sequence[FakeWorkload]:
        return self.rest

    def coarse(self, resolution_j: float) -> LedgerSnapshot:
        return self

    def exposition(self, openmetrics: bool) -> bytes:
        return b""


@dataclass
class Account:
    created_s: float
    joules: dict[str, float] = field(default_factory=dict)
    watts: dict[str, float] = field(default_factory=dict)
    cpu_s: float = 0.0
    is_shown: bool = True


class FakeLedger:
    """`tick` lets time go by in which each pid, or reason, is given its part of the active energy."""

    def __init__(self, *zones: ZoneKey, wall_s: float = START_S) -> None:
        self.wall_s = wall_s
        self.sequence = 0
        self.joules = dict.fromkeys(zones or (PACKAGE,), 0.0)
        self.idle = dict.fromkeys(self.joules, 0.0)
        self.watts: dict[ZoneKey, float | None] = dict.fromkeys(self.joules)
        self.errors = dict.fromkeys(self.joules, 0)
        self.rows: dict[Labels, Account] = {}
        self.rest = {reason: Account(wall_s) for reason in REASONS}

    def baseline(self) -> LedgerSnapshot:
        self.sequence += 1
        return self._snapshot(None)

    def tick(
        self,
        span_s: float = 1.0,
        *,
        parts: Mapping[int | str, float] | None = None,
        watts: float = 40.0,
        idle_w: float = 10.0,
        clock_s: float = 0.0,
        failed: Sequence[ZoneKey] = (),
        hidden: Sequence[int] = (),
    ) -> LedgerSnapshot:
        """`parts` add up to 1; what is missing is unattributed. `clock_s` is how far the wall clock was set,
        `hidden` are pids outside the page's top, whose energy is `other`.
        """
        from_s = self.wall_s
        self.wall_s += span_s + clock_s
        self.sequence += 1
        active = dict.fromkeys([zone for zone, _, _ in self.joules], 0.0)
        for place, key in enumerate(self.joules):
            if key in failed:
                self.errors[key] += 1
                self.watts[key] = None
                continue
            # Each zone at its own watts: nothing may hold only because all are the same.
            own_w, own_idle_w = watts / (place + 1), idle_w / (place + 1)
            self.joules[key] += own_w * span_s
            self.idle[key] += own_idle_w * span_s
            self.watts[key] = own_w
            active[key[0]] += (own_w - own_idle_w) * span_s
        self._share(dict(parts or {}), active, span_s, from_s, hidden)
        return self._snapshot(span_s)

    def forget(self, pid: int) -> None:
        """The row leaves with its total; the next one of this pid begins at nothing."""
        self.rows.pop(labels_of(pid), None)

    def _share(
        self,
        parts: dict[int | str, float],
        active: Mapping[str, float],
        span_s: float,
        from_s: float,
        hidden: Sequence[int],
    ) -> None:
        for account in (*self.rows.values(), *self.rest.values()):
            account.watts = dict.fromkeys(active, 0.0)
        parts["unattributed"] = parts.get("unattributed", 0.0) + 1 - sum(parts.values())
        for pid in hidden:
            if labels_of(pid) in self.rows:
                self.rows[labels_of(pid)].is_shown = False
        for who, part in parts.items():
            if isinstance(who, str):
                account = self.rest[who]
            elif who in hidden:
                account = self.rest["other"]
            else:
                account = self.rows.setdefault(labels_of(who), Account(from_s, watts=dict.fromkeys(active, 0.0)))
                account.is_shown = True
            account.cpu_s += part * span_s
            for zone, joules in active.items():
                account.joules[zone] = account.joules.get(zone, 0.0) + part * joules
                account.watts[zone] += part * joules / span_s

    def _snapshot(self, span_s: float | None) -> LedgerSnapshot:
        zones = [
            FakeZone(
                zone=key[0],
                index=key[1],
                source=key[2],
                joules=joules,
                idle_joules=self.idle[key],
                active_joules=joules - self.idle[key],
                watts=self.watts[key],
            )
            for key, joules in self.joules.items()
        ]
        return LedgerSnapshot(
            sequence=self.sequence,
            wall_s=self.wall_s,
            interval_s=span_s,
            found_zones=zones,
            rows=[_row(account, labels) for labels, account in self.rows.items() if account.is_shown],
            rest=[_row(account, (("level", "process"), ("reason", reason))) for reason, account in self.rest.items()],
            scan=FakeScanStats(zone_read_errors_total=dict(self.errors), zone_resets_total={}),
        )


def _row(account: Account, labels: Labels) -> FakeWorkload:
    return FakeWorkload(
        labels=dict(labels),
        joules=dict(account.joules),
        watts=dict(account.watts),
        cpu_s=account.cpu_s,
        created_s=account.created_s,
    )
