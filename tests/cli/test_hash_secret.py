from __future__ import annotations

import re
import sys

import click
import pytest
from click.testing import CliRunner

from jouled.cli.hash_secret import SecretError, _password, command
from jouled.web import secrets


def test_a_password_from_a_pipe_becomes_a_hash_that_knows_it() -> None:
    done = CliRunner().invoke(command, input="correct horse\n")
    assert done.exit_code == 0
    assert done.stderr == ""
    assert secrets.password_hash(done.stdout.strip()).is_of(b"correct horse")


def test_a_token_is_shown_once_and_only_its_hash_goes_to_standard_output() -> None:
    done = CliRunner().invoke(command, ["--token"])
    shown = re.search(r"^  (\S{43})$", done.stderr, re.MULTILINE)
    assert shown is not None
    assert done.stdout == f"{secrets.hash_token(shown[1].encode())}\n"
    assert shown[1] not in done.stdout


@pytest.mark.parametrize("given", ["", "\n", "x" * 2000, "two\nlines\n"])
def test_what_is_no_password_is_refused_without_being_repeated(given: str) -> None:
    done = CliRunner().invoke(command, input=given)
    assert isinstance(done.exception, SecretError)
    assert "standard input: no" in str(done.exception)
    assert "two" not in str(done.exception)


def test_a_password_typed_at_a_terminal_is_asked_for_twice_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    asked: list[dict[str, object]] = []

    def prompt(_: str, **how: object) -> str:
        asked.append(how)
        return "geheim"

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(click, "prompt", prompt)
    assert _password() == b"geheim"
    assert asked == [{"hide_input": True, "confirmation_prompt": True, "err": True}]
