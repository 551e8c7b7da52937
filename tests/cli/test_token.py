"""`joulectl token`, over the store itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from jouled.cli import joulectl
from jouled.errors import BooksError
from jouled.store import Store


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    with Store(state_dir=str(tmp_path)):
        pass
    return ["token", "--config=", "--store=sqlite", f"--state-dir={tmp_path}"]


def run(*words: str) -> str:
    done = CliRunner().invoke(joulectl.command, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_token_is_made_listed_and_revoked(place: list[str]) -> None:
    secret = run(*place, "create", "plc-7", "--scope", "write:readings", "--scope", "read", "--expires", "365d").strip()
    assert secret.startswith("jouled_")
    (head, line) = run(*place, "list").splitlines()
    assert head.split() == ["ID", "STATE", "EXPIRES", "USED", "SCOPES", "NAME"]
    token_id, state, _, used, scopes, name = line.split()
    assert (state, used, scopes, name) == ("valid", "never", "read,write:readings", "plc-7")
    assert secret not in line
    assert run(*place, "revoke", token_id) == f"token {token_id} of plc-7 is revoked\n"
    assert " revoked " in run(*place, "list")


def test_a_time_out_of_range_is_told_in_the_words_of_the_option(place: list[str]) -> None:
    done = CliRunner().invoke(joulectl.command, [*place, "create", "x", "--scope", "read", "--expires", "30"])
    assert "30 is out of range; choose 1m to 36500d." in done.output


def test_one_may_last_for_ever(place: list[str]) -> None:
    run(*place, "create", "x", "--scope", "admin", "--expires", "never")
    assert run(*place, "list").splitlines()[1].split()[2] == "never"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "x", "--scope", "write:all"), "scope 'write:all' is not known; there is read, write:readings"),
        (("create", " ", "--scope", "read"), "1 to 128 printable characters"),
        (("revoke", "none"), "there is no token 'none'; joulectl token list shows them"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(place: list[str], words: tuple[str, ...], said: str) -> None:
    with pytest.raises(BooksError, match=said):
        run(*place, *words)
