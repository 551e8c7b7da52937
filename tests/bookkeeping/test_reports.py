"""Reports over the store, on both engines: real totals of any range."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert

from jouled.bookkeeping import decisions, load, readings, reports
from jouled.books.load import Bands
from jouled.errors import InvalidError, NotFoundError
from jouled.store import Store
from jouled.store.schema.meters import meters
from jouled.wire.decisions import DecisionDraft
from jouled.wire.readings import ReadingDraft
from jouled.wire.reports import Report
from plants import NOW, make_site, make_zone, mill, see

BANDS = Bands()
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def make_meter(connection: Connection, meter_id: str, direction: str, source: str, kind: str = "main") -> None:
    values = {"kind": kind, "state": "normal", "created_at": NOW, "site_id": "mill"}
    connection.execute(
        insert(meters).values(id=meter_id, name=meter_id, direction=direction, energy_source=source, **values)
    )


@pytest.fixture
def books(store: Store) -> Store:
    store.write(mill)
    store.write(partial(make_meter, meter_id="main", direction="consume", source="grid"))
    store.write(partial(make_meter, meter_id="roof", direction="produce", source="solar", kind="solar"))
    store.write(partial(make_meter, meter_id="cells", direction="produce", source="battery", kind="battery"))
    return store


def read(connection: Connection, meter: str, kwh: float, at: datetime, **fields: Any) -> None:
    draft = ReadingDraft(meter_id=meter, facility_id="mill", consumption=kwh, timestamp=at, **fields)
    readings.ingest(connection, [draft], NOW)


def report(books: Store, start: datetime | None = None, end: datetime | None = None, **how: Any) -> Report:
    values = {"report_type": None, "now": NOW, "bands": BANDS, "start": start, "end": end}
    return books.read(lambda connection: reports.report(connection, "mill", **{**values, **how}))


def test_the_total_is_what_was_read(books: Store) -> None:
    """Once it was always 0."""
    for hours in range(1, 25):
        books.write(partial(read, meter="main", kwh=2.5, at=NOW - hours * HOUR))
    found = report(books)
    assert (found.report_type, found.start_time, found.end_time) == ("weekly", NOW - 7 * DAY, NOW)
    assert (found.total_consumption, found.total_production, found.readings) == (60, 0, 24)
    assert found.total_cost == Decimal("18.000000")
    assert found.total_emission == pytest.approx(25.2)
    assert found.carbon_intensity == 420
    assert (found.average_demand, found.coverage) == (2.5, 24 / 168)


def test_production_and_consumption_are_apart_and_batteries_are_not_counted_twice(books: Store) -> None:
    books.write(partial(read, meter="main", kwh=10, at=NOW - HOUR))
    books.write(partial(read, meter="roof", kwh=4, at=NOW - HOUR, quality="estimated"))
    books.write(partial(read, meter="cells", kwh=3, at=NOW - HOUR))
    found = report(books)
    assert (found.total_consumption, found.total_production) == (10, 4)
    assert set(found.by_source) == {"grid", "solar", "battery"}
    assert (found.by_source["grid"].consumption, found.by_source["grid"].production) == (10, 0)
    assert (found.by_source["battery"].production, found.by_source["battery"].emission) == (3, 0)
    assert (found.readings, found.estimated_readings) == (3, 1)


def test_a_range_has_its_own_ends_also_within_a_quarter_hour(books: Store) -> None:
    start = NOW - 40 * DAY - timedelta(minutes=7)
    for minutes in (0, 3, 30, 60 * 24 * 3, 60 * 24 * 30):
        books.write(partial(read, meter="main", kwh=1, at=start + timedelta(minutes=minutes)))
    assert report(books, start, start + 35 * DAY).total_consumption == 5
    assert report(books, start + timedelta(seconds=1), start + 35 * DAY).total_consumption == 4
    assert report(books, start, start + 30 * DAY).total_consumption == 4
    assert report(books, start + timedelta(minutes=2), start + timedelta(minutes=4)).total_consumption == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 40_000), st.integers(1, 40_000))
def test_days_quarter_hours_and_readings_add_up_in_any_range(store: Store, first: int, minutes: int) -> None:
    """A reading each 7 hours, in a zone with daylight saving: 1 kWh, 2 kWh, 3 kWh..."""
    start = datetime.fromisoformat("2026-03-10T00:00:00+00:00")

    def fill(connection: Connection) -> None:
        make_site(connection, timezone="Europe/Berlin")
        make_meter(connection, "main", "consume", "grid")
        drafts = [
            ReadingDraft(meter_id="main", facility_id="mill", consumption=n, timestamp=start + n * 7 * HOUR)
            for n in range(150)
        ]
        readings.ingest(connection, drafts, start + 60 * DAY)

    try:
        store.read(lambda connection: load.site_row(connection, "mill"))
    except NotFoundError:
        store.write(fill)
    since, until = start + timedelta(minutes=first), start + timedelta(minutes=first + minutes)
    expected = sum(n for n in range(150) if since <= start + n * 7 * HOUR < until)
    assert report(store, since, until, now=start + 60 * DAY).total_consumption == expected


def test_the_peak_is_the_whole_sites_where_that_is_measured(books: Store) -> None:
    books.write(partial(read, meter="main", kwh=25, at=NOW - HOUR))
    books.write(partial(see, kw=150, at=NOW - 2 * HOUR, peak_consumption=180))
    books.write(partial(see, kw=160, at=NOW - HOUR))
    books.write(partial(see, kw=500, at=NOW - 9 * DAY))
    books.write(partial(see, kw=99, zone="hall-1"))
    found = report(books)
    assert (found.peak_demand, found.peak_demand_at, found.peak_demand_from) == (180, NOW - 2 * HOUR, "load_metrics")


def test_the_peak_of_zones_is_of_one_time_and_not_the_sum_of_their_peaks(books: Store) -> None:
    books.write(partial(see, kw=90, zone="hall-1", at=NOW - 2 * HOUR, window_duration=900))
    books.write(partial(see, kw=20, zone="hall-2", at=NOW - 2 * HOUR, window_duration=900))
    books.write(partial(see, kw=40, zone="hall-1", at=NOW - HOUR, window_duration=300))
    books.write(partial(see, kw=60, zone="hall-1", at=NOW - HOUR, window_duration=600))
    books.write(partial(see, kw=80, zone="hall-2", at=NOW - HOUR, window_duration=900))
    found = report(books)
    assert found.peak_demand == pytest.approx((40 * 300 + 60 * 600) / 900 + 80)
    assert (found.peak_demand_at, found.peak_demand_from) == (NOW - HOUR - QUARTER, "load_metrics_of_zones")


def test_without_load_metrics_the_peak_is_of_quarter_hours(books: Store) -> None:
    for n in range(1, 9):
        books.write(partial(read, meter="main", kwh=5 if n == 3 else 2, at=NOW - n * QUARTER))
    found = report(books)
    assert (found.peak_demand, found.peak_demand_from) == (20, "readings_by_quarter_hour")
    assert found.peak_demand_at == NOW - 3 * QUARTER


def test_a_reading_beside_the_range_covers_nothing_of_it(books: Store) -> None:
    """Though it is in the same quarter-hours as its ends."""
    start, end = NOW - HOUR + timedelta(minutes=5), NOW - HOUR + timedelta(minutes=20)
    for at in (start - timedelta(minutes=1), end, end + timedelta(minutes=1)):
        books.write(partial(read, meter="main", kwh=3, at=at))
    found = report(books, start, end)
    assert (found.readings, found.coverage, found.peak_demand, found.average_demand) == (0, 0, None, None)

    books.write(partial(read, meter="main", kwh=1, at=start + timedelta(minutes=1)))
    found = report(books, start, end)
    assert (found.readings, found.coverage, found.average_demand) == (1, 1, 1)


def test_meters_that_are_read_every_hour_have_no_peak_of_quarter_hours(books: Store) -> None:
    """8 kWh of an hour are 8 kW, and not 32."""
    for n in range(1, 9):
        books.write(partial(read, meter="main", kwh=8, at=NOW - n * HOUR))
    found = report(books)
    assert (found.peak_demand, found.peak_demand_from) == (8, "readings_by_hour")


def test_what_is_not_known_is_null_with_its_reason(store: Store) -> None:
    store.write(make_site)
    found = report(store)
    assert (found.total_consumption, found.readings, found.coverage) == (0, 0, 0)
    unknown = ("carbon_intensity", "peak_demand", "average_demand", "total_cost", "energy_savings", "cost_savings")
    assert all(getattr(found, name) is None for name in unknown)
    assert set(found.unknown) == {*unknown, "carbon_savings"}


def test_savings_are_those_of_the_open_recommendations(books: Store) -> None:
    for hours in range(48):
        books.write(partial(see, kw=50, zone="hall-1", at=NOW - hours * HOUR, window_duration=3600))
    books.write(partial(read, meter="main", kwh=10, at=NOW - HOUR))
    found = report(books)
    assert (found.energy_savings, found.cost_savings) == (1440, Decimal(432))
    assert found.carbon_savings == pytest.approx(1440 * 0.42)
    assert {one.category for one in found.recommendations} == {"base_load", "load_shifting"}


def test_decisions_that_were_carried_out_in_the_range_are_counted(books: Store) -> None:
    def carry_out(connection: Connection, at: datetime) -> None:
        draft = DecisionDraft(facility_id="mill", decision_type="scale_down", reason="x", source_zone_id="hall-1")
        decision, _ = decisions.propose(connection, draft, "ann", at)
        decisions.approve(connection, decision.id, "ann", "x", at)
        decisions.start(connection, decision.id, "ann", at, executor="here/1", deadline_at=at)
        decisions.finish(connection, decision.id, "ann", at, is_done=at != NOW - HOUR, result="done")

    for at in (NOW - 20 * DAY, NOW - DAY, NOW - HOUR):
        books.write(partial(carry_out, at=at))
    found = report(books)
    assert (found.optimizations_applied, [one.completed_at for one in found.optimizations]) == (1, [NOW - DAY])


def test_ranges_that_cannot_be_are_refused(books: Store) -> None:
    for start, end in ((NOW, NOW), (NOW - 3000 * DAY, NOW), (datetime.fromisoformat("0001-01-01T00:00:00+00:00"), NOW)):
        with pytest.raises(InvalidError):
            report(books, start, end)
    with pytest.raises(NotFoundError):
        books.read(
            lambda connection: reports.report(
                connection, "no", report_type=None, start=None, end=None, now=NOW, bands=BANDS
            )
        )


def test_a_site_of_many_zones_is_reported_on(store: Store) -> None:
    store.write(make_site)
    for n in range(3):
        store.write(partial(make_zone, zone_id=f"z{n}"))
        store.write(partial(see, kw=10, zone=f"z{n}"))
    assert report(store).peak_demand == 30
