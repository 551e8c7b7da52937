"""What the documents promise is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jouled.cli.jouled import command
from running import running_jouled

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
