"""How the verbs look: what this terminal can show, numbers in columns, styled text in cells.

A line is a list of spans (text, style); only here do they become escape sequences, so that everything
before can be compared as text.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TextIO, TypeAlias

import click
from rich.cells import cell_len, set_cell_size

from jouled.errors import one_line

Span: TypeAlias = tuple[str, str]
Line: TypeAlias = list[Span]

# The colours of every terminal, which its own theme makes readable on its background.
CODES = {
    "": "",
    "bold": "1",
    "dim": "2",
    "head": "1;36",
    "good": "32",
    "warn": "33",
    "bad": "31",
    "active": "32",
    "idle": "34",
    "slice": "1",
    "chosen": "7",
}
# What is left of them where no colours are wanted.
PLAIN_CODES = {"bold": "1", "head": "1", "slice": "1", "chosen": "7", "dim": "2"}


class Look(NamedTuple):
    """What can be shown where the output goes."""

    width: int = 80
    height: int = 24
    is_utf8: bool = True
    has_colour: bool = False
    has_escapes: bool = False

    def glyphs(self) -> Glyphs:
        return UNICODE if self.is_utf8 else ASCII


class Glyphs(NamedTuple):
    """The characters that drawings are made of."""

    levels: str
    active: str
    idle: str
    closed: str
    opened: str
    cut: str
    mark: str


UNICODE = Glyphs(levels="▁▂▃▄▅▆▇█", active="█", idle="░", closed="▸", opened="▾", cut="…", mark="·")
ASCII = Glyphs(levels="_.-=+*#@", active="#", idle=".", closed="+", opened="-", cut="~", mark="-")


def look_of(out: TextIO, environ: Mapping[str, str] = os.environ) -> Look:
    """The look of this output. `NO_COLOR` takes the colours, `TERM=dumb` or a pipe everything."""
    has_escapes = out.isatty() and environ.get("TERM", "dumb") != "dumb"
    width, height = _size(out, environ)
    return Look(
        width=width,
        height=height,
        is_utf8=speaks_utf8(out.encoding, environ),
        has_colour=has_escapes and not environ.get("NO_COLOR"),
        has_escapes=has_escapes,
    )


def _size(out: TextIO, environ: Mapping[str, str]) -> tuple[int, int]:
    """The terminal's size, or `COLUMNS` and 80 where there is none."""
    try:
        size = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        columns = environ.get("COLUMNS", "")
        return (int(columns) if columns.isascii() and columns.isdigit() and 0 < int(columns) < 10_000 else 80), 24
    return size.columns or 80, size.lines or 24


def speaks_utf8(encoding: str | None, environ: Mapping[str, str]) -> bool:
    """Whether the terminal shows more than ASCII. Python turns the locale C into UTF-8 for itself (PEP 538,
    PEP 540); who has said C has a terminal that may not follow.
    """
    said = environ.get("LC_ALL") or environ.get("LANG") or ""
    if said in {"C", "POSIX"} and environ.get("LC_CTYPE", "C.UTF-8") == "C.UTF-8":
        return False
    return (encoding or "").lower().replace("-", "") == "utf8"


def width_of(line: Sequence[Span]) -> int:
    return sum(cell_len(text) for text, _ in line)


def clean(text: str) -> str:
    """Names are chosen by others: none may move the cursor."""
    return one_line(text)


def fitted(text: str, width: int, cut: str = "…") -> str:
    """Exactly `width` cells: filled with spaces, or cut with a sign for it."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + cut


def painted(line: Sequence[Span], look: Look) -> str:
    """The line for this output: cut at its width, without spaces at its end, styled where styles can be shown."""
    left = look.width
    parts: list[str] = []
    for raw, style in _trimmed(line):
        text = spoken(raw, look)
        shown = text if cell_len(text) <= left else fitted(text, left, look.glyphs().cut)
        left -= cell_len(shown)
        code = (CODES if look.has_colour else PLAIN_CODES).get(style, "") if look.has_escapes else ""
        parts.append(f"\x1b[{code}m{shown}\x1b[m" if code and shown else shown)
        if left <= 0:
            break
    return "".join(parts)


def _trimmed(line: Sequence[Span]) -> list[Span]:
    """Spaces at the end of a line are shown by nothing but a chosen row."""
    spans = list(line)
    while spans and spans[-1][1] != "chosen":
        text, style = spans.pop()
        if text.rstrip():
            return [*spans, (text.rstrip(), style)]
    return spans


def watts_text(watts: float | None) -> str:
    """Always two places, so that a column can be added by eye."""
    return "-" if watts is None else f"{watts:.2f}"


def joules_text(joules: float | None) -> str:
    if joules is None:
        return "-"
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # Rounded first: 999.96 J must not become 1000.0.
        if round(joules / factor, 4) >= 1:
            return f"{joules / factor:.2f}{unit}"
    return f"{joules:.1f}"


def share_text(part: float | None, whole: float | None) -> str:
    if part is None or not whole:
        return "-"
    return f"{100 * part / whole:.1f}"


def seconds_text(seconds: float | None) -> str:
    """The unit that fits: 250 ms, 5 s, 2 min, 3.5 h, 12 d."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    for limit_s, unit_s, unit in ((119.5, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit_s:
            return f"{seconds / unit_s:.3g} {unit}"
    return f"{seconds / 86_400:.3g} d"


def spark(values: Sequence[float | None], width: int, levels: str) -> str:
    """The last `width` values as a line of bars between 0 and their largest; nothing where none is known."""
    shown = list(values)[-width:]
    top = max((value for value in shown if value is not None), default=0.0)

    def bar(value: float | None) -> str:
        if value is None:
            return " "
        return levels[min(len(levels) - 1, int(value / top * len(levels)))] if top > 0 else levels[0]

    return "".join(map(bar, shown)).rjust(width)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int], look: Look) -> list[str]:
    """Columns as wide as what is in them; those in `right` end in line. What is too long is never cut:
    a table that goes to a file must be whole.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[at]) for row in [list(heads), *cells]) for at in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        padded = (
            " " * (width - cell_len(cell)) + cell if at in right else cell + " " * (width - cell_len(cell))
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    head = painted([(line(heads), "head")], look._replace(width=max(look.width, 10_000)))
    return [head, *map(line, cells)]


def spoken(text: str, look: Look) -> str:
    """What this output can show of a text: names may hold letters that it has not."""
    return text if look.is_utf8 else text.encode("ascii", "replace").decode()


def say(lines: Sequence[str], look: Look) -> None:
    """Writes the lines."""
    click.echo("".join(f"{spoken(line, look)}\n" for line in lines), nl=False)


def warn(text: str) -> None:
    """What the reader should know beside what was asked for."""
    click.echo(f"joulectl: {one_line(text)}", err=True)
