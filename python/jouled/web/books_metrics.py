"""The books on /metrics: from a query of their own every ten seconds, never one of the scrape.

Counters come from the store, so they go on where they were after a restart. While the store is away
only what is known of it itself is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import trio
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jouled.bookkeeping import figures
from jouled.bookkeeping.figures import Figures
from jouled.errors import StoreError
from jouled.store import Store
from jouled.web import energy_service

REFRESH_S = 10.0
# Of the time between two queries, one query takes this part at most.
SHARE = 1 / 50


class BooksMetrics(Collector):
    """`refresh` keeps the figures, `collect` shows them; `clock` tells which period of a budget is now."""

    def __init__(self, store: Store, clock: Callable[[], datetime], *, has_compat: bool) -> None:
        self._store = store
        self._clock = clock
        self._has_compat = has_compat
        self._figures: Figures | None = None
        # One look at a time: of two, the one that was asked for earlier might come last, and would be shown.
        self._looking = trio.Lock()

    def __repr__(self) -> str:
        return f"<BooksMetrics {self._store!r}>"

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            start_s = trio.current_time()
            await self.refresh()
            took_s = trio.current_time() - start_s
            await trio.sleep(max(REFRESH_S, took_s / SHARE))

    async def refresh(self) -> None:
        async with self._looking:
            now = self._clock()
            try:
                self._figures = await self._store.fetch(lambda connection: figures.read(connection, now))
            except StoreError:
                self._figures = None  # the store says so itself

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from _store(self._store)
        found = self._figures
        if found is None:
            return
        yield GaugeMetricFamily("jouled_store_size_bytes", "Size of the store in bytes", found.size_bytes)
        yield _gauges("jouled_books_cut", "Tables of which not all rows are shown here", ("table",), _ones(found.cut))
        yield from _energy(found)
        yield from _loads(found)
        yield from _meters(found)
        yield from _decisions(found)
        if self._has_compat:
            yield from energy_service.families(found)


def _store(store: Store) -> Iterator[Metric]:
    state = store.state
    yield GaugeMetricFamily("jouled_store_available", "Whether the store takes what is written", state.is_available)
    yield GaugeMetricFamily("jouled_store_waiting", "Writes that wait for the store", state.waiting)
    yield CounterMetricFamily("jouled_store_writes", "Writes that are on disk", state.writes)
    yield CounterMetricFamily("jouled_store_failures", "Writes refused because the store was away", state.failures)
    yield CounterMetricFamily("jouled_store_dropped", "Records given up because the store was away", state.dropped)


def _energy(found: Figures) -> Iterator[Metric]:
    labels = ("site", "source", "direction")
    joules = CounterMetricFamily("jouled_site_energy_joules", "Energy of a site's readings in joules", labels=labels)
    grams: dict[tuple[str, str], int] = {}
    for row in found.energy:
        joules.add_metric([row.site_id, row.energy_source, row.direction], row.energy_mj / 1e3)
        key = (row.site_id, row.energy_source)
        grams[key] = grams.get(key, 0) + row.emission_ug
    yield joules
    emitted = CounterMetricFamily(
        "jouled_site_emissions_grams", "What a site's energy emitted, in grams of CO2e", labels=("site", "source")
    )
    for (site, source), micrograms in grams.items():
        emitted.add_metric([site, source], micrograms / 1e6)
    yield emitted
    yield _gauges(
        "jouled_carbon_budget_used_ratio",
        "Used part of a carbon budget in its current period; more than 1 is exceeded",
        ("site", "budget", "period"),
        (((row.site_id, row.id, row.budget_period), row.used_ug / row.amount_ug) for row in found.budgets),
    )
    recorded = CounterMetricFamily(
        "jouled_recorded_joules",
        "Energy of a zone in the records of all daemons of this store, in joules",
        labels=("node", "zone", "index", "source"),
    )
    for zone in found.recorded:
        recorded.add_metric([zone.node, zone.zone, zone.zone_index, zone.source], zone.total_mj / 1e3)
    yield recorded


def _loads(found: Figures) -> Iterator[Metric]:
    labels = ("site", "site_zone")
    yield _gauges(
        "jouled_site_zone_load_watts",
        "Load of a zone of a site by its latest metric in watts; absent when that is older than half an hour",
        labels,
        (((row.site_id, row.id), row.current_load_w) for row in found.zones),
    )
    yield _gauges(
        "jouled_site_zone_utilization_ratio",
        "Load of a zone of a site as part of its capacity",
        labels,
        (((row.site_id, row.id), row.current_load_w / row.capacity_w) for row in found.zones if row.capacity_w),
    )
    yield _gauges(
        "jouled_site_utilization_ratio",
        "Load of a site's zones as part of the site's capacity",
        ("site",),
        (((row.id,), row.load_w / row.capacity_w) for row in found.sites),
    )


def _meters(found: Figures) -> Iterator[Metric]:
    labels = ("meter", "site", "kind", "direction")
    named = [((row.id, row.site_id or "", row.kind, row.direction), row) for row in found.meters]
    yield _gauges(
        "jouled_meter_power_watts",
        "Power of a meter's latest reading in watts; absent when that is older than half an hour",
        labels,
        ((names, row.power_w) for names, row in named if row.power_w is not None),
    )
    yield _gauges(
        "jouled_meter_charge_ratio",
        "Charge of a battery's latest reading",
        labels,
        ((names, row.charge_pct / 100) for names, row in named if row.charge_pct is not None),
    )
    yield _gauges(
        "jouled_meter_reading_timestamp_seconds",
        "When a meter's latest reading was taken, in seconds since 1970",
        labels,
        ((names, row.latest_at.timestamp()) for names, row in named),
    )


def _decisions(found: Figures) -> Iterator[Metric]:
    steps = CounterMetricFamily(
        "jouled_decisions",
        "How often decisions came to have this status; proposed counts each decision once",
        labels=("site", "type", "status"),
    )
    for row in found.steps:
        steps.add_metric([row.site_id, row.decision_type, row.to_status], row.number)
    yield steps
    yield _gauges(
        "jouled_alerts_open",
        "Conditions that are open now",
        ("severity",),
        (((row.severity,), row.number) for row in found.alerts),
    )


def _ones(names: Iterable[str]) -> Iterator[tuple[tuple[str], float]]:
    return (((name,), 1) for name in names)


def _gauges(
    name: str, help_text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for names, value in values:
        family.add_metric(list(names), value)
    return family
