"""Sites with their circuits, zones and plans."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from jouled.bookkeeping import circuits, facilities, load, site_zones
from jouled.books.load import Bands
from jouled.errors import ConflictError, InvalidError, NotFoundError
from jouled.store import Store
from jouled.wire.load import LoadMetricDraft
from jouled.wire.sites import CircuitDraft, ScheduledEventDraft, SiteZoneDraft
from metered import NOW, draft, ingest, make_meter, make_site, mill


@pytest.fixture(autouse=True)
def _the_mill(store: Store) -> None:
    store.write(mill)


def circuit(store: Store, name: str, parent: str | None = None, limit: float | None = None, site: str = "mill") -> Any:
    made = CircuitDraft(site, name, name, parent, limit)
    return store.write(lambda connection: circuits.create(connection, made, NOW))


def zone(store: Store, name: str = "hall", **fields: Any) -> Any:
    made = SiteZoneDraft(**{"facility_id": "mill", "name": name, "id": name, "capacity": 100.0, **fields})
    return store.write(lambda connection: site_zones.create(connection, made, NOW))


def test_a_circuit_carries_no_more_than_those_above_it(store: Store) -> None:
    circuit(store, "main", limit=100)
    circuit(store, "feeder", "main")
    leaf = circuit(store, "leaf", "feeder", 250)

    assert (leaf.limit, leaf.effective_limit) == (250, 100)
    page = store.read(lambda connection: circuits.listed(connection, "mill", None, 2))
    rest = store.read(lambda connection: circuits.listed(connection, "mill", page.next_cursor, 2))
    assert [one.id for one in (*page.items, *rest.items)] == ["feeder", "leaf", "main"]


def test_a_circuit_cannot_be_fed_by_itself_by_nobody_or_by_another_site(store: Store) -> None:
    circuit(store, "main")
    circuit(store, "feeder", "main")
    store.write(lambda connection: make_site(connection, "other"))
    circuit(store, "theirs", site="other")
    around = CircuitDraft("mill", "main", parent_id="feeder")
    with pytest.raises(InvalidError, match="fed by itself"):
        store.write(lambda connection: circuits.replace(connection, "main", around))
    for parent in ("none", "theirs"):
        with pytest.raises(InvalidError, match="no circuit"):
            circuit(store, "leaf", parent)
    with pytest.raises(ConflictError):
        circuit(store, "main")
    with pytest.raises(NotFoundError):
        store.read(lambda connection: circuits.get(connection, "none"))


def test_a_zone_is_of_its_site_and_within_its_capacity(store: Store) -> None:
    circuit(store, "main")
    made = zone(store, circuit_id="main", zone_type="data_center", min_load=20, can_shed_load=True)

    assert (made.current_load, made.utilization, made.scheduled_events) == (None, None, ())
    for fields in (
        {"min_load": 101.0},
        {"max_load": 101.0},
        {"min_load": 50.0, "max_load": 40.0},
        {"circuit_id": "none"},
    ):
        with pytest.raises(InvalidError):
            zone(store, "other", **fields)
    moved = SiteZoneDraft("elsewhere", "hall", 100.0)
    with pytest.raises(ConflictError, match="stays there"):
        store.write(lambda connection: site_zones.replace(connection, "hall", moved, NOW))


def test_a_zone_keeps_its_load_when_it_is_changed(store: Store) -> None:
    """It was: a zone's current load that nothing ever set."""
    zone(store)
    metric = LoadMetricDraft(facility_id="mill", avg_consumption=42.0, zone_id="hall", timestamp=NOW)
    store.write(lambda connection: load.record(connection, metric, NOW))
    larger = SiteZoneDraft("mill", "Hall", 84.0)
    changed = store.write(lambda connection: site_zones.replace(connection, "hall", larger, NOW))

    assert (changed.current_load, changed.utilization, changed.current_load_at) == (42, 50, NOW)


def test_what_is_planned_follows_the_time_and_can_be_called_off(store: Store) -> None:
    zone(store)
    begin = NOW + timedelta(hours=1)
    plan = ScheduledEventDraft("maintenance", begin, begin + timedelta(hours=2), -30.0)
    made = store.write(lambda connection: site_zones.plan(connection, "hall", plan, NOW))

    def status(hours: float) -> str:
        return store.read(lambda connection: site_zones.event(connection, made.id, NOW + timedelta(hours=hours))).status

    assert [status(hours) for hours in (0, 1, 2.9, 3)] == ["scheduled", "active", "active", "completed"]
    shown = store.read(lambda connection: site_zones.get(connection, "hall", NOW)).scheduled_events
    assert [one.estimated_impact for one in shown] == [-30]
    store.write(lambda connection: site_zones.set_status(connection, made.id, "cancelled", NOW))
    with pytest.raises(ConflictError):
        store.write(lambda connection: site_zones.set_status(connection, made.id, "active", NOW))
    backwards = ScheduledEventDraft("maintenance", begin, begin)
    with pytest.raises(InvalidError):
        store.write(lambda connection: site_zones.plan(connection, "hall", backwards, NOW))


def test_the_load_of_a_site_is_power_and_not_a_sum_of_energy(store: Store) -> None:
    """It was: the kWh of the day, called a load."""
    store.write(lambda connection: ingest(connection, draft(500.0)))

    def now() -> Any:
        return store.read(lambda connection: facilities.current_load(connection, "mill", NOW, Bands()))

    assert (now().current_load, now().unit, now().reason) == (None, "kW", "no_metrics_available")
    store.write(lambda connection: make_meter(connection, "live", power_w=3500.0, latest_at=NOW))
    assert (now().current_load, now().source) == (3.5, "main_meters")
    zone(store)
    metric = LoadMetricDraft(facility_id="mill", avg_consumption=42.0, zone_id="hall", timestamp=NOW)
    store.write(lambda connection: load.record(connection, metric, NOW))
    assert now().current_load == 42


def test_power_of_long_ago_is_no_load_now(store: Store) -> None:
    store.write(lambda connection: make_meter(connection, "live", power_w=3500.0, latest_at=NOW - timedelta(hours=1)))

    assert store.read(lambda connection: facilities.current_load(connection, "mill", NOW, Bands())).current_load is None


def test_the_consumption_of_a_day_is_the_sites_own_day(store: Store) -> None:
    midnight = NOW.replace(hour=23, minute=0) - timedelta(days=1)  # 00:00 in Berlin
    store.write(
        lambda connection: ingest(
            connection, draft(1, midnight), draft(2, midnight - timedelta(seconds=1)), draft(4, meter_id="panels")
        )
    )
    today = store.read(lambda connection: facilities.consumption(connection, "mill", None, NOW))
    yesterday = store.read(lambda connection: facilities.consumption(connection, "mill", "2026-03-03", NOW))

    assert (today.date, today.consumption, today.production) == ("2026-03-04", {"grid": 1}, {"solar": 4})
    assert yesterday.consumption == {"grid": 2}
    for none in ("2026-02-30", "9999-12-31", "today"):
        with pytest.raises(InvalidError):
            store.read(partial(facilities.consumption, site_id="mill", which=none, now=NOW))


def test_the_status_of_a_site_is_calculated(store: Store) -> None:
    """It was: always "normal"."""

    def status() -> Any:
        return store.read(lambda connection: facilities.status(connection, "mill", NOW, Bands()))

    assert (status().status, status().reasons) == ("unknown", ("no_metrics_available",))
    store.write(lambda connection: ingest(connection, draft(3)))
    assert (status().status, status().total_daily_usage) == ("normal", 3)
    zone(store)
    for kw, expected in ((90.0, "warning"), (120.0, "critical")):
        metric = LoadMetricDraft(facility_id="mill", avg_consumption=kw, zone_id="hall", timestamp=NOW)
        store.write(partial(load.record, draft=metric, now=NOW))
        assert status().status == expected
