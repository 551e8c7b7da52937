"""Energy readings: taken in once, with what they emitted and what they are part of, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Row, bindparam, select

from jouled.bookkeeping import budgets, emissions, messages, site_energy
from jouled.bookkeeping.reading_rows import ReadingRow, by_id, insert_all, last_seq, lock, newest
from jouled.bookkeeping.site_energy import QUARTER_HOUR_US, Cell, Key
from jouled.bookkeeping.sites import zone_of
from jouled.books import readings
from jouled.books.calendar import QUARTER_HOUR_S, Period
from jouled.books.emissions import SOURCES, FactorBook, Rules, Series, emitted_ug
from jouled.errors import BooksError, ConflictError, InvalidError, NotFoundError
from jouled.store.schema.meters import meters
from jouled.store.schema.readings import energy_readings
from jouled.store.schema.sites import sites
from jouled.store.types import instant, microseconds
from jouled.wire.readings import Ingested, Reading, ReadingDraft, SiteReadings

# The stream shows so many of one site and transaction; more are counted in the message.
SHOWN_MAX = 100
# Built once: building a statement takes longer than its answer.
_ONE = select(energy_readings).where(energy_readings.c.id == bindparam("reading_id"))
# Names in one question.
ASKED_TOGETHER = 1000


class _Meter(NamedTuple):
    site_id: str | None
    kind: str
    direction: str
    energy_source: str


class _Course(NamedTuple):
    """What is the same for all readings of one meter and source."""

    source: str
    direction: str
    rules: Rules


@dataclass
class _Books:
    """What calculations of one batch need to know."""

    meters: Mapping[str, _Meter]
    zones: Mapping[str, ZoneInfo]
    series: Mapping[str, Series]
    # Until when the sites' readings have been removed.
    closed_us: Mapping[str, int]
    factors: FactorBook
    latest: datetime
    created_us: int
    courses: dict[tuple[str, str, str | None], _Course] = field(default_factory=dict)

    def course_of(self, draft: ReadingDraft) -> _Course:
        """Raises InvalidError where there cannot be such a reading."""
        names = draft.meter_id, draft.facility_id, draft.energy_source
        course = self.courses.get(names)
        if course is None:
            course = self.courses[names] = self._course(*names)
        return course

    def _course(self, meter_id: str, site_id: str, source: str | None) -> _Course:
        meter = self.meters.get(meter_id)
        if meter is None:
            raise InvalidError(f"there is no meter {meter_id!r}; POST /api/v1/meters makes one")
        if meter.site_id != site_id:
            raise InvalidError(f"meter {meter_id!r} is not one of {site_id!r}: it is of {meter.site_id or 'no site'!r}")
        source = source or meter.energy_source
        if meter.kind == "generation" and source == "grid":
            raise InvalidError(f"meter {meter_id!r} generates: say from what, by its energy_source or the reading's")
        try:
            rules = Rules(self.factors, source, meter.direction, self.series.get(site_id))
        except KeyError:
            raise InvalidError(f"energy_source {source!r} is not known; write one of {', '.join(SOURCES)}") from None
        return _Course(source, meter.direction, rules)


def ingest(connection: Connection, drafts: Sequence[ReadingDraft], now: datetime) -> list[Ingested]:
    """All of them, or none: raises InvalidError, ConflictError for the first that cannot be."""
    done: list[Ingested] = []
    for outcome in ingest_each(connection, drafts, now):
        if isinstance(outcome, BooksError):
            raise outcome
        done.append(outcome)
    return done


def ingest_each(connection: Connection, drafts: Sequence[ReadingDraft], now: datetime) -> list[Ingested | BooksError]:
    """What became of each; those that cannot be are left out of the books, the others are in them."""
    lock(connection)
    books = _open_books(connection, drafts, now)
    made = [_made(draft, books) for draft in drafts]
    first: dict[str, ReadingRow] = {}
    for row in made:
        if isinstance(row, ReadingRow):
            first.setdefault(row.id, row)
    known = _insert(connection, first)
    new = [row for row in first.values() if row.id not in known] if known else list(first.values())
    if new:
        days = site_energy.add(connection, _quarter_hours(new), books.zones)
        budgets.feed(connection, {key: cell.emission_ug for key, cell in days.items()}, books.zones, now)
        _tell(connection, new, now)
    if len(new) == len(drafts):
        return [Ingested(row.id, draft.timestamp, is_new=True) for row, draft in zip(new, drafts, strict=True)]
    return [
        row if isinstance(row, BooksError) else _outcome(row, first[row.id], known.get(row.id), draft.timestamp)
        for row, draft in zip(made, drafts, strict=True)
    ]


def _made(draft: ReadingDraft, books: _Books) -> ReadingRow | BooksError:
    try:
        return _row(draft, books)
    except BooksError as error:
        return error


def _open_books(connection: Connection, drafts: Sequence[ReadingDraft], now: datetime) -> _Books:
    known: dict[str, _Meter] = {}
    names = sorted({draft.meter_id for draft in drafts})
    for start in range(0, len(names), ASKED_TOGETHER):
        asked = select(meters.c.id, meters.c.site_id, meters.c.kind, meters.c.direction, meters.c.energy_source).where(
            meters.c.id.in_(names[start : start + ASKED_TOGETHER])
        )
        known.update((row[0], _Meter(*row[1:])) for row in connection.execute(asked))
    named = sorted({meter.site_id for meter in known.values() if meter.site_id is not None})
    zones: dict[str, ZoneInfo] = {}
    series: dict[str, Series] = {}
    closed_us: dict[str, int] = {}
    instants: dict[str, list[datetime]] = {}
    latest = now + readings.AHEAD_MAX
    for draft in drafts:
        # One that will be refused for its time must neither fail the others nor reach for a century of intensities.
        if draft.timestamp.tzinfo is not None and readings.EARLIEST <= draft.timestamp <= latest:
            instants.setdefault(draft.facility_id, []).append(draft.timestamp)
    for start in range(0, len(named), ASKED_TOGETHER):
        query = select(sites.c.id, sites.c.timezone, sites.c.carbon_zone, sites.c.carbon_kind, *site_energy.kept())
        for row in connection.execute(query.where(sites.c.id.in_(named[start : start + ASKED_TOGETHER]))):
            zone = zones[row.id] = ZoneInfo(row.timezone)
            until = readings.closed_until(row.first_day, row.first_quarter_hour, zone)
            if until is not None:
                closed_us[row.id] = microseconds(until)
            if row.carbon_zone is not None:
                kind = row.carbon_kind or "average"
                series[row.id] = emissions.series(connection, row.carbon_zone, kind, instants.get(row.id, ()))
    factors = emissions.factor_book(connection)
    return _Books(known, zones, series, closed_us, factors, latest, microseconds(now))


def _row(draft: ReadingDraft, books: _Books) -> ReadingRow:
    """Raises InvalidError for a reading that cannot be."""
    problem = readings.refused(draft, books.latest)
    if problem is not None:
        raise InvalidError(problem)
    course = books.course_of(draft)
    metadata = None
    if draft.metadata:
        metadata = msgspec.json.encode(draft.metadata)
        if len(metadata) > readings.METADATA_MAX_BYTES:
            raise InvalidError(f"metadata has {len(metadata)} bytes; {readings.METADATA_MAX_BYTES} are allowed")
    at_us = microseconds(draft.timestamp)
    if at_us < books.closed_us.get(draft.facility_id, at_us):
        raise InvalidError(
            f"timestamp {draft.timestamp.isoformat()} is older than the readings of {draft.facility_id!r} that are "
            f"kept; its time is closed"
        )
    energy_mj = readings.energy_mj(draft.consumption)
    intensity = course.rules.at(at_us, draft.quality)
    return ReadingRow(
        readings.id_of(draft, course.source, at_us),
        draft.key,
        draft.meter_id,
        draft.facility_id,
        course.source,
        course.direction,
        energy_mj,
        at_us,
        draft.voltage,
        draft.current,
        draft.power_factor,
        draft.frequency,
        draft.quality,
        None if metadata is None else metadata.decode(),
        books.created_us,
        emitted_ug(energy_mj, intensity.ug_per_kwh),
        intensity.ug_per_kwh,
        intensity.method,
    )


def _insert(connection: Connection, rows: Mapping[str, ReadingRow]) -> Mapping[str, Row[Any]]:
    """Returns those that were there already."""
    if not rows:
        return {}
    before = last_seq(connection)
    if insert_all(connection, list(rows.values())) == len(rows):
        return {}
    return {stored.id: stored for stored in by_id(connection, list(rows)) if stored.seq <= before}


def _quarter_hours(rows: Iterable[ReadingRow]) -> dict[Key, Cell]:
    sums: dict[tuple[str, int, str, str], list[int]] = {}
    for row in rows:
        if row.quality == "bad":
            continue
        place = row.site_id, row.at - row.at % QUARTER_HOUR_US, row.energy_source, row.direction
        cell = sums.get(place)
        if cell is None:
            cell = sums[place] = [0, 0, 0, 0]
        cell[0] += row.energy_mj
        cell[1] += row.emission_ug
        cell[2] += 1
        cell[3] += row.quality == "estimated"
    return {
        Key(site_id, QUARTER_HOUR_S, start_us, source, direction): Cell(*cell)
        for (site_id, start_us, source, direction), cell in sums.items()
    }


def _tell(connection: Connection, rows: Iterable[ReadingRow], now: datetime) -> None:
    """One message of a site, so that a batch of thousands is not thousands of them."""
    by_site: dict[str, list[ReadingRow]] = {}
    for row in rows:
        by_site.setdefault(row.site_id, []).append(row)
    for site_id, of_site in sorted(by_site.items()):
        shown = [_shown(row) for row in of_site[-SHOWN_MAX:]]
        messages.post(connection, "readings", now, {"site_id": site_id, "count": len(of_site), "readings": shown})


def _shown(row: ReadingRow) -> Reading:
    return Reading(
        row.id,
        row.meter_id,
        row.site_id,
        row.energy_source,
        row.direction,
        readings.kwh(row.energy_mj),
        row.voltage_v,
        row.current_a,
        row.power_factor,
        row.frequency_hz,
        instant(row.at),
        row.quality,
        {} if row.metadata is None else msgspec.json.decode(row.metadata),
        row.key,
        instant(row.created_at),
    )


def _outcome(row: ReadingRow, first: ReadingRow, stored: Row[Any] | None, at: datetime) -> Ingested | BooksError:
    if stored is None:
        is_same = row is first or _content(row) == _content(first)
    else:
        is_same = _content(row) == _stored_content(stored)
    if not is_same:
        name = f"key {row.key!r}" if row.key is not None else f"meter {row.meter_id!r} at that instant"
        return ConflictError(
            f"reading {row.id} of {name} is in the books and says otherwise; it was not changed. "
            f"Send another key where this is another reading"
        )
    return Ingested(row.id, at, is_new=stored is None and row is first)


def _content(row: ReadingRow) -> tuple[Any, ...]:
    """What must be the same for it to be the same reading."""
    metadata = None if row.metadata is None else msgspec.json.decode(row.metadata)
    measured = (row.voltage_v, row.current_a, row.power_factor, row.frequency_hz, row.quality, metadata)
    return (row.meter_id, row.site_id, row.energy_source, row.energy_mj, row.at, *measured)


def _stored_content(row: Row[Any]) -> tuple[Any, ...]:
    measured = (row.voltage_v, row.current_a, row.power_factor, row.frequency_hz, row.quality, row.metadata)
    return (row.meter_id, row.site_id, row.energy_source, row.energy_mj, microseconds(row.at), *measured)


def row_of(connection: Connection, reading_id: str) -> Row[Any]:
    """As the store has it. Raises NotFoundError."""
    row = connection.execute(_ONE, {"reading_id": reading_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no reading {reading_id!r}")
    return row


def get(connection: Connection, reading_id: str) -> Reading:
    return reading_of(row_of(connection, reading_id))


def listed(connection: Connection, site_id: str, during: Period, cursor: str | None, limit: int) -> SiteReadings:
    """Of a half-open range, newest first."""
    zone_of(connection, site_id)
    rows, more = newest(connection, site_id, during, cursor, limit)
    return SiteReadings(site_id, *during, len(rows), tuple(reading_of(row) for row in rows), more)


def reading_of(row: Row[Any]) -> Reading:
    return Reading(
        row.id,
        row.meter_id,
        row.site_id,
        row.energy_source,
        row.direction,
        readings.kwh(row.energy_mj),
        row.voltage_v,
        row.current_a,
        row.power_factor,
        row.frequency_hz,
        row.at,
        row.quality,
        row.metadata or {},
        row.key,
        row.created_at,
    )
