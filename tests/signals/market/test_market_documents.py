"""XML and HTML in which anything is wrong: a series that can be, or one error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouled.books.prices import Series
from jouled.http import AnswerError, MissingError, QuestionError, RejectedError
from jouled.signals.market import entsoe, epex_html
from jouled.signals.market.entsoe_xml import read
from jouled.signals.market.provider import CET, Request
from jouled.signals.market.registry import find
from jouled.signals.market.slots import Origin
from jouled.signals.market.testkit import Recorded, check_provider, check_series, spoiled

FIXTURES = Path(__file__).parent / "fixtures"
NOW = datetime(2025, 10, 8, 11, tzinfo=UTC)
ENTSOE, EPEX = date(2026, 3, 29), date(2025, 10, 9)
USUAL = {"market_area": "FR", "auction": "IDA1", "modality": "Auction", "sub_modality": "Intraday", "allow": "yes"}


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


PUBLICATION, ACKNOWLEDGEMENT = fixture("entsoe_mixed_2025-10-01.xml"), fixture("entsoe_nothing.xml")
# Of the day that is asked for, and of the area.
PUBLICATION = PUBLICATION.replace(b"2025-09-30T", b"2026-03-28T").replace(b"2025-10-01T", b"2026-03-29T")
PUBLICATION = PUBLICATION.replace(entsoe.EIC["BE"].encode(), entsoe.EIC["DE-LU"].encode())
PAGE = fixture("epex_2025-10-09.html")


def of_entsoe(body: bytes) -> Series:
    origin = Origin("entsoe", "DE-LU", ENTSOE, CET, NOW, "GET http://x")
    return entsoe.parse([read(body, "GET http://x")], [body], origin, eic=entsoe.EIC["DE-LU"])


def of_epex(body: bytes) -> Series:
    return epex_html.parse(body, Origin("epex-html", "FR", EPEX, CET, NOW, "GET http://x"))


def parsed(name: str, body: bytes) -> Series | None:
    """A series that can be; None for the errors that a body may end in."""
    kind, day, allowed = KINDS[name]
    try:
        series = kind(body)
    except allowed as error:
        if not str(error).isprintable() or len(str(error)) > 1000:
            pytest.fail(f"an error that is no line: {error!r}")
        return None
    check_series(series, Request(series.zone, {}), day, NOW)
    return series


KINDS: dict[str, tuple[Callable[[bytes], Series], date, tuple[type[Exception], ...]]] = {
    "publication": (of_entsoe, ENTSOE, (AnswerError, MissingError)),
    # What refuses may refuse for any reason; its words may be changed too.
    "acknowledgement": (of_entsoe, ENTSOE, (AnswerError, MissingError, QuestionError, RejectedError)),
    "page": (of_epex, EPEX, (AnswerError, MissingError)),
}
BODIES = {"publication": PUBLICATION, "acknowledgement": ACKNOWLEDGEMENT, "page": PAGE}
# Where words and values stand, and what could stand there.
PLACES = re.compile(rb"(?<=>)[^<>\n]+(?=<)|(?<=<)/?[a-zA-Z][^<>]*(?=>)")
WORDS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "-",
            "0",
            "-1",
            "999999999",
            "1e999999999",
            "NaN",
            "sNaN",
            "Infinity",
            "1_0",
            "\u0661",
            "&a;",
            "<",
            "\0",
        ]
    ),
    st.sampled_from(
        ["PT15M", "PT1S", "A01", "A03", "EUR", "24:00 - 00:00", "9999-12-31T23:59Z", "0001-01-01T00:00+14:00"]
    ),
    st.sampled_from(["tr class='child'", "/tbody", "table", "td", "a href='#'", "!DOCTYPE r", "TimeSeries", "/Period"]),
    st.text(max_size=12),
)


@pytest.mark.parametrize("name", list(KINDS))
@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=300) | st.text("<>/&;!abtrdhef='#\"0123456789-: \n", max_size=300).map(str.encode))
def test_anything_is_a_series_or_one_error(name: str, body: bytes) -> None:
    parsed(name, body)


@pytest.mark.parametrize("name", list(KINDS))
@settings(max_examples=100, deadline=None)
@given(changes=st.lists(st.tuples(st.floats(0, 1), WORDS), min_size=1, max_size=4))
def test_a_document_with_anything_in_it_is_a_series_or_one_error(name: str, changes: list[tuple[float, str]]) -> None:
    body = BODIES[name]
    places = [match.span() for match in PLACES.finditer(body)]
    for at, word in sorted(changes, reverse=True):
        start, end = places[min(int(at * len(places)), len(places) - 1)]
        body = body[:start] + word.encode("utf-8", "surrogatepass") + body[end:]
    parsed(name, body)


@pytest.mark.parametrize("name", list(KINDS))
@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 1), length=st.integers(0, 400), noise=st.binary(max_size=6))
def test_a_document_with_a_hole_in_it_is_a_series_or_one_error(name: str, at: float, length: int, noise: bytes) -> None:
    body = BODIES[name]
    index = int(at * len(body))
    for bad in (body[:index], body[:index] + noise + body[index + length :], body[:index] + body[index - length :]):
        parsed(name, bad)


def lines_of(body: bytes) -> Iterator[bytes]:
    lines = body.splitlines(keepends=True)
    for index in range(0, len(lines), max(1, len(lines) // 150)):
        yield b"".join(lines[:index] + lines[index + 1 :])
        yield b"".join([*lines[:index], lines[index], *lines[index:]])


@pytest.mark.parametrize("name", list(KINDS))
def test_a_line_that_is_missing_or_doubled_never_shifts_what_follows(name: str) -> None:
    """Whatever is still taken has the prices that it had."""
    body = BODIES[name]
    expected = {} if name == "acknowledgement" else {slot.start: slot for slot in KINDS[name][0](body).slots}
    taken = 0
    for bad in lines_of(body):
        found = parsed(name, bad)
        if found is not None and name == "page":
            taken += 1
            assert all(expected[slot.start] == slot for slot in found.slots)
    assert taken or name != "page"


@pytest.mark.parametrize("name", list(KINDS))
def test_every_way_in_which_the_kit_spoils_an_answer_is_a_series_or_one_error(name: str) -> None:
    assert None in [parsed(name, bad) for _, bad in spoiled(BODIES[name])]


def test_providers_of_documents_pass_the_kit() -> None:
    entsoe_series = check_provider(
        find("entsoe"),
        {entsoe.URL: fixture("entsoe_2026-03-29.xml")},
        ENTSOE,
        zone="DE-LU",
        parameters={"token": "s3cret"},
    )
    assert len(entsoe_series.slots) == 92
    page = Recorded(PAGE, headers={"content-type": "text/html; charset=UTF-8"})
    epex_series = check_provider(find("epex-html"), {epex_html.URL: page}, EPEX, zone="FR", parameters=USUAL)
    assert len(epex_series.slots) == 96
