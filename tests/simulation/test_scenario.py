"""Scenario files, and what is said of their mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from jouled.simulation.scenario_file import ScenarioError, builtin_names, load, parse


@pytest.mark.parametrize("name", builtin_names())
def test_each_that_comes_with_jouled_can_be_loaded_and_says_what_it_shows(name: str) -> None:
    assert load(name).about.endswith(".")


def test_an_empty_file_is_a_day_of_sixty_units() -> None:
    scenario = parse("", "empty.toml")
    assert scenario.hours == 24
    assert sum(group.count for group in scenario.fleet) == 60


def test_quantities_have_units() -> None:
    scenario = parse('[plant]\nmean = "1.5kW"\n[[plant.trip]]\nat = "2h"\nfor = "90s"\ndrop = 300\n', "x.toml")
    assert scenario.plant.mean_w == 1500
    assert (scenario.plant.trip[0].at_s, scenario.plant.trip[0].for_s) == (7200, 90)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("hors = 3", "x.toml:1: hors: unknown key; did you mean hours?"),
        ("hours =", "x.toml: not valid TOML"),
        ("hours = -1", "x.toml:1: hours: -1 is out of range; allowed: a number from 0.01 to 744"),
        ('hours = "a"', "x.toml:1: hours: expected `float`, got `str`"),
        ('[plant]\nmean = "x"', "x.toml:2: plant.mean: 'x' is not a power"),
        ('[[plant.trip]]\nat = "1h"', "x.toml:1: plant.trip[0]: for is missing; add it"),
        ("reserve = [8, 60]", "x.toml:1: reserve[1]: 60 is out of range"),
        ('strategies = ["our"]', "x.toml:1: strategies[0]: 'our' is not known; allowed: ours, "),
        ('strategies = ["ours@90"]', "strategies[0]: 'ours@90': '90' is no reserve"),
        ("strategies = []", "x.toml:1: strategies: and reserve need one entry each"),
        ("[[fleet]]\ncount = 3", "x.toml:1: fleet[0]: needs either family (s19, older, newer) or presets"),
        ('[[fleet]]\ncount = 3\nfamily = "s9"', "x.toml:3: fleet[0].family: 's9' is not known"),
        ("[[fleet]]\ncount = 3\npresets = [[0, 1]]", "fleet[0].presets[0]: is no preset; write [WATTS, TH/S]"),
        ("[[fleet]]\ncount = 3\npresets = []", "fleet[0].presets: is empty"),
        ("[[fleet]]\ncount = 3\npresets = [[5, 1], [5, 2]]", "fleet[0].presets: has two presets of the same power"),
        ('[[fleet]]\ncount = 1999\nfamily = "s19"\n[[fleet]]\ncount = 2\nfamily = "s19"', "fleet: has none or more"),
        ('[[fault]]\nkind = "x"\nat = 1\nfor = 2', "x.toml:2: fault[0].kind: invalid enum value 'x'"),
        ("start = 2026-01-01T00:00:00", "x.toml:1: start: has no zone"),
        ("start = 9999-12-31T23:00:00Z", "x.toml:1: start: is not between 1970 and 2999"),
        ('step = "0.7s"', "x.toml:1: step: 0.7 s is no part of a minute"),
        ('step = "5s"\ncycle = "4s"', "x.toml:1: step: 5 s is longer than cycle or plant.poll"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(text: str, what: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        parse(text, "x.toml")
    assert what in str(raised.value)


def test_a_name_that_nobody_knows_has_a_hint() -> None:
    with pytest.raises(ScenarioError, match="no scenario 'hidro'; did you mean hydro"):
        load("hidro")
    with pytest.raises(ScenarioError, match=r"nowhere\.toml: no such file"):
        load("nowhere.toml")


def test_files_that_it_names_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('[plant]\ntrace = "plant.csv"\n[market]\nprices = "/abs.csv"\n')
    scenario = load(str(tmp_path / "site.toml"))
    assert scenario.plant.trace == str(tmp_path / "plant.csv")
    assert scenario.market.prices == "/abs.csv"
