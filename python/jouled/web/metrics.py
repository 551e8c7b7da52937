"""The daemon's own metrics: what it costs, what it could not read, which ticks it missed."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

import jouled
from jouled.model import ScanStats, Snapshot, ZoneKey
from jouled.sampler import Sampler
from jouled.web.negotiate import Form

# The text format has no word for the creation time: it would be one more gauge for each series.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Around what a scan takes: 1 ms on a small host, 50 ms with ten thousand processes.
SCAN_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class OwnMetrics(Collector):
    """A private registry: other users of prometheus_client in this process stay off the page."""

    def __init__(self, sampler: Sampler, *, source: str, has_process: bool = True) -> None:
        self._sampler = sampler
        # Once, and at the start: a lookup that fails must not fail a scrape.
        self._build = {"version": jouled.__version__, "python": platform.python_version(), "source": source}
        self._snapshot: Snapshot | None = None
        # Answers by route and status; the application counts them.
        self.requests: Counter[tuple[str, int]] = Counter()
        self._registry = CollectorRegistry()
        self._scan_seconds = Histogram(
            "jouled_scan_seconds",
            "Time one scan of the host took in seconds",
            buckets=SCAN_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(self)
        if has_process:
            ProcessCollector(registry=self._registry)
            GCCollector(registry=self._registry)

    def include(self, collector: Collector) -> None:
        """On the page from now on."""
        self._registry.register(collector)

    def observe(self, snapshot: Snapshot) -> None:
        """Called with every snapshot, for what has to be summed up."""
        self._scan_seconds.observe(snapshot.scan.seconds)

    def render(self, form: Form, snapshot: Snapshot) -> bytes:
        """The last part of the page; only one thread at a time renders."""
        self._snapshot = snapshot
        generate = generate_openmetrics if form is Form.OPENMETRICS else generate_latest
        return bytes(generate(self._registry))

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not collect before there is a snapshot."""
        return []

    def collect(self) -> Iterator[Metric]:
        build = InfoMetricFamily(
            "jouled_build", "The version of jouled and of its Python, and where its numbers come from"
        )
        build.add_metric([], self._build)
        yield build
        yield from _counters(
            {
                "jouled_ticks": ("Ticks with a completed scan", self._sampler.ticks_total),
                "jouled_ticks_late": (
                    "Ticks skipped because an earlier one took too long",
                    self._sampler.ticks_late_total,
                ),
                "jouled_scan_errors": ("Scans that failed as a whole", self._sampler.scan_errors_total),
            }
        )
        requests = CounterMetricFamily(
            "jouled_http_requests", "Requests answered, by route and status", labels=("route", "code")
        )
        # A copy: this is another thread than the one that counts.
        for (route, code), count in sorted(self.requests.copy().items()):
            requests.add_metric([route, str(code)], count)
        yield requests
        if self._snapshot is not None:
            yield from _of_scan(self._snapshot.scan)


def _of_scan(scan: ScanStats) -> Iterator[Metric]:
    yield GaugeMetricFamily("jouled_scan_processes", "Processes seen by the last scan", scan.processes)
    yield GaugeMetricFamily("jouled_scan_cgroups", "Cgroups seen by the last scan", scan.cgroups)
    yield from _counters(
        {
            "jouled_scan_cpu_seconds": (
                "CPU time of the threads that scanned, while scanning, in seconds",
                scan.cpu_seconds_total,
            ),
            "jouled_scan_unreadable": ("Processes and cgroups that could not be read", scan.unreadable_total),
            "jouled_scan_vanished": ("Processes that ended while they were read", scan.vanished_total),
            "jouled_scan_reused": ("Process ids found to belong to another process than before", scan.reused_total),
        }
    )
    yield _by_zone("jouled_zone_read_errors", "Failed reads of a zone", scan.zone_read_errors_total)
    yield _by_zone(
        "jouled_zone_resets", "Intervals left out because the counter of a zone was reset", scan.zone_resets_total
    )
    yield _by_zone("jouled_zone_wraps", "Times the counter of a zone passed its largest value", scan.zone_wraps_total)


def _counters(values: Mapping[str, tuple[str, float]]) -> Iterator[Metric]:
    for name, (help_text, value) in values.items():
        yield CounterMetricFamily(name, help_text, value)


def _by_zone(name: str, help_text: str, values: Mapping[ZoneKey, int]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=("zone", "index", "source"))
    for key, value in sorted(values.items()):
        family.add_metric(list(key), value)
    return family
