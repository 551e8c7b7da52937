"""The plant on /metrics: what it gives, what of that is believed, how old it is, and how asking went. What is not known
is absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jouled.balance.site.supply import REJECTIONS
from jouled.balance.site.words import Stage

if TYPE_CHECKING:
    from jouled.control.plant.feed import PlantFeed


class PlantMetrics(Collector):
    """From what is in memory: a scrape asks nobody."""

    def __init__(self, feed: PlantFeed) -> None:
        self._feed = feed

    def __repr__(self) -> str:
        return f"<PlantMetrics {self._feed!r}>"

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        feed = self._feed
        supply = feed.supply()
        for name, words, value in (
            ("jouled_plant_generation_watts", "What the plant said that was believed last", supply.reading_w),
            ("jouled_plant_supply_watts", "What the plant is believed to give now", supply.power_w),
            (
                "jouled_plant_reading_age_seconds",
                "How long ago the oldest source of the latest believed reading was read",
                supply.age_s,
            ),
        ):
            family = GaugeMetricFamily(name, f"{words}; absent where it is not known")
            if value is not None:
                family.add_metric([], value)
            yield family
        stages = GaugeMetricFamily("jouled_plant_stage", "By its age, one of them is 1", labels=("stage",))
        for stage in get_args(Stage):
            stages.add_metric([stage], stage == supply.stage)
        yield stages
        polls = CounterMetricFamily(
            "jouled_plant_polls", "Times that the plant was asked, by how that went", labels=("result",)
        )
        for result, count in sorted(feed.results.items()):
            polls.add_metric([result], count)
        yield polls
        rejected = CounterMetricFamily(
            "jouled_plant_rejected", "Readings that were not believed, by why not", labels=("reason",)
        )
        for reason in REJECTIONS:
            rejected.add_metric([reason], feed.rejected[reason])
        yield rejected
