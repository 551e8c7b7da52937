"""Load metrics in the store, on both engines."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, func, select

from jouled.bookkeeping import load
from jouled.books.load import Bands
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store import Store
from jouled.store.schema.load import load_metrics
from jouled.store.schema.sites import site_zones
from jouled.wire.load import Evaluation, LoadMetricDraft
from plants import NOW, make_site, make_zone, mill, see

BANDS = Bands()


@pytest.fixture
def books(store: Store) -> Store:
    store.write(mill)
    return store


def evaluate(connection: Connection) -> Evaluation:
    return load.evaluate(connection, "mill", NOW, BANDS)


def current_w(connection: Connection, zone_id: str = "hall-1") -> float | None:
    found: float | None = connection.execute(
        select(site_zones.c.current_load_w).where(site_zones.c.id == zone_id)
    ).scalar_one()
    return found


def test_a_metric_updates_the_load_of_its_zone(books: Store) -> None:
    assert books.read(current_w) is None
    books.write(partial(see, kw=42.5, zone="hall-1"))
    assert books.read(current_w) == 42_500


def test_a_metric_that_comes_late_does_not_bring_back_an_old_load(books: Store) -> None:
    books.write(partial(see, kw=42.5, zone="hall-1"))
    books.write(partial(see, kw=10, zone="hall-1", at=NOW - timedelta(minutes=5)))
    assert books.read(current_w) == 42_500
    books.write(partial(see, kw=50, zone="hall-1", at=NOW))
    assert books.read(current_w) == 50_000


def test_the_same_key_is_the_same_metric_and_other_content_a_conflict(books: Store) -> None:
    first = books.write(partial(see, kw=40, zone="hall-1", key="k-1"))
    assert books.write(partial(see, kw=40, zone="hall-1", key="k-1")) == first
    assert (
        books.read(lambda connection: connection.execute(select(func.count()).select_from(load_metrics)).scalar()) == 1
    )
    with pytest.raises(ConflictError, match="'k-1' was given to something else"):
        books.write(partial(see, kw=41, zone="hall-1", key="k-1"))


def test_energy_follows_from_power_and_time_where_it_is_not_said(books: Store) -> None:
    books.write(partial(see, kw=30, zone="hall-1", window_duration=900))
    books.write(partial(see, kw=30, zone="hall-1", window_duration=900, total_consumption=7.25))
    stored = books.read(lambda connection: connection.execute(select(load_metrics.c.energy_mj)).scalars().all())
    assert sorted(stored) == [7.25 * 3.6e9, 7.5 * 3.6e9]


def test_utilization_follows_from_the_capacity_and_stays_unknown_without_one(books: Store) -> None:
    def utilizations(connection: Connection) -> list[tuple[float | None, float | None]]:
        table = load_metrics.c
        query = select(table.avg_utilization_pct, table.peak_utilization_pct).order_by(table.seq)
        return [tuple(row) for row in connection.execute(query)]

    books.write(partial(see, kw=40, zone="hall-1", peak_consumption=60))
    books.write(partial(see, kw=40))
    books.write(partial(make_site, site_id="other"))
    books.write(
        lambda connection: load.record(connection, LoadMetricDraft(facility_id="other", avg_consumption=1), NOW)
    )
    assert books.read(utilizations) == [(40, 60), (20, None), (None, None)]


@pytest.mark.parametrize(
    "fields",
    [
        {"at": NOW + timedelta(days=1)},
        {"min_consumption": 50},
        {"peak_consumption": 30},
        {"avg_utilization": 90, "peak_utilization": 80},
        {"zone": "hall-9"},
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(books: Store, fields: dict[str, object]) -> None:
    def record(connection: Connection) -> None:
        draft = LoadMetricDraft(
            facility_id="mill",
            avg_consumption=40,
            zone_id=fields.get("zone"),  # type: ignore[arg-type]
            timestamp=fields.get("at"),  # type: ignore[arg-type]
            **{name: value for name, value in fields.items() if name not in {"at", "zone"}},  # type: ignore[arg-type]
        )
        load.record(connection, draft, NOW)

    with pytest.raises(InvalidError):
        books.write(record)
    assert books.read(evaluate).reason == "no_metrics_available"


def test_a_zone_of_another_site_is_none_of_this_one(books: Store) -> None:
    books.write(partial(make_site, site_id="other"))
    books.write(partial(make_zone, zone_id="roof", site_id="other"))
    with pytest.raises(InvalidError, match="site 'mill' has no zone 'roof'"):
        books.write(partial(see, kw=1, zone="roof"))
    with pytest.raises(NotFoundError, match="there is no site 'nowhere'"):
        books.read(lambda connection: load.evaluate(connection, "nowhere", NOW, BANDS))


def test_zones_are_added_up_to_the_sites_load(books: Store) -> None:
    books.write(partial(see, kw=95, zone="hall-1", peak_consumption=99))
    books.write(partial(see, kw=85, zone="hall-2"))
    found = books.read(evaluate)
    assert (found.current_load, found.peak_load, found.utilization, found.source) == (180, 184, 90, "zones")
    assert (found.status, found.needs_action) == ("overutilized", True)
    books.write(partial(see, kw=140))
    assert books.read(evaluate).status == "optimal"


def test_zones_say_their_load_and_what_they_could_shed(books: Store) -> None:
    books.write(partial(see, kw=95, zone="hall-1"))
    zones = books.read(lambda connection: load.zone_loads(connection, "mill", NOW, BANDS)).zones
    first, second = zones["hall-1"], zones["hall-2"]
    assert (first.current_load, first.utilization, first.status, first.sheddable) == (95, 95, "overloaded", 75)
    assert (second.current_load, second.utilization, second.status, second.sheddable) == (None, None, "unknown", 0)
    later = NOW + timedelta(hours=2)
    old = books.read(lambda connection: load.zone_loads(connection, "mill", later, BANDS)).zones["hall-1"]
    assert (old.current_load, old.status) == (95, "unknown")
