"""What goes over the API, typed: the daemon encodes these, every client decodes them.

The measured ones are here; each noun of the books has a module of its own, so that a client of a
measuring-only daemon imports none of them.
"""

from __future__ import annotations

from jouled.wire.live import LEVELS, SORTS, Counters, Level, Snapshot, Workload, Zone, ZoneCount

__all__ = ["LEVELS", "SORTS", "Counters", "Level", "Snapshot", "Workload", "Zone", "ZoneCount"]
