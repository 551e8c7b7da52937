"""What the loads draw together: as measured, as commanded, and what safety counts with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from jouled.balance.site.inflight import in_flight_w, is_down
from jouled.balance.site.standing import Standing


class Sums(NamedTuple):
    """Of the site or of a circuit, in watts."""

    # By a meter of the loads where there is one, else as they say; None where nobody says anything.
    measured_w: float | None
    commanded_w: float
    # The larger of the two, with what is on its way up.
    load_w: float
    # Of that, what changes in flight will take away once they are seen to be done.
    saving_w: float
    is_meter_stale: bool

    @property
    def expected_w(self) -> float:
        """After what is in flight."""
        return self.load_w - self.saving_w


def saving_w(standing: Standing, by_s: float = math.inf) -> float:
    """What the change in flight of a load will take away, where that is to be seen by then."""
    pending = standing.pending
    if pending is None or not standing.is_fresh or not is_down(pending) or pending.expected_by_s > by_s:
        return 0.0
    return max(0.0, standing.counted_w - pending.order.power_w)


def summed(standings: Iterable[Standing], metered_w: float | None, metered_age_s: float | None, stale_s: float) -> Sums:
    """A meter that is fresh is believed before what the loads say; one that is not makes them count with the worst."""
    measured_w = counted_w = commanded_w = worst_w = rising_w = saved_w = 0.0
    is_measured = False
    for standing in standings:
        counted_w += standing.counted_w
        commanded_w += standing.commanded_w
        worst_w += standing.now_w
        if standing.measured_w is not None:
            measured_w += standing.measured_w
            is_measured = True
        if standing.pending is not None:
            saved_w += saving_w(standing)
            if not is_down(standing.pending):
                rising_w += max(0.0, in_flight_w(standing.pending) - (standing.measured_w or 0.0))
    said_w = measured_w if is_measured else None
    if metered_w is None and metered_age_s is None:
        return Sums(said_w, commanded_w, max(counted_w, commanded_w), saved_w, is_meter_stale=False)
    is_read = metered_w is not None and 0.0 <= metered_w < math.inf
    if metered_w is None or metered_age_s is None or not (is_read and metered_age_s <= stale_s):
        return Sums(said_w, commanded_w, worst_w, saved_w, is_meter_stale=True)
    return Sums(metered_w, commanded_w, max(metered_w + rising_w, commanded_w), saved_w, is_meter_stale=False)
