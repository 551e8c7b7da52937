"""What it measures, in a system of real units."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2e.box import Box
from e2e.zones import POWER_W
from pages import Page


@pytest.fixture
def burner(daemon: Box) -> Iterator[str]:
    """A unit that keeps one CPU busy."""
    daemon.start_unit("burner", "sh", "-c", "while :; do :; done", slice_name="batch.slice")
    yield "burner.service"
    daemon.ctl("stop", "burner.service")


def test_the_zones_are_those_of_the_counters(daemon: Box) -> None:
    zones = [dict(labels) for labels in daemon.page().rows("jouled_zone_watts")]
    assert {(zone["zone"], zone["source"]) for zone in zones} == {("package", "rapl"), ("dram", "rapl")}
    start_s, before = time.monotonic(), daemon.page()
    time.sleep(5)
    after, elapsed_s = daemon.page(), time.monotonic() - start_s
    grown_j = [page.sum("jouled_zone_joules_total", zone="package") for page in (before, after)]
    # Each page may be an interval old.
    assert grown_j[1] - grown_j[0] == pytest.approx(POWER_W["intel-rapl:0"] * elapsed_s, rel=0.15)


def test_a_unit_that_burns_has_most_of_the_watts(daemon: Box, burner: str) -> None:
    def is_on_top(page: Page) -> bool:  # of the box's own units; what the host does beside them is nobody's here
        units_w = page.sum("jouled_unit_watts", zone="package")
        return 2 * page.sum("jouled_unit_watts", unit=burner, zone="package") > units_w > 0

    rows = daemon.page_when(is_on_top).rows("jouled_unit_watts")
    (row,) = (row for row in map(dict, rows) if (row["unit"], row["zone"]) == (burner, "package"))
    assert row["slice"].startswith("batch")


def test_the_energy_of_children_that_have_ended_stays_with_their_unit(daemon: Box) -> None:
    storm = "while :; do sh -c 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done'; done"
    daemon.start_unit("storm", "sh", "-c", storm)
    daemon.page_when(lambda page: page.sum("jouled_unit_joules_total", unit="storm.service", zone="package") > 20)
    daemon.ctl("stop", "storm.service")


def test_every_page_adds_up_and_so_does_what_flows_between_two(daemon: Box, burner: str) -> None:
    before = daemon.page_when(lambda page: page.sum("jouled_unit_watts", unit=burner) > 0)
    ticks = before.sum("jouled_ticks_total")
    after = daemon.page_when(lambda page: page.sum("jouled_ticks_total") >= ticks + 10)
    for page in (before, after):
        page.check_watts_add_up(relative=1e-3)
    after.check_nothing_fell_since(before)
    # Readers without rights get each counter in whole millijoules.
    after.check_joules_flowed_since(before, relative=1e-3)
