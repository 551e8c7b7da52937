"""Recorded series."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from jouled.simulation.traces import TraceError, parse_trace, read_trace

COLUMNS = ("watts", "kw")


def test_a_value_holds_until_the_next() -> None:
    text = "timestamp,watts\n2026-03-01T01:00:00+01:00,10\n1772323260,20\n"
    trace = parse_trace(text, "x.csv", COLUMNS)
    assert trace.start == datetime(2026, 3, 1, tzinfo=UTC)
    assert [trace.at(second) for second in (-5, 0, 59, 60, 1000)] == [10, 10, 10, 20, 20]
    assert trace.length_s == 60


def test_columns_may_have_another_unit_and_order() -> None:
    trace = parse_trace("Kw,other,Time\n1.5,x,2026-03-01 00:00:00\n", "x.csv", COLUMNS, {"kw": 1000.0})
    assert trace.values == (1500.0,)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "x.csv: its first line must name timestamp and watts or kw"),
        ("time,power\n", "its first line must name timestamp and watts or kw"),
        ("time,watts\n", "x.csv: has no lines"),
        ("time,watts\nyesterday,5\n", "x.csv: line 2: 'yesterday' is no time"),
        ("time,watts\n1e400,5\n", "x.csv: line 2: '1e400' is no time"),
        ("time,watts\nnan,5\n", "x.csv: line 2: 'nan' is no time"),
        ("time,watts\n5,nan\n", "x.csv: line 2: 'nan' is no number"),
        ("time,watts\n0001-01-01T00:00:00+14:00,5\n", "x.csv: line 2: '0001-01-01T00:00:00+14:00' is no time"),
        ("time,watts\n9999-12-31T20:00:00Z,5\n", "x.csv: line 2: '9999-12-31T20:00:00Z' is no time"),
        (f"time,watts\n5,{'1' * 140_000}\n", "x.csv: line 2: is no CSV: field larger than field limit"),
        ("time,watts\n5\n", "x.csv: line 2: has 1 columns; its head has 2"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, what: str) -> None:
    with pytest.raises(TraceError) as raised:
        parse_trace(text, "x.csv", COLUMNS)
    assert what in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "x.csv"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(TraceError, match="is no text"):
        read_trace(str(binary), COLUMNS)
    with pytest.raises(TraceError, match="no such file"):
        read_trace(str(tmp_path / "none.csv"), COLUMNS)
