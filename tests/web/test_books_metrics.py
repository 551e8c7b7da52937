"""The books on the metrics page, and what the energy service's clients find there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, Table, delete, insert, update

from jouled import parts
from jouled.bookkeeping import figures
from jouled.config import Config, Listener
from jouled.errors import StoreError
from jouled.store import Store
from jouled.store.schema.carbon import carbon_budget_periods, carbon_budgets
from jouled.store.schema.events import alerts
from jouled.store.schema.load import decision_steps, decisions
from jouled.store.schema.meters import meters
from jouled.store.schema.readings import energy_readings, site_energy
from jouled.store.schema.sites import site_zones, sites
from jouled.web.books_metrics import BooksMetrics
from pages import promtool
from serving import FREE, Rig, serving

NOW = datetime.now(UTC).replace(microsecond=0)
SERVICE: dict[str, Any] = {"compat": ("energy-service",)}
FULL = Listener(FREE, detail="full")
LABELS = (
    *(
        "meter",
        "site",
        "facility_id",
        "site_zone",
        "kind",
        "source",
        "energy_source",
        "direction",
        "budget",
        "budget_id",
    ),
    *("period", "budget_period", "type", "decision_type", "status", "severity", "table"),
)


async def write(store: Store, *rows: tuple[Table, Mapping[str, Any]]) -> None:
    def work(connection: Connection) -> None:
        for table, row in rows:
            connection.execute(insert(table).values(**row))

    await store.commit(work)


def site(name: str = "plant", **more: Any) -> tuple[Table, Mapping[str, Any]]:
    row = {"id": name, "name": name, "timezone": "UTC", "currency": "EUR", "energy_sources": ["grid"]}
    return sites, {**row, "is_active": True, "created_at": NOW, "updated_at": NOW, "capacity_w": 200_000.0, **more}


def energy(
    source: str, kwh: float, kg: float, *, direction: str = "consume", day: int = 1, resolution_s: int = 86_400
) -> Any:
    return site_energy, {
        "site_id": "plant",
        "resolution_s": resolution_s,
        "start_at": datetime(2026, 1, day, tzinfo=UTC),
        "energy_source": source,
        "direction": direction,
        "energy_mj": round(kwh * 3.6e9),
        "emission_ug": round(kg * 1e9),
        "readings": 1,
        "estimated_readings": 0,
    }


def budget(name: str, amount_kg: float, *, is_active: bool = True) -> Any:
    return carbon_budgets, {
        "id": name,
        "site_id": "plant",
        "budget_period": "daily",
        "amount_ug": round(amount_kg * 1e9),
        "warning_pct": 80.0,
        "critical_pct": 95.0,
        "is_active": is_active,
        "created_at": NOW,
        "updated_at": NOW,
    }


def used(name: str, kg: float, *, since: timedelta = timedelta(hours=1)) -> Any:
    start = NOW - since
    return carbon_budget_periods, {
        "budget_id": name,
        "start_at": start,
        "end_at": start + timedelta(hours=10),
        "used_ug": round(kg * 1e9),
        "status": "normal",
        "updated_at": NOW,
    }


def zone(name: str, load_w: float | None, *, at: datetime = NOW, capacity_w: float = 50_000.0) -> Any:
    return site_zones, {
        "id": name,
        "site_id": "plant",
        "name": name,
        "zone_type": "office",
        "capacity_w": capacity_w,
        "priority": 1,
        "can_shed_load": False,
        "min_load_w": 0.0,
        "current_load_w": load_w,
        "current_load_at": at,
        "created_at": NOW,
    }


def meter(name: str, power_w: float | None, *, at: datetime = NOW, charge_pct: float | None = None) -> Any:
    return meters, {
        "id": name,
        "name": name,
        "kind": "battery",
        "direction": "consume",
        "energy_source": "battery",
        "site_id": "plant",
        "state": "normal",
        "latest_at": at,
        "power_w": power_w,
        "charge_pct": charge_pct,
        "created_at": NOW,
    }


def decision(name: str, status: str) -> Any:
    return decisions, {
        "id": name,
        "site_id": "plant",
        "decision_type": "shift_load",
        "load_shift_w": 1.0,
        "reason": "r",
        "priority": 1,
        "status": status,
        "scheduled_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
        "inputs": {},
        "expected": {},
        "created_by": "test",
        "created_at": NOW,
    }


def step(name: str, before: str | None, after: str) -> Any:
    row = {"decision_id": name, "at": NOW, "who": "test", "from_status": before, "to_status": after, "why": ""}
    return decision_steps, row


async def page_of(rig: Rig) -> str:
    """After the books have been looked at once more."""
    metrics = rig.room._figures
    assert metrics is not None
    await metrics.refresh()
    rig.tick()
    return (await rig.get("/metrics")).body.decode()


def values(page: str, name: str) -> dict[tuple[str, ...], float]:
    """By the values of the labels, in the order of `LABELS`."""
    return {
        tuple(sample.labels[label] for label in LABELS if label in sample.labels): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    }


async def test_a_sites_energy_and_emissions_are_sums_of_all_its_days(store: Store) -> None:
    await write(store, site(), energy("grid", 100, 42), energy("grid", 50, 21, day=2), energy("solar", 10, 0.41))
    await write(store, energy("solar", 30, 0, direction="produce"), energy("grid", 100, 42, resolution_s=900))
    async with serving(FULL, store=store) as rig:
        page = await page_of(rig)
        assert promtool(page.encode()) == ""
    assert values(page, "jouled_site_energy_joules_total") == {
        ("plant", "grid", "consume"): 150 * 3.6e6,
        ("plant", "solar", "consume"): 10 * 3.6e6,
        ("plant", "solar", "produce"): 30 * 3.6e6,
    }
    assert values(page, "jouled_site_emissions_grams_total") == {("plant", "grid"): 63_000, ("plant", "solar"): 410}
    assert "energy_consumption_total" not in page


async def test_sums_beyond_64_bits_are_right(store: Store) -> None:
    huge = 2**62 / 3.6e9
    rows = [energy("grid", huge, 0, day=day) for day in (1, 2, 3)]
    await write(store, site(), *rows)
    found = await store.fetch(lambda connection: figures.read(connection, NOW))
    assert found.energy[0].energy_mj == 3 * rows[0][1]["energy_mj"] > 2**63


async def test_the_five_metrics_of_the_energy_service_have_the_right_values(store: Store) -> None:
    await write(store, site(), energy("grid", 100, 42), energy("solar", 30, 1, direction="produce"))
    await write(store, budget("b", 50), used("b", 40), zone("hall", 30_000), zone("office", 20_000))
    await write(store, decision("d", "completed"), step("d", None, "proposed"), step("d", "proposed", "approved"))
    async with serving(FULL, store=store, **SERVICE) as rig:
        page = await page_of(rig)
        assert promtool(page.encode()) == ""
    assert values(page, "energy_consumption_total") == {("plant", "grid"): 100}
    assert values(page, "carbon_emission_total") == {("plant", "grid"): 42, ("plant", "solar"): 1}
    assert values(page, "carbon_budget_usage_percentage") == {("plant", "b", "daily"): 80}
    assert values(page, "energy_utilization_rate") == {("plant",): 25}
    assert values(page, "load_balancing_decisions_total") == {("plant", "shift_load"): 1}


async def test_percentages_and_ratios_are_the_same_numbers(store: Store) -> None:
    await write(store, site(), budget("b", 100), used("b", 29), zone("hall", 30_000))
    async with serving(FULL, store=store, **SERVICE) as rig:
        page = await page_of(rig)
    assert values(page, "carbon_budget_usage_percentage") == {("plant", "b", "daily"): 29}
    assert values(page, "jouled_carbon_budget_used_ratio") == {("plant", "b", "daily"): 0.29}
    assert values(page, "energy_utilization_rate") == {("plant",): 15}
    assert values(page, "jouled_site_utilization_ratio") == {("plant",): 0.15}
    assert values(page, "jouled_site_zone_utilization_ratio") == {("plant", "hall"): 0.6}


async def test_a_budgets_new_period_begins_at_zero_without_a_reading(store: Store) -> None:
    await write(
        store, site(), budget("b", 100), used("b", 99, since=timedelta(hours=20)), budget("c", 1, is_active=False)
    )
    async with serving(FULL, store=store) as rig:
        page = await page_of(rig)
    assert values(page, "jouled_carbon_budget_used_ratio") == {("plant", "b", "daily"): 0}


async def test_what_is_not_known_now_is_not_there(store: Store) -> None:
    old = NOW - timedelta(hours=1)
    await write(store, site(), meter("new", 12.5, charge_pct=80.0), meter("old", 5.0, at=old), meter("bare", None))
    await write(store, zone("stale", 1000, at=old), zone("none", None), zone("empty", 10, capacity_w=0.0))
    async with serving(FULL, store=store) as rig:
        page = await page_of(rig)
    assert values(page, "jouled_meter_power_watts") == {("new", "plant", "battery", "consume"): 12.5}
    assert values(page, "jouled_meter_charge_ratio") == {("new", "plant", "battery", "consume"): 0.8}
    assert values(page, "jouled_site_zone_load_watts") == {("plant", "empty"): 10}
    assert values(page, "jouled_site_zone_utilization_ratio") == {}


async def test_decisions_that_go_on_never_make_a_counter_fall(store: Store) -> None:
    await write(store, site(), decision("d", "proposed"), step("d", None, "proposed"))
    async with serving(FULL, store=store) as rig:
        before = values(await page_of(rig), "jouled_decisions_total")

        def approve(connection: Connection) -> None:
            connection.execute(update(decisions).values(status="approved"))
            connection.execute(insert(decision_steps).values(**step("d", "proposed", "approved")[1]))

        await store.commit(approve)
        after = values(await page_of(rig), "jouled_decisions_total")
    assert before == {("plant", "shift_load", "proposed"): 1}
    assert after == {("plant", "shift_load", "proposed"): 1, ("plant", "shift_load", "approved"): 1}


async def test_counters_go_on_after_a_restart_and_when_readings_are_removed(store: Store) -> None:
    await write(store, site(), energy("grid", 100, 42))
    async with serving(FULL, store=store, **SERVICE) as rig:
        before = values(await page_of(rig), "energy_consumption_total")
    await store.commit(lambda connection: connection.execute(delete(energy_readings)))
    async with serving(FULL, store=store, **SERVICE) as rig:
        assert values(await page_of(rig), "energy_consumption_total") == before


async def test_open_alerts_are_counted(store: Store) -> None:
    row = {"dedup_key": "k", "type": "low", "severity": "critical", "event_id": "e", "since_at": NOW, "note": ""}
    await write(store, (alerts, row))
    async with serving(FULL, store=store) as rig:
        assert values(await page_of(rig), "jouled_alerts_open") == {("critical",): 1}


async def test_rows_are_bounded_and_it_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "ROWS_MAX", 2)
    await write(store, site(), *(zone(f"z{n}", 1.0) for n in range(4)))
    async with serving(FULL, store=store) as rig:
        page = await page_of(rig)
    assert len(values(page, "jouled_site_zone_load_watts")) == 2
    assert values(page, "jouled_books_cut") == {("site_zones",): 1}


async def test_a_scrape_asks_the_store_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(FULL, store=store) as rig:
        await page_of(rig)

        def refused(*_: object) -> Any:
            raise AssertionError("a scrape reads the store")

        monkeypatch.setattr(store, "read", refused)
        monkeypatch.setattr(store, "fetch", refused)
        rig.tick()
        page = (await rig.get("/metrics")).body.decode()
    assert values(page, "jouled_store_available") == {(): 1}
    assert values(page, "jouled_store_size_bytes")[()] > 0


async def test_while_the_store_is_away_only_that_is_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(store, site(), energy("grid", 1, 1))

    async def away(*_: object) -> Any:
        raise StoreError("the store is away")

    async with serving(FULL, store=store, **SERVICE) as rig:
        assert "jouled_site_energy_joules_total{" in await page_of(rig)
        with monkeypatch.context() as patch:
            patch.setattr(store, "fetch", away)
            # A read that was on its way would find it there again.
            patch.setattr(store.watch, "came_back", lambda: None)
            store.watch.went_away(StoreError("the store is away"))
            page = await page_of(rig)
        store.watch.came_back()
        assert "jouled_site_energy_joules_total{" in await page_of(rig)
    assert values(page, "jouled_store_available") == {(): 0}
    assert "jouled_site_energy" not in page
    assert "energy_consumption" not in page


async def test_of_two_looks_the_later_one_is_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await store.fetch(lambda connection: figures.read(connection, NOW))
    may_end, asked = trio.Event(), iter((True, False))

    async def fetch(*_: object) -> Any:
        if next(asked):
            await may_end.wait()
            return found
        raise StoreError("the store is away")

    monkeypatch.setattr(store, "fetch", fetch)
    metrics = BooksMetrics(store, lambda: NOW, has_compat=False)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(metrics.refresh)
            await trio.testing.wait_all_tasks_blocked()
        may_end.set()
    assert "jouled_store_size_bytes" not in {family.name for family in metrics.collect()}


async def test_health_is_in_the_documented_form() -> None:
    async with serving(FULL, **SERVICE) as rig:
        reply = await rig.get("/health")
        assert (reply.status, reply.json) == (200, {"status": "healthy", "service": "energy-optimization"})
        assert reply.headers["content-type"] == "application/json"
        rig.sampler.completed_at_s = trio.current_time() - 100
        reply = await rig.get("/health")
        assert reply.status == 503
        assert reply.json["status"] == "unhealthy"


async def test_health_says_when_the_store_is_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(FULL, store=store, **SERVICE) as rig:
        assert (await rig.get("/health")).status == 200
        away = store.state._replace(is_available=False)
        monkeypatch.setattr(Store, "state", property(lambda _: away))
        reply = await rig.get("/health")
    assert (reply.status, json.loads(reply.body)["reason"]) == (503, "the store is away; see the log")


async def test_without_the_compat_there_is_no_health() -> None:
    async with serving(FULL) as rig:
        assert (await rig.get("/health")).status == 404


async def test_health_needs_no_secret() -> None:
    digest = "sha256$" + "0" * 64
    async with serving(Listener(FREE, tokens=(digest,)), **SERVICE) as rig:
        assert (await rig.get("/health")).status == 200
        assert (await rig.get("/metrics")).status == 401


def test_the_scanner_gets_only_the_compat_that_it_knows() -> None:
    config = Config(meters=("fake",), compat=("kepler", "energy-service"))
    assert parts.open_host(config).tick() is not None
