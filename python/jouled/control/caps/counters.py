"""What capping has done and met since the start."""

from __future__ import annotations

from dataclasses import dataclass, field

from jouled.control.caps.turns import Outcome, Place


@dataclass
class CapCounters:
    """What has happened since the start. Only ever grows; read by the metrics page."""

    # Looks that came to their end.
    checks_total: int = 0
    # Writes of limits and of slices that were made, and those that failed, by (zone, index) or ("slice", NAME).
    writes_total: int = 0
    write_errors_total: dict[Place, int] = field(default_factory=dict)
    # Limits found to be neither what was written nor held.
    foreign_writes_total: dict[Place, int] = field(default_factory=dict)
    # Originals that could not be given back, each attempt.
    restore_failures_total: int = 0

    def add(self, outcome: Outcome) -> None:
        self.checks_total += 1
        self.writes_total += outcome.writes
        self.restore_failures_total += outcome.unrestored
        for place in outcome.failed:
            self.write_errors_total[place] = self.write_errors_total.get(place, 0) + 1
        for place in outcome.foreign:
            self.foreign_writes_total[place] = self.foreign_writes_total.get(place, 0) + 1
