"""Loads and their bands: what is well placed, and what calls for something."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jouled.books.load import Bands, Seen, evaluated, sheddable_w, zone_status
from plants import NOW

BANDS = Bands()


def of_site(percent: float) -> Seen:
    return Seen(percent * 10, None, NOW)


@pytest.mark.parametrize(
    ("percent", "status", "needs_action"),
    [
        (49.9, "underutilized", True),
        (50, "underutilized", False),
        (59.9, "underutilized", False),
        (60, "optimal", False),
        (80, "optimal", False),
        (80.1, "overutilized", False),
        (85, "overutilized", False),
        (85.1, "overutilized", True),
        (130, "overutilized", True),
    ],
)
def test_the_bands_are_as_documented_with_their_borders(percent: float, status: str, needs_action: bool) -> None:
    verdict = evaluated(of_site(percent), [], 1000.0, NOW, BANDS)
    assert (verdict.status, verdict.needs_action, verdict.reason) == (status, needs_action, None)
    assert bool(verdict.recommendations) == needs_action


@pytest.mark.parametrize(
    ("percent", "status"),
    [(85.1, "overloaded"), (85, "high"), (80, "high"), (79.9, "optimal"), (60, "optimal"), (59, "low")],
)
def test_a_zone_has_its_status_by_the_same_borders(percent: float, status: str) -> None:
    assert zone_status(percent, BANDS) == status


def test_bands_are_the_operators() -> None:
    verdict = evaluated(of_site(70), [], 1000.0, NOW, Bands(20, 30, 40, 10))
    assert verdict.status == "overutilized"
    assert "above 40 %" in verdict.recommendations[0]


def test_without_metrics_nothing_is_known_and_that_is_said() -> None:
    verdict = evaluated(None, [], 1000.0, NOW, BANDS)
    assert (verdict.load_w, verdict.status, verdict.reason) == (None, "unknown", "no_metrics_available")
    assert not verdict.needs_action


def test_a_metric_of_yesterday_says_nothing_of_now() -> None:
    old = Seen(900, None, NOW - timedelta(days=1))
    verdict = evaluated(old, [old], 1000.0, NOW, BANDS)
    assert (verdict.load_w, verdict.reason, verdict.at) == (None, "metrics_are_stale", old.at)
    assert not verdict.needs_action


def test_zones_are_added_up_where_nobody_measures_the_whole() -> None:
    zones = [Seen(300, 400, NOW), Seen(400, None, NOW), Seen(9000, None, NOW - timedelta(days=1))]
    verdict = evaluated(None, zones, 1000.0, NOW, BANDS)
    assert (verdict.load_w, verdict.peak_w, verdict.source) == (700, 800, "zones")
    assert evaluated(of_site(75), zones, 1000.0, NOW, BANDS).source == "site"


def test_without_a_capacity_a_metrics_own_utilization_counts_or_none_is_known() -> None:
    assert evaluated(Seen(5, None, NOW, 90.0), [], 0.0, NOW, BANDS).needs_action
    verdict = evaluated(Seen(5, None, NOW), [], None, NOW, BANDS)
    assert (verdict.load_w, verdict.utilization_pct, verdict.reason) == (5, None, "no_capacity_known")


def test_what_can_be_shed_is_above_the_least_and_unknown_without_a_load() -> None:
    assert sheddable_w(90, 20, can_shed=True) == 70
    assert sheddable_w(10, 20, can_shed=True) == 0
    assert sheddable_w(90, 20, can_shed=False) == 0
    assert sheddable_w(None, 20, can_shed=True) is None
