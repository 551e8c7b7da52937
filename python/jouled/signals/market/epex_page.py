"""EPEX SPOT's page of results, https://www.epexspot.com/en/market-results: its table becomes rows.

Periods stand beside the table, as links without an aim, `<a href="#">00:00 - 00:15</a>`; a row of class `child`
has four cells: volume bought, volume sold, volume, price. Where rows carry their periods, these count.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from jouled.http import AnswerError, MissingError, RejectedError
from jouled.signals.answers import excerpt
from jouled.signals.market.rows import LABEL, Row, number
from jouled.signals.market.slots import per_mwh, unit_of

if TYPE_CHECKING:  # loaded where a page is read: nobody else needs it
    from selectolax.lexbor import LexborHTMLParser, LexborNode

CELLS = 4
VOLUME, PRICE = 2, 3
# A day has a hundred.
ROWS_MAX = 2000
# Of the whole page: some thousand and twenty are usual. What is deep takes the square of its depth to read.
TAGS_MAX = 20_000
DEPTH_MAX = 100
PRICE_HEAD = re.compile(r"price\s*\(([^()]{1,20})\)", re.IGNORECASE)
# What pages of the exchange have, with prices or without.
OWN = ".js-md-widget, form[id^='market-data-filters'], form[id^='market_data_filters']"
# What pages have that want to know whether a person is there.
CHALLENGE = "script[src*='challenge'], #challenge-container, #challenge-form, #challenge-error-text"
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
ASKED_TO_STOP = "the exchange asked public clients to stop reading its pages"
INSTEAD = "save pages by hand and name their directory in epex-html.directory, or use another provider"


class Page(NamedTuple):
    """Rows in the page's order, prices already of one MWh."""

    rows: tuple[Row, ...]
    currency: str


def read(body: bytes, day: date, currency: str, where: str) -> Page:
    """`currency` is that of a page that names none.

    Raises MissingError where it is the exchange's page without results, RejectedError for a challenge, AnswerError
    for a page that is another's, of another day, or whose periods and rows do not belong together.
    """
    tree = _tree(body, where)
    _check_day(tree, day, where)
    rows = _rows(tree, where)
    periods = [text for link in tree.css("a[href='#']") if LABEL.fullmatch(text := _text(link)[:40])]
    if not rows and not periods:
        _refuse(tree, day, where)
    own = [period for row in rows if (period := _own_period(row)) is not None]
    if own and len(own) != len(rows):
        raise AnswerError(f"{where}: {len(own)} of {len(rows)} rows have a period of their own; none of it is used")
    periods = own or periods
    if len(periods) != len(rows):
        raise AnswerError(f"{where}: {len(periods)} periods and {len(rows)} rows of prices; none of it is used")
    currency, factor = _unit(tree, currency, where)
    paired = zip(periods, rows, strict=True)
    return Page(
        tuple(_row(period, row, factor, f"{where} row {at}") for at, (period, row) in enumerate(paired, 1)), currency
    )


def _tree(body: bytes, where: str) -> LexborHTMLParser:
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AnswerError(f"{where}: not UTF-8; save the page as such") from None
    if text.count("<") > TAGS_MAX:
        raise AnswerError(f"{where}: more than {TAGS_MAX} tags; that is no page of results")
    try:
        tree = LexborHTMLParser(text)
    except (SelectolaxError, ValueError) as error:
        raise AnswerError(f"{where}: not a page that can be read: {excerpt(error, 100)}") from None
    if tree.root is None or _is_deep(tree.root):
        raise AnswerError(f"{where}: more than {DEPTH_MAX} elements inside each other; that is no page of results")
    return tree


def _is_deep(root: LexborNode) -> bool:
    level = [root]
    for _ in range(DEPTH_MAX):
        level = [child for node in level for child in node.iter()]
        if not level:
            return False
    return True


def _rows(tree: LexborHTMLParser, where: str) -> list[LexborNode]:
    """Of the first table that has some. Each row must have its four cells: one that is left out shifts all others."""
    tables = (table.css("tr.child") for table in tree.css("tbody"))
    rows = next((rows for rows in tables if rows), [])
    if len(rows) > ROWS_MAX:
        raise AnswerError(f"{where}: {len(rows)} rows; a day has a hundred")
    for at, row in enumerate(rows, 1):
        if len(_cells(row)) != CELLS:
            raise AnswerError(f"{where} row {at}: {len(_cells(row))} cells, not {CELLS}; none of it is used")
    return rows


def _cells(row: LexborNode) -> list[LexborNode]:
    """Those of values: without one that names the period."""
    return [cell for cell in row.iter() if cell.tag == "td" and not LABEL.fullmatch(_text(cell)[:40])]


def _own_period(row: LexborNode) -> str | None:
    found = [text for cell in row.iter() if LABEL.fullmatch(text := _text(cell)[:40])]
    return found[0] if found else None


def _row(period: str, row: LexborNode, factor: Decimal, where: str) -> Row:
    cells = [_text(cell) for cell in _cells(row)]
    return Row(period, number(cells[VOLUME], where), per_mwh(number(cells[PRICE], where), factor, where), where)


def _unit(tree: LexborHTMLParser, currency: str, where: str) -> tuple[str, Decimal]:
    """As the price's column says it: the first one that does."""
    for head in tree.css("th"):
        match = PRICE_HEAD.fullmatch(_text(head)[:60])
        if match is not None:
            return unit_of(match[1], where)
    return currency, Decimal(1)


def _check_day(tree: LexborHTMLParser, day: date, where: str) -> None:
    """The headline ends in a date, `Auction > Intraday > IDA1 > FR > 09 October 2025`.

    Whether that is the day of trading or of delivery is written nowhere, so both are right.
    """
    for head in tree.css(".table-container h2"):
        words = _text(head)[-60:].split()[-3:]
        if len(words) == 3 and words[1] in MONTHS and words[0].isdecimal() and words[2].isdecimal():
            said = (int(words[2]), MONTHS.index(words[1]) + 1, int(words[0]))
            if said not in {(one.year, one.month, one.day) for one in (day, day - timedelta(days=1))}:
                raise AnswerError(f"{where}: a page of {excerpt(' '.join(words))}, not of {day}; none of it is used")


def _refuse(tree: LexborHTMLParser, day: date, where: str) -> None:
    if tree.css_first(CHALLENGE) is not None:
        raise RejectedError(f"{where}: a page that wants a person came instead; {ASKED_TO_STOP}: {INSTEAD}")
    if tree.css_first(OWN) is not None:
        raise MissingError(f"{where}: the page has no results of {day} yet; ask again later")
    raise AnswerError(f"{where}: neither periods nor rows of prices; that is no page of results")


def _text(node: LexborNode) -> str:
    return " ".join(node.text().split())
