"""Fakes with the shape of the Rust extension: no host is read, every number is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from jouled.model import ZoneKey

PACKAGE: ZoneKey = ("package", "0", "fake")


@dataclass(frozen=True)
class FakeScanStats:
    seconds: float = 0.002
    cpu_seconds_total: float = 0.5
    processes: int = 7
    cgroups: int = 3
    unreadable_total: int = 1
    vanished_total: int = 2
    reused_total: int = 3
    zone_read_errors_total: Mapping[ZoneKey, int] = field(default_factory=lambda: {PACKAGE: 4})
    zone_resets_total: Mapping[ZoneKey, int] = field(default_factory=lambda: {PACKAGE: 5})
    zone_wraps_total: Mapping[ZoneKey, int] = field(default_factory=lambda: {PACKAGE: 6})


@dataclass(frozen=True)
class FakeZone:
    zone: str = "package"
    index: str = "0"
    source: str = "fake"
    path: str = "fake"
    joules: float = 1000.0
    active_joules: float = 400.0
    idle_joules: float = 600.0
    watts: float | None = 12.5
    active_watts: float | None = 5.0
    idle_watts: float | None = 7.5
    created_s: float = 1_699_999_000.0


@dataclass(frozen=True)
class FakeWorkload:
    labels: Mapping[str, str] = field(default_factory=lambda: {"pid": "42", "comm": "nginx"})
    joules: Mapping[str, float] = field(default_factory=lambda: {"package": 300.0})
    watts: Mapping[str, float] = field(default_factory=lambda: {"package": 4.0})
    cpu_s: float = 60.0
    is_live: bool = True
    created_s: float = 1_699_999_000.0


@dataclass(frozen=True)
class FakeSnapshot:
    sequence: int = 2
    wall_s: float = 1_700_000_000.0
    interval_s: float | None = 1.0
    busy_ratio: float | None = 0.25
    watts: Mapping[str, float] = field(default_factory=lambda: {"package": 12.5})
    problems: Sequence[str] = ()
    scan: FakeScanStats = field(default_factory=FakeScanStats)
    series: int = 1
    expositions: list[bool] = field(default_factory=list)

    levels: Sequence[str] = ("process", "unit")

    def zones(self) -> Sequence[FakeZone]:
        return [FakeZone()]

    def workloads(self, level: str, sort: str = "watts", limit: int | None = None) -> Sequence[FakeWorkload]:
        if level not in self.levels:
            raise ValueError(f"level {level!r} is not computed; use one of {', '.join(self.levels)}")
        names = [str(pid) for pid in range(1, self.series + 1)]
        return [FakeWorkload(labels={"pid": name, "comm": sort}) for name in names][:limit]

    def count(self, level: str) -> int:
        return self.series

    def coarse(self, resolution_j: float) -> Self:
        return replace(self, watts={"coarse": resolution_j})

    def residuals(self, level: str) -> Sequence[FakeWorkload]:
        return [FakeWorkload(labels={"level": level, "reason": "kernel"}, watts={"package": 1.0})]

    def exposition(self, openmetrics: bool) -> bytes:
        self.expositions.append(openmetrics)
        family = "jouled_process_joules" if openmetrics else "jouled_process_joules_total"
        lines = [f"# HELP {family} Energy of a process in joules", f"# TYPE {family} counter"]
        lines += [f'jouled_process_joules_total{{pid="{pid}"}} {self.sequence}.5' for pid in range(self.series)]
        return "".join(f"{line}\n" for line in lines).encode()


class FakeScanner:
    """Gives a baseline, then intervals. An entry of `trouble` is raised by the tick of that number."""

    source = "fake"

    def __init__(
        self,
        *,
        series: int = 1,
        trouble: Mapping[int, BaseException] | None = None,
        problems: Sequence[str] = (),
        notices: Sequence[str] = (),
    ) -> None:
        self.ticks = 0
        self._series = series
        self._trouble = trouble or {}
        self._problems = problems
        self._notices = notices

    def notices(self) -> Sequence[str]:
        return self._notices

    def tick(self) -> FakeSnapshot:
        self.ticks += 1
        if self.ticks in self._trouble:
            raise self._trouble[self.ticks]
        return FakeSnapshot(
            sequence=self.ticks,
            interval_s=None if self.ticks == 1 else 1.0,
            problems=self._problems,
            series=self._series,
        )
