"""The caps on /metrics: what is asked for, what holds, and what went wrong. Nothing of it where capping is
off, unless an earlier daemon has left what cannot be given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jouled.wire.caps import Caps, Lease

if TYPE_CHECKING:
    from jouled.control.caps.counters import CapCounters

ZONE = ("zone", "index")
LIMIT = ("zone", "index", "interface", "limit")


class Keeper(Protocol):
    """What is shown of whoever keeps the caps."""

    @property
    def counters(self) -> CapCounters: ...
    def state(self) -> Caps: ...


class CapsMetrics(Collector):
    """From the state as last read: a scrape touches no hardware."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def __repr__(self) -> str:
        return f"<CapsMetrics {self._keeper!r}>"

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        state = self._keeper.state()
        if not state.is_enabled and not self._keeper.counters.restore_failures_total:
            return
        yield from _asked(state)
        yield from _limits(state)
        yield from _slices(state)
        yield from _counted(self._keeper.counters)


def _asked(state: Caps) -> Iterator[Metric]:
    yield GaugeMetricFamily("jouled_cap_leases", "Power caps that are asked for now", len(state.leases))
    yield _gauges(
        "jouled_cap_asked_watts",
        "Lowest power cap that this owner asks for in watts; the lowest of all counts",
        ("owner",),
        (((owner,), watts) for owner, watts in sorted(lowest_by_owner(state.leases).items())),
    )
    if state.effective_watts is not None:
        yield GaugeMetricFamily(
            "jouled_cap_effective_watts", "What the packages' power limits add up to in watts", state.effective_watts
        )


def lowest_by_owner(leases: Iterable[Lease]) -> Mapping[str, float]:
    """By the first word of the owner: programs have one for each block (`python:4711:1`), and series without
    end are no way to tell of them.
    """
    found: dict[str, float] = {}
    for lease in leases:
        name = lease.owner.partition(":")[0]
        found[name] = min(lease.watts, found.get(name, lease.watts))
    return found


def _limits(state: Caps) -> Iterator[Metric]:
    rows = [
        ((zone.zone, zone.index, zone.interface, limit.name), limit) for zone in state.zones for limit in zone.limits
    ]
    for name, text, values in (
        ("limit", "A power limit as it was read last in watts", [(key, row.watts) for key, row in rows]),
        (
            "limit_asked",
            "What was written to a power limit in watts; absent where nothing was",
            [(key, row.asked_watts) for key, row in rows],
        ),
        (
            "original",
            "What will be given back to a power limit in watts; absent where nothing was written",
            [(key, row.original_watts) for key, row in rows],
        ),
    ):
        known = {key: watts for key, watts in values if watts is not None}
        yield _gauges(f"jouled_cap_{name}_watts", text, LIMIT, known.items())
    ceded = {(zone.zone, zone.index, zone.interface, zone.ceded_to): 1 for zone in state.zones if zone.ceded_to}
    yield _gauges(
        "jouled_cap_ceded",
        "Zones that another program writes, and that are left to that one",
        ("zone", "index", "interface", "to"),
        ceded.items(),
    )


def _slices(state: Caps) -> Iterator[Metric]:
    if not state.slices:
        return
    for name, text, values in (
        ("cpus", "CPUs that a slice may use; absent without a limit", [(s.slice, s.cpus) for s in state.slices]),
        (
            "asked_cpus",
            "CPUs that jouled lets a slice use; absent where it is not squeezed",
            [(s.slice, s.asked_cpus) for s in state.slices],
        ),
    ):
        known = {(slice_,): cpus for slice_, cpus in values if cpus is not None}
        yield _gauges(f"jouled_cap_slice_{name}", text, ("slice",), known.items())


def _counted(counters: CapCounters) -> Iterator[Metric]:
    yield CounterMetricFamily("jouled_cap_checks", "Looks at whether limits are as written", counters.checks_total)
    yield CounterMetricFamily("jouled_cap_writes", "Writes of power limits and slices", counters.writes_total)
    yield _by_zone(
        "jouled_cap_write_errors", "Writes of power limits and slices that failed", counters.write_errors_total
    )
    yield _by_zone(
        "jouled_cap_foreign_writes",
        "Power limits found to be written by another program",
        counters.foreign_writes_total,
    )
    yield CounterMetricFamily(
        "jouled_cap_restore_failures",
        "Attempts to give an original back that failed",
        counters.restore_failures_total,
    )


def _by_zone(name: str, help_text: str, values: Mapping[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=ZONE)
    # A copy: this is another thread than the one that counts.
    for key, value in sorted(dict(values).items()):
        family.add_metric(list(key), value)
    return family


def _gauges(
    name: str, help_text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in values:
        family.add_metric(list(key), value)
    return family
