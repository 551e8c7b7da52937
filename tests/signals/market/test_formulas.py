"""The original's mock and static days, and its files."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from jouled.books.prices import Series
from jouled.errors import ConfigError
from jouled.http import AnswerError, Http, MissingError, UnreachableError
from jouled.signals.market.csv_file import CsvFiles, text_of, write_csv
from jouled.signals.market.mock import Mock
from jouled.signals.market.provider import Request
from jouled.signals.market.static import Static
from jouled.signals.market.testkit import check_provider, check_series, transport_of

ROOM = Path(__file__).parent
DAY = date(2025, 10, 9)
NOW = datetime(2025, 10, 9, 5, tzinfo=UTC)
PARIS = "Europe/Paris"
HEAD = "Period,Volume (MWh),Price (€/MWh)\n"


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http("market", transport=transport_of({})) as http:
        yield http


def request(**parameters: str) -> Request:
    return Request("FR", parameters, None, PARIS)


@pytest.mark.parametrize("kind", [Mock, Static])
async def test_the_day_is_the_original_s_to_the_last_digit(http: Http, kind: type[Mock | Static]) -> None:
    series = await kind.open(request(), http).fetch(DAY, NOW)
    check_series(series, request(), DAY, NOW)
    assert text_of(series) == (ROOM / "golden" / f"{kind.name}_data_2025-10-09.csv").read_text()
    assert series.quality == "estimated"


async def test_some_values_by_hand(http: Http) -> None:
    mock = (await Mock.open(request(), http).fetch(DAY, NOW)).slots
    # 00:00: base 70 + 30 sin(-pi/2) = 40, noise 0; 120 - (40 - 50) * 0.8 = 128
    assert mock[0][2:] == (Decimal("128.00"), Decimal("40.0"))
    # 12:00: base 100, noise 10 sin(4 pi) = 0; 120 - 40 + 20 sin(6 pi) = 80
    assert mock[48][2:] == (Decimal("80.00"), Decimal("100.0"))
    static = (await Static.open(request(), http).fetch(DAY, NOW)).slots
    values = [(int(slot.price or 0), int(slot.volume_mwh or 0)) for slot in static]
    assert [values[index] for index in (0, 3, 48, 52, 95)] == [(90, 30), (90, 30), (66, 54), (68, 52), (88, 32)]


@pytest.mark.parametrize("kind", [Mock, Static])
@pytest.mark.parametrize(("day", "count"), [(date(2025, 10, 26), 100), (date(2026, 3, 29), 92)])
async def test_days_of_other_lengths_follow_the_clock_on_the_wall(
    http: Http, kind: type[Mock | Static], day: date, count: int
) -> None:
    provider = kind.open(request(), http)
    series, plain = await provider.fetch(day, NOW), await provider.fetch(DAY, NOW)
    assert len(series.slots) == count
    assert series.is_complete
    last, plain_last = series.slots[-1], plain.slots[-1]
    assert last[2:] == plain_last[2:]
    assert last.end - last.start == timedelta(minutes=15)
    if count == 100:  # 02:00 twice
        assert series.slots[8][2:] == series.slots[12][2:] == plain.slots[8][2:]


@pytest.mark.parametrize("kind", [Mock, Static])
def test_formulas_pass_the_test_kit(kind: type[Mock | Static]) -> None:
    assert len(check_provider(kind, {}, DAY, zone="FR", timezone=PARIS).slots) == 96


async def test_own_rows_hold_on_every_day(http: Http, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(HEAD + "00:00-01:00,5,-1.5\n02:00-03:00,6,7\n")
    static = Static.open(request(file=f"{tmp_path}/rows.csv"), http)
    for day, first in ((DAY, "22:00"), (date(2026, 1, 1), "23:00")):
        slots = (await static.fetch(day, NOW)).slots
        assert (f"{slots[0].start:%H:%M}", slots[0].price) == (first, Decimal("-1.5"))
        assert len(slots) == 2
    with pytest.raises(ConfigError, match="is no path; write /PATH"):
        Static.open(request(file="rows.csv"), http)


# Files.


def files(http: Http, directory: Path, **parameters: str) -> CsvFiles:
    return CsvFiles.open(request(directory=str(directory), **parameters), http)


async def test_a_file_of_the_original_is_read(http: Http) -> None:
    series = await files(http, ROOM / "fixtures").fetch(DAY, NOW)
    check_series(series, request(), DAY, NOW)
    assert len(series.slots) == 96
    assert series.is_complete
    first, last = series.slots[0], series.slots[-1]
    assert (first.start, first.volume_mwh, first.price) == (
        datetime(2025, 10, 8, 22, tzinfo=UTC),
        Decimal("68.2"),
        Decimal("95.69"),
    )
    assert (last.end, last.volume_mwh, last.price) == (
        datetime(2025, 10, 9, 22, tzinfo=UTC),
        Decimal("80.5"),
        Decimal("85.30"),
    )
    assert text_of(series) == (ROOM / "fixtures" / "epex_data_2025-10-09.csv").read_text()


async def parsed(http: Http, directory: Path, body: bytes, day: date = DAY) -> Series:
    (directory / f"epex_data_{day}.csv").write_bytes(body)
    return await files(http, directory).fetch(day, NOW)


@pytest.mark.parametrize(
    "body",
    [
        (HEAD + "00:00-00:15,68.2,95.69\n").encode(),
        b"\xef\xbb\xbf" + (HEAD + "00:00-00:15,68.2,95.69\n").replace("\n", "\r\n").encode(),
        b"00:00-00:15,68.2,95.69",
        b"Price (ct/kWh), period ,Volume (MWh)\n9.569,00:00 - 00:15,68.2\n\n",
        (HEAD + '00:00-00:15,"68.2","95.69"\n00:15-00:30,-,\n').encode(),
    ],
)
async def test_the_same_row_in_many_hands(http: Http, tmp_path: Path, body: bytes) -> None:
    (slot,) = (await parsed(http, tmp_path, body)).slots
    assert slot[2:] == (Decimal("95.69"), Decimal("68.2"))


async def test_thousands_and_dashes_drop_no_row(http: Http, tmp_path: Path) -> None:
    body = HEAD + '00:00-00:15,"1,234.5",-3.20\n00:15-00:30,-,"1,000.00"\n00:30-00:45,0,-\n'
    slots = (await parsed(http, tmp_path, body.encode())).slots
    assert [slot[2:] for slot in slots] == [
        (Decimal("-3.20"), Decimal("1234.5")),
        (Decimal("1000.00"), None),
        (None, Decimal(0)),
    ]


@pytest.mark.parametrize("day", [DAY, date(2025, 10, 26), date(2026, 3, 29)])
async def test_what_is_written_is_read_back(http: Http, tmp_path: Path, day: date) -> None:
    series = await Mock.open(request(), http).fetch(day, NOW)
    path = write_csv(tmp_path, series)
    assert path == tmp_path / f"mock_data_{day}.csv"
    again = await files(http, tmp_path, prefix="mock").fetch(day, NOW)
    assert again.slots == series.slots
    assert again.provider == "csv"


async def test_prices_of_an_auction_are_read_back_at_a_site_of_another_time(http: Http, tmp_path: Path) -> None:
    in_paris = await Mock("FI", "Europe/Paris").fetch(DAY, NOW)
    write_csv(tmp_path, in_paris)
    there = {"directory": str(tmp_path), "prefix": "mock", "timezone": "Europe/Paris"}
    again = await CsvFiles.open(Request("FI", there, None, "Europe/Helsinki"), http).fetch(DAY, NOW)
    assert again.slots == in_paris.slots


async def test_other_currencies_are_in_the_head(http: Http, tmp_path: Path) -> None:
    series = (await Mock.open(request(), http).fetch(DAY, NOW))._replace(currency="GBP")
    write_csv(tmp_path, series)
    assert (await files(http, tmp_path, prefix="mock").fetch(DAY, NOW)).currency == "GBP"


async def test_a_file_is_replaced_as_a_whole_or_stays(http: Http, tmp_path: Path) -> None:
    series = await Mock.open(request(), http).fetch(DAY, NOW)
    path = write_csv(tmp_path, series)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    first = path.stat().st_ino
    write_csv(tmp_path, series)
    assert path.stat().st_ino != first
    path.unlink()
    path.mkdir()  # it cannot be replaced by a file
    with pytest.raises(UnreachableError, match="make room, or name another directory"):
        write_csv(tmp_path, series)
    assert not list(tmp_path.glob(".*"))  # noqa: ASYNC240  (a test of files)
    with pytest.raises(UnreachableError, match="No such file or directory"):
        write_csv(tmp_path / "nowhere", series)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("a,b,c\n1,2,3\n", r":1: the first line must name the columns: Period,Volume"),
        ("Period,Volume (GWh),Price (€/MWh)\n", r":1: 'Volume \(GWh\)' is not in MWh"),
        ("Period,Volume (MWh),Price (€/GWh)\n", r":1: '€/GWh' is no unit"),
        (HEAD + "00:00-00:15,1,234.5,95.69\n", r":2: 4 cells, not 3; quote a number"),
        (HEAD + "00:00-00:15,1\n", r":2: 2 cells, not 3"),
        (HEAD + "00:00-00:15,many,95.69\n", r":2: 'many' is no number"),
        (HEAD + "00:15-00:10,1,95.69\n", r":2: .* ends before it begins"),
        (HEAD + '00:00-00:15,"1,95.69\n', r"unexpected end"),
        (HEAD + "00:00-00:15,1,95.69\n" * 3000, r"more than 2000 lines"),
        (HEAD + "00:00-00:15,1,1000000\n", r"is not between"),
    ],
)
async def test_a_file_that_cannot_be_is_refused_with_its_line(
    http: Http, tmp_path: Path, body: str, words: str
) -> None:
    with pytest.raises(AnswerError, match=words):
        await parsed(http, tmp_path, body.encode())


async def test_other_encodings_and_heaps_are_refused(http: Http, tmp_path: Path) -> None:
    with pytest.raises(AnswerError, match=":1: not UTF-8"):
        await parsed(http, tmp_path, HEAD.encode("cp1252"))
    with pytest.raises(AnswerError, match="more than 1048576 bytes"):
        await parsed(http, tmp_path, b"0" * 1_100_000)


async def test_no_file_is_missing_and_one_without_rows_too(http: Http, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"epex_data_2025-10-09.csv: there is no such file"):
        await files(http, tmp_path).fetch(DAY, NOW)
    for body in (b"", HEAD.encode()):
        with pytest.raises(MissingError, match="nothing of 2025-10-09"):
            await parsed(http, tmp_path, body)


async def test_what_is_no_file_is_not_waited_for(http: Http, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"epex_data_{DAY}.csv")
    with pytest.raises(UnreachableError, match="not a file"):
        await files(http, tmp_path).fetch(DAY, NOW)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [({"directory": "here"}, "write /PATH"), ({"directory": "/x", "prefix": "../x"}, "begins no file's name")],
)
async def test_directories_and_prefixes_that_cannot_be_are_refused(
    http: Http, parameters: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        CsvFiles.open(request(**parameters), http)
