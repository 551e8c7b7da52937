from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from jouled import daemon
from jouled.cli.jouled import command
from jouled.config import Config, ConfigError
from jouled.config.shapes import config_keys


def jouled(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jouled", *flags], capture_output=True, text=True, check=False, timeout=60
    )


def test_version() -> None:
    done = jouled("--version")
    assert (done.returncode, done.stdout) == (0, f"jouled {version('jouled')}\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--interval=soon"], "jouled: error: --interval: 'soon' is not a duration; write"),
        (["--listen=here"], "jouled: error: --listen: listen address 'here' is not HOST:PORT"),
        (["--meter=rappl"], "jouled: error: --meter: 'rappl' is not known; did you mean rapl? allowed: auto, rapl"),
        (["--config=/nowhere.toml"], "jouled: error: /nowhere.toml: No such file or directory; check the path"),
        (["--top=many"], "jouled: error: --top: 'many' is not a whole number; allowed: a whole number from 1"),
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
    assert "a\\x1b[2J\\x0ab: unknown key; known keys" in said
    assert said.count("\n") == 1


def test_check_config_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text('interval = "10s"\n')
    done = jouled(f"--config={path}", "--check-config")
    assert (done.returncode, done.stdout) == (0, f"{path}: ok\n")
    path.write_text('interval = "10s"\ntpo = 1\n')
    done = jouled(f"--config={path}", "--check-config")
    assert (done.returncode, done.stderr) == (2, f"jouled: error: {path}:2: tpo: unknown key; did you mean top?\n")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Config, Callable[[], Config]]]:
    """What the daemon would have been started with."""
    seen: list[tuple[Config, Callable[[], Config]]] = []

    def main(config: Config, *, reload: Callable[[], Config]) -> int:
        seen.append((config, reload))
        return 0

    monkeypatch.setattr(daemon, "main", main)
    return seen


def test_every_flag_reaches_the_configuration(started: list[tuple[Config, Callable[[], Config]]]) -> None:
    flags = (
        "--sysfs=/s --procfs=/p --interval=1m --listen=127.0.0.1:1 --listen=unix:/s --state-dir=/d --meter=rapl "
        "--meter=hwmon --zone=dram --level=vm --top=3 --idle=learned --compat=kepler --log-level=debug --log-format=json "
        "--store=none --dry-run"
    )
    assert {flag.partition("=")[0] for flag in flags.split()} == {key.flag for key in config_keys() if key.flag}
    done = CliRunner().invoke(command, ["--config=", *flags.split()])
    assert done.exit_code == 0, done.output
    ((config, _),) = started
    assert (config.sysfs, config.procfs, config.interval_s, config.state_dir) == ("/s", "/p", 60.0, "/d")
    assert config.listen == ("127.0.0.1:1", "unix:/s")
    assert (config.meters, config.zones, config.levels) == (("rapl", "hwmon"), ("dram",), ("vm",))
    assert (config.top, config.idle, config.log.level, config.log.format) == (3, "learned", "debug", "json")
    assert (config.compat, config.store.url, config.caps.dry_run) == (("kepler",), "none", True)


def test_a_reload_reads_the_file_again_under_the_same_flags(
    started: list[tuple[Config, Callable[[], Config]]], tmp_path: Path
) -> None:
    path = tmp_path / "jouled.toml"
    path.write_text('interval = "10s"\ntop = 1\n')
    done = CliRunner().invoke(command, ["--top=7"], env={"JOULED_CONFIG": str(path)})
    assert done.exit_code == 0, done.output
    ((config, reload),) = started
    assert (config.interval_s, config.top) == (10.0, 7)
    path.write_text('interval = "20s"\ntop = 2\n')
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JOULED_CONFIG", str(path))
        assert (reload().interval_s, reload().top) == (20.0, 7)
        path.write_text("top = 0")
        with pytest.raises(ConfigError, match="top: 0 is out of range"):
            reload()


def test_the_environment_is_read_and_its_mistakes_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULED_INTERVAL", "1h")
    done = jouled("--check-config", "--config=")
    assert done.returncode == 2
    assert done.stderr == "jouled: error: JOULED_INTERVAL: 1h is out of range; allowed: a duration from 100ms to 1m\n"
    assert jouled("--check-config", "--config=", "--interval=1s").returncode == 2, "a flag does not hide the mistake"


def test_help_names_the_flag_the_default_and_the_variable() -> None:
    said = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    for key in config_keys():
        if key.flag:
            assert f"{key.flag} {key.metavar}".strip() in said
            assert f"env: {key.variable}]" in said
    assert "Time between scans. [a duration from 100ms to 1m; default: 5s; env: JOULED_INTERVAL]" in said


def test_the_command_does_not_load_the_server_to_answer_a_question() -> None:
    program = (
        "import sys; from jouled.cli.jouled import command; command(['--check-config', '--config='], standalone_mode=False);"
        "print([name for name in ('trio', 'hypercorn', 'prometheus_client', 'structlog') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
