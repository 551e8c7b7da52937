"""Emission factors and series as calculations need them, and what a site emitted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from jouled.bookkeeping import intensity as intensities
from jouled.bookkeeping import site_energy
from jouled.bookkeeping.reading_rows import newest
from jouled.bookkeeping.sites import zone_of
from jouled.books import emissions
from jouled.books.calendar import ONE_DAY, Period, outside
from jouled.books.emissions import DEFAULT, MJ_PER_KWH, SOURCES, UG_PER_G, UG_PER_KG, FactorBook, Factors, Series
from jouled.books.intensity import Slot
from jouled.errors import ConflictError, InvalidError
from jouled.store.schema.carbon import emission_factors
from jouled.wire.carbon import (
    Emission,
    EmissionsBySource,
    EmissionsTotal,
    FactorsDraft,
    FactorsVersion,
    SiteEmissions,
    SiteIntensity,
)
from jouled.wire.problems import Page

VERSIONS_MAX = 1000


def factor_book(connection: Connection) -> FactorBook:
    return FactorBook(_versions(connection))


def _versions(connection: Connection) -> list[Factors]:
    """The built-in one first."""
    found: dict[str, tuple[datetime, dict[str, int]]] = {}
    for row in connection.execute(select(emission_factors)):
        found.setdefault(row.version, (row.valid_from, {}))[1][row.energy_source] = row.ug_per_kwh
    made = [Factors(version, valid_from, factors) for version, (valid_from, factors) in found.items()]
    return [DEFAULT, *sorted(made, key=lambda factors: factors.valid_from)]


def versions(connection: Connection) -> Page[FactorsVersion]:
    """Newest first; there are few."""
    made = tuple(_version(factors) for factors in reversed(_versions(connection)))
    return Page(len(made), made)


def _version(factors: Factors) -> FactorsVersion:
    kg = {source: ug / UG_PER_KG for source, ug in sorted(factors.ug_per_kwh.items())}
    return FactorsVersion(factors.version, factors.valid_from, kg)


def add_version(connection: Connection, draft: FactorsDraft, now: datetime) -> FactorsVersion:
    """Holds for readings of `valid_from` and later that come from now on; what was calculated stays."""
    known = _versions(connection)
    if draft.factors.get("battery"):
        raise InvalidError("battery: its energy was counted where it was made; leave it out, or write 0")
    if any(factors.version == draft.version for factors in known):
        raise ConflictError(
            f"there are factors {draft.version!r} already, and emissions name them; choose another version"
        )
    if any(factors.valid_from == draft.valid_from for factors in known):
        raise ConflictError(f"other factors hold from {draft.valid_from.isoformat()} on; choose another valid_from")
    problem = outside(draft.valid_from)
    if problem is not None:
        raise InvalidError(f"valid_from {problem}")
    if len(known) >= VERSIONS_MAX:
        raise ConflictError(f"there are {VERSIONS_MAX} versions of factors; more would make every reading slow")
    before = [factors for factors in known if factors.valid_from < draft.valid_from][-1].ug_per_kwh
    chosen: dict[str, int] = {source: round(kg * UG_PER_KG) for source, kg in draft.factors.items()}
    made = Factors(draft.version, draft.valid_from, {source: chosen.get(source, before[source]) for source in SOURCES})
    rows = [
        {
            "version": made.version,
            "energy_source": source,
            "ug_per_kwh": ug,
            "valid_from": made.valid_from,
            "created_at": now,
        }
        for source, ug in made.ug_per_kwh.items()
    ]
    connection.execute(insert(emission_factors), rows)
    return _version(made)


def series(connection: Connection, zone: str, kind: str, instants: Iterable[datetime]) -> Series:
    """What is known of the grid at these instants: the days that they are of, one question each."""
    days = sorted({at.astimezone(UTC).date() for at in instants})
    slots: dict[datetime, Slot] = {}
    for which in days:
        start = datetime(which.year, which.month, which.day, tzinfo=UTC)
        slots.update((slot.start, slot) for slot in intensities.between(connection, zone, kind, start, start + ONE_DAY))
    return Series.of(slots.values())


def listed(connection: Connection, site_id: str, during: Period, cursor: str | None, limit: int) -> SiteEmissions:
    """Of each reading, newest first."""
    zone_of(connection, site_id)
    rows, more = newest(connection, site_id, during, cursor, limit)
    return SiteEmissions(site_id, *during, len(rows), tuple(emission_of(row) for row in rows), more)


def emission_of(row: Row[Any]) -> Emission:
    return Emission(
        id=row.id,
        reading_id=row.id,
        facility_id=row.site_id,
        energy_source=row.energy_source,
        emission_factor=row.intensity_ug_per_kwh / UG_PER_KG,
        consumption=row.energy_mj / MJ_PER_KWH,
        total_emission=row.emission_ug / UG_PER_KG,
        carbon_intensity=row.intensity_ug_per_kwh / UG_PER_G,
        method=row.emission_method,
        timestamp=row.at,
        calculated_at=row.created_at,
    )


def by_source(connection: Connection, site_id: str, during: Period) -> EmissionsBySource:
    found: dict[str, int] = {}
    for row in site_energy.sums(connection, site_id, *during, zone_of(connection, site_id)):
        found[row.energy_source] = found.get(row.energy_source, 0) + row.emission_ug
    return EmissionsBySource(site_id, *during, {source: ug / UG_PER_KG for source, ug in found.items()})


def total(connection: Connection, site_id: str, during: Period) -> EmissionsTotal:
    rows = site_energy.sums(connection, site_id, *during, zone_of(connection, site_id))
    return EmissionsTotal(
        site_id,
        *during,
        total=sum(row.emission_ug for row in rows) / UG_PER_KG,
        readings=sum(row.readings for row in rows),
        estimated_readings=sum(row.estimated_readings for row in rows),
    )


def intensity(connection: Connection, site_id: str, during: Period) -> SiteIntensity:
    rows = site_energy.sums(connection, site_id, *during, zone_of(connection, site_id))
    average = emissions.average_ug_per_kwh(sum(row.emission_ug for row in rows), site_energy.counted_mj(rows))
    return SiteIntensity(site_id, *during, None if average is None else average / UG_PER_G)
