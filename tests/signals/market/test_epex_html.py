"""EPEX SPOT's pages as powercap read them: saved ones, and from a server on loopback."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from httpx2 import AsyncHTTPTransport

import jouled
from answering import Server, answering
from jouled.books.prices import Series
from jouled.errors import ConfigError
from jouled.http import AnswerError, Http, MissingError, RejectedError, UnreachableError
from jouled.signals.market import csv_file, epex_html
from jouled.signals.market.epex_page import TAGS_MAX
from jouled.signals.market.provider import CET, Provider, Request
from jouled.signals.market.registry import checked, find, open_provider
from jouled.signals.market.slots import Origin

ROOM = Path(__file__).parent
NOW = datetime(2025, 10, 8, 15, tzinfo=UTC)
PATH = "/en/market-results"
ORIGINAL, LONG, SHORT = "2025-10-09", "2025-10-26", "2026-03-29"
USUAL = {"market_area": "FR", "auction": "IDA1", "modality": "Auction", "sub_modality": "Intraday"}


def recorded(name: str) -> str:
    return (ROOM / "fixtures" / f"epex_{name}.html").read_text()


def golden(name: str) -> list[tuple[datetime, Decimal]]:
    lines = (ROOM / "golden" / f"{name}.txt").read_text().splitlines()
    return [(datetime.fromisoformat(at), Decimal(price)) for at, price in (line.split() for line in lines)]


def parsed(page: str, day: str = ORIGINAL, currency: str = "EUR") -> Series:
    origin = Origin("epex-html", "FR", date.fromisoformat(day), CET, NOW, "GET http://x", currency, "ida1")
    return epex_html.parse(page.encode(), origin)


def page(periods: list[str], rows: str, *, head: str = "") -> str:
    links = "".join(f'<li><a href="#">{period}</a></li>' for period in periods)
    return (
        f"<html><body><ul>{links}</ul><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></body></html>"
    )


def row(*cells: str, kind: str = "child") -> str:
    return f'<tr class="{kind}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    # Certificates take long to load, and loopback has none.
    async with Http("market", deadline_s=20.0, tries=1, transport=AsyncHTTPTransport(verify=False)) as http:
        yield http


def opened(http: Http, server: Server | None = None, zone: str = "FR", **parameters: str) -> Provider:
    given = checked("epex-html", find("epex-html").parameters, {**USUAL, **parameters}, {})
    return open_provider("epex-html", Request(zone, given, f"{server.url}{PATH}" if server else None), http)


def test_the_original_s_page_is_the_original_s_file() -> None:
    series = parsed(recorded(ORIGINAL))
    origin = Origin("csv", "FR", date(2025, 10, 9), CET, NOW, "x")
    file = csv_file.parse((ROOM / "fixtures" / "epex_data_2025-10-09.csv").read_bytes(), origin)
    assert series.slots == file.slots
    assert len(series.slots) == 96
    assert series.slots[-1].start == datetime(2025, 10, 9, 21, 45, tzinfo=UTC)  # 23:45-24:00
    assert series.is_complete
    assert (series.currency, series.product, series.provider) == ("EUR", "ida1", "epex-html")


@pytest.mark.parametrize(("day", "count"), [(LONG, 100), (SHORT, 92)])
def test_days_on_which_the_clock_is_set_have_all_their_quarters(day: str, count: int) -> None:
    series = parsed(recorded(day), day)
    assert [(slot.start, slot.price) for slot in series.slots] == golden(day)
    assert len(series.slots) == count
    assert series.is_complete
    assert series.slots[20].volume_mwh == Decimal(1010)  # written 1,010.0


async def test_the_question_is_the_original_s_in_a_fixed_order_and_escaped(http: Http, server: Server) -> None:
    server.tell(PATH, recorded(ORIGINAL).encode(), headers={"content-type": "text/html"})
    provider = opened(http, server, allow="yes", auction="30-call GB&x=1")
    with pytest.raises(AnswerError):
        await provider.fetch(date(2025, 11, 9), NOW)
    (asked,) = server.asked
    assert list(asked.query.items()) == [
        ("trading_date", "2025-11-08"),
        ("delivery_date", "2025-11-09"),
        ("market_area", "FR"),
        ("auction", "30-call GB&x=1"),
        ("modality", "Auction"),
        ("sub_modality", "Intraday"),
        ("data_mode", "table"),
    ]
    assert asked.headers["accept"] == "text/html"
    assert asked.headers["user-agent"] == f"jouled/{jouled.__version__}"


async def test_the_empty_parameters_are_there_too(http: Http) -> None:
    provider = opened(http, allow="yes")
    assert isinstance(provider, epex_html.EpexHtml)
    assert list(provider._query)[5:] == ["underlying_year", "technology", "period", "production_period"]
    assert set(list(provider._query.values())[5:]) == {""}


async def test_another_name_is_used_only_where_it_is_given(http: Http, server: Server) -> None:
    server.tell(PATH, recorded(ORIGINAL).encode())
    provider = opened(http, server, allow="yes", user_agent="Mozilla/5.0 (of the works council)")
    series = await provider.fetch(date(2025, 10, 9), NOW)
    assert len(series.slots) == 96
    assert server.asked[0].headers["user-agent"] == "Mozilla/5.0 (of the works council)"


async def test_it_is_off_and_says_why_and_what_to_do(http: Http) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(http)
    assert str(caught.value) == (
        "market.parameters epex-html.allow: epex-html is off: the exchange asked public clients to stop reading its"
        " pages, and its site answers 202 with a challenge; save pages by hand and name their directory in"
        " epex-html.directory, or use another provider; where it is allowed to you, write yes"
    )


@pytest.mark.parametrize("name", list(USUAL))
async def test_the_original_s_parameters_are_required(http: Http, name: str) -> None:
    given = {key: value for key, value in USUAL.items() if key != name}
    with pytest.raises(ConfigError, match=f'epex-html needs "epex-html.{name}" = {name.upper()}'):
        checked("epex-html", find("epex-html").parameters, given, {})


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"market_area": " "}, "epex-html.market_area: ' ' cannot be; write at most 64 plain characters"),
        ({"auction": "x" * 65}, "epex-html.auction"),
        ({"user_agent": "a\r\nx: y"}, "epex-html.user_agent"),
        ({"directory": "pages", "allow": "no"}, "epex-html.directory: 'pages' is no directory; write /PATH"),
        ({"allow": "maybe"}, "epex-html.allow: 'maybe' cannot be; write no or yes"),
        ({"data_mode": "graph"}, "epex-html.data_mode: 'graph' cannot be; write table"),
    ],
)
async def test_parameters_that_cannot_be_are_refused(http: Http, parameters: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(http, None, "FR", **{"allow": "yes", **parameters})
    assert words in str(caught.value)


async def test_saved_pages_are_read_without_asking_anybody(http: Http, server: Server, tmp_path: Path) -> None:
    (tmp_path / f"epex_{ORIGINAL}.html").write_text(recorded(ORIGINAL))
    provider = opened(http, server, directory=str(tmp_path))
    series = await provider.fetch(date(2025, 10, 9), NOW)
    assert len(series.slots) == 96
    assert provider.notice is None
    with pytest.raises(
        MissingError, match=f"read {tmp_path}/epex_2025-10-10.html: there is no such page; save it there"
    ):
        await provider.fetch(date(2025, 10, 10), NOW)
    assert not server.asked


async def test_a_saved_page_that_cannot_be_read_says_so(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = opened(http, directory=str(tmp_path))
    path = tmp_path / f"epex_{ORIGINAL}.html"
    os.mkfifo(path)
    with pytest.raises(UnreachableError, match="not a file; put one there"):
        await provider.fetch(date(2025, 10, 9), NOW)
    path.unlink()
    path.mkdir()
    with pytest.raises(UnreachableError, match=f"read {path}: "):
        await provider.fetch(date(2025, 10, 9), NOW)
    path.rmdir()
    path.write_text(recorded(ORIGINAL))
    monkeypatch.setattr(epex_html, "BYTES_MAX", 1000)
    with pytest.raises(AnswerError, match="more than 1000 bytes"):
        await provider.fetch(date(2025, 10, 9), NOW)


async def test_who_allows_it_is_told_and_so_is_who_names_two_zones(http: Http) -> None:
    assert opened(http, allow="yes").notice == (
        "the exchange asked public clients to stop reading its pages; epex-html does so because epex-html.allow is yes"
    )
    said = opened(http, zone="DE-LU", directory="/x").notice
    assert said == "epex-html reads prices of FR for zone DE-LU; set market.zone to match"


async def test_a_challenge_is_a_refusal_with_the_words_whatever_its_status(http: Http, server: Server) -> None:
    for status in (202, 403, 200):
        server.forget()
        server.tell(PATH, recorded("challenge").encode(), status, headers={"content-type": "text/html"})
        with pytest.raises(RejectedError, match="the exchange asked public clients to stop reading its pages: save"):
            await opened(http, server, allow="yes").fetch(date(2025, 10, 9), NOW)


def test_a_page_without_results_is_nothing_yet_and_any_other_page_is_no_answer() -> None:
    with pytest.raises(MissingError, match="GET http://x: the page has no results of 2026-05-04 yet"):
        parsed(recorded("nothing"), "2026-05-04")
    for other in ("", "{}", "<html><title>Sign in</title></html>", page([], "")):
        with pytest.raises(AnswerError, match="neither periods nor rows of prices"):
            parsed(other)


def test_products_are_the_auctions() -> None:
    assert epex_html.product_of({"auction": "MRC", "sub_modality": "DayAhead"}) == "day-ahead"
    assert epex_html.product_of(USUAL) == "ida1"


# The table.


TWO = ["00:00 - 00:15", "00:15 - 00:30"]


def shown(series: Series) -> list[tuple[str, str, str]]:
    return [(f"{slot.start:%H:%M}", str(slot.volume_mwh), str(slot.price)) for slot in series.slots]


def test_volume_is_the_third_cell_and_price_the_fourth() -> None:
    found = parsed(page(TWO, row("1", "2", "1,234.5", "-0.01") + row("1", "2", "0.0", "\N{MINUS SIGN}1,050.00")))
    assert shown(found) == [("22:00", "1234.5", "-0.01"), ("22:15", "0.0", "-1050.00")]


def test_a_dash_is_missing_and_no_row_shifts_for_it() -> None:
    rows = row("-", "-", "-", "-") + row("1", "2", "3", "4")
    assert shown(parsed(page(TWO, rows))) == [("22:15", "3", "4")]
    assert shown(parsed(page(TWO, row("1", "2", "-", "9") + row("1", "2", "3", "-")))) == [
        ("22:00", "None", "9"),
        ("22:15", "3", "None"),
    ]


def in_a_cell(period: str, *cells: str) -> str:
    return row(period, *cells)


def in_a_heading(period: str, *cells: str) -> str:
    return row(*cells).replace("<td>", f"<th>{period}</th><td>", 1)


def in_a_link(period: str, *cells: str) -> str:
    return row(f'<a href="#">{period}</a>', *cells)


@pytest.mark.parametrize("carried", [in_a_cell, in_a_heading, in_a_link])
def test_where_rows_carry_their_periods_these_count(carried: Callable[..., str]) -> None:
    rows = carried("00:15 - 00:30", "1", "2", "3", "4") + carried("00:00 - 00:15", "1", "2", "5", "6")
    for others in ([], ["05:00 - 05:15"]):
        assert shown(parsed(page(others, rows))) == [("22:00", "5", "6"), ("22:15", "3", "4")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (page(TWO, row("1", "2", "3", "4")), "2 periods and 1 rows of prices; none of it is used"),
        (page(TWO[:1], row("1", "2", "3", "4") * 2), "1 periods and 2 rows"),
        (page(TWO, ""), "2 periods and 0 rows"),
        (page([], row("1", "2", "3", "4")), "0 periods and 1 rows"),
        (page(TWO, row("1", "2", "3", "4") + row("1", "2", "3")), "row 2: 3 cells, not 4"),
        (page(TWO, row("1", "2", "3", "4") + row("1", "2", "3", "4", "5")), "row 2: 5 cells, not 4"),
        (page(TWO, row("1", "2", "3", "4") + '<tr class="child"><td colspan="4">-</td></tr>'), "row 2: 1 cells, not 4"),
        (
            page(TWO, row("1", "2", "3", "4") + row("00:15-00:30", "1", "2", "3", "4")),
            "1 of 2 rows have a period of their own",
        ),
        (page(TWO, row("1", "2", "three", "4") * 2), "row 1: 'three' is no number"),
        (page(TWO, row("1", "2", "12,34.5", "4") * 2), "row 1: '12,34.5' is no number"),
        (page(TWO, row("1", "2", "3", "4 &euro;") * 2), "is no number"),
        (page(TWO, row("1", "2", "-3", "4") * 2), "the volume is -3"),
        (page(TWO, row("1", "2", "3", "200000") * 2), "is not between -100000 and 100000"),
        (page([TWO[0]] * 2, row("1", "2", "3", "4") + row("1", "2", "3", "5")), "is there already and says otherwise"),
        (page(["00:15 - 00:10"], row("1", "2", "3", "4")), "ends before it begins"),
        (page(TWO, row("1", "2", "3", "4") * 2, head="<th>Price (g/MWh)</th>"), "is of no currency"),
        (page(TWO, row("1", "2", "3", "4") * 2001), "2001 rows|20000 tags"),
        ("<div>" * 5000, "more than 100 elements inside each other"),
        ("<i>" * (TAGS_MAX + 1), f"more than {TAGS_MAX} tags"),
    ],
)
def test_a_page_that_cannot_be_is_not_used(text: str, words: str) -> None:
    with pytest.raises(AnswerError, match=words):
        parsed(text)


def test_a_page_of_another_day_is_not_used_and_one_of_its_auction_is() -> None:
    assert len(parsed(recorded(ORIGINAL).replace("09 October 2025", "08 October 2025")).slots) == 96
    for other in ("10 October 2025", "09 September 2025", "09 October 2024"):
        with pytest.raises(AnswerError, match=f"a page of {other}, not of 2025-10-09"):
            parsed(recorded(ORIGINAL).replace("09 October 2025", other))


def test_what_stands_in_scripts_menus_and_other_tables_is_no_price() -> None:
    text = recorded(ORIGINAL)
    assert "window.rows = \"<tr class='child'>" in text
    assert 'href="#main">00:00 - 24:00' in text
    assert "<td>61.20</td>" in text
    assert len(parsed(text).slots) == 96


def test_the_price_s_column_names_the_currency_and_where_it_does_not_the_market_does() -> None:
    rows = row("1", "2", "3", "4") * 2
    assert parsed(page(TWO, rows, head="<th>Price\n (&pound;/MWh)</th>")).currency == "GBP"
    assert parsed(page(TWO, rows)).currency == "EUR"
    assert parsed(page(TWO, rows), currency="GBP").currency == "GBP"


def test_bytes_that_are_no_text_are_no_page() -> None:
    origin = Origin("epex-html", "FR", date(2025, 10, 9), CET, NOW, "x")
    with pytest.raises(AnswerError, match="x: not UTF-8; save the page as such"):
        epex_html.parse(b"\xff\xfe<\x00", origin)


async def test_results_of_the_intraday_auction_come_later_than_those_of_the_day_ahead(http: Http) -> None:
    assert opened(http, allow="yes").published > opened(http, allow="yes", auction="MRC").published
