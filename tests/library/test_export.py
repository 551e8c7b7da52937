"""Records on disk."""

from __future__ import annotations

import csv
import json
import os
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import jouled
from jouled import export
from jouled.export import COLUMNS, ExportError
from jouled.measurement import Result


@pytest.fixture
def result(meter: jouled.Meter) -> Result:
    with jouled.measure("a, b", meter=meter) as m:
        pass
    return replace(m.result, joules=None, problems=("it broke",))


def test_csv_has_one_header_and_a_line_for_each(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "joules.csv"
    jouled.write_csv(path, result, result)
    jouled.write_csv(path, result)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["name"] for row in rows] == ["a, b"] * 3
    assert rows[0]["joules"] == ""
    assert float(rows[0]["seconds"]) == result.seconds
    assert rows[0]["zones"].startswith("package:0=")
    assert rows[0]["covers"] == "package; dram"


def test_a_file_of_other_columns_is_left_as_it_is(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("mine,not yours\n")
    with pytest.raises(ExportError, match=r"other\.csv: it begins with other columns; name another file"):
        jouled.write_csv(path, result)
    assert path.read_text() == "mine,not yours\n"
    with pytest.raises(ExportError, match="No such file or directory; name a file that can be written"):
        jouled.write_csv(tmp_path / "no" / "where.csv", result)


def test_processes_that_share_a_file_do_not_mix_their_lines(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "joules.csv"
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            for _ in range(50):
                jouled.write_csv(path, result)
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    lines = path.read_text().splitlines()
    assert len(lines) == 201
    assert len(set(lines)) == 2


def test_json_lines_are_whole_results(meter: jouled.Meter, result: Result, tmp_path: Path) -> None:
    path = tmp_path / "joules.jsonl"
    with jouled.measure("live", meter=meter) as m:
        jouled.write_jsonl(path, m)
    jouled.write_jsonl(path, m, result)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["name"] for row in rows] == ["live", "live", "a, b"]
    assert rows[1] == m.asdict()
    assert rows[1]["zones"]["package:0"]["machine_joules"] > 0
    assert rows[2]["joules"] is None


def test_without_pandas_the_fix_is_said(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ExportError, match="pip install pandas, or use write_csv"):
        jouled.to_frame([result])


def test_a_frame_has_a_column_for_each_zone(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def frame(rows: list[Any]) -> str:
        made.extend(rows)
        return "frame"

    pandas: Any = types.SimpleNamespace(DataFrame=frame)
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    assert export.to_frame([result]) == "frame"
    assert made[0]["package:0_joules"] == result.zones["package:0"].joules
    assert made[0]["covers"] == "package dram"


def test_a_real_frame_is_made_where_pandas_is_installed(result: Result) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = jouled.to_frame([result, result])
    assert len(frame) == 2
    assert frame["seconds"][0] == result.seconds
