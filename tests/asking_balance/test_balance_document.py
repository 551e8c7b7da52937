"""What docs/balance.md tells to type, to set, to ask and to watch is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from litestar.routes import HTTPRoute

from jouled import config
from jouled.cli.joulectl import command
from jouled.config import shapes
from jouled.control.site.keeping import ENDS, OPENS
from jouled.web.api.application import application

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "balance.md").read_text()
CODE = "\n".join(path.read_text() for path in (ROOT / "python" / "jouled").rglob("*.py"))


def typed() -> list[list[str]]:
    lines = re.findall(r"^\$ (joulectl [^#\n]+)", GUIDE, re.MULTILINE)
    lines += [text for text in re.findall(r"`(joulectl [^`]+)`", GUIDE) if "..." not in text]
    return [shlex.split(line)[1:] for line in dict.fromkeys(line.strip() for line in lines)]


@pytest.mark.parametrize("words", typed(), ids=" ".join)
def test_what_is_typed_is_a_command_with_these_options(words: list[str]) -> None:
    context = click.Context(command)
    found: click.Command = command
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        inner = found.get_command(context, words[0])
        assert inner is not None, words
        found, words = inner, words[1:]
    context = click.Context(found)
    # What it takes of them, without doing it: a command that is missing a word is only named.
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_route_that_it_names_is_there() -> None:
    routes = {
        (method, re.sub(r"\{[^}]*\}", "{}", route.path_format))
        for route in application().routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
    }
    named = re.findall(r"`(GET|POST|PATCH|PUT|DELETE) (/api/v1/[^\s`?]+)", GUIDE)
    assert len(named) > 18
    assert {(method, re.sub(r"\{[^}]*\}", "{}", path)) for method, path in named} <= routes


def test_every_setting_that_it_names_is_there() -> None:
    keys = {key.dotted for key in shapes.config_keys()}
    named = set(re.findall(r"`((?:balance|plant|miners|caps|plan|access|node)\.[a-z_]+)(?: = [^`]*)?`", GUIDE))
    assert len(named) > 25
    assert named <= keys | {"miners.json"}


@pytest.mark.parametrize("text", re.findall(r"^```toml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
def test_the_settings_that_it_shows_are_taken(text: str, tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text(text)
    loaded = config.load(str(path), {}, {})
    assert loaded.balance.enabled or loaded.balance.load


def test_every_family_and_event_that_it_names_is_there() -> None:
    families = {name.removesuffix("_total") for name in re.findall(r"`(jouled_[a-z_]+)`", GUIDE)}
    assert len(families) > 20
    written = re.findall(r'"jouled_([a-z_]+)"', CODE)
    # Of the balancer's the first words are put before.
    written += [f"balance_{name}" for name in re.findall(r'^\s+\(?"([a-z_]+)",', CODE, re.MULTILINE)]
    written += [f"balance_{name}" for name in re.findall(r'_one_of\("([a-z]+)"', CODE)]
    assert families <= {f"jouled_{name}" for name in written}
    alerts = GUIDE.split("Alerts: ")[1].split("events:")[0]
    named = set(re.findall(r"`([a-z_]+)`", alerts))
    assert named == OPENS | set(ENDS)


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
