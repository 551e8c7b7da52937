"""A series in a file: CSV with a head of names, or JSON lines; `start,end,g_per_kwh[,is_forecast][,quality]`."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import msgspec
import trio
from msgspec import Meta, Struct

from jouled.books.intensity import SLOT_MAX, Kind, Quality, Slot, micrograms
from jouled.errors import one_line
from jouled.http import AnswerError, UnreachableError
from jouled.signals.carbon.fetched import Fetched

NAME = "file"
BYTES_MAX = 32 * 1024 * 1024
NEEDED = ("start", "end", "g_per_kwh")
KNOWN = (*NEEDED, "is_forecast", "quality")
WORDS = {"": False, "0": False, "1": True, "false": False, "true": True}


class _Line(Struct, frozen=True, forbid_unknown_fields=True):
    start: Annotated[datetime, Meta(tz=True)]
    end: Annotated[datetime, Meta(tz=True)]
    # null is missing, which is not zero.
    g_per_kwh: Decimal | None
    is_forecast: bool = False
    quality: Quality = "good"


class FileSeries:
    """Read again when it has changed; in a thread, because its disk may hang."""

    name = NAME

    def __init__(self, path: Path, kind: Kind) -> None:
        self._path = path
        self._kind = kind
        self._seen: tuple[int, ...] | None = None
        self._limiter = trio.CapacityLimiter(1)

    async def fetch(self, zone: str, now: datetime) -> Fetched:
        """Nothing where the file is as it was."""
        return Fetched(
            await trio.to_thread.run_sync(self.read, zone, now, limiter=self._limiter, abandon_on_cancel=True)
        )

    def read(self, zone: str, now: datetime) -> list[Slot]:
        try:
            with open(self._path, "rb", opener=_open_at_once) as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode):
                    raise UnreachableError(f"read {self._path}: not a file; set carbon.file to one")
                seen = (about.st_mtime_ns, about.st_size, about.st_ino)
                if seen == self._seen:
                    return []
                body = file.read(BYTES_MAX + 1)
        except OSError as error:
            raise UnreachableError(f"read {self._path}: {error.strerror}; check carbon.file") from error
        slots = parse(body, self._path, zone, self._kind, now)
        self._seen = seen
        return slots


def parse(body: bytes, path: Path, zone: str, kind: Kind, now: datetime) -> list[Slot]:
    """In order of time. Raises AnswerError, which names the line."""
    if len(body) > BYTES_MAX:
        raise AnswerError(f"{path}: more than {BYTES_MAX} bytes; leave out what is long past")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnswerError(f"{path}:{body[: error.start].count(10) + 1}: not UTF-8; write it as such") from None
    rows = _json_lines(text, path) if text.lstrip()[:1] == "{" else _csv_lines(text, path)
    digest = hashlib.sha256(body).hexdigest()
    found = sorted(((line.start, number, line) for number, line in rows if line.g_per_kwh is not None))
    slots: list[Slot] = []
    before = 0
    for start, number, line in found:
        if slots and start < slots[-1].end:
            raise AnswerError(f"{path}:{number}: overlaps line {before}; give each time once")
        end, value = _checked(line, f"{path}:{number}")
        slots.append(
            Slot(zone, kind, start.astimezone(UTC), end, value, NAME, line.is_forecast, line.quality, now, digest)
        )
        before = number
    return slots


def _checked(line: _Line, where: str) -> tuple[datetime, int]:
    """Its end and its value."""
    if not line.start < line.end <= line.start + SLOT_MAX:
        raise AnswerError(f"{where}: end must be after start, and at most a day")
    try:
        return line.end.astimezone(UTC), micrograms(line.g_per_kwh or Decimal(0))
    except ValueError as error:
        raise AnswerError(f"{where}: {error}") from None


def _json_lines(text: str, path: Path) -> Iterator[tuple[int, _Line]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, msgspec.json.decode(line, type=_Line)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise AnswerError(f"{path}:{number}: {one_line(str(error))}") from None


def _csv_lines(text: str, path: Path) -> Iterator[tuple[int, _Line]]:
    rows = csv.reader(io.StringIO(text), strict=True)
    names: list[str] | None = None
    try:
        for row in rows:
            if not row or row[0].startswith("#"):
                continue
            if names is None:
                names = _names(row, f"{path}:{rows.line_num}")
            else:
                yield rows.line_num, _csv_line(names, row, f"{path}:{rows.line_num}")
    except csv.Error as error:
        raise AnswerError(f"{path}:{rows.line_num}: {error}") from None


def _names(row: list[str], where: str) -> list[str]:
    names = [cell.strip() for cell in row]
    unknown = [name for name in names if name not in KNOWN]
    missing = [name for name in NEEDED if name not in names]
    if unknown or missing or len(set(names)) != len(names):
        raise AnswerError(f"{where}: the first line must name the columns: {','.join(NEEDED)}[,is_forecast][,quality]")
    return names


def _csv_line(names: list[str], row: list[str], where: str) -> _Line:
    if len(row) != len(names):
        raise AnswerError(f"{where}: {len(row)} cells under {len(names)} names")
    cells = dict(zip(names, (cell.strip() for cell in row), strict=True))
    value, word = cells["g_per_kwh"], cells.get("is_forecast", "").lower()
    if word not in WORDS:
        raise AnswerError(f"{where}: is_forecast {word[:20]!r} is neither true nor false")
    try:
        fields = {
            "start": cells["start"],
            "end": cells["end"],
            "g_per_kwh": Decimal(value) if value else None,
            "is_forecast": WORDS[word],
            "quality": cells.get("quality") or "good",
        }
        return msgspec.convert(fields, _Line)
    except InvalidOperation:
        raise AnswerError(f"{where}: g_per_kwh {value[:20]!r} is no number") from None
    except msgspec.MsgspecError as error:
        raise AnswerError(f"{where}: {one_line(str(error))}") from None


def _open_at_once(path: str, flags: int) -> int:
    """A pipe would wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)
