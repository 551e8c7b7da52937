from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from jouled.cli.joulectl import VERBS

PROGRAM = [sys.executable, "-c", "from jouled.cli.joulectl import main; main()"]


def completed(line: str, at: int) -> list[str]:
    environ = {**os.environ, "_JOULECTL_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(at)}
    done = subprocess.run(PROGRAM, capture_output=True, text=True, check=True, env=environ, timeout=60)
    return [item.partition(",")[2] for item in done.stdout.split()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script_that_it_understands(shell: str) -> None:
    done = subprocess.run([*PROGRAM, "completion", shell], capture_output=True, text=True, check=True, timeout=60)
    assert f"_JOULECTL_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=done.stdout, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_another_shell_is_refused() -> None:
    done = subprocess.run([*PROGRAM, "completion", "tcsh"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr


def test_verbs_options_and_their_words_are_completed() -> None:
    assert completed("joulectl ", 1) == list(VERBS)
    assert completed("joulectl st", 1) == ["status"]
    assert completed("joulectl --u", 1) == ["--url"]
    assert completed("joulectl top --level ", 3) == ["process", "unit", "container", "pod", "vm", "user"]
    assert "--interval" in completed("joulectl top --", 2)


def test_commands_of_the_books_are_completed() -> None:
    assert completed("joulectl db ", 2) == ["backup", "check", "export", "upgrade", "vacuum"]
    assert completed("joulectl token ", 2) == ["create", "list", "revoke"]
    assert completed("joulectl caps ", 2) == ["list", "restore", "set", "watch"]
    assert "--owner" in completed("joulectl caps set --", 3)
    assert completed("joulectl db export --resolution ", 4) == ["minute", "quarter-hour", "day"]
    assert "--html" in completed("joulectl report --", 2)
