"""Energy readings: which can be, and which are the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from math import isfinite
from zoneinfo import ZoneInfo

from jouled.books import calendar
from jouled.books.emissions import MJ_PER_KWH
from jouled.wire.readings import CONSUMPTION_MAX_KWH, ReadingDraft

# Clocks differ; more than this is a mistake.
AHEAD_MAX = timedelta(minutes=5)
# A clock that was never set says 1970 or the year in which the device was made.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
METADATA_MAX_BYTES = 4096


def energy_mj(consumption_kwh: float) -> int:
    """To the nearest millijoule: from here on energy is an integer."""
    return round(consumption_kwh * MJ_PER_KWH)


def kwh(energy: int) -> float:
    return energy / MJ_PER_KWH


def refused(draft: ReadingDraft, latest: datetime) -> str | None:
    """Why there cannot be such a reading. `latest` is AHEAD_MAX from now."""
    if not 0 <= draft.consumption <= CONSUMPTION_MAX_KWH:
        return f"consumption {draft.consumption!r} cannot be: 0 to {CONSUMPTION_MAX_KWH:g} kWh; is it in another unit?"
    at = draft.timestamp
    if at.tzinfo is None:
        return f"timestamp {at} has no zone; add one as in 2026-03-29T00:30:00Z"
    if at > latest:
        return f"timestamp {at.isoformat()} is in the future; set the meter's clock"
    if at < EARLIEST:
        return f"timestamp {at.isoformat()} is before the year 2000; set the meter's clock"
    for value in (draft.voltage, draft.current, draft.power_factor, draft.frequency):
        if value is not None and not isfinite(value):
            return f"{value!r} is no number; leave out what was not measured"
    return None


def closed_until(first_day: datetime | None, first_quarter_hour: datetime | None, zone: ZoneInfo) -> datetime | None:
    """Until when a site's readings and quarter-hours have been removed: None where all are there.

    Days stay for ever, and the quarter-hours of the last one. Whether a reading of before is in them nobody
    knows any more, and it shall not be counted twice.
    """
    if first_day is None or first_quarter_hour is None:
        return None
    begin = calendar.day(first_quarter_hour, zone).start
    return begin if first_day < begin else None


def id_of(draft: ReadingDraft, source: str, at_us: int) -> str:
    """A UUID of version 8, made of what makes it the same reading: the client's key, or meter, instant and source.

    Without a key it begins with the instant: what is put into an index together stands there together.
    """
    if draft.key is not None:
        name = blake2b(f"k:{draft.key}".encode(), digest_size=16).hexdigest()
    else:
        rest = blake2b(f"m:{draft.meter_id}|{at_us}|{source}".encode(), digest_size=10).hexdigest()
        name = f"{at_us // 1000:012x}{rest}"
    return f"{name[:8]}-{name[8:12]}-8{name[13:16]}-a{name[17:20]}-{name[20:32]}"
