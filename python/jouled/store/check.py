"""Whether the books are sound: the file, the references, and that nothing was lost between the resolutions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, and_, exists, func, select, text, type_coerce
from sqlalchemy.exc import DBAPIError

from jouled.store.engine import real_name
from jouled.store.retention import FOR_EVER_US, QUARTER_HOUR_US, ROLLED, Rolled
from jouled.store.schema import MARK, metadata
from jouled.store.schema.carbon import carbon_budget_periods, carbon_budgets
from jouled.store.schema.market import market_fetches, market_slots
from jouled.store.schema.measured import zone_energy, zones
from jouled.store.schema.readings import site_energy
from jouled.store.types import instant

# Of each kind of problem: the hundredth says no more than the first.
PROBLEMS_MAX = 100
# What adds up between the resolutions; the rest of a record's columns are peaks and words.
_SUMS = ("energy_mj", "idle_mj", "cpu_us", "returned_mj", "emission_ug")


def problems(connection: Connection) -> Iterator[str]:
    """Each with its table and key. None where all is well."""
    yield from _of_sqlite(connection) if connection.dialect.name == "sqlite" else _of_postgres(connection)
    for rolled in ROLLED:
        for name in _SUMS:
            if name in rolled.records.c:
                yield from _quarter_hours(connection, rolled, rolled.records.c[name])
                yield from _days(connection, rolled, rolled.records.c[name])
    yield from _totals(connection)
    yield from _budgets(connection)
    yield from _market(connection)


def _of_sqlite(connection: Connection) -> Iterator[str]:
    for (said,) in connection.execute(text(f"PRAGMA integrity_check({PROBLEMS_MAX})")):
        if said != "ok":
            yield f"the file is damaged: {said}"
    for name, row, other, _ in connection.execute(text("PRAGMA foreign_key_check")).fetchmany(PROBLEMS_MAX):
        yield f"{name} row {row}: what it refers to in {other} is not there"


def _of_postgres(connection: Connection) -> Iterator[str]:
    """The server sees to the references; whether its indexes hold is read by amcheck, where that is installed."""
    if connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'amcheck'")).first() is None:
        return
    for table in metadata.sorted_tables:
        statement = text(
            "SELECT c.relname, bt_index_check(c.oid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "JOIN pg_am a ON a.oid = c.relam WHERE i.indrelid = CAST(:name AS regclass) AND a.amname = 'btree'"
        )
        name = real_name(connection, table)
        try:
            with connection.begin_nested():
                connection.execute(statement, {"name": name}).all()
        except DBAPIError as error:
            yield f"{name}: an index is damaged: {error.orig}; REINDEX TABLE {name}"


def _key(row: Any, rolled: Rolled) -> str:
    parts = [f"{rolled.owner.name}={row[0]}", *(str(part) for part in row[2:-2])]
    return f"{rolled.records.name.removeprefix(MARK)} {' '.join(parts)}"


def _quarter_hours(connection: Connection, rolled: Rolled, what: Column[Any]) -> Iterator[str]:
    """Each holds what its minutes hold, of which all are there or, by retention, none."""
    records = rolled.records
    fine, coarse = records.alias("fine"), records.alias("coarse")
    fine_us = type_coerce(fine.c.start_at, BigInteger)
    owner = fine.c[rolled.owner.name]
    kinds = [fine.c[kind] for kind in rolled.kinds]
    slot = (fine_us - fine_us % QUARTER_HOUR_US).label("slot")
    total = func.sum(fine.c[what.name]).label("total")
    sums = (
        select(owner.label("owner"), slot, *(kind.label(kind.name) for kind in kinds), total)
        .where(fine.c.resolution_s == 60)
        .group_by(owner, slot, *kinds)
        .subquery()
    )
    same = [coarse.c[rolled.owner.name] == sums.c.owner, coarse.c.resolution_s == 900]
    same += [type_coerce(coarse.c.start_at, BigInteger) == sums.c.slot]
    same += [coarse.c[kind] == sums.c[kind] for kind in rolled.kinds]
    kept = coarse.c[what.name]
    query = (
        select(sums.c.owner, sums.c.slot, *(sums.c[kind] for kind in rolled.kinds), sums.c.total, kept.label("kept"))
        .select_from(sums.outerjoin(coarse, and_(*same)))
        .where((kept.is_(None)) | (kept != sums.c.total))
        .limit(PROBLEMS_MAX)
    )
    for row in connection.execute(query):
        yield f"{_key(row, rolled)} {instant(row.slot)}: {what.name} of its minutes is {row.total}, of the quarter-hour {row.kept}"


def _days(connection: Connection, rolled: Rolled, what: Column[Any]) -> Iterator[str]:
    """Each holds what its quarter-hours hold, of which all are there or, by retention, none. A day ends where the
    next one of its owner begins: whatever was recorded later has a day of its own.
    """
    records = rolled.records
    fine, coarse, following = records.alias("fine"), records.alias("coarse"), records.alias("following")
    owner = rolled.owner.name
    start_us = type_coerce(coarse.c.start_at, BigInteger)
    next_us = (
        select(func.min(type_coerce(following.c.start_at, BigInteger)))
        .where(
            following.c[owner] == coarse.c[owner],
            following.c.resolution_s == 86_400,
            type_coerce(following.c.start_at, BigInteger) > start_us,
        )
        # By itself it would look no further out than the next query, and end all days where the second one begins.
        .correlate(coarse)
        .scalar_subquery()
    )
    fine_us = type_coerce(fine.c.start_at, BigInteger)
    within = (
        fine.c[owner] == coarse.c[owner],
        fine.c.resolution_s == 900,
        fine_us >= start_us,
        fine_us < func.coalesce(next_us, FOR_EVER_US),
    )
    of_kind = (fine.c[kind] == coarse.c[kind] for kind in rolled.kinds)
    total = select(func.coalesce(func.sum(fine.c[what.name]), 0)).where(*within, *of_kind).scalar_subquery()
    kept = coarse.c[what.name]
    days = (
        select(
            coarse.c[owner].label("owner"),
            start_us.label("slot"),
            *(coarse.c[kind].label(kind) for kind in rolled.kinds),
            total.label("total"),
            kept.label("kept"),
        )
        .where(coarse.c.resolution_s == 86_400, exists().where(*within))
        .subquery()
    )
    for row in connection.execute(select(days).where(days.c.total != days.c.kept).limit(PROBLEMS_MAX)):
        yield f"{_key(row, rolled)} {instant(row.slot)}: {what.name} of its quarter-hours is {row.total}, of the day {row.kept}"


def _totals(connection: Connection) -> Iterator[str]:
    days = (
        select(func.coalesce(func.sum(zone_energy.c.energy_mj), 0))
        .where(zone_energy.c.zone_id == zones.c.id, zone_energy.c.resolution_s == 86_400)
        .scalar_subquery()
    )
    query = select(zones.c.id, zones.c.total_mj, days.label("days")).where(zones.c.total_mj < days).limit(PROBLEMS_MAX)
    for row in connection.execute(query):
        yield f"zones id={row.id}: its days hold {row.days} mJ, more than its total of {row.total_mj}"


def _budgets(connection: Connection) -> Iterator[str]:
    """What a period has used is what its days emitted, which retention leaves alone."""
    used = (
        select(func.coalesce(func.sum(site_energy.c.emission_ug), 0))
        .where(
            site_energy.c.site_id == carbon_budgets.c.site_id,
            site_energy.c.resolution_s == 86_400,
            site_energy.c.start_at >= carbon_budget_periods.c.start_at,
            site_energy.c.start_at < carbon_budget_periods.c.end_at,
        )
        .scalar_subquery()
    )
    query = (
        select(carbon_budget_periods, used.label("days_ug"))
        .join(carbon_budgets)
        # To one that is closed nothing is added any more.
        .where(carbon_budgets.c.is_active, carbon_budget_periods.c.used_ug != used)
        .limit(PROBLEMS_MAX)
    )
    for row in connection.execute(query):
        yield (
            f"carbon_budget_periods budget_id={row.budget_id} {row.start_at}: {row.used_ug} µg are used, "
            f"its days emitted {row.days_ug}"
        )


def _market(connection: Connection) -> Iterator[str]:
    """A fetch has the slots that it came with, and none of them reaches into the next."""
    kept = select(func.count()).where(market_slots.c.fetch_id == market_fetches.c.id).scalar_subquery()
    query = select(market_fetches, kept.label("kept")).where(market_fetches.c.slots != kept).limit(PROBLEMS_MAX)
    for row in connection.execute(query):
        yield (
            f"market_fetches id={row.id} {row.provider} {row.zone} {row.delivery_day}: "
            f"of {row.slots} slots {row.kept} are there"
        )
    following = market_slots.alias("following")
    overlaps = exists().where(
        following.c.fetch_id == market_slots.c.fetch_id,
        following.c.start_at > market_slots.c.start_at,
        following.c.start_at < market_slots.c.end_at,
    )
    for row in connection.execute(select(market_slots).where(overlaps).limit(PROBLEMS_MAX)):
        yield f"market_slots fetch_id={row.fetch_id} {row.start_at}: it overlaps the next slot"
