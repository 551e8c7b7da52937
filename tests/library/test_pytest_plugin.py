"""The plugin, in test runs of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jouled.pytest_plugin import Finding, interval, judge

BURN = """
import time, pytest
def burn(cpu_s):
    end = time.process_time() + cpu_s
    while time.process_time() < end: pass
"""


class Runs:
    """Runs pytest on written tests, on a fake host (or on `meter`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, text: str, *flags: str, meter: str = "fake") -> tuple[int, str]:
        (self.folder / "test_it.py").write_text(BURN + text)
        plugin = [] if "-p" in flags else ["-p", "jouled.pytest_plugin"]
        command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *flags]
        environ = {**os.environ, "JOULED_METERS": meter, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"}
        done = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_a_run_that_asks_for_nothing_measures_and_imports_nothing(runs: Runs) -> None:
    code, output = runs("""
import sys
def test_it():
    assert "jouled.measurement" not in sys.modules and "jouled._core" not in sys.modules
""")
    assert (code, "joules" in output) == (0, False)


def test_joules_reports_every_test_the_largest_first(runs: Runs) -> None:
    code, output = runs(
        "def test_small(): pass\ndef test_large(): burn(0.05)\ndef test_broken(): burn(0.02); assert 0\n", "--joules"
    )
    assert code == 1
    lines = [line for line in output.splitlines() if " J (1 round, fake)" in line]
    assert [line.rpartition("::")[2] for line in lines] == ["test_large", "test_broken", "test_small"]
    assert "J in all, each test once (fake)" in output


def test_the_fixture_measures_parts_of_a_test(runs: Runs) -> None:
    code, output = runs("""
def test_it(joules):
    with joules("load") as m:
        burn(0.02)
    assert 0 < m.joules < 100
    assert not joules.is_estimate
""")
    assert code == 0, output
    assert "test_it.py::test_it::load" in output


def test_a_test_that_is_surely_over_its_limit_fails(runs: Runs) -> None:
    code, output = runs("""
@pytest.mark.joules(max=0.001)
def test_over(): burn(0.02)
@pytest.mark.joules(max=1000)
def test_within(): burn(0.02)
""")
    assert code == 1
    assert "1 failed, 1 passed" in output
    assert "rounds, fake): more than 0.001 J" in output
    assert "3 rounds, fake" in output


def test_rounds_end_and_see_the_same_fixtures(runs: Runs) -> None:
    code, output = runs("""
calls = []
@pytest.fixture
def once():
    calls.append("fixture")
    return calls
@pytest.mark.joules(rounds=4)
def test_it(once):
    once.append("call")
    burn(0.001 * len(calls))
def test_after():
    assert calls.count("fixture") == 1 and calls.count("call") == 4
""")
    assert code == 0, output
    assert "4 rounds, fake" in output


def test_an_estimate_is_said_and_fails_only_where_it_is_asked_to(runs: Runs) -> None:
    text = "@pytest.mark.joules(max=1e-9)\ndef test_over(): burn(0.03)\n"
    code, output = runs(text, meter="estimate")
    assert code == 0, output
    assert "more than 1e-09 J (not failed: an estimate)" in output
    assert "estimate: a model of CPU load and no measurement" in output
    code, output = runs(text, "--joules-strict", meter="estimate")
    assert code == 1, output


def test_a_mark_with_a_wrong_word_is_told_the_right_ones(runs: Runs) -> None:
    _, output = runs("@pytest.mark.joules(maximum=5)\ndef test_it(): pass\n")
    assert "pytest.mark.joules does not take 'maximum'; it takes max, scope, rounds, seconds" in output


def test_a_baseline_is_written_and_what_has_grown_beyond_it_fails(runs: Runs) -> None:
    text = "@pytest.mark.joules\ndef test_it(): burn({})\ndef test_other(): pass\n"
    flags = ("--joules-baseline", "base.json")
    code, output = runs(text.format(0.02), *flags)
    assert code == 4
    assert "base.json: No such file or directory; make it with --joules-update" in output
    code, output = runs(text.format(0.02), *flags, "--joules-update")
    assert code == 0, output
    written = json.loads((runs.folder / "base.json").read_text())
    assert list(written["tests"]) == ["test_it.py::test_it"]
    row = written["tests"]["test_it.py::test_it"]
    assert row["low"] <= row["joules"] <= row["high"]
    assert row["source"] == "fake"
    code, output = runs(text.format(0.2), *flags)
    assert code == 1, output
    assert "more than the baseline's" in output


def test_a_file_that_is_no_baseline_is_refused_at_the_start(runs: Runs) -> None:
    for text, said in (
        ("[]", "no baseline"),
        ('{"version": 9, "tests": {}}', "version 9 is not 1"),
        ("x", "no baseline"),
    ):
        (runs.folder / "base.json").write_text(text)
        code, output = runs("def test_it(): pass\n", "--joules-baseline", "base.json")
        assert code == 4
        assert said in output
    code, output = runs("def test_it(): pass\n", "--joules-update")
    assert code == 4
    assert "name it with --joules-baseline FILE" in output


def finding(**values: Any) -> Finding:
    usual = {"test": "t", "joules": 2.0, "low": 1.9, "high": 2.1, "seconds": 1.0, "rounds": 5, "scope": "process"}
    return Finding(**{**usual, "source": "rapl", **values})


@pytest.mark.parametrize(
    ("found", "before", "reason"),
    [
        (finding(max_joules=1.8), None, "more than 1.8 J"),
        (finding(max_joules=1.95), None, ""),
        (
            finding(),
            {"low": 1.5, "high": 1.8, "source": "rapl", "scope": "process"},
            "more than the baseline's 1.5 to 1.8 J",
        ),
        (finding(), {"low": 1.5, "high": 1.95, "source": "rapl", "scope": "process"}, ""),
        (finding(), {"low": 0.1, "high": 0.2, "source": "estimate", "scope": "process"}, ""),
        (finding(joules=None, problem="gone"), None, "energy not known: gone"),
    ],
)
def test_only_what_is_sure_is_held_against_a_test(found: Finding, before: Any, reason: str) -> None:
    assert judge(found, before) == reason


def test_the_interval_is_students() -> None:
    # n = 4, s = 1, t(3) = 3.18: half = 1.59.
    mean, low, high = interval([1.0, 2.0, 2.0, 3.0])
    assert (mean, low, high) == pytest.approx((2.0, 2 - 3.18 * 0.8165 / 2, 2 + 3.18 * 0.8165 / 2), rel=1e-4)
    assert interval([1.0]) == (1.0, None, None)
