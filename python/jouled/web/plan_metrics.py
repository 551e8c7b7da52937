"""The plan on /metrics: what is allowed now, and how often that has changed. Nothing of it where nothing is steered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from jouled.control.plan.steering import Steering


class PlanMetrics(Collector):
    """From the latest look: a scrape plans nothing."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    def __repr__(self) -> str:
        return f"<PlanMetrics {self._steering!r}>"

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        counters = self._steering.counters
        yield CounterMetricFamily(
            "jouled_power_adjustments",
            "Times that the node's power cap became another one because the plan's budget did",
            counters.adjustments_total,
        )
        yield CounterMetricFamily(
            "jouled_plan_looks", "Times that the plan was looked at for what is allowed now", counters.looks_total
        )
        yield CounterMetricFamily(
            "jouled_plan_failures", "Times that the plan's cap was refused", counters.failures_total
        )
        if counters.range is not None:
            bounds = GaugeMetricFamily(
                "jouled_plan_power_watts", "Lowest and highest budget of the plan in watts", labels=("bound",)
            )
            bounds.add_metric(["min"], counters.range.min_w)
            bounds.add_metric(["max"], counters.range.max_w)
            yield bounds
        if counters.budget is None:
            return
        missing = counters.budget.inputs.get("missing")
        yield GaugeMetricFamily(
            "jouled_plan_data_available",
            "Whether all that the plan's strategies need is known of now",
            0 if missing else 1,
        )
        if counters.budget.power_w is not None:
            yield GaugeMetricFamily(
                "jouled_plan_budget_watts",
                "Power that the plan allows now in watts; absent where that is no limit",
                counters.budget.power_w,
            )
