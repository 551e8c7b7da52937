"""What an operator may set of the balancing: bands, waits and bounds."""

from __future__ import annotations

from typing import NamedTuple

from jouled.balance.fleet.allot import Strategy

# The reserve that `Rules.reduce` and `Rules.emergency` are written for.
USUAL_RESERVE = 0.10


class Rules(NamedTuple):
    """How the balancer acts. Bands are parts of the budget, times seconds.

    `reduce` and `emergency` are written for a reserve of a tenth. With another one they keep their place
    between the target and the budget: with a reserve of 0.2 the target is 0.80, and they are 0.84 and 0.92.
    """

    reserve: float = USUAL_RESERVE
    emergency: float = 0.96
    reduce: float = 0.92
    # Raises only below target - deadband, for so long.
    deadband: float = 0.03
    raise_after_s: float = 300.0
    ewma_s: float = 600.0
    ramp_w_per_min: float | None = None
    # A load is not raised so soon after any change of it.
    dwell_s: float = 900.0
    # Bounds of raises, in which every change counts; a shed is never held back. None is two for each load.
    changes_per_hour: int | None = None
    load_changes_per_hour: int = 4
    # How many orders are on their way at one time; a cycle gives them all at once.
    parallel: int = 5
    # How old what a load says may be.
    stale_s: float = 60.0
    strategy: Strategy = "marginal"
    # The time between two cycles.
    cycle_s: float = 15.0
    # How long a change is taken to last: what it costs is spread over it.
    lasting_s: float = 3600.0
    # In an emergency only what answers within so long is taken, while that is enough.
    quick_s: float = 30.0
    # How often somebody else may set a load otherwise before it is left to them, and for how long.
    fights: int = 3
    leave_s: float = 3600.0

    def place(self, band: float) -> float:
        """Where a band that is written for the usual reserve stands with this one, as a part of the budget."""
        share = (band - (1.0 - USUAL_RESERVE)) / USUAL_RESERVE
        return 1.0 - self.reserve + self.reserve * min(max(share, 0.0), 1.0)
