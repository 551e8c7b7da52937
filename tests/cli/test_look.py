from __future__ import annotations

import io

import pytest

from jouled.cli.look import (
    ASCII,
    UNICODE,
    Look,
    fitted,
    joules_text,
    look_of,
    painted,
    seconds_text,
    share_text,
    spark,
    speaks_utf8,
    table,
    watts_text,
)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError


@pytest.mark.parametrize(
    ("out", "environ", "has_escapes", "has_colour"),
    [
        (Terminal(), {"TERM": "xterm"}, True, True),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True, True),
        (Terminal(), {"TERM": "dumb"}, False, False),
        (Terminal(), {}, False, False),
        (io.StringIO(), {"TERM": "xterm"}, False, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    out: io.StringIO, environ: dict[str, str], has_escapes: bool, has_colour: bool
) -> None:
    style = look_of(out, environ)
    assert (style.has_escapes, style.has_colour) == (has_escapes, has_colour)


@pytest.mark.parametrize(("columns", "width"), [("200", 200), ("wide", 80), ("0", 80), ("-3", 80), ("99999999", 80)])
def test_what_is_no_terminal_is_as_wide_as_columns_says(columns: str, width: int) -> None:
    assert look_of(io.StringIO(), {"COLUMNS": columns}).width == width


@pytest.mark.parametrize(
    ("encoding", "environ", "is_utf8"),
    [
        ("utf-8", {"LANG": "de_DE.UTF-8"}, True),
        ("UTF8", {}, True),
        ("utf-8", {"LANG": "C"}, False),
        ("utf-8", {"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, False),
        ("utf-8", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ("utf-8", {"LANG": "C", "LC_CTYPE": "de_DE.UTF-8"}, True),
        ("iso8859-1", {"LANG": "de_DE.ISO-8859-1"}, False),
        (None, {}, False),
    ],
)
def test_only_who_says_utf8_gets_more_than_ascii(encoding: str | None, environ: dict[str, str], is_utf8: bool) -> None:
    assert speaks_utf8(encoding, environ) == is_utf8


def test_a_line_is_cut_at_the_width_and_styled_where_styles_can_be_shown() -> None:
    line = [("watts", "head"), (" of this host ", ""), ("   ", "dim")]
    assert painted(line, Look(width=80)) == "watts of this host"
    assert painted(line, Look(width=8)) == "watts o…"
    assert painted(line, Look(width=8, is_utf8=False)) == "watts o~"
    assert painted(line, Look(has_escapes=True)) == "\x1b[1mwatts\x1b[m of this host"
    assert painted([("bad", "bad")], Look(has_escapes=True)) == "bad"
    assert painted([("bad", "bad")], Look(has_escapes=True, has_colour=True)) == "\x1b[31mbad\x1b[m"


def test_who_has_ascii_only_gets_a_mark_for_other_letters() -> None:
    assert painted([("café → 2 W", "")], Look(is_utf8=False)) == "caf? ? 2 W"


def test_wide_characters_fill_two_cells() -> None:
    assert fitted("日本", 6) == "日本  "
    assert fitted("日本語", 4) == "日 …"
    assert fitted("x", 0) == ""


@pytest.mark.parametrize(
    ("joules", "text"),
    [
        (None, "-"),
        (0.0, "0.0"),
        (999.94, "999.9"),
        (999.96, "1.00k"),
        (12_345.0, "12.35k"),
        (2.5e6, "2.50M"),
        (3e9, "3.00G"),
        (7.2e13, "72000.00G"),
    ],
)
def test_joules_have_the_unit_that_fits(joules: float | None, text: str) -> None:
    assert joules_text(joules) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.25, "250 ms"), (0.9999, "1 s"), (5, "5 s"), (120, "2 min"), (9000, "2.5 h"), (864_000, "10 d")],
)
def test_spans_have_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds) == text


def test_what_is_not_known_is_a_dash_and_not_zero() -> None:
    assert (watts_text(None), watts_text(0.0)) == ("-", "0.00")
    assert (share_text(None, 5), share_text(1, None), share_text(1, 0), share_text(1, 8)) == ("-", "-", "-", "12.5")


def test_a_spark_stands_between_zero_and_the_largest() -> None:
    assert spark([0, 1, 2, 4, 8], 8, UNICODE.levels) == "   ▁▂▃▅█"
    assert spark([0, 8], 2, ASCII.levels) == "_@"
    assert spark([0, 0], 2, UNICODE.levels) == "▁▁"
    assert spark([1, None, 1], 3, UNICODE.levels) == "█ █"
    assert spark([], 3, UNICODE.levels) == "   "
    assert spark(range(100), 2, UNICODE.levels) == "██"


def test_a_table_is_never_cut() -> None:
    rows = table(("A", "BB"), [["x" * 300, "1"], ["\x1b", "22"]], frozenset({1}), Look(width=10))
    assert rows == ["A" + " " * 301 + "BB", "x" * 300 + "   1", "\\x1b" + " " * 298 + "22"]
