"""A page of metrics, read the way Prometheus does."""

from __future__ import annotations

import math
import subprocess

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as text_string_to_openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

LEVELS = ("process", "unit", "container", "pod", "vm", "user")


class Page:
    """Every sample of a page by name and labels; a series that stands there twice is an error."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.series: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.series, f"twice on one page: {key}"
                assert not math.isnan(sample.value), f"not a number: {key}"
                self.series[key] = sample.value

    def sum(self, name: str, **labels: str) -> float:
        """The sum of all series of this name with these labels."""
        wanted = labels.items()
        return math.fsum(value for (found, has), value in self.series.items() if found == name and wanted <= has)

    def rows(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        return {labels: value for (found, labels), value in self.series.items() if found == name}

    def classes(self) -> set[str]:
        return {dict(labels)["zone"] for labels in self.rows("jouled_zone_watts")}

    def check_watts_add_up(self, relative: float) -> None:
        """Σ series + Σ residual = active for each level and class, and active + idle = zone."""
        for zone in self.classes():
            active = self.sum("jouled_zone_active_watts", zone=zone)
            idle = self.sum("jouled_zone_idle_watts", zone=zone)
            total = self.sum("jouled_zone_watts", zone=zone)
            assert math.isclose(active + idle, total, rel_tol=relative, abs_tol=1e-5), (zone, active, idle, total)
            for level in LEVELS:
                rows = self.sum(f"jouled_{level}_watts", zone=zone)
                rest = self.sum("jouled_residual_watts", zone=zone, level=level)
                assert math.isclose(rows + rest, active, rel_tol=relative, abs_tol=1e-5), (
                    level,
                    zone,
                    rows,
                    rest,
                    active,
                )

    def check_nothing_fell_since(self, before: Page) -> None:
        for key, value in self.series.items():
            if key[0].endswith("_total") and key in before.series:
                assert value >= before.series[key], f"{key} fell from {before.series[key]} to {value}"

    def check_joules_flowed_since(self, before: Page, relative: float) -> None:
        """The growth of every level's counters between two pages is the growth of active energy."""
        for zone in self.classes():
            active = self._growth(before, "jouled_zone_active_joules_total", zone)
            for level in LEVELS:
                rows = self._growth(before, f"jouled_{level}_joules_total", zone)
                now, then = (
                    page.sum("jouled_residual_joules_total", zone=zone, level=level) for page in (self, before)
                )
                rest = now - then
                assert math.isclose(rows + rest, active, rel_tol=relative, abs_tol=1e-4), (
                    level,
                    zone,
                    rows,
                    active,
                )

    def _growth(self, before: Page, name: str, zone: str) -> float:
        now, then = self.rows(name), before.rows(name)
        return math.fsum(value - then.get(key, 0.0) for key, value in now.items() if ("zone", zone) in key)


def openmetrics(text: str) -> dict[str, Metric]:
    """The families of an OpenMetrics page by name."""
    families = text_string_to_openmetrics_families(text)  # type: ignore[no-untyped-call]  # it has no types
    return {family.name: family for family in families}


def promtool(page: bytes) -> str:
    """What `promtool check metrics` has to say of a page; nothing, if all is well."""
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()
