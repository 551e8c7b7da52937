"""What the balancer has done since its start; read by the metrics page."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

# Upper bounds of how long a cycle took, in seconds.
CYCLE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass
class BalanceCounters:
    """All of it only grows."""

    cycles_total: int = 0
    # How long they took, and how many took how long: one more than there are bounds.
    cycle_s_sum: float = 0.0
    cycle_s_buckets: list[int] = field(default_factory=lambda: [0] * (len(CYCLE_BOUNDS_S) + 1))
    cycle_s_longest: float = 0.0
    # By kind and result: ("shed", "sent"), ("raise", "completed"), ("shed", "failed"), ("raise", "proposed").
    changes_total: Counter[tuple[str, str]] = field(default_factory=Counter)
    # By kind: load_away, band_emergency and so on.
    happenings_total: Counter[str] = field(default_factory=Counter)

    def took(self, seconds: float) -> None:
        self.cycles_total += 1
        self.cycle_s_sum += seconds
        self.cycle_s_longest = max(self.cycle_s_longest, seconds)
        self.cycle_s_buckets[bisect_left(CYCLE_BOUNDS_S, seconds)] += 1
