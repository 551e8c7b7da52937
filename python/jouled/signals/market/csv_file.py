"""The original's files: `<provider>_data_YYYY-MM-DD.csv` of `Period,Volume (MWh),Price (€/MWh)`, read and written."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, Self

import trio

from jouled.books.prices import Series
from jouled.config.market import zone_problem
from jouled.errors import ConfigError
from jouled.http import AnswerError, Http, UnreachableError
from jouled.signals.answers import excerpt
from jouled.signals.market import saved
from jouled.signals.market.provider import Parameter, Request
from jouled.signals.market.rows import LABEL, Row, label, number, points_of_rows
from jouled.signals.market.slots import Origin, per_mwh, series_of, unit_of

NAME = "csv"
# A day has a hundred lines.
BYTES_MAX = 1024 * 1024
LINES_MAX = 2000
PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
PRICE = re.compile(r"price\s*\(([^()]{1,20})\)", re.IGNORECASE)
COLUMNS = "Period,Volume (MWh),Price (€/MWh)"


class Table(NamedTuple):
    """What a file holds, prices already of one MWh."""

    rows: tuple[Row, ...]
    currency: str


class CsvFiles:
    """A file of each day, in one directory; in a thread, because its disk may hang."""

    name = NAME
    description = "files PREFIX_data_YYYY-MM-DD.csv of Period,Volume (MWh),Price (€/MWh) in local time; no key"
    parameters: tuple[Parameter, ...] = (
        Parameter("directory", "Where the files are."),
        Parameter("prefix", "How their names begin.", "epex"),
        Parameter("timezone", "Whose local time they hold, as Europe/Brussels of an auction; else the site's.", ""),
    )
    zones: tuple[str, ...] = ()
    published = time(0, 0)
    notice: str | None = None

    def __init__(self, zone: str, timezone: str, directory: Path, prefix: str = "epex") -> None:
        self.timezone = timezone
        self._zone = zone
        self._directory = directory
        self._prefix = prefix
        self._limiter = trio.CapacityLimiter(1)

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:  # noqa: ARG003  (the shape of all providers)
        directory, prefix = request.parameters["directory"], request.parameters.get("prefix", "epex")
        if not directory.startswith("/"):
            raise ConfigError(f"market.parameters {NAME}.directory: {directory!r} is no directory; write /PATH")
        if not PREFIX.fullmatch(prefix):
            raise ConfigError(
                f"market.parameters {NAME}.prefix: {prefix!r} begins no file's name; write letters and digits, as epex"
            )
        timezone = request.parameters.get("timezone", "")
        if timezone and (problem := zone_problem(timezone)):
            raise ConfigError(f"market.parameters {NAME}.timezone: {problem}")
        return cls(request.zone, timezone or request.timezone, Path(directory), prefix)

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        path = path_of(self._directory, self._prefix, delivery_day)
        body = await trio.to_thread.run_sync(read, path, limiter=self._limiter, abandon_on_cancel=True)
        return parse(body, Origin(NAME, self._zone, delivery_day, self.timezone, now, str(path)))


def path_of(directory: Path, prefix: str, day: date) -> Path:
    return directory / f"{prefix}_data_{day.isoformat()}.csv"


def read(path: Path) -> bytes:
    """Raises as `saved.read`."""
    missing = "there is no such file; nothing of that day is known"
    return saved.read(path, BYTES_MAX, missing=missing, too_large="a day has a hundred lines")


def parse(body: bytes, origin: Origin) -> Series:
    table = rows_of(body, origin.where)
    points = points_of_rows(table.rows, origin.delivery_day, origin.timezone)
    return series_of(points, origin._replace(currency=table.currency), body)


def rows_of(body: bytes, where: str) -> Table:
    """Columns are found by their names; without a first line of names they are the original's. Raises AnswerError."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnswerError(f"{where}:{body[: error.start].count(10) + 1}: not UTF-8; write it as such") from None
    rows: list[Row] = []
    columns: _Columns | None = None
    for line, cells in _lines(text, where):
        if columns is None:
            is_headless = LABEL.fullmatch(cells[0].strip()[:40]) is not None
            columns = _Columns(3, 0, 1, 2, "EUR", Decimal(1)) if is_headless else _columns(cells, f"{where}:{line}")
            if not is_headless:
                continue
        rows.append(_row(cells, columns, f"{where}:{line}"))
    return Table(tuple(rows), columns.currency if columns else "EUR")


def write_csv(directory: Path, series: Series) -> Path:
    """The file of that day by its provider's name, whole or as it was. Returns its path.

    Raises UnreachableError. Blocks: call it in a thread.
    """
    path = path_of(directory, series.provider, series.delivery_day)
    body = text_of(series).encode()
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=directory)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o644)  # for whoever reads the original's files
            file.write(body)
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        raise UnreachableError(f"write {path}: {error.strerror}; make room, or name another directory") from error
    return path


def text_of(series: Series) -> str:
    """One decimal of volumes and two of prices, as the original has it; what is missing is an empty cell."""
    unit = "€" if series.currency == "EUR" else series.currency
    lines = [COLUMNS.replace("€", unit)]
    for slot in series.slots:
        volume = "" if slot.volume_mwh is None else f"{slot.volume_mwh:.1f}"
        price = "" if slot.price is None else f"{slot.price:.2f}"
        lines.append(f"{label(slot.start, slot.end, series.timezone)},{volume},{price}")
    return "\n".join([*lines, ""])


class _Columns(NamedTuple):
    width: int
    period: int
    volume: int | None
    price: int | None
    currency: str
    factor: Decimal


def _lines(text: str, where: str) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader(io.StringIO(text), strict=True)
    try:
        for row in rows:
            if rows.line_num > LINES_MAX:
                raise AnswerError(f"{where}: more than {LINES_MAX} lines; a day has a hundred")
            if any(cell.strip() for cell in row):
                yield rows.line_num, row
    except csv.Error as error:
        raise AnswerError(f"{where}:{rows.line_num}: {error}") from None


def _columns(cells: list[str], where: str) -> _Columns:
    names = [" ".join(cell.lower().split()) for cell in cells]
    places = {name.partition("(")[0].strip(): index for index, name in enumerate(names)}
    if "period" not in places or not {"volume", "price"} & set(places) or len(places) != len(names):
        raise AnswerError(f"{where}: the first line must name the columns: {COLUMNS}")
    currency, factor = "EUR", Decimal(1)
    if "volume" in places and names[places["volume"]] not in {"volume (mwh)", "volume"}:
        raise AnswerError(f"{where}: {excerpt(cells[places['volume']])!r} is not in MWh; write Volume (MWh)")
    if "price" in places and (match := PRICE.fullmatch(cells[places["price"]].strip())):
        currency, factor = unit_of(match[1], where)
    return _Columns(len(cells), places["period"], places.get("volume"), places.get("price"), currency, factor)


def _row(cells: list[str], columns: _Columns, where: str) -> Row:
    if len(cells) != columns.width:
        raise AnswerError(f'{where}: {len(cells)} cells, not {columns.width}; quote a number as "1,234.5"')
    volume = None if columns.volume is None else number(cells[columns.volume], where)
    price = None if columns.price is None else number(cells[columns.price], where)
    return Row(cells[columns.period], volume, per_mwh(price, columns.factor, where), where)
