"""Results as records: CSV, JSON lines, and a pandas frame where pandas is there."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jouled.errors import JouledError
from jouled.measurement import Measurement, Result

COLUMNS = (
    "time",
    "name",
    "scope",
    "source",
    "via",
    "seconds",
    "cpu_seconds",
    "joules",
    "watts",
    "active_joules",
    "machine_joules",
    "error_bound",
    "covers",
    "zones",
    "problems",
)


class ExportError(JouledError):
    """Records could not be written; the message names the file and the fix."""


def write_csv(path: str | os.PathLike[str], *results: Result | Measurement) -> None:
    """Appends a line for each result; a new file begins with the header. Joules, watts, seconds; what is
    not known is empty; `time` is UTC seconds, `zones` the zone's joules as `package:0=1.5 dram:0=0.2`.

    Each line is one write, so that processes may share a file. Raises ExportError, also where the
    file begins with another header.
    """
    header = _line(COLUMNS)
    lines = [_line([_cell(record[column]) for column in COLUMNS]) for record in map(record_of, results)]
    _append(Path(path), lines, header)


def write_jsonl(path: str | os.PathLike[str], *results: Result | Measurement) -> None:
    """Appends a JSON object for each result, as `Result.asdict()` has it. Raises ExportError."""
    lines = [json.dumps(_settled(result).asdict(), allow_nan=False) + "\n" for result in results]
    _append(Path(path), lines)


def to_frame(results: Iterable[Result | Measurement]) -> Any:
    """A pandas DataFrame of results, a row each, the columns of `write_csv` and one for each zone's joules.

    Raises ExportError where pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise ExportError("to_frame: pandas is not installed; pip install pandas, or use write_csv") from error
    rows = []
    for result in map(_settled, results):
        row = record_of(result)
        row["covers"] = " ".join(row["covers"])
        row["problems"] = "; ".join(row["problems"])
        row.update({f"{key}_joules": joules for key, joules in row.pop("zones").items()})
        rows.append(row)
    return pandas.DataFrame(rows)


def record_of(result: Result | Measurement) -> dict[str, Any]:
    """One flat record, by column."""
    settled = _settled(result)
    record = {column: getattr(settled, column) for column in COLUMNS}
    return record | {"zones": {key: zone.joules for key, zone in settled.zones.items()}}


def _settled(result: Result | Measurement) -> Result:
    return result if isinstance(result, Result) else result.result


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, dict):
        return " ".join(f"{key}={'' if joules is None else joules}" for key, joules in value.items())
    if isinstance(value, tuple):
        return "; ".join(value)
    return value


def _line(cells: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(list(cells))
    return text.getvalue()


def _append(path: Path, lines: Iterable[str], header: str | None = None) -> None:
    import fcntl

    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            # Two that begin the same file would both write its header.
            fcntl.flock(file, fcntl.LOCK_EX)
            if header is not None:
                _begin(path, file, header.encode())
            for line in lines:
                _write(file, line.encode())
        finally:
            os.close(file)
    except OSError as error:
        raise ExportError(f"write {path}: {error.strerror}; name a file that can be written") from error


def _begin(path: Path, file: int, header: bytes) -> None:
    if os.fstat(file).st_size == 0:
        _write(file, header)
    elif os.pread(file, len(header), 0) != header:
        raise ExportError(f"write {path}: it begins with other columns; name another file")


def _write(file: int, line: bytes) -> None:
    """A disk that is full cuts a line; then the error comes with the rest of it."""
    while line:
        line = line[os.write(file, line) :]
