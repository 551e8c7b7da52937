"""When prices are asked for again: at their publication until they are there, after midnight, and as the operator says.

All of it in instants. A local time that a day has not, or has twice, is the first instant that is not before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jouled.books.prices import Series, day_of

# Whoever publishes at one o'clock does so some minutes before or after.
RETRY = timedelta(minutes=5)
# So often in vain at that pace, an hour; then each time twice as long.
STEADY_TRIES = 12
RETRY_MAX = timedelta(hours=1)
# The day's prices once more when it has begun: they were fetched the day before, and may have been corrected.
VERIFY = time(0, 5)
# Nobody asks at once: all hosts that were started by one power failure would.
SPREAD = timedelta(seconds=60)
# Everybody asks at full hours; a provider that is asked by all at once answers none.
RUSH = timedelta(seconds=30)
HOUR_S = 3600
# A cron line of a date that comes so rarely is one that never does.
CRON_TRIES = 1000


class Rules(NamedTuple):
    """What a provider and the operator say."""

    # Tomorrow's prices are out at this time of the auction's zone.
    published: time
    timezone: str
    # Five fields, in the site's zone.
    cron: str | None = None
    site_timezone: str = "UTC"


class Progress(NamedTuple):
    """What is held of the two days that count, and how often in a row asking brought not all that was wanted."""

    today: Series | None = None
    tomorrow: Series | None = None
    tries: int = 0


def at_local(day: date, at: time, timezone: str) -> datetime:
    return datetime.combine(day, at, ZoneInfo(timezone)).astimezone(UTC)


def has_all(series: Series | None) -> bool:
    """Every slot has its price, and none of them is preliminary."""
    return series is not None and series.is_complete and series.quality != "preliminary"


def wanted(now: datetime, rules: Rules, progress: Progress) -> tuple[date, ...]:
    """The delivery days to ask for now: today's, where it is not whole or was not looked at since it began;
    tomorrow's, where it is out and not whole.
    """
    today = day_of(now, rules.timezone)
    days = []
    if not _is_verified(now, today, rules, progress.today):
        days.append(today)
    if now >= at_local(today, rules.published, rules.timezone) and not has_all(progress.tomorrow):
        days.append(today + timedelta(days=1))
    return tuple(days)


def next_at(now: datetime, rules: Rules, progress: Progress, jitter: float) -> datetime:
    """The next instant to ask, later than `now`; `jitter` is from 0 up to 1."""
    spread = SPREAD * jitter
    today = day_of(now, rules.timezone)
    local = (
        at_local(day, at, rules.timezone)
        for day in (today, today + timedelta(days=1))
        for at in (rules.published, VERIFY)
    )
    times = [at + spread for at in local if at > now]
    if wanted(now, rules, progress):
        times.append(now + pause(progress.tries, jitter))
    if rules.cron is not None:
        times.append(cron_at(now, rules.cron, rules.site_timezone) + spread)
    return out_of_rush(min(times), jitter)


def pause(tries: int, jitter: float) -> timedelta:
    """Before the next of several tries. The first comes soon: a clock was set, or the host has slept."""
    if tries == 0:
        return timedelta(seconds=1) + SPREAD / 2 * jitter
    longer = min(max(0, tries - STEADY_TRIES), 10)
    return min(RETRY * (1 << longer), RETRY_MAX) * (0.8 + 0.4 * jitter)


def out_of_rush(at: datetime, jitter: float) -> datetime:
    """Later by a minute at most where it were close to a full hour."""
    in_hour = timedelta(seconds=at.timestamp() % HOUR_S)
    if in_hour < RUSH:
        return at + RUSH + RUSH * jitter
    if in_hour > timedelta(seconds=HOUR_S) - RUSH:
        return at + 2 * RUSH + RUSH * jitter
    return at


def cron_at(now: datetime, cron: str, timezone: str) -> datetime:
    """The first instant after `now` that the line names. Raises ValueError for a line that is none."""
    return next(cron_times(now, cron, timezone))


def cron_times(now: datetime, cron: str, timezone: str) -> Iterator[datetime]:
    """Fixed times as Debian's cron has them: one that a day has not comes right after the gap, one that a day
    has twice comes once.
    """
    from cronsim import CronSim, CronSimError

    if len(cron.split()) != 5:
        raise ValueError(f"{cron!r} has not five fields: minute, hour, day, month, weekday")
    try:
        times = CronSim(cron, now.astimezone(ZoneInfo(timezone)))
        for _ in range(CRON_TRIES):
            # In the hour that a day has twice the library counts from its first pass.
            at = next(times).astimezone(UTC)
            if at > now:
                yield at
    except CronSimError as error:
        raise ValueError(f"{cron!r}: {str(error).lower()}") from None
    except StopIteration:
        raise ValueError(f"{cron!r} names a date that never comes") from None


def _is_verified(now: datetime, today: date, rules: Rules, series: Series | None) -> bool:
    verify = at_local(today, VERIFY, rules.timezone)
    return has_all(series) and series is not None and (now < verify or series.fetched_at >= verify)
