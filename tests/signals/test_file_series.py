from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jouled.books.intensity import Slot
from jouled.http import AnswerError, UnreachableError
from jouled.signals.carbon.file import FileSeries, parse

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
CSV = """\
# measured by hand
start,end,g_per_kwh,is_forecast,quality
2026-05-04T14:00:00+02:00,2026-05-04T15:00:00+02:00,300.5,,
2026-05-04T10:00:00Z,2026-05-04T11:00:00Z,0,true,estimated
2026-05-04T11:00:00Z,2026-05-04T12:00:00Z,,,
"""
LINES = """\
{"start":"2026-05-04T12:00:00Z","end":"2026-05-04T13:00:00Z","g_per_kwh":300.5}

{"start":"2026-05-04T10:00:00Z","end":"2026-05-04T11:00:00Z","g_per_kwh":0,"is_forecast":true,"quality":"estimated"}
{"start":"2026-05-04T11:00:00Z","end":"2026-05-04T12:00:00Z","g_per_kwh":null}
"""


def read(text: str, name: str = "x.csv") -> list[Slot]:
    return parse(text.encode(), Path("/etc") / name, "DE", "marginal", NOW)


@pytest.mark.parametrize("text", [CSV, CSV.replace("\n", "\r\n"), "\ufeff" + CSV, LINES])
def test_both_forms_hold_the_same_series(text: str) -> None:
    first, second = read(text)
    assert (first.start, first.end) == (datetime(2026, 5, 4, 10, tzinfo=UTC), datetime(2026, 5, 4, 11, tzinfo=UTC))
    assert (first.ug_per_kwh, first.is_forecast, first.quality) == (0, True, "estimated")
    assert (second.start, second.ug_per_kwh) == (datetime(2026, 5, 4, 12, tzinfo=UTC), 300_500_000)
    assert (second.is_forecast, second.quality, second.kind, second.provider) == (False, "good", "marginal", "file")


HEAD = "start,end,g_per_kwh\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from,to,value\n", "/etc/x.csv:1: the first line must name the columns: start,end,g_per_kwh"),
        ("start,end,g_per_kwh,start\n", "/etc/x.csv:1: the first line must name the columns"),
        (HEAD + "2026-05-04T10:00:00Z,2026-05-04T11:00:00Z\n", "/etc/x.csv:2: 2 cells under 3 names"),
        (HEAD + "2026-05-04T10:00:00,2026-05-04T11:00:00Z,1\n", "/etc/x.csv:2: Expected `datetime` with a timezone"),
        (HEAD + "2026-05-04T10:00:00Z,2026-05-04T11:00:00Z,much\n", "/etc/x.csv:2: g_per_kwh 'much' is no number"),
        (HEAD + "2026-05-04T10:00:00Z,2026-05-04T11:00:00Z,-1\n", "/etc/x.csv:2: -1 g/kWh is not between 0 and 5000"),
        (HEAD + "2026-05-04T10:00:00Z,2026-05-04T11:00:00Z,NaN\n", "/etc/x.csv:2: NaN g/kWh is not between"),
        (HEAD + "2026-05-04T10:00:00Z,2026-05-04T10:00:00Z,1\n", "/etc/x.csv:2: end must be after start"),
        (
            HEAD + "2026-05-04T10:00:00Z,2026-05-04T11:00:00Z,1\n2026-05-04T10:30:00Z,2026-05-04T11:30:00Z,1\n",
            "/etc/x.csv:3: overlaps line 2",
        ),
        (
            HEAD.strip() + ",is_forecast\n2026-05-04T10:00:00Z,2026-05-04T11:00:00Z,1,maybe\n",
            "/etc/x.csv:2: is_forecast",
        ),
        ('{"start":1}\n', "/etc/x.csv:1: "),
        ('{"start":"2026-05-04T10:00:00Z","end":"2026-05-04T11:00:00Z","g_per_kwh":1}\n{"x":1}\n', "/etc/x.csv:2: "),
    ],
)
def test_an_error_names_its_line(text: str, words: str) -> None:
    with pytest.raises(AnswerError) as caught:
        read(text)
    assert str(caught.value).startswith(words)


def test_what_is_not_utf8_names_its_line() -> None:
    with pytest.raises(AnswerError, match=r"^/x:2: not UTF-8"):
        parse(b"start,end,g_per_kwh\n\xff", Path("/x"), "DE", "average", NOW)


async def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    path.write_text(CSV)
    series = FileSeries(path, "average")
    assert len((await series.fetch("DE", NOW)).slots) == 2
    assert (await series.fetch("DE", NOW)).slots == []
    path.write_text(CSV + "2026-05-04T13:00:00Z,2026-05-04T14:00:00Z,7,,\n")
    assert len((await series.fetch("DE", NOW)).slots) == 3


async def test_a_file_with_an_error_is_said_each_time_until_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    path.write_text("nonsense")
    series = FileSeries(path, "average")
    for _ in range(2):
        with pytest.raises(AnswerError, match=r"series\.csv:1"):
            await series.fetch("DE", NOW)


async def test_a_file_that_is_none_is_said_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in {
        "none": "No such file or directory; check carbon.file",
        "pipe": "not a file",
        ".": "directory",
    }.items():
        with pytest.raises(UnreachableError, match=words):
            await FileSeries(tmp_path / name, "average").fetch("DE", NOW)
