"""The guide to scenarios knows every key, every strategy, and shows a file that can be simulated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from jouled.config import shapes
from jouled.simulation.names import NAMES
from jouled.simulation.scenario import Scenario
from jouled.simulation.scenario_file import parse

GUIDE = Path(__file__).parents[2] / "docs" / "simulate.md"
TEXT = GUIDE.read_text()


def keys(struct: type[Struct]) -> Iterator[str]:
    for key in shapes.fields_of(struct).values():
        inner = key.struct or shapes.entry_struct(key.hint)
        if inner is None:
            yield key.name
        else:
            yield from keys(inner)


@pytest.fixture(scope="module")
def example() -> str:
    (found,) = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def test_it_shows_every_key(example: str) -> None:
    shown = set(re.findall(r"^(?:# )?([a-z_]+) = ", example, re.MULTILINE))
    assert shown == set(keys(Scenario))


def test_what_it_shows_is_a_scenario(example: str) -> None:
    scenario = parse(example, "example")
    assert scenario.plant.fault[0].kind == "frozen"
    assert scenario.limits.window[0].end_s == 20 * 3600


def test_it_names_every_strategy() -> None:
    assert set(NAMES) <= set(re.findall(r"`([a-z+-]+)`", TEXT))
