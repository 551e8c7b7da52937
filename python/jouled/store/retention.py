"""Records go when their time is over: a few at a time, and none that is not in a coarser one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import trio
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Row,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    select,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError

from jouled.config.books import Retention
from jouled.errors import StoreError, one_line
from jouled.log import log
from jouled.store.schema.access import audit
from jouled.store.schema.balance import balance_decisions, balance_minutes, balance_settings
from jouled.store.schema.events import messages
from jouled.store.schema.fleet import miner_statuses
from jouled.store.schema.load import load_metrics
from jouled.store.schema.market import market_fetches, market_slots
from jouled.store.schema.measured import workload_energy, workloads, zone_energy, zones
from jouled.store.schema.meters import meter_energy, meters, power_readings
from jouled.store.schema.plant import plant_readings
from jouled.store.schema.readings import energy_readings, site_energy
from jouled.store.schema.sites import sites
from jouled.store.schema.steering import cap_decisions
from jouled.store.store import Store
from jouled.store.types import instant, microseconds

# Between two rounds. Records are kept for days: an hour more is none.
ROUND_S = 3600.0
# The first does not come into the daemon's start.
FIRST_S = 60.0
# Of the stream's messages alone, of which there may be most.
STREAM_ROUND_S = 60.0
# Between two deletions, so that the writer has time for others, and the log of SQLite for its file.
PAUSE_S = 0.05
# In one deletion: some tens of milliseconds of the writer's time.
ROWS = 5000
OWNERS = 200
# Of the minutes of one owner: at most 1,440 of each class.
STEP = timedelta(days=1)
# The stream is resumed after minutes, not after days.
MESSAGES_KEPT = timedelta(days=1)
MESSAGES_MAX = 20_000
# A day of a calendar with its hour more.
DAY_MAX = timedelta(hours=25)
DAY_MAX_US = 25 * 3600 * 1_000_000
QUARTER_HOUR_US = 900 * 1_000_000
FOR_EVER_US = 2**62

Work = Callable[[Connection], int]


class Rolled(NamedTuple):
    """Records of several resolutions: what makes a row's kind, besides its owner."""

    records: Table
    owner: Column[Any]
    owners: Table
    kinds: tuple[str, ...]


ROLLED = (
    Rolled(zone_energy, zone_energy.c.zone_id, zones, ()),
    Rolled(workload_energy, workload_energy.c.workload_id, workloads, ("zone",)),
    Rolled(meter_energy, meter_energy.c.meter_id, meters, ()),
    Rolled(site_energy, site_energy.c.site_id, sites, ("energy_source", "direction")),
)


async def retain(store: Store, retention: Retention, now: Callable[[], datetime]) -> None:
    """For ever. Where the store is away the next round does it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_limit_stream, store)
        await trio.sleep(FIRST_S)
        while True:
            with _left_for_later("what is too old"):
                await sweep(store, retention, now())
            await trio.sleep(ROUND_S)


async def _limit_stream(store: Store) -> None:
    """Thousands of readings a second, each with its message, are millions of them until the next round."""
    while True:
        await trio.sleep(STREAM_ROUND_S)
        with _left_for_later("what the stream keeps no more"):
            await limit_messages(store)


@contextmanager
def _left_for_later(what: str) -> Iterator[None]:
    try:
        yield
    except StoreError:  # which the store itself says
        pass
    except DBAPIError as error:
        # Another daemon of this store writes meanwhile. Measuring does not end for what could not be removed.
        log.warning(f"remove {what}: {one_line(str(error.orig))}; the next round does it")


async def limit_messages(store: Store, pause_s: float = PAUSE_S) -> int:
    """To the latest. Returns how many went."""
    this = _Round(store, pause_s)
    which = _beyond_the_latest()
    if await store.fetch(_any(messages.c.seq, which)):
        await this.delete(messages.c.seq, *which)
    return this.rows


async def sweep(store: Store, retention: Retention, now: datetime, pause_s: float = PAUSE_S) -> int:
    """One round. Returns how many rows went."""
    this = _Round(store, pause_s)
    for rolled in ROLLED:
        for resolution_s, kept_s in ((60, retention.minute_s), (900, retention.quarter_hour_s)):
            await this.roll(rolled, resolution_s, _quarter_hour(now - timedelta(seconds=kept_s)))
    await this.stream(_POWER, now - timedelta(seconds=retention.raw_s))
    await this.stream(_ENERGY, now - timedelta(seconds=retention.quarter_hour_s))
    for key, which in _lists(retention, now):
        if await store.fetch(_any(key, which)):
            await this.delete(key, *which)
    return this.rows


class _Round:
    """Deletes a little, waits a little."""

    def __init__(self, store: Store, pause_s: float) -> None:
        self._store = store
        self._pause_s = pause_s
        self.rows = 0

    async def _do(self, work: Work) -> int:
        gone = await self._store.commit(work)
        self.rows += gone
        await trio.sleep(self._pause_s)
        return gone

    async def delete(self, key: Column[Any], *which: Any) -> None:
        while await self._do(_first_rows(key, *which)) >= ROWS:
            pass

    async def roll(self, rolled: Rolled, resolution_s: int, end: datetime) -> None:
        records = rolled.records
        first = select(func.min(records.c.start_at))
        first = first.where(rolled.owner == rolled.owners.c.id, records.c.resolution_s == resolution_s)
        async with aclosing(_owners(self._store, rolled.owners, first, end)) as old:
            async for owner, begin in old:
                if resolution_s == 60:
                    spans: Iterator[tuple[datetime, datetime]] = _steps(_quarter_hour(begin), end)
                else:
                    spans = pairwise(await self._store.fetch(_days(rolled, owner, begin, end)))
                for span in spans:
                    await self._do(_records(rolled, resolution_s, owner, *span))

    async def stream(self, stream: Stream, end: datetime) -> None:
        first = select(func.min(stream.at)).where(stream.owner == stream.owners.c.id)
        async with aclosing(_owners(self._store, stream.owners, first, end)) as old:
            async for owner, _ in old:
                await self.delete(stream.key, stream.owner == owner, stream.at < end, *stream.which)


async def _owners(
    store: Store, owners: Table, first: Select[Any], end: datetime
) -> AsyncGenerator[tuple[Any, datetime], None]:
    """Those who have a record from before `end`, and their first one. Found by the index alone."""
    after = None
    while True:
        query = select(owners.c.id, first.scalar_subquery().label("first")).order_by(owners.c.id).limit(OWNERS)
        if after is not None:
            query = query.where(owners.c.id > after)
        rows = await store.fetch(_all(query))
        for row in rows:
            if row.first is not None and row.first < end:
                yield row.id, row.first
        if len(rows) < OWNERS:
            return
        after = rows[-1].id


def _all(query: Select[Any]) -> Callable[[Connection], Sequence[Row[Any]]]:
    return lambda connection: connection.execute(query).all()


def _quarter_hour(at: datetime) -> datetime:
    """All minutes of one go together: what is left can be compared with it."""
    return instant(microseconds(at) // QUARTER_HOUR_US * QUARTER_HOUR_US)


def _steps(first: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while first < end:
        yield first, min(first + STEP, end)
        first += STEP


def _days(rolled: Rolled, owner: Any, first: datetime, end: datetime) -> Callable[[Connection], Sequence[datetime]]:
    """When its days begin, by its own calendar: all quarter-hours of one go together too."""
    start_at = rolled.records.c.start_at
    query = select(start_at).distinct().order_by(start_at)
    which = (rolled.owner == owner, rolled.records.c.resolution_s == 86_400, start_at > first - DAY_MAX)
    query = query.where(*which, start_at <= end)
    return lambda connection: connection.execute(query).scalars().all()


def _records(rolled: Rolled, resolution_s: int, owner: Any, begin: datetime, end: datetime) -> Work:
    """Those of a span that are in a coarser record."""
    records = rolled.records
    coarse = records.alias("coarse")
    if resolution_s == 60:
        start_us = type_coerce(records.c.start_at, BigInteger)
        covers = and_(
            coarse.c.resolution_s == 900,
            type_coerce(coarse.c.start_at, BigInteger) == start_us - start_us % QUARTER_HOUR_US,
        )
    else:
        covers = and_(coarse.c.resolution_s == 86_400, coarse.c.start_at == begin)
    same = [coarse.c[rolled.owner.name] == rolled.owner]
    same += [coarse.c[kind] == records.c[kind] for kind in rolled.kinds]
    statement = delete(records).where(
        rolled.owner == owner,
        records.c.resolution_s == resolution_s,
        records.c.start_at >= begin,
        records.c.start_at < end,
        exists().where(*same, covers),
    )
    return lambda connection: connection.execute(statement).rowcount


class Stream(NamedTuple):
    """Rows that came one by one, each with its owner."""

    key: Column[Any]
    owner: Column[Any]
    owners: Table
    at: Column[Any]
    which: tuple[Any, ...]


def _power() -> Stream:
    # The latest reading of a meter is where its next interval begins.
    later = power_readings.alias("later")
    has_later = exists().where(later.c.meter_id == power_readings.c.meter_id, later.c.at > power_readings.c.at)
    is_rolled = exists().where(
        meter_energy.c.meter_id == power_readings.c.meter_id,
        meter_energy.c.resolution_s == 86_400,
        type_coerce(meter_energy.c.start_at, BigInteger) > type_coerce(power_readings.c.at, BigInteger) - DAY_MAX_US,
    )
    return Stream(power_readings.c.seq, power_readings.c.meter_id, meters, power_readings.c.at, (has_later, is_rolled))


def _energy() -> Stream:
    # While a quarter-hour is kept, so is what says whether a reading is in it already.
    first = func.min(type_coerce(site_energy.c.start_at, BigInteger))
    quarter_hour_us = (
        select(func.coalesce(first, FOR_EVER_US))
        .where(site_energy.c.site_id == energy_readings.c.site_id, site_energy.c.resolution_s == 900)
        .correlate(energy_readings)
        .scalar_subquery()
    )
    is_summed_up = type_coerce(energy_readings.c.at, BigInteger) < quarter_hour_us
    return Stream(energy_readings.c.seq, energy_readings.c.site_id, sites, energy_readings.c.at, (is_summed_up,))


_POWER = _power()
_ENERGY = _energy()


def _beyond_the_latest() -> tuple[Any, ...]:
    last = select(func.max(messages.c.seq)).scalar_subquery()
    return (messages.c.seq <= last - MESSAGES_MAX,)


def _lists(retention: Retention, now: datetime) -> Sequence[tuple[Column[Any], tuple[Any, ...]]]:
    """The keys of rows without an owner, and which of them go."""
    raw_end = now - timedelta(seconds=retention.raw_s)
    minute_end = now - timedelta(seconds=retention.minute_s)
    long_end = now - timedelta(seconds=retention.quarter_hour_s)
    # Only those who are in no record any more, also not in one of days.
    is_orphan = ~exists().where(workload_energy.c.workload_id == workloads.c.id)
    return (
        (messages.c.seq, (messages.c.at < now - MESSAGES_KEPT,)),
        (messages.c.seq, _beyond_the_latest()),
        (audit.c.seq, (audit.c.at < long_end,)),
        (cap_decisions.c.seq, (cap_decisions.c.at < long_end,)),
        (balance_decisions.c.seq, (balance_decisions.c.at < long_end,)),
        (balance_minutes.c.at, (balance_minutes.c.at < minute_end,)),
        (balance_settings.c.seq, (balance_settings.c.at < long_end, _has_newer())),
        (load_metrics.c.seq, (load_metrics.c.at < long_end,)),
        (miner_statuses.c.seq, (miner_statuses.c.at < now - timedelta(seconds=retention.raw_s),)),
        # Of the plant one of each minute stays for longer.
        (
            plant_readings.c.seq,
            (plant_readings.c.recorded_at < raw_end, plant_readings.c.is_first_of_minute.is_(False)),
        ),
        (plant_readings.c.seq, (plant_readings.c.recorded_at < minute_end,)),
        # First the slots, then what they are of.
        (market_slots.c.fetch_id, (market_slots.c.end_at < long_end, _of_old_fetch(long_end))),
        (market_fetches.c.id, (market_fetches.c.end_at < long_end, ~_has_slots())),
        (workloads.c.id, (workloads.c.last_at < minute_end, is_orphan)),
    )


def _of_old_fetch(end: datetime) -> Any:
    return exists().where(market_fetches.c.id == market_slots.c.fetch_id, market_fetches.c.end_at < end)


def _has_newer() -> Any:
    """What holds of a setting stays, however old it is."""
    newer = balance_settings.alias("newer")
    same = (newer.c.site == balance_settings.c.site, newer.c.key == balance_settings.c.key)
    return exists().where(*same, newer.c.at > balance_settings.c.at)


def _has_slots() -> Any:
    return exists().where(market_slots.c.fetch_id == market_fetches.c.id)


def _any(key: Column[Any], which: tuple[Any, ...]) -> Callable[[Connection], bool]:
    """Looked at by a reader, because it may take a while."""
    return lambda connection: connection.execute(select(key).where(*which).limit(1)).first() is not None


def _first_rows(key: Column[Any], *which: Any) -> Work:
    statement = delete(key.table).where(key.in_(select(key).where(*which).order_by(key).limit(ROWS)))
    return lambda connection: connection.execute(statement).rowcount
