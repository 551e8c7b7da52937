from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from jouled import daemon
from jouled.cli.jouled import command
from jouled.config import Config


def jouled(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jouled", *flags], capture_output=True, text=True, check=False, timeout=20
    )


def test_version() -> None:
    done = jouled("--version")
    assert (done.returncode, done.stdout) == (0, f"jouled {version('jouled')}\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--interval=soon"], "jouled: error: command line: interval: 'soon' is not a duration; write"),
        (["--listen=here"], "jouled: error: command line: listen address 'here' is not HOST:PORT"),
        (["--meter=rappl"], "jouled: error: command line: meters[0]: Invalid enum value 'rappl'; allowed: auto, rapl"),
        (["--config=/nowhere.toml"], "jouled: error: /nowhere.toml: No such file or directory; check the path"),
        (["--top=many"], "Invalid value for '--top'"),
        (["--intervall=5s"], "No such option"),
        (["extra"], "unexpected extra argument"),
    ],
)
def test_bad_input_is_one_clear_line_and_code_2(flags: list[str], message: str) -> None:
    done = jouled(*flags)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_in_an_error_cannot_write_lines_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text('"a\\u001b[2J\\nb" = 1\n')
    said = jouled(f"--config={path}").stderr
    assert "unknown key a\\x1b[2J\\x0ab; known keys" in said
    assert said.count("\n") == 1


def test_check_config_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text('interval = "10s"\n')
    done = jouled(f"--config={path}", "--check-config")
    assert (done.returncode, done.stdout) == (0, f"{path}: ok\n")
    path.write_text('interval = "10s"\ntpo = 1\n')
    done = jouled(f"--config={path}", "--check-config")
    assert (done.returncode, done.stderr) == (2, f"jouled: error: {path}: unknown key tpo; did you mean top?\n")


def test_every_flag_reaches_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Config] = []

    def main(config: Config) -> int:
        seen.append(config)
        return 0

    monkeypatch.setattr(daemon, "main", main)
    flags = (
        "--sysfs=/s --procfs=/p --interval=1m --listen=127.0.0.1:1 --listen=[::1]:2 --state-dir=/d --meter=rapl "
        "--meter=hwmon --zone=dram --level=vm --top=3 --idle=learned --log-level=debug --log-format=json"
    )
    done = CliRunner().invoke(command, flags.split())
    assert done.exit_code == 0, done.output
    (config,) = seen
    assert (config.sysfs, config.procfs, config.interval_s, config.state_dir) == ("/s", "/p", 60.0, "/d")
    assert config.listen == ("127.0.0.1:1", "[::1]:2")
    assert (config.meters, config.zones, config.levels) == (("rapl", "hwmon"), ("dram",), ("vm",))
    assert (config.top, config.idle, config.log.level, config.log.format) == (3, "learned", "debug", "json")


def test_the_command_does_not_load_the_server_to_answer_a_question() -> None:
    program = (
        "import sys; from jouled.cli.jouled import command; command(['--check-config'], standalone_mode=False);"
        "print([name for name in ('trio', 'hypercorn', 'prometheus_client', 'structlog') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
