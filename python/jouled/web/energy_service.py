"""The five metrics that `compat = ["energy-service"]` adds."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from jouled.bookkeeping.figures import Figures

MILLIJOULES_PER_KWH = 3_600_000_000
MICROGRAMS_PER_KG = 1_000_000_000


def families(found: Figures) -> Iterator[Metric]:
    """Percentages are percentages: a dashboard must not multiply them by 100."""
    yield from _sums(found)
    budgets = GaugeMetricFamily(
        "carbon_budget_usage_percentage",
        "Used part of a carbon budget in its current period in percent; above 100 is exceeded",
        labels=("facility_id", "budget_id", "budget_period"),
    )
    for row in found.budgets:
        budgets.add_metric([row.site_id, row.id, row.budget_period], row.used_ug * 100 / row.amount_ug)
    yield budgets
    rate = GaugeMetricFamily(
        "energy_utilization_rate",
        "Load of a facility's zones as part of its total capacity in percent",
        labels=("facility_id",),
    )
    for row in found.sites:
        rate.add_metric([row.id], row.load_w * 100 / row.capacity_w)
    yield rate
    decisions = CounterMetricFamily(
        "load_balancing_decisions",
        "Load balancing decisions that were made",
        labels=("facility_id", "decision_type"),
    )
    for row in found.decisions:
        decisions.add_metric([row.site_id, row.decision_type], row.number)
    yield decisions


def _sums(found: Figures) -> Iterator[Metric]:
    labels = ("facility_id", "energy_source")
    consumed = CounterMetricFamily("energy_consumption", "Energy consumed by a facility in kWh", labels=labels)
    emitted = CounterMetricFamily("carbon_emission", "What a facility's energy emitted in kg of CO2e", labels=labels)
    micrograms: dict[tuple[str, str], int] = {}
    for row in found.energy:
        key = (row.site_id, row.energy_source)
        micrograms[key] = micrograms.get(key, 0) + row.emission_ug
        if row.direction == "consume":
            consumed.add_metric(list(key), row.energy_mj / MILLIJOULES_PER_KWH)
    for key, sum_ug in micrograms.items():
        emitted.add_metric(list(key), sum_ug / MICROGRAMS_PER_KG)
    yield consumed
    yield emitted
