from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from jouled.cli import jouled as jouled_command
from jouled.cli.joulectl import EXITS, VERBS, Verbs, command
from jouled.config.shapes import config_keys

MAN = Path(__file__).parents[2] / "docs" / "man"
PROGRAM = [sys.executable, "-c", "from jouled.cli.joulectl import main; main()"]


def joulectl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *words], capture_output=True, text=True, check=False, timeout=60)


def verb(name: str) -> click.Command:
    found = command.get_command(click.Context(command), name)
    assert found is not None
    return found


def test_version() -> None:
    done = joulectl("--version")
    assert (done.returncode, done.stdout) == (0, f"joulectl {version('jouled')}\n")


def test_help_names_every_verb_and_exit_code_and_imports_none() -> None:
    done = joulectl("--help")
    assert done.returncode == 0
    assert all(
        re.search(rf"^  {name} +{re.escape(line)}", done.stdout, re.MULTILINE) for name, (_, line) in VERBS.items()
    )
    assert all(f"{code} {meaning}" in " ".join(done.stdout.split()) for code, meaning in EXITS.items())
    program = (
        "import sys; from jouled.cli.joulectl import command\n"
        "try: command(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('rich', 'trio', 'asyncio', 'msgspec', 'http.client', 'jouled._core', 'structlog')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", VERBS)
def test_the_help_of_every_verb_has_examples_that_are_not_broken(name: str) -> None:
    done = CliRunner().invoke(command, [name, "--help"])
    assert done.exit_code == 0
    assert re.search(rf"^ +(.* )?joulectl (--\S+ \S+ )?{name}\b", done.output, re.MULTILINE), done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Missing command; see joulectl --help"),
        (("tpo",), "no command 'tpo'; did you mean top?; see joulectl --help"),
        (("frobnicate",), "no command 'frobnicate'; there is top, measure, status,"),
        (("--urll=x",), "No such option"),
        (("status", "--frob"), "see joulectl status --help"),
        (("status", "now"), "see joulectl status --help"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(words: tuple[str, ...], message: str) -> None:
    done = joulectl(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("joulectl: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_address_is_code_1_and_says_how_it_is_written() -> None:
    done = joulectl("--url=box:9917", "status")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "joulectl: error: box:9917: not an address; write unix:/PATH or http://HOST:PORT\n"


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*PROGRAM, "config", "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == (
        "joulectl: error: write standard output: no space left on device; make room, or write it elsewhere\n"
    )


def test_a_closed_output_is_no_traceback() -> None:
    line = shlex.join([*PROGRAM, "config", "schema"])
    done = subprocess.run(["sh", "-c", f"{line} >&-"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_letters_that_the_output_has_not_are_escaped() -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [*PROGRAM, "measure", "--help"], capture_output=True, text=True, check=False, env=environ, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "COMMAND\\u2026" in done.stdout


def options(found: click.Command) -> Iterator[str]:
    """Its own, and those of the commands below it; of one that has all of the daemon's, only what else it has."""
    for parameter in found.params:
        if isinstance(parameter, click.Option):
            yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(found, click.Group) and not isinstance(found, Verbs):
        daemons = {"--config", *(key.flag for key in config_keys() if key.flag)}
        for inner in found.commands.values():
            these = set(options(inner))
            yield from these - daemons if daemons <= these else these


@pytest.mark.parametrize("name", VERBS)
def test_the_manual_page_names_every_verb_with_every_option(name: str) -> None:
    module = importlib.import_module(f"jouled.cli.{VERBS[name][0]}")
    page = (MAN / "joulectl.1.md").read_text()
    section = re.search(rf"^## {name}\b(.*?)(?=^##? |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"no section for {name}"
    missing = [option for option in options(module.command) if f"**{option}**" not in section[1]]
    assert not missing


def test_the_manual_page_names_no_verb_or_option_that_is_not_there() -> None:
    page = (MAN / "joulectl.1.md").read_text()
    assert re.findall(r"^## ([a-z-]+)", page, re.MULTILINE) == list(VERBS)
    known = {*options(command), "--help", "-h"}
    known |= {option for name in VERBS for option in options(verb(name))}
    assert set(re.findall(r"\*\*(--?[a-z][a-z-]*)\*\*", page)) <= known


def test_the_manual_page_names_every_exit_code() -> None:
    page = (MAN / "joulectl.1.md").read_text()
    section = page.split("# EXIT STATUS")[1].split("\n# ")[0]
    assert {int(code) for code in re.findall(r"^\*\*(\d+)\*\*", section, re.MULTILINE)} == set(EXITS)


def test_the_daemons_manual_page_names_its_options_and_no_others() -> None:
    page = (MAN / "jouled.8.md").read_text()
    flags = set(options(jouled_command.command))
    named = set(re.findall(r"^\*\*(--[a-z-]+)\*\*", page, re.MULTILINE))
    assert named - {"--help"} == flags - {"-h", "--help"}


@pytest.mark.parametrize("group", ["db", "token", "config", "caps"])
def test_a_group_without_a_command_is_one_line_too(group: str) -> None:
    done = joulectl(group)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"joulectl: error: Missing command; see joulectl {group} --help\n"
