"""`joulectl simulate`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jouled.cli.joulectl import command
from jouled.cli.look import Look
from jouled.cli.simulate import tables
from jouled.errors import JouledError
from jouled.simulation.shown import COLUMNS
from simulated import calm, outcome


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["simulate", *arguments])


SHORT = ("--hours", "0.5", "--units", "6")


def test_a_table_compares_strategies_and_says_what_was_shed() -> None:
    result = simulate(*SHORT, "--strategy", "ours,original-code+off", "--reserve", "8,10")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].endswith("(0.5 h, 6 loads, seed 1)")
    assert lines[2].split("  ")[0] == "STRATEGY"
    assert [line.split("  ")[0] for line in lines[3:6]] == ["ours 8 %", "ours 10 %", "original-code+off 8 %"]


def test_on_a_narrow_screen_the_table_goes_on_below_and_loses_no_column() -> None:
    outcomes = [outcome(calm(0.1)), outcome(calm(0.1), "original-code")]
    escaped = tables(outcomes, COLUMNS, Look(width=80, has_escapes=True))
    narrow = [re.sub("\x1b[^m]*m", "", line) for line in escaped]
    assert max(map(len, narrow)) <= 80
    assert sum(line.startswith("STRATEGY") for line in narrow) > 1
    assert all(any(column.head in line for line in narrow) for column in COLUMNS)
    to_a_file = tables(outcomes, COLUMNS, Look(width=80))
    assert len(to_a_file) == 1 + len(outcomes)


def test_json_holds_each_outcome_and_repeats_itself() -> None:
    result = simulate(*SHORT, "--strategy", "ours", "--seed", "7", "--json")
    content = json.loads(result.stdout)
    assert (content["seed"], content["hours"]) == (7, 0.5)
    (one,) = content["outcomes"]
    assert one["strategy"] == "ours"
    assert one["over_minutes"] == 0
    assert one["work_th_h"] > 0
    assert simulate(*SHORT, "--strategy", "ours", "--seed", "7", "--json").stdout == result.stdout


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "site.html"
    result = simulate(*SHORT, "--strategy", "ours", "--html", str(target))
    assert result.exit_code == 0, result.output
    assert target.read_text().startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [target]


def test_a_recorded_trace_is_simulated_as_long_as_it_is(tmp_path: Path) -> None:
    trace = tmp_path / "plant.csv"
    rows = [f"2026-02-03T{hour:02}:00:00Z,{watts}" for hour, watts in enumerate((150_000, 90_000, 150_000))]
    trace.write_text("timestamp,watts\n" + "\n".join(rows) + "\n")
    result = simulate("--trace", str(trace), "--strategy", "ours", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["hours"] == 2
    assert content["outcomes"][0]["shed_kw"]


def test_a_trace_is_a_plant_of_its_own(tmp_path: Path) -> None:
    """Neither the trips of the scenario's plant happen to it, nor is it too much for what that is rated at."""
    trace = tmp_path / "plant.csv"
    rows = [f"2026-02-03T{hour:02}:00:00Z,400000" for hour in range(12)]
    trace.write_text("timestamp,watts\n" + "\n".join(rows) + "\n")
    result = simulate("--trace", str(trace), "--strategy", "ours", "--json")
    content = json.loads(result.stdout)
    one = content["outcomes"][0]
    assert content["about"] == "The plant of plant.csv."
    assert not one["shed_kw"]
    assert one["energy_kwh"] + one["unserved_kwh"] == pytest.approx(400 * 11)
    assert one["energy_kwh"] > 2_000


def test_a_file_of_ones_own_with_prices(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("timestamp,price\n2026-03-01T00:00:00Z,0.1\n2026-03-01T00:15:00Z,-0.1\n")
    site = tmp_path / "site.toml"
    site.write_text(
        'about = "Mine."\nhours = 0.5\nstrategies = ["ours"]\n[plant]\nnoise = 0\nswing = 0\nmean = "10kW"\n'
        '[[fleet]]\ncount = 2\npresets = [[1000, 50]]\ncan_be_off = false\n[market]\nprices = "prices.csv"\n'
    )
    one = json.loads(simulate("--scenario", str(site), "--json").stdout)["outcomes"][0]
    assert one["energy_kwh"] == pytest.approx(1.0)
    assert one["cost"] == pytest.approx(0.0)


def test_what_there_is_can_be_listed() -> None:
    result = simulate("--list")
    assert result.exit_code == 0
    assert "hydro" in result.stdout
    assert "original-code+off" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--reserve", "80"), "'80' is no list of reserves; write percent from 0 to 50, as in 8,10,15"),
        (("--html", "-", "--json"), "--html - and --json: both write to standard output"),
        (("--yesterday", "--trace", "x"), "--yesterday has plant and fleet of the daemon"),
        (("--units", "0"), "0 is not in the range"),
    ],
)
def test_wrong_use_is_said_in_a_line(arguments: tuple[str, ...], what: str) -> None:
    result = simulate(*arguments)
    assert result.exit_code == 2
    assert what in result.stderr


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--strategy", "nobody"), "--strategy: 'nobody' is not known; allowed: ours"),
        (("--strategy", ","), "--strategy: and reserve need one entry each"),
        (("--scenario", "hidro"), "no scenario 'hidro'; did you mean hydro?"),
        (("--trace", "/nowhere/x.csv"), "/nowhere/x.csv: no such file or directory"),
    ],
)
def test_what_cannot_be_simulated_is_named(arguments: tuple[str, ...], what: str) -> None:
    result = simulate(*arguments)
    assert isinstance(result.exception, JouledError)
    assert what in str(result.exception)


def test_more_units_have_as_much_more_of_a_plant() -> None:
    one, two = (
        json.loads(simulate("--hours", "0.2", "--units", units, "--strategy", "ours", "--json").stdout)["outcomes"][0]
        for units in ("30", "300")
    )
    assert two["energy_kwh"] == pytest.approx(10 * one["energy_kwh"], rel=0.05)
