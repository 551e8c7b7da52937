"""Records of minutes in the store, on both engines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, select

from jouled.bookkeeping import sites
from jouled.bookkeeping.record_queries import (
    Range,
    Wanted,
    range_of,
    workload_records,
    zone_records,
    zone_totals,
)
from jouled.bookkeeping.records import NodeRecords
from jouled.books.minutes import DAY_S, MINUTE_S, QUARTER_HOUR_S
from jouled.books.records import Part, Quality, RowShare, ZoneShare
from jouled.errors import InvalidError, StoreError
from jouled.model import ZoneKey
from jouled.store import Store, check
from jouled.store.schema.measured import nodes, workload_energy, workloads, zone_energy, zones
from jouled.store.schema.meters import meters
from jouled.store.schema.readings import energy_readings
from jouled.wire.sites import SiteDraft

PACKAGE: ZoneKey = ("package", "0", "rapl")
DRAM: ZoneKey = ("dram", "0", "rapl")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT_US = round(AT.timestamp() * 1e6)
MINUTE_US = 60_000_000


def part_of(
    minute: int = 0,
    energy_mj: int = 1000,
    *,
    covered_us: int = MINUTE_US,
    quality: Quality = "good",
    names: Sequence[str] = ("nginx.service",),
    zone: ZoneKey = PACKAGE,
) -> Part:
    """Of some minute after `AT`: a fifth is idle, and the named share the rest."""
    idle = energy_mj // 5
    each = (energy_mj - idle) // max(1, len(names))
    rows = [RowShare("unit", {"slice": "system.slice", "unit": name}, None, {zone[0]: each}, 7) for name in names]
    other = energy_mj - idle - each * len(names)
    rows.append(RowShare("unit", {"level": "unit", "reason": "other"}, "other", {zone[0]: other}, 0))
    rows.append(RowShare("unit", {"level": "unit", "reason": "idle"}, "idle", {zone[0]: idle}, 0))
    return Part(AT_US + minute * MINUTE_US, {zone: covered_us}, {zone: ZoneShare(energy_mj, idle, quality)}, rows)


class Node:
    """A node that writes to a store."""

    def __init__(
        self, store: Store, site: str | None = None, name: str = "rack1-07", *, machine: str | None = None
    ) -> None:
        self.store = store
        self.said: list[str] = []
        self.now = AT + timedelta(hours=1)
        self.records = NodeRecords(name, site, self.said.append, lambda: self.now, machine=machine)

    def write(self, *parts: Part) -> list[Callable[[Connection], None]]:
        works = [self.records.work(part) for part in parts]
        for work in works:
            self.store.write(work)
        return works


def energies(store: Store, resolution_s: int) -> list[tuple[Any, ...]]:
    columns = [zone_energy.c[name] for name in ("start_at", "energy_mj", "idle_mj", "covered_us", "quality")]
    query = select(*columns).where(zone_energy.c.resolution_s == resolution_s).order_by(zone_energy.c.start_at)
    return [tuple(row) for row in store.read(lambda connection: connection.execute(query).all())]


def count(store: Store, table: Any) -> int:
    return int(store.read(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()))


def make_site(store: Store, timezone: str = "Europe/Berlin") -> str:
    draft = SiteDraft("Hall", id="hall", timezone=timezone)
    return store.write(lambda connection: sites.create(connection, draft, AT)).id


def test_a_minute_is_in_its_quarter_hour_and_its_day(store: Store) -> None:
    Node(store).write(part_of(1, 1000), part_of(14, 500), part_of(15, 250))
    assert energies(store, MINUTE_S) == [
        (AT + timedelta(minutes=1), 1000, 200, MINUTE_US, "good"),
        (AT + timedelta(minutes=14), 500, 100, MINUTE_US, "good"),
        (AT + timedelta(minutes=15), 250, 50, MINUTE_US, "good"),
    ]
    assert energies(store, QUARTER_HOUR_S) == [
        (AT, 1500, 300, 2 * MINUTE_US, "good"),
        (AT + timedelta(minutes=15), 250, 50, MINUTE_US, "good"),
    ]
    assert energies(store, DAY_S) == [(AT.replace(hour=0), 1750, 350, 3 * MINUTE_US, "good")]


def test_a_part_that_is_written_again_changes_nothing(store: Store) -> None:
    node = Node(store)
    works = node.write(part_of(1), part_of(2))
    before = energies(store, DAY_S)
    for work in [*works, *works]:
        store.write(work)
    assert energies(store, DAY_S) == before
    assert count(store, workload_energy) == 2 * (2 + 1 + 1)  # a unit and idle


def test_a_restart_within_the_minute_adds_to_it(store: Store) -> None:
    Node(store).write(part_of(1, 1000, covered_us=20_000_000))
    Node(store).write(part_of(1, 700, covered_us=30_000_000, quality="suspect"), part_of(2, 40))
    assert energies(store, MINUTE_S)[0] == (AT + timedelta(minutes=1), 1700, 340, 50_000_000, "suspect")
    totals = store.read(lambda connection: zone_totals(connection, node=None, cursor=None, limit=10))
    assert [(total.zone, total.energy_joules) for total in totals.items] == [("package", 1.74)]


def test_the_worse_quality_stays(store: Store) -> None:
    Node(store).write(
        part_of(1, quality="estimated"),
        part_of(2, quality="suspect"),
        part_of(3),
        part_of(16, quality="estimated"),
        part_of(31),
    )
    assert [row[-1] for row in energies(store, QUARTER_HOUR_S)] == ["suspect", "estimated", "good"]


def test_days_are_those_of_the_site(store: Store) -> None:
    site = make_site(store)
    # 23:30 in UTC is half past midnight there.
    Node(store, site).write(part_of(690), part_of(0))
    assert [row[0] for row in energies(store, DAY_S)] == [
        datetime(2026, 2, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 1, 23, tzinfo=UTC),
    ]
    assert [row[0] for row in energies(store, QUARTER_HOUR_S)] == [AT, AT + timedelta(minutes=690)]


def test_a_node_that_comes_to_a_site_has_whole_books(store: Store) -> None:
    """Its day so far stays; the rest of it is a day of its own."""
    Node(store).write(part_of(0, 1000))
    Node(store, make_site(store)).write(
        part_of(1, 100), part_of(14, 10), part_of(15, 5), part_of(659, 3), part_of(660, 1)
    )
    assert [row[:2] for row in energies(store, DAY_S)] == [
        (AT.replace(hour=0), 1110),
        (AT + timedelta(minutes=15), 8),
        (AT.replace(hour=23), 1),
    ]
    assert store.read(lambda connection: list(check.problems(connection))) == []


def test_a_site_that_is_not_there_is_said_with_the_way_to_make_it(store: Store) -> None:
    node = Node(store, "nowhere")
    node.write(part_of(1))
    assert count(store, energy_readings) == 0
    assert energies(store, MINUTE_S)
    said = "node.site 'nowhere': there is no such site, so this node's energy is in no site's readings; "
    assert node.said == [said + "POST /api/v1/sites makes one"]


def test_the_node_is_a_meter_of_its_site_and_each_minute_a_reading(store: Store) -> None:
    node = Node(store, make_site(store))
    works = node.write(part_of(1, 3_600_000), part_of(2, 7_200_001, quality="estimated"))
    for work in works:
        store.write(work)
    columns = [
        energy_readings.c[name]
        for name in ("meter_id", "site_id", "at", "energy_mj", "quality", "direction", "energy_source")
    ]
    rows = store.read(lambda connection: connection.execute(select(*columns).order_by(energy_readings.c.at)).all())
    assert [tuple(row) for row in rows] == [
        ("node:rack1-07", "hall", AT + timedelta(minutes=1), 3_600_000, "good", "consume", "grid"),
        ("node:rack1-07", "hall", AT + timedelta(minutes=2), 7_200_001, "estimated", "consume", "grid"),
    ]
    meter = store.read(lambda connection: connection.execute(select(meters.c.kind, meters.c.direction)).one())
    assert tuple(meter) == ("main", "consume")
    assert node.said == []


def test_two_parts_of_one_minute_are_two_readings(store: Store) -> None:
    site = make_site(store)
    Node(store, site).write(part_of(1, 1000))
    Node(store, site).write(part_of(1, 500))
    query = select(func.sum(energy_readings.c.energy_mj))
    assert store.read(lambda connection: connection.execute(query).scalar_one()) == 1500


def test_a_node_without_a_site_has_no_meter(store: Store) -> None:
    make_site(store)
    Node(store).write(part_of(1))
    assert count(store, meters) == count(store, energy_readings) == 0


def test_what_is_rolled_back_is_written_whole_when_it_is_done_again(store: Store) -> None:
    node = Node(store)
    work = node.records.work(part_of(1))

    def fails(connection: Connection) -> None:
        work(connection)
        raise InvalidError("no")

    with pytest.raises(InvalidError):
        store.write(fails)
    assert count(store, zones) == count(store, nodes) == 0
    store.write(work)
    assert energies(store, DAY_S)[0][1] == 1000


def test_two_nodes_keep_their_own(store: Store) -> None:
    Node(store, name="a").write(part_of(1, 1000))
    Node(store, name="b").write(part_of(1, 500))
    Node(store, name="a").write(part_of(2, 1))
    found = store.read(lambda connection: zone_totals(connection, node="a", cursor=None, limit=10)).items
    assert [total.energy_joules for total in found] == [1.001]


def test_two_hosts_of_one_name_do_not_double_its_energy(store: Store) -> None:
    site = make_site(store)
    first, second = Node(store, site, machine="m1"), Node(store, site, machine="m2")
    first.write(part_of(1))
    waiting = second.records.work(part_of(1))
    with pytest.raises(StoreError, match="waiting for its end"):
        store.write(waiting)
    first.write(part_of(2))
    store.write(waiting)
    second.write(part_of(2), part_of(3))

    assert energies(store, DAY_S)[0][1] == 2000
    assert count(store, energy_readings) == 2
    assert second.said[0].startswith("node.name 'rack1-07': another daemon records under this name")
    assert len(set(second.said)) == 1
    assert first.said == []


def test_a_workload_that_another_daemons_retention_is_removing_is_recorded(store: Store) -> None:
    """Only where there are several writers, which SQLite has not."""
    node = Node(store)
    node.write(part_of(1, names=["old.service"]))
    store.write(lambda connection: connection.execute(delete(workload_energy)).rowcount)
    if store.engine.dialect.name == "sqlite":
        store.write(lambda connection: connection.execute(delete(workloads)).rowcount)
        node.write(part_of(2, names=["old.service"]))
    else:
        with Store(store.url.render_as_string(hide_password=False)) as other:
            is_deleted, may_end = threading.Event(), threading.Event()

            def remove(connection: Connection) -> None:
                connection.execute(delete(workloads))
                is_deleted.set()
                may_end.wait(10)

            remover = threading.Thread(target=other.write, args=(remove,))
            remover.start()
            is_deleted.wait(10)
            threading.Timer(0.3, may_end.set).start()
            node.write(part_of(2, names=["old.service"]))
            remover.join()
    assert count(store, workloads) == 3  # with idle and other
    assert [row[1] for row in energies(store, MINUTE_S)] == [1000, 1000]


def test_a_name_that_moved_to_another_host_loses_no_minute(store: Store) -> None:
    Node(store, machine="m1").write(part_of(1))
    node = Node(store, machine="m2")
    works = [node.records.work(part_of(minute)) for minute in (2, 3)]
    with pytest.raises(StoreError):
        store.write(works[0])
    node.now += timedelta(minutes=3)
    for work in works:
        store.write(work)
    assert energies(store, DAY_S)[0][1] == 3000


def test_a_workload_is_seen_until_its_last_record(store: Store) -> None:
    Node(store).write(part_of(3), part_of(4), part_of(40), part_of(1))
    query = select(workloads.c.first_at, workloads.c.last_at).where(workloads.c.name == "nginx.service")
    row = store.read(lambda connection: connection.execute(query).one())
    assert tuple(row) == (AT + timedelta(minutes=1), AT + timedelta(minutes=45))


HOUR = Range("minute", AT, AT + timedelta(hours=1))


def test_zone_records_are_given_by_pages(store: Store) -> None:
    Node(store).write(*(part_of(minute) for minute in range(5)), *(part_of(minute, zone=DRAM) for minute in range(3)))
    found: list[Any] = []
    cursor = None
    while True:
        page = store.read(
            lambda connection, cursor=cursor: zone_records(  # type: ignore[misc]
                connection, HOUR, node=None, zone=None, cursor=cursor, limit=3
            )
        )
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [(record.zone, (record.start - AT) // timedelta(minutes=1)) for record in found] == [
        *(("package", minute) for minute in range(5)),
        *(("dram", minute) for minute in range(3)),
    ]
    assert found[0].watts == pytest.approx(1 / 60, abs=1e-6)
    assert found[0].coverage_ratio == 1.0


def test_workload_records_are_given_by_pages_and_add_up(store: Store) -> None:
    names = [f"unit-{number}.service" for number in range(7)]
    Node(store).write(*(part_of(minute, 10_000, names=names) for minute in range(4)))
    wanted = Wanted("unit", None, None, None)
    found: list[Any] = []
    cursor = None
    while True:
        page = store.read(
            lambda connection, cursor=cursor: workload_records(  # type: ignore[misc]
                connection, HOUR, wanted, cursor=cursor, limit=4
            )
        )
        assert page.count == len(page.items) <= 4
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len({(record.name, record.start) for record in found}) == len(found) == 4 * (7 + 2)
    assert sum(round(record.energy_joules * 1000) for record in found) == 40_000
    assert {record.reason for record in found} == {None, "other", "idle"}


def test_one_workload_in_a_range(store: Store) -> None:
    Node(store).write(*(part_of(minute, names=["a", "b"]) for minute in range(10)))
    within = Range("minute", AT + timedelta(minutes=2), AT + timedelta(minutes=5))
    page = store.read(
        lambda connection: workload_records(
            connection, within, Wanted("unit", "b", None, "package"), cursor=None, limit=50
        )
    )
    assert [(record.name, record.start) for record in page.items] == [
        ("b", AT + timedelta(minutes=m)) for m in (2, 3, 4)
    ]
    assert page.items[0].labels == {"slice": "system.slice", "unit": "b"}


def test_a_day_of_a_workload_is_found_by_the_day_that_it_begins_in(store: Store) -> None:
    Node(store).write(part_of(30))
    within = Range("day", AT.replace(hour=0), AT.replace(hour=1))
    page = store.read(
        lambda connection: workload_records(
            connection, within, Wanted("unit", "idle", None, None), cursor=None, limit=5
        )
    )
    assert [record.start for record in page.items] == [AT.replace(hour=0)]


def test_coverage_of_a_workload_is_that_of_the_nodes_zones(store: Store) -> None:
    """A quarter-hour of which it slept a part was measured all the same."""
    Node(store).write(*(part_of(minute, names=["a"] if minute < 5 else ["b"]) for minute in range(15)))
    within = Range("quarter-hour", AT, AT + timedelta(hours=1))
    page = store.read(
        lambda connection: workload_records(connection, within, Wanted("unit", "a", None, None), cursor=None, limit=5)
    )
    assert [record.coverage_ratio for record in page.items] == [1.0]


@pytest.mark.parametrize(
    ("day", "hours"), [(datetime(2026, 3, 29, 10, tzinfo=UTC), 23), (datetime(2026, 10, 25, 10, tzinfo=UTC), 25)]
)
def test_coverage_of_a_day_is_of_its_own_length(store: Store, day: datetime, hours: int) -> None:
    minute = (day - AT) // timedelta(minutes=1)
    Node(store, make_site(store)).write(part_of(minute, covered_us=hours * 1_800_000_000))
    within = Range("day", day - timedelta(days=2), day + timedelta(days=2))
    page = store.read(lambda connection: zone_records(connection, within, node=None, zone=None, cursor=None, limit=5))
    assert [record.coverage_ratio for record in page.items] == [0.5]


@pytest.mark.parametrize(
    ("resolution", "start", "end", "words"),
    [
        ("minute", AT, AT, "is not before"),
        ("minute", AT - timedelta(days=32), AT, "32 days of minute records are too much"),
        ("quarter-hour", AT - timedelta(days=400), AT, "at most 366 days"),
    ],
)
def test_a_range_that_cannot_be_is_refused(resolution: Any, start: datetime, end: datetime, words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        range_of(resolution, start, end, AT)


minute_parts = st.lists(
    st.tuples(
        st.integers(-3000, 3000), st.integers(0, 5_000_000), st.integers(1, MINUTE_US), st.sampled_from(["a", "b", "c"])
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(minute_parts, st.sampled_from([None, "Europe/Berlin", "America/Havana", "Australia/Lord_Howe"]), st.randoms())
def test_minutes_are_quarter_hours_are_days(
    store: Store, history: list[Any], timezone: str | None, random: Any
) -> None:
    """In any order, across changes of the clock, with parts that are written again."""

    def clear(connection: Connection) -> None:
        from jouled.store.schema import metadata

        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))

    store.write(clear)
    site = None if timezone is None else make_site(store, timezone)
    # The night in which summer begins, or ends, is among them.
    shift = random.choice([0, 28 * 1440, 238 * 1440])
    parts = [part_of(minute + shift, mj, covered_us=us, names=[name]) for minute, mj, us, name in history]
    node = Node(store, site)
    works = node.write(*parts)
    store.write(works[-1])
    sums = []
    for table, columns in (
        (zone_energy, ("energy_mj", "idle_mj", "covered_us")),
        (workload_energy, ("energy_mj", "cpu_us")),
    ):
        query = select(table.c.resolution_s, *(func.sum(table.c[name]) for name in columns)).group_by(
            table.c.resolution_s
        )
        rows = store.read(lambda connection, query=query: connection.execute(query).all())  # type: ignore[misc]
        sums.append({tuple(map(int, row[1:])) for row in rows})
    energy = sum(part.zones[PACKAGE].energy_mj for part in parts)
    assert len(sums[0]) == 1
    assert next(iter(sums[0]))[0] == energy
    assert len(sums[1]) <= 1
    total = store.read(lambda connection: connection.execute(select(func.sum(zones.c.total_mj))).scalar_one())
    assert int(total) == energy
    assert store.read(lambda connection: list(check.problems(connection))) == []
