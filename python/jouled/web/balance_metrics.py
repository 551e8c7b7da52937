"""The balancer on /metrics: supply, budget, load and target, what it changed, and whether it can still act. What is not
known is absent; nothing of it where nothing is balanced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from jouled.control.site.counting import CYCLE_BOUNDS_S
from jouled.wire.balance import BalanceStatus, Band, Mode

if TYPE_CHECKING:
    from jouled.control.site.counting import BalanceCounters
    from jouled.feed import Feed


class Balancing(Protocol):
    """What is shown of the balancer."""

    @property
    def counters(self) -> BalanceCounters: ...
    @property
    def changed(self) -> Feed[BalanceStatus]: ...


class BalanceMetrics(Collector):
    """From the latest cycle: a scrape asks no load and no plant."""

    def __init__(self, balancer: Balancing) -> None:
        self._balancer = balancer

    def __repr__(self) -> str:
        return f"<BalanceMetrics {self._balancer!r}>"

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        # Another thread than the balancer's: of the feed it takes what cannot change any more.
        status = self._balancer.changed.latest
        if status is not None:
            yield from _powers(status)
            yield from _states(status)
        yield from _counted(self._balancer.counters)


def _powers(status: BalanceStatus) -> Iterator[Metric]:
    for name, words, value in (
        ("supply_watts", "What the plant is believed to give in watts", status.supply_watts),
        ("budget_watts", "What the loads may draw by the lowest of all bounds in watts", status.budget_watts),
        ("target_watts", "What is aimed at, below the budget by the safety margin, in watts", status.target_power_w),
        ("load_watts", "What the loads count with: the larger of measured and ordered, in watts", status.load_watts),
        ("measured_watts", "What the loads say that they draw in watts", status.current_consumption_w),
        ("limit_watts", "What the operator allows while the daemon runs in watts", status.limit_watts),
    ):
        family = GaugeMetricFamily(f"jouled_balance_{name}", f"{words}; absent where it is not known or not set")
        if value is not None:
            family.add_metric([], value)
        yield family


def _states(status: BalanceStatus) -> Iterator[Metric]:
    yield _one_of("band", "The balancer's band; one of them is 1", get_args(Band), status.band)
    yield _one_of("mode", "Whether the balancer acts; one of them is 1", get_args(Mode), status.mode)
    for name, words, value in (
        ("stale", "1 where the plant was not heard of for long", status.stage not in (None, "fresh")),
        ("saturated", "1 where nothing is left to shed, and it is still too much", status.is_saturated),
        ("leader", "1 where this daemon acts, of several of one site", status.is_leader),
        ("paused", "1 where nothing is raised, because somebody has paused the balancer", status.is_paused),
        ("pending", "Changes of loads that were ordered and not seen yet", len(status.pending)),
        ("proposed", "Changes of loads that wait for somebody", status.proposed),
        ("safety_margin_percent", "Percent of the budget that is not aimed at", status.safety_margin_percent),
    ):
        yield GaugeMetricFamily(f"jouled_balance_{name}", words, float(value))


def _one_of(name: str, words: str, values: tuple[str, ...], now: str) -> Metric:
    family = GaugeMetricFamily(f"jouled_balance_{name}", words, labels=(name,))
    for value in values:
        family.add_metric([value], value == now)
    return family


def _counted(counters: BalanceCounters) -> Iterator[Metric]:
    # Copies: this is another thread than the one that counts.
    yield _counter(
        "changes",
        "Changes of loads, by kind, each time that it became known what comes or came of one",
        ("kind", "result"),
        dict(counters.changes_total).items(),
    )
    yield _counter(
        "happenings",
        "What befell the site and its loads",
        ("kind",),
        (((kind,), count) for kind, count in dict(counters.happenings_total).items()),
    )
    counts = list(accumulate(counters.cycle_s_buckets))
    bounds = [*map(str, CYCLE_BOUNDS_S), "+Inf"]
    yield HistogramMetricFamily(
        "jouled_balance_cycle_seconds",
        "Time that one cycle of the balancer took in seconds",
        buckets=list(zip(bounds, counts, strict=True)),
        sum_value=counters.cycle_s_sum,
    )


def _counter(name: str, words: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], int]]) -> Metric:
    family = CounterMetricFamily(f"jouled_balance_{name}", words, labels=labels)
    for key, count in sorted(counts):
        family.add_metric(list(key), count)
    return family
