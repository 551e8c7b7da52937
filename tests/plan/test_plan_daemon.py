"""The plan on a real daemon: it caps as the market says, shows why, and gives back; joulectl shows it before."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from limit_trees import LimitTree
from serving_api import Api, serving_api

LINE = re.compile(
    r"Power calculation: period=\d\d:\d\d-\d\d:\d\d, source=\d+ µW, max=95000000 µW, min=10000000 µW, applied=(\d+) µW"
)


@pytest.fixture
def tree(tmp_path: Path) -> LimitTree:
    made = LimitTree(tmp_path)
    zone = made.package(0)
    (zone / "constraint_0_max_power_uw").write_text("95000000\n")
    (zone / "constraint_1_max_power_uw").write_text("0\n")
    return made


def settings(tmp_path: Path, tree: LimitTree, *more: str) -> Path:
    path = tmp_path / "jouled.toml"
    text = [
        f'sysfs = "{tree.sysfs}"',
        "[market]",
        'providers = ["mock"]',
        "[caps]",
        "enabled = true",
        "[tariff]",
        'charges = ["0.08"]',
        "tax = 19",
        "[plan]",
        'strategies = ["volume-proportional", "price-rank"]',
        *more,
    ]
    path.write_text("\n".join(text))
    return path


def until(look: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < end_s
        time.sleep(0.05)
    return found


def decisions(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.ask("GET", "/api/v1/market/decisions").json["items"]
    return found


def joulectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from jouled.cli.joulectl import main; sys.argv[0] = 'joulectl'; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_the_daemon_caps_as_the_market_says_and_gives_back(tmp_path: Path, tree: LimitTree) -> None:
    before = tree.limits()
    with serving_api(tmp_path, "--config", str(settings(tmp_path, tree))) as api:
        (first, *_) = until(lambda: decisions(api))
        assert first["applied_watts"] == first["watts"]
        assert set(first["inputs"]) == {"volume-proportional", "price-rank", "strategy"}
        assert tree.limits() != before
        plan = api.ask("GET", "/api/v1/market/plan").json
        assert (plan["is_in_force"], plan["min_watts"], plan["max_watts"]) == (True, 10.0, 95.0)
        assert plan["currency"] == "EUR"
        (slot,) = [one for one in plan["slots"] if one["start"] <= first["start"] < one["end"]]
        assert slot["watts"] == first["watts"]
        assert slot["tariff"] == pytest.approx((slot["price"] + 80) * 1.19)
        (lease,) = api.ask("GET", "/api/v1/caps").json["leases"]
        assert lease["owner"] == "market"
        page = api.ask("GET", "/metrics").body.decode()
        assert f"\njouled_plan_budget_watts {first['watts']}" in page
        assert '\njouled_plan_power_watts{bound="max"} 95.0' in page
        assert "\njouled_plan_data_available 1.0" in page
        assert "\njouled_power_adjustments_total 1.0" in page
        shown = joulectl("--url", api.url, "market", "plan")
        assert "It is in force." in shown.stdout, shown.stderr
        assert "now: " in shown.stdout
        api.daemon.stop()
        assert tree.limits() == before
        said = api.daemon.said + api.daemon.rest()
    found = LINE.search(said)
    assert found is not None, said
    assert int(found[1]) == round(first["watts"] * 1e6)


def test_the_variables_of_powercap_alone_make_a_daemon_that_does_what_powercap_says(
    tmp_path: Path, tree: LimitTree
) -> None:
    given = {
        "NODE_NAME": "node-7",
        "MAX_SOURCE": "60000000",
        "STABILISATION_TIME": "1",
        "RAPL_MIN_POWER": "20000000",
        "TIMEZONE": "Europe/Paris",
        "DATA_PROVIDER": "static",
        "ALPHA": "4",
    }
    environ = given | {"JOULED_COMPAT": "powercap", "JOULED_CAPS_ENABLED": "true", "JOULED_SYSFS": str(tree.sysfs)}
    with serving_api(tmp_path, "--config", "", **environ) as api:
        (first, *_) = until(lambda: decisions(api))
        assert first["node"] == "node-7"
        found = first["inputs"]["volume-proportional"]
        # The volumes of static go from 30 to 54 MWh, at noon.
        assert found["source_w"] == pytest.approx(round(found["volume_mwh"] / 54 * 60, 6), abs=1e-6)
        assert first["watts"] == max(20.0, found["source_w"])
        assert api.ask("GET", "/api/v1/market/plan").json["timezone"] == "Europe/Paris"
        api.daemon.stop()
        said = api.daemon.said
    assert said.count("ALPHA: it never did anything in powercap either; remove it") == 1


def test_without_capping_nothing_is_steered_and_the_plan_is_shown(tmp_path: Path, tree: LimitTree) -> None:
    before = {path: path.stat().st_mtime_ns for path in tree.sysfs.rglob("*")}
    with serving_api(tmp_path, "--config", str(settings(tmp_path, tree)), JOULED_CAPS_ENABLED="false") as api:
        plan = until(lambda: (plan := api.ask("GET", "/api/v1/market/plan").json)["currency"] and plan)
        assert (plan["is_in_force"], plan["max_watts"]) == (False, 95.0)
        assert all(slot["watts"] is not None for slot in plan["slots"])
        assert decisions(api) == []
        assert "jouled_plan" not in api.ask("GET", "/metrics").body.decode()
        api.daemon.stop()
    assert {path: path.stat().st_mtime_ns for path in tree.sysfs.rglob("*")} == before


def test_without_a_store_the_plan_is_there_all_the_same(tmp_path: Path, tree: LimitTree) -> None:
    config = str(settings(tmp_path, tree))
    with serving_api(tmp_path, "--config", config, JOULED_STORE_URL="none") as api:
        before = tree.limits()
        until(lambda: tree.limits() != before or "jouled_plan_budget_watts" in api.ask("GET", "/metrics").body.decode())
        answer = api.ask("GET", "/api/v1/market/plan")
        assert (answer.status, answer.json["is_in_force"]) == (200, True)
        api.daemon.stop()


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in {"src", "href"}]


def test_joulectl_shows_the_day_before_it_acts(tmp_path: Path, tree: LimitTree) -> None:
    config = ("market", "--config", str(settings(tmp_path, tree)), "plan")
    told = joulectl(*config, "--day", "2026-10-25", "--json")
    plan = json.loads(told.stdout)
    assert (len(plan["slots"]), plan["is_in_force"]) == (100, False), told.stderr
    table = joulectl(*config, "--day", "2026-10-25").stdout.splitlines()
    assert table[0] == (
        "2026-10-25 Europe/Berlin. By volume-proportional, price-rank, from 10 W to 95 W."
        " It is not in force: it shows what would hold."
    )
    labels = [line.split()[:2] for line in table[2:]]
    # Twice, with another offset.
    assert [label[1] for label in labels if label[0] == "02:00-02:15"] == ["+02:00", "+01:00"]
    assert labels[-1] == ["23:45-24:00", "+01:00"]
    out = tmp_path / "plan.html"
    done = joulectl(*config, "--day", "2026-03-29", "--html", str(out))
    assert done.returncode == 0, done.stderr
    page = Page()
    page.feed(out.read_text())
    assert (page.links, page.tags.count("svg"), page.tags.count("path")) == ([], 2, 3)
    assert page.tags.count("tr") == 92 + 1
    assert "script" not in page.tags
    assert "prefers-color-scheme: dark" in out.read_text()


def test_joulectl_without_a_daemon_counts_energy_from_deadline_to_deadline(tmp_path: Path) -> None:
    config = tmp_path / "jouled.toml"
    lines = ["[market]", 'providers = ["mock"]', "[plan]", 'max = "100W"', 'strategies = ["cheapest-hours"]']
    config.write_text("\n".join([*lines, "[plan.cheapest]", 'energy = "1kWh"', ""]))
    told = joulectl("market", "--config", str(config), "plan", "--day", "2026-07-01", "--json")
    # All days are equal, so of each local day ten hours are taken.
    assert [slot["watts"] for slot in json.loads(told.stdout)["slots"]].count(100.0) == 40, told.stderr


def test_joulectl_says_where_there_is_no_plan(tmp_path: Path) -> None:
    config = tmp_path / "jouled.toml"
    config.write_text('[market]\nproviders = ["mock"]\n')
    done = joulectl("market", "--config", str(config), "plan")
    assert "No strategy is set: nothing follows the market." in done.stdout, done.stderr
    config.write_text(f'sysfs = "{tmp_path}"\n[market]\nproviders = ["mock"]\n[plan]\nstrategies = ["price-rank"]\n')
    done = joulectl("market", "--config", str(config), "plan")
    assert "the highest budget is not known: the hardware tells none; set plan.max" in done.stderr
    assert done.returncode == 0
    both = joulectl("market", "--config", str(config), "plan", "--html", "-", "--json")
    assert (both.returncode, "give one of them" in both.stderr) == (2, True)
