"""What the documents promise is there."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from jouled.cli.jouled import command
from running import running_jouled
from serving_api import Api, serving_api

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_flag_is_in_the_readme_and_the_other_way_round() -> None:
    section = README.split("## Settings")[1].split("\n## ")[0]
    documented = set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))
    flags = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert documented == flags - {"--help"}


def test_every_family_on_the_page_is_in_the_readme() -> None:
    with running_jouled("--meter=fake", "--interval=200ms") as daemon:
        families = set(re.findall(r"^# TYPE (jouled_\w+)", daemon.get("/metrics").decode(), re.MULTILINE))
    patterns = [name.replace("*", r"\w+") for name in re.findall(r"`(jouled_[a-z_*]+)`", README)]
    missing = {family for family in families if not any(re.fullmatch(pattern, family) for pattern in patterns)}
    assert not missing


@pytest.mark.parametrize("document", ["README.md", "DESIGN.md", "SUPPORT.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_between_documents_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists(), f"{document} links to {target}"


BOOKS = (ROOT / "docs" / "books.md").read_text()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with serving_api(tmp_path_factory.mktemp("state")) as api:
        yield api


def test_what_the_books_tell_to_type_is_done(api: Api) -> None:
    blocks = "\n".join(re.findall(r"^```console\n(.*?)^```", BOOKS, re.MULTILINE | re.DOTALL))
    lines = [line for line in re.split(r"^\$ ", blocks, flags=re.MULTILINE) if line.startswith("api ")]
    assert len(lines) >= 3
    token = api.token("admin").secret
    for line in lines:
        _, url, _, body = shlex.split(line)
        answer = api.ask("POST", url.removeprefix("http://jouled"), json.loads(body), token=token)
        assert answer.status == 201, (line, answer.json)


def test_every_route_that_the_books_name_is_there(api: Api) -> None:
    routes = [tuple(path.split("/")) for path in api.ask("GET", "/api/v1/openapi.json").json["paths"]]
    named = re.findall(r"(?:GET|POST|PUT|PATCH) (/[^\s`?]+)|`(/api/v1/[^\s`?]+)", BOOKS)
    assert len(named) > 20
    for words in named:
        path = next(filter(None, words))
        steps = path.removeprefix("/api/v1").split("/") if path.startswith("/api/v1") else path.split("/")
        asked = ("", "api", "v1", *steps[1:])
        is_there = any(
            len(route) == len(asked)
            and all(ours == theirs or ours[:1] == "{" for ours, theirs in zip(route, asked, strict=True))
            for route in routes
        )
        assert is_there or path in {"/health", "/api/v1/openapi.json", "/api/v1/docs"}, path
