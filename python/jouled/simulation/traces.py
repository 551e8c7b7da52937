"""Recorded series in CSV: a line for each time from which a value holds."""

from __future__ import annotations

import bisect
import csv
import io
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from jouled.errors import JouledError

# A month of seconds has 2.7 million lines; more is a mistake.
BYTES_MAX = 200 * 1024 * 1024
LINES_MAX = 3_000_000
TIMES = ("timestamp", "time", "recorded_at", "sourced_at", "at")


# Outside of these it is another count of time.
YEAR_LEAST, YEAR_MOST = 1970, 2999


class TraceError(JouledError):
    """A recorded series that cannot be read."""


class Rows(Protocol):
    """Of a CSV file, with the line that was read last."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


class Trace(NamedTuple):
    """Values by time: each holds until the next, the first also before and the last also after."""

    start: datetime
    # Seconds after `start`, rising.
    times_s: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def length_s(self) -> float:
        return self.times_s[-1]

    def at(self, now_s: float) -> float:
        return self.values[max(0, bisect.bisect_right(self.times_s, now_s) - 1)]

    def since(self, start: datetime) -> Trace:
        """The same, its times counted from then on."""
        shift_s = (self.start - start).total_seconds()
        return Trace(start, tuple(each + shift_s for each in self.times_s), self.values)


def read_trace(path: str, columns: tuple[str, ...], scales: dict[str, float] | None = None) -> Trace:
    """The first of `columns` that the file has; `scales` says what one of it is worth. Raises TraceError."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TraceError(f"{path}: {(reason or '').lower()}; name a CSV file with {', '.join(columns)}") from error
    if len(content) > BYTES_MAX:
        raise TraceError(f"{path}: larger than {BYTES_MAX >> 20} MiB; cut it to the days that matter")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: is no text; name a CSV file with {', '.join(columns)}") from error
    return parse_trace(text, path, columns, scales)


def parse_trace(text: str, name: str, columns: tuple[str, ...], scales: dict[str, float] | None = None) -> Trace:
    rows = csv.reader(io.StringIO(text))
    try:
        return _parsed(rows, name, columns, scales or {})
    except csv.Error as error:  # a field without an end
        raise TraceError(f"{name}: line {rows.line_num}: is no CSV: {error}") from None


def _parsed(rows: Rows, name: str, columns: tuple[str, ...], scales: dict[str, float]) -> Trace:
    heads = [head.strip().lower() for head in next(rows, [])]
    time_at = next((heads.index(each) for each in TIMES if each in heads), None)
    value_at = next((heads.index(each) for each in columns if each in heads), None)
    if time_at is None or value_at is None:
        raise TraceError(f"{name}: its first line must name timestamp and {' or '.join(columns)}")
    scale = scales.get(heads[value_at], 1.0)
    found: dict[datetime, float] = {}
    for row in rows:
        if not row:
            continue
        place = f"{name}: line {rows.line_num}"
        if len(found) >= LINES_MAX:
            raise TraceError(f"{place}: more than {LINES_MAX} lines; cut it to the days that matter")
        if len(row) <= max(time_at, value_at):
            raise TraceError(f"{place}: has {len(row)} columns; its head has {len(heads)}")
        found[_instant(row[time_at].strip(), place)] = _value(row[value_at].strip(), place) * scale
    if not found:
        raise TraceError(f"{name}: has no lines; write a time and a value on each")
    times = sorted(found)
    start = times[0]
    return Trace(start, tuple((each - start).total_seconds() for each in times), tuple(found[each] for each in times))


def _instant(text: str, place: str) -> datetime:
    """RFC 3339, or seconds since 1970. What has no zone is UTC."""
    try:
        at = _parsed_time(text)
    except (ValueError, OverflowError, OSError):
        at = None
    if at is None or not YEAR_LEAST <= at.year <= YEAR_MOST:
        raise TraceError(f"{place}: {text[:40]!r} is no time; write 2026-03-01T12:00:00Z")
    return at


def _parsed_time(text: str) -> datetime:
    try:
        seconds = float(text)
    except ValueError:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return datetime.fromtimestamp(seconds, UTC)


def _value(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TraceError(f"{place}: {text[:40]!r} is no number")
    return value
