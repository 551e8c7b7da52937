from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from jouled.cli.settings import command
from jouled.config import document


def test_show_says_what_holds_and_where_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text('interval = "10s"\ntop = 5\n')
    done = CliRunner().invoke(
        command, ["show", f"--config={path}", "--top=7"], env={"JOULED_LOG_LEVEL": "debug", "JOULED_CONFIG": "/nowhere"}
    )
    assert done.exit_code == 0, done.output
    said = {line.split("  #")[0].rstrip(): line.split("# ")[-1] for line in done.output.splitlines() if "  #" in line}
    assert said['interval = "10s"'] == f"{path}:1"
    assert said["top = 7"] == "--top"
    assert said['level = "debug"'] == "JOULED_LOG_LEVEL"
    assert said['meters = ["auto"]'] == "default"


def test_default_is_the_documented_example() -> None:
    assert CliRunner().invoke(command, ["default"]).output == document.example()


def test_schema_is_json() -> None:
    schema = json.loads(CliRunner().invoke(command, ["schema"]).output)
    assert schema["title"] == "jouled.toml"


def test_a_mistake_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text("tpo = 1\n")
    done = subprocess.run(
        [sys.executable, "-c", "from jouled.cli.joulectl import main; main()", "config", "show", f"--config={path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in {1, 2}
    assert done.stderr == f"joulectl: error: {path}:1: tpo: unknown key; did you mean top?\n"
    assert done.stdout == ""


def test_it_loads_neither_daemon_nor_extension() -> None:
    program = (
        "import sys; from jouled.cli.joulectl import command; command(['config', 'default'], standalone_mode=False);"
        "print([name for name in ('trio', 'hypercorn', 'rich', 'structlog', 'jouled._core') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
