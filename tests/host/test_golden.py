"""The golden pages, which the Rust tests render from the fake hosts, read as Prometheus reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import Page, openmetrics, promtool

GOLDEN = Path(__file__).parents[1] / "golden"
HOSTS = Path(__file__).parents[1] / "hosts"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.prom")), ids=lambda path: path.stem)
def test_a_golden_page_adds_up_and_promtool_has_nothing_to_say(path: Path) -> None:
    text = path.read_bytes()
    assert promtool(text) == ""
    page = Page(text)
    assert page.rows("jouled_zone_watts")
    page.check_watts_add_up(1e-4)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.om")), ids=lambda path: path.stem)
def test_a_golden_openmetrics_page_is_one(path: Path) -> None:
    text = path.read_text()
    families = openmetrics(text if text.endswith("# EOF\n") else text + "# EOF\n")
    assert families["jouled_zone_joules"].unit == "joules"


def test_every_fake_host_has_a_golden_page() -> None:
    assert {path.stem for path in HOSTS.glob("*.host")} == {path.stem for path in GOLDEN.glob("*.prom")}
