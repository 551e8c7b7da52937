"""A reading in a file that others write again and again: JSON, a number, or lines of CSV of which the last counts."""

from __future__ import annotations

import csv
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import trio

from jouled.balance.site.supply import Reading
from jouled.config.plant import Pointers
from jouled.http import UnreachableError
from jouled.signals.plant.asked import refuse
from jouled.signals.plant.pointed import parse, reading_of
from jouled.signals.plant.protocol import BYTES_MAX

COLUMNS = ("timestamp", "generation", "consumption", "exported", "confidence", "battery", "id")
# Lines without a head of names.
PLAIN = ("timestamp", "generation")


class FileReading:
    """Read whole each time, in a thread, because its disk may hang. Written in place or moved there: both are seen."""

    def __init__(self, path: Path, pointers: Pointers, unit: str) -> None:
        self.where = str(path)
        self._path = path
        self._pointers = pointers
        self._unit = unit
        self._limiter = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<FileReading {self.where}>"

    async def fetch(self, now: datetime) -> Reading:  # noqa: ARG002  (its times are its own)
        return await trio.to_thread.run_sync(self.read, limiter=self._limiter, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Nothing is open."""

    def read(self) -> Reading:
        try:
            with open(self._path, "rb", opener=_open_at_once) as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode):
                    raise UnreachableError(f"read {self._path}: not a file; set plant.file to one")
                body = file.read(BYTES_MAX + 1)
        except OSError as error:
            raise UnreachableError(f"read {self._path}: {error.strerror}; check plant.file") from error
        return parsed(body, self.where, self._pointers, self._unit, datetime.fromtimestamp(about.st_mtime, UTC))


def parsed(body: bytes, where: str, pointers: Pointers, unit: str, written_at: datetime) -> Reading:
    """In watts. When it was written is its time only where it holds none. Raises AnswerError."""
    if len(body) > BYTES_MAX:
        refuse(where, f"more than {BYTES_MAX} bytes: leave only the latest reading there")
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        refuse(where, "it is empty: is it being written?")
    if text[:1] in b"{[" or pointers.generation is not None:
        return parse(text, where, pointers, unit, written_at)
    if not text.endswith(b"\n"):
        # A number that is cut off is another number.
        refuse(where, "its last line does not end: is it being written?")
    return _line(text, where, unit, written_at)


def _line(text: bytes, where: str, unit: str, written_at: datetime) -> Reading:
    try:
        rows = [row for row in csv.reader(text.decode().splitlines(), strict=True) if row and row[0][:1] != "#"]
    except (UnicodeDecodeError, csv.Error) as error:
        refuse(where, f"neither JSON nor lines of CSV: {error}")
    if not rows:
        refuse(where, "there is no line with a reading")
    names = tuple(cell.strip().lower() for cell in rows[0])
    cells = [cell.strip() for cell in rows[-1]]
    if "generation" not in names:
        names = PLAIN if len(cells) > 1 else ("generation",)
    elif len(rows) == 1:
        refuse(where, "there is no line with a reading")
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or len(cells) != len(names):
        refuse(where, f"write lines of {','.join(PLAIN)}, or a first line with names of {','.join(COLUMNS)}")
    document = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    pointers = Pointers(**{name: f"/{name}" for name in names})
    return reading_of(document, where, pointers, unit, written_at)


def _open_at_once(path: str, flags: int) -> int:
    """A pipe would wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)
