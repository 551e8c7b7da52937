"""The balanced loads on /metrics: what each draws, does and is. Nothing of it where nothing is balanced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from jouled.control.fleet.fleet import Fleet
    from jouled.control.fleet.watched import Watched

# Each is a few series; of the others there is one row of each kind, so that sums are right.
LOADS_MAX = 300
OTHER = "other"
STATES = ("running", "starting", "tuning", "paused", "off", "held", "failed", "away", "suspect")


class FleetMetrics(Collector):
    """From what is in memory: a scrape asks no load."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def __repr__(self) -> str:
        return f"<FleetMetrics {self._fleet!r}>"

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        watched = self._fleet.watched
        shown, others = watched[:LOADS_MAX], watched[LOADS_MAX:]
        yield _sums(
            "jouled_load_power_watts",
            "Power that a balanced load draws, as it was seen last; absent where it is not known",
            [(one, None if one.seen is None else one.seen.power_w) for one in shown],
            [(one, None if one.seen is None else one.seen.power_w) for one in others],
        )
        yield _sums(
            "jouled_load_work",
            "Work that a balanced load does each second, as it was seen last; of miners in TH/s",
            [(one, None if one.seen is None else one.seen.work) for one in shown],
            [(one, None if one.seen is None else one.seen.work) for one in others],
        )
        yield _states(shown)
        yield from _counts(watched)
        polls = CounterMetricFamily(
            "jouled_load_polls", "Times that a balanced load was asked, by how that went", labels=("result",)
        )
        for result in ("ok", "failed", "late", "defect"):
            polls.add_metric([result], self._fleet.polls[result])
        yield polls
        if self._fleet.roster is not None:
            discovery = self._fleet.roster.discovery
            yield CounterMetricFamily("jouled_miner_scans", "Searches for miners", discovery.scans)
            yield CounterMetricFamily(
                "jouled_miner_moves", "Times that a miner answered under another address", self._fleet.roster.moves
            )


def _sums(
    name: str,
    text: str,
    shown: list[tuple[Watched, float | None]],
    others: list[tuple[Watched, float | None]],
) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("load", "kind"))
    for one, value in shown:
        if value is not None:
            family.add_metric([one.id, one.actuator.kind], value)
    sums: dict[str, float] = {}
    for one, value in others:
        if value is not None:
            sums[one.actuator.kind] = sums.get(one.actuator.kind, 0.0) + value
    for kind, total in sorted(sums.items()):
        family.add_metric([OTHER, kind], total)
    return family


def _states(shown: tuple[Watched, ...]) -> Metric:
    family = GaugeMetricFamily(
        "jouled_load_state", "1 for the state that a balanced load is in", labels=("load", "state")
    )
    for one in shown:
        if one.seen is not None:
            family.add_metric([one.id, one.seen.state], 1)
    return family


def _counts(watched: tuple[Watched, ...]) -> Iterator[Metric]:
    family = GaugeMetricFamily("jouled_loads", "Balanced loads by state", labels=("state",))
    found = Counter("unknown" if one.seen is None else one.seen.state for one in watched)
    for state in (*STATES, "unknown"):
        family.add_metric([state], found[state])
    yield family
    unmanaged = sum(one.allowed.unmanaged is not None for one in watched)
    yield GaugeMetricFamily("jouled_loads_unmanaged", "Loads that are watched and may not be steered", unmanaged)
