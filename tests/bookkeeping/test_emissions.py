"""Emissions of sites: by factors that have versions, or by a series."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, insert

from jouled.bookkeeping import emissions, processing, readings
from jouled.books.calendar import Period
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store import Store
from jouled.store.schema.carbon import carbon_intensity
from jouled.wire.carbon import FactorsDraft, ProcessDraft
from metered import NOW, ago, books, draft, ingest, make_meter, make_site, mill

TODAY = Period(ago(days=1), NOW + timedelta(seconds=1))


def slot(connection: Connection, start: datetime, grams: int, **columns: object) -> None:
    values = {"zone": "DE", "kind": "average", "provider": "energy-charts", "quality": "good", "is_forecast": False}
    connection.execute(
        insert(carbon_intensity).values(
            start_at=start,
            ug_per_kwh=grams * 1_000_000,
            fetched_at=NOW,
            **{"end_at": start + timedelta(hours=1), **values, **columns},
        )
    )


def of_each(store: Store, site: str = "mill") -> list[tuple[float, str]]:
    found = store.read(lambda connection: emissions.listed(connection, site, TODAY, None, 100)).emissions
    return [(one.carbon_intensity, one.method) for one in found]


def test_sums_are_by_source_in_all_and_as_an_intensity(store: Store) -> None:
    store.write(mill)
    store.write(
        lambda connection: ingest(
            connection, draft(10), draft(5, meter_id="panels"), draft(100, meter_id="battery"), draft(1, ago(hours=2))
        )
    )
    by_source = store.read(lambda connection: emissions.by_source(connection, "mill", TODAY))
    total = store.read(lambda connection: emissions.total(connection, "mill", TODAY))
    intensity = store.read(lambda connection: emissions.intensity(connection, "mill", TODAY))

    assert by_source.by_source == {"battery": 0, "grid": 4.62, "solar": 0.205}
    assert (total.total, total.readings) == (4.825, 4)
    assert intensity.carbon_intensity == pytest.approx(4825 / 16)


def test_where_nothing_was_read_there_is_no_intensity(store: Store) -> None:
    store.write(mill)

    assert store.read(lambda connection: emissions.intensity(connection, "mill", TODAY)).carbon_intensity is None
    with pytest.raises(NotFoundError):
        store.read(lambda connection: emissions.total(connection, "none", TODAY))


def test_a_version_of_the_factors_holds_from_its_time_and_changes_nothing_before(store: Store) -> None:
    store.write(mill)
    store.write(lambda connection: ingest(connection, draft(1, ago(hours=1))))
    made = FactorsDraft("de-2026", ago(minutes=90), {"grid": 0.35})
    version = store.write(lambda connection: emissions.add_version(connection, made, NOW))
    store.write(lambda connection: ingest(connection, draft(1), draft(1, ago(hours=2))))

    assert version.factors["coal"] == 0.95
    assert of_each(store) == [(350, "factors:de-2026"), (420, "factors:default-1"), (420, "factors:default-1")]
    assert [one.version for one in store.read(emissions.versions).items] == ["de-2026", "default-1"]


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (FactorsDraft("default-1", NOW, {}), ConflictError),
        (FactorsDraft("same", NOW, {}), ConflictError),
        (FactorsDraft("other", NOW, {}), ConflictError),
        (FactorsDraft("late", datetime.fromisoformat("9999-12-31T23:59:59-23:00"), {}), InvalidError),
        (FactorsDraft("batteries", ago(days=1), {"battery": 0.1}), InvalidError),
    ],
)
def test_factors_that_contradict_are_refused(store: Store, made: FactorsDraft, error: type[Exception]) -> None:
    store.write(lambda connection: emissions.add_version(connection, FactorsDraft("same", NOW, {}), NOW))
    with pytest.raises(error):
        store.write(lambda connection: emissions.add_version(connection, made, NOW))


def test_a_site_with_a_grid_zone_is_calculated_by_its_series_of_its_kind(store: Store) -> None:
    def work(connection: Connection) -> None:
        make_site(connection, "berlin", carbon_zone="DE", carbon_kind="average")
        make_meter(connection, "b", "berlin")
        slot(connection, ago(hours=3), 250)
        slot(connection, ago(hours=3), 900, kind="marginal")
        slot(connection, ago(hours=2), 300, is_forecast=True)
        slot(connection, ago(hours=1), 320, quality="estimated")
        ingest(connection, *(draft(1, ago(minutes=minute), "b", facility_id="berlin") for minute in (150, 90, 30, 300)))

    store.write(work)

    assert of_each(store, "berlin") == [
        (320, "series:DE:average:energy-charts:estimated"),
        (300, "series:DE:average:energy-charts:forecast"),
        (250, "series:DE:average:energy-charts"),
        (420, "factors:default-1:no-series"),
    ]


def test_a_quarter_hours_forecast_within_a_measured_hour_changes_no_emission(store: Store) -> None:
    def work(connection: Connection) -> None:
        make_site(connection, "berlin", carbon_zone="DE", carbon_kind="average")
        make_meter(connection, "b", "berlin")
        slot(connection, ago(hours=1), 250)
        slot(connection, ago(minutes=45), 900, is_forecast=True, end_at=ago(minutes=30))
        ingest(connection, *(draft(1, ago(minutes=minute), "b", facility_id="berlin") for minute in (50, 40, 20)))

    store.write(work)

    assert of_each(store, "berlin") == [(250, "series:DE:average:energy-charts")] * 3


def process_draft(**fields: object) -> ProcessDraft:
    values: dict[str, object] = {"meter_id": "main", "facility_id": "mill", "consumption": 2.0, "timestamp": NOW}
    return ProcessDraft(**{**values, **fields})  # type: ignore[arg-type]


def test_processing_takes_an_unsaved_reading_in_and_counts_a_saved_one_no_more(store: Store) -> None:
    """It was: an unsaved reading was accepted, and each retry counted again."""
    store.write(mill)
    first = store.write(lambda connection: processing.process(connection, process_draft(), NOW))
    before = store.read(books)
    again = store.write(lambda connection: processing.process(connection, process_draft(), NOW))
    saved = store.read(lambda connection: readings.get(connection, first.id))
    body = process_draft(
        id=saved.id, direction="consume", created_at=saved.created_at, energy_source="grid", metadata={}
    )
    third = store.write(lambda connection: processing.process(connection, body, NOW))

    assert (first.total_emission, first.carbon_intensity, first.unit) == (0.84, 420, "kg CO2")
    assert [first.is_new, again.is_new, third.is_new] == [True, False, False]
    assert again.id == third.id == first.id
    assert store.read(books) == before


def test_a_saved_reading_that_says_otherwise_is_a_conflict_and_an_unknown_one_not_found(store: Store) -> None:
    store.write(mill)
    first = store.write(lambda connection: processing.process(connection, process_draft(), NOW))
    for other in ({"consumption": 3.0}, {"energy_source": "coal"}):
        with pytest.raises(ConflictError):
            store.write(partial(processing.process, draft=process_draft(id=first.id, **other), now=NOW))
    with pytest.raises(NotFoundError):
        store.write(lambda connection: processing.process(connection, process_draft(id="none"), NOW))
