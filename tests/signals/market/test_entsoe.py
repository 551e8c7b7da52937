"""ENTSO-E's answers in their recorded format, from a server on loopback, with all that they do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from httpx2 import AsyncHTTPTransport

from answering import Server, answering
from jouled.books.prices import Series
from jouled.errors import ConfigError
from jouled.http import (
    AnswerError,
    BusyError,
    Http,
    MissingError,
    QuestionError,
    RejectedError,
    TroubleError,
)
from jouled.signals.market.entsoe import BAN_S, EIC, Entsoe, is_eic
from jouled.signals.market.entsoe_xml import BYTES_MAX, read
from jouled.signals.market.provider import Provider, Request
from jouled.signals.market.registry import checked, find, open_provider

ROOM = Path(__file__).parent
NOW = datetime(2026, 5, 3, 11, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
PLAIN, FIRST_QUARTERS, LONG, SHORT, HOURLY = "2026-05-04", "2025-10-01", "2025-10-26", "2026-03-29", "2025-05-11"
DE = EIC["DE-LU"]
POSITION = "classificationSequence_AttributeInstanceComponent.position"


def recorded(name: str) -> str:
    return (ROOM / "fixtures" / f"entsoe_{name}.xml").read_text()


def golden(name: str) -> list[tuple[datetime, Decimal]]:
    lines = (ROOM / "golden" / f"{name}.txt").read_text().splitlines()
    return [(datetime.fromisoformat(at), Decimal(price)) for at, price in (line.split() for line in lines)]


def prices(series: Series) -> list[tuple[datetime, Decimal | None]]:
    return [(slot.start, slot.price) for slot in series.slots]


def shown(series: Series) -> list[tuple[str, str]]:
    return [(f"{slot.start:%H:%M}", str(slot.price)) for slot in series.slots]


def point(position: int, price: str) -> str:
    return f"<Point><position>{position}</position><price.amount>{price}</price.amount></Point>"


def of_series(
    points: str,
    *,
    start: str = "2026-05-03T22:00Z",
    end: str = "2026-05-04T22:00Z",
    resolution: str = "PT60M",
    curve: str = "A03",
    contract: str = "A01",
    position: str = "",
    area: str = DE,
    currency: str = "EUR",
) -> str:
    sequence = f"<{POSITION}>{position}</{POSITION}>" if position else ""
    return (
        f"<TimeSeries><in_Domain.mRID>{area}</in_Domain.mRID>"
        f"<contract_MarketAgreement.type>{contract}</contract_MarketAgreement.type>"
        f"<currency_Unit.name>{currency}</currency_Unit.name><price_Measure_Unit.name>MWH</price_Measure_Unit.name>"
        f"{sequence}<curveType>{curve}</curveType><Period><timeInterval><start>{start}</start><end>{end}</end>"
        f"</timeInterval><resolution>{resolution}</resolution>{points}</Period></TimeSeries>"
    )


def document(*series: str, version: int = 3) -> bytes:
    namespace = f"urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:{version}"
    return (
        f'<Publication_MarketDocument xmlns="{namespace}"><revisionNumber>1</revisionNumber><type>A44</type>'
        f"<createdDateTime>2026-05-03T11:00:00Z</createdDateTime>{''.join(series)}</Publication_MarketDocument>"
    ).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    # Certificates take long to load, and loopback has none.
    async with Http("market", deadline_s=20.0, tries=1, transport=AsyncHTTPTransport(verify=False)) as http:
        yield http


def opened(http: Http, server: Server, zone: str = "DE-LU", **parameters: str) -> Provider:
    given = checked("entsoe", find("entsoe").parameters, {"token": "s3cret", **parameters}, {})
    return open_provider("entsoe", Request(zone, given, f"{server.url}/api"), http)


async def fetch(http: Http, server: Server, day: str = PLAIN, zone: str = "DE-LU", **parameters: str) -> Series:
    return await opened(http, server, zone, **parameters).fetch(date.fromisoformat(day), NOW)


@pytest.mark.parametrize("day", [PLAIN, FIRST_QUARTERS, LONG, SHORT])
async def test_quarters_are_those_of_sdac_also_where_exaa_stands_first(http: Http, server: Server, day: str) -> None:
    server.tell("/api", recorded(day).encode())
    series = await fetch(http, server, day)
    assert prices(series) == golden(day)
    assert len(series.slots) == {LONG: 100, SHORT: 92}.get(day, 96)
    assert all(slot.end - slot.start == QUARTER for slot in series.slots)
    assert series.is_complete
    assert series[:6] == ("entsoe", "DE-LU", "day-ahead", date.fromisoformat(day), "Europe/Brussels", "EUR")


async def test_exaa_is_given_where_it_is_asked_for_and_is_another_product(http: Http, server: Server) -> None:
    server.tell("/api", recorded(PLAIN).encode())
    series = await fetch(http, server, auction="exaa")
    assert prices(series) == [(at, price + Decimal("3.11")) for at, price in golden(PLAIN)]
    assert series.product == "exaa"


async def test_before_quarters_and_positions_there_were_hours(http: Http, server: Server) -> None:
    server.tell("/api", recorded(HOURLY).encode())
    series = await fetch(http, server, HOURLY)
    assert prices(series) == golden(HOURLY)
    assert series.is_complete
    assert series.revision == 3
    with pytest.raises(MissingError, match=r"only prices of sdac are there, none of exaa; .*, or set entsoe.auction"):
        await fetch(http, server, HOURLY, auction="exaa")


async def test_one_question_in_utc_for_the_whole_day_of_the_auction(http: Http, server: Server) -> None:
    server.tell("/api", recorded(LONG).encode())
    await fetch(http, server, LONG)
    (asked,) = server.asked
    assert asked.query == {
        "securityToken": "s3cret",
        "documentType": "A44",
        "in_Domain": DE,
        "out_Domain": DE,
        "periodStart": "202510252200",
        "periodEnd": "202510262300",
        "contract_MarketAgreement.type": "A01",
    }


async def test_what_repeats_is_filled_between_points_and_to_the_period_s_end(http: Http, server: Server) -> None:
    body = recorded("repeats_2026-02-03")
    assert "<position>92</position>" in body
    assert "<position>96</position>" not in body
    server.tell("/api", body.encode())
    series = await fetch(http, server, "2026-02-03", "BG")
    assert prices(series) == golden("entsoe_repeats_2026-02-03")
    assert series.is_complete


async def test_one_point_may_stand_for_a_whole_day(http: Http, server: Server) -> None:
    server.tell("/api", document(of_series(point(1, "-1.5"), resolution="PT15M")))
    series = await fetch(http, server)
    assert {slot.price for slot in series.slots} == {Decimal("-1.5")}
    assert len(series.slots) == 96


async def test_a_fixed_curve_is_not_filled_and_no_curve_is_a_fixed_one(http: Http, server: Server) -> None:
    given = of_series(point(1, "1") + point(3, "3"), curve="A01")
    for body in (document(given), document(given.replace("<curveType>A01</curveType>", ""))):
        server.forget()
        server.tell("/api", body)
        series = await fetch(http, server)
        assert shown(series) == [("22:00", "1"), ("00:00", "3")]
        assert not series.is_complete


async def test_a_point_without_a_price_is_missing_until_the_next_one(http: Http, server: Server) -> None:
    nothing = "<Point><position>3</position><price.amount/></Point><Point><position>6</position></Point>"
    server.tell("/api", document(of_series(point(2, "7") + nothing + point(5, "0") + point(8, "9"))))
    series = await fetch(http, server)
    assert shown(series)[:3] == [("23:00", "7"), ("02:00", "0"), ("05:00", "9")]
    assert len(series.slots) == 2 + 17


async def test_of_three_resolutions_in_one_answer_the_finest_counts(http: Http, server: Server) -> None:
    server.tell("/api", recorded("mixed_2025-10-01").encode())
    series = await fetch(http, server, "2025-10-01", "BE")
    lines = (ROOM / "golden" / "entsoe_mixed_2025-10-01.txt").read_text().splitlines()
    assert [
        f"{slot.start:%Y-%m-%dT%H:%MZ} {(slot.end - slot.start).seconds // 60} {slot.price}" for slot in series.slots
    ] == lines
    assert series.is_complete


async def test_other_contracts_are_left_out_and_alone_are_nothing(http: Http, server: Server) -> None:
    intraday = of_series(point(1, "99"), contract="A07", area=EIC["ES"], position="1")
    ahead = of_series(point(1, "20") + point(2, "21"), area=EIC["ES"])
    server.tell("/api", document(intraday, ahead))
    series = await fetch(http, server, zone="ES")
    assert [slot.price for slot in series.slots[:2]] == [20, 21]
    assert len(series.slots) == 24
    server.forget()
    server.tell("/api", document(intraday))
    with pytest.raises(MissingError, match="nothing of 2026-05-04 in ES yet"):
        await fetch(http, server, zone="ES")


async def test_the_days_around_are_cut_off_and_alone_are_nothing(http: Http, server: Server) -> None:
    week = of_series(
        point(1, "1") + point(25, "2") + point(49, "3"), start="2026-05-02T22:00Z", end="2026-05-09T22:00Z"
    )
    server.tell("/api", document(week))
    series = await fetch(http, server)
    assert [slot.price for slot in series.slots] == [2] * 24
    assert series.slots[0].start == datetime(2026, 5, 3, 22, tzinfo=UTC)
    with pytest.raises(MissingError, match="nothing of 2026-06-04"):
        await fetch(http, server, "2026-06-04")


async def test_another_currency_is_kept_and_two_are_refused(http: Http, server: Server) -> None:
    zloty = of_series(point(1, "310.5"), area=EIC["PL"], currency="PLN")
    server.tell("/api", document(zloty))
    assert (await fetch(http, server, zone="PL")).currency == "PLN"
    server.forget()
    server.tell("/api", document(zloty, of_series(point(1, "70"), area=EIC["PL"])))
    with pytest.raises(AnswerError, match="prices in EUR and PLN; none of it is used"):
        await fetch(http, server, zone="PL")


@pytest.mark.parametrize("version", [0, 1, 2, 3])
async def test_versions_of_the_document_differ_in_their_namespace_only(
    http: Http, server: Server, version: int
) -> None:
    server.tell("/api", document(of_series(point(1, "1")), version=version))
    assert len((await fetch(http, server)).slots) == 24


def test_a_document_says_when_it_was_made_and_which_revision_it_is() -> None:
    found = read(recorded(HOURLY).encode(), "x")
    assert (found.revision, found.created_at) == (3, datetime(2025, 5, 10, 11, 0, 2, tzinfo=UTC))


# There is no answer, and why.


@pytest.mark.parametrize("status", [200, 400])
async def test_what_is_not_published_is_missing_whatever_the_status(http: Http, server: Server, status: int) -> None:
    server.tell("/api", recorded("nothing").encode(), status)
    with pytest.raises(MissingError, match=r"999 'No matching data found for Data item Energy Prices \[12.1.D\]"):
        await fetch(http, server)


@pytest.mark.parametrize("status", [200, 400, 401, 403])
async def test_a_refused_key_names_the_parameter_and_never_shows_it(http: Http, server: Server, status: int) -> None:
    server.tell("/api", recorded("token").encode(), status)
    with pytest.raises(RejectedError, match=r"check entsoe.token in market.parameters") as caught:
        await fetch(http, server)
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_a_refused_key_may_come_as_a_page(http: Http, server: Server) -> None:
    server.tell(
        "/api", b"<!DOCTYPE html><html><body>Unauthorized. Missing or invalid security token</body></html>", 401
    )
    with pytest.raises(RejectedError, match=r"GET http://.*/api: 401; check entsoe.token in market.parameters"):
        await fetch(http, server)


@pytest.mark.parametrize("status", [200, 400])
async def test_a_question_that_makes_no_sense_there_says_their_words(http: Http, server: Server, status: int) -> None:
    server.tell("/api", recorded("question").encode(), status)
    with pytest.raises(QuestionError, match=r"999 'Delivered time interval is not valid for this Data item.'"):
        await fetch(http, server)


async def test_a_400_that_gives_no_reason_is_a_question_too(http: Http, server: Server) -> None:
    for body in (b"", b"<html>", b'{"error":"x"}', document(of_series(point(1, "1")))):
        server.forget()
        server.tell("/api", body, 400)
        with pytest.raises(QuestionError, match="/api: 400"):
            await fetch(http, server)


async def test_an_acknowledgement_with_the_code_alone_is_nothing_yet_and_without_it_no_answer(
    http: Http, server: Server
) -> None:
    server.tell(
        "/api", b"<Acknowledgement_MarketDocument><Reason><code>999</code></Reason></Acknowledgement_MarketDocument>"
    )
    with pytest.raises(MissingError):
        await fetch(http, server)
    server.forget()
    server.tell("/api", b"<Acknowledgement_MarketDocument/>")
    with pytest.raises(AnswerError, match="an acknowledgement without a reason"):
        await fetch(http, server)


@pytest.mark.parametrize("body", [b"", recorded("token").encode(), b"<html>Max allowed requests per minute</html>"])
async def test_who_asks_too_often_leaves_it_alone_for_ten_minutes_and_does_not_try_again(
    server: Server, body: bytes
) -> None:
    server.tell("/api", body, 429)
    async with Http("market", tries=3, transport=AsyncHTTPTransport(verify=False)) as http:
        with pytest.raises(BusyError) as caught:
            await fetch(http, server)
    assert caught.value.retry_after_s == BAN_S == 600
    assert len(server.asked) == 1


async def test_works_on_their_site_are_their_trouble(http: Http, server: Server) -> None:
    server.tell("/api", b"<!doctype html><title>Under maintenance</title>", 503, headers={"retry-after": "60"})
    with pytest.raises(TroubleError, match="503; their trouble") as caught:
        await fetch(http, server)
    assert caught.value.retry_after_s == 60


# More than a hundred time series.


async def test_a_full_answer_is_followed_by_the_next_one(http: Http, server: Server) -> None:
    hours = [
        of_series(
            point(1, f"{hour}"),
            start=f"2026-05-{3 + (22 + hour) // 24:02}T{(22 + hour) % 24:02}:00Z",
            end=f"2026-05-{3 + (23 + hour) // 24:02}T{(23 + hour) % 24:02}:00Z",
        )
        for hour in range(24)
    ]
    server.tell("/api", document(*(hours[:20] * 5)))
    server.tell("/api", document(*hours[20:]))
    series = await fetch(http, server)
    assert [slot.price for slot in series.slots] == list(range(24))
    assert [asked.query.get("offset") for asked in server.asked] == [None, "100"]


async def test_nothing_behind_a_full_answer_is_its_end(http: Http, server: Server) -> None:
    server.tell("/api", document(*[of_series(point(1, "5"))] * 100))
    server.tell("/api", recorded("nothing").encode(), 400)
    assert [slot.price for slot in (await fetch(http, server)).slots] == [5] * 24


async def test_pages_end_also_where_the_server_s_do_not(http: Http, server: Server) -> None:
    server.tell("/api", document(*[of_series(point(1, "5"))] * 100))
    with pytest.raises(AnswerError, match="more than 500 time series for one day"):
        await fetch(http, server)
    assert [asked.query.get("offset") for asked in server.asked] == [None, "100", "200", "300", "400"]


# What cannot be.


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not the XML"),
        (b"{}", "not the XML that was expected: "),
        (b"<!doctype html><title>x</title>", "a page for browsers came instead of XML"),
        (b"\xff\xfe<\x00a\x00/\x00>\x00", "not UTF-8"),
        (b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>', "a document with declarations of its own"),
        (b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>', "a document with declarations of its own"),
        (b"<r>&a;</r>", "undefined entity"),
        (b"<a>" * 500_000, "parts, or 12 inside each other"),
        (b"<r>" + b"<a/>" * 120_000 + b"</r>", "more than 100000 parts"),
        (b"<r>" + b" " * BYTES_MAX + b"</r>", f"more than {BYTES_MAX} bytes"),
        (b"<r/>", "r of type None are no prices"),
        (document().replace(b"A44", b"A65"), "Publication_MarketDocument of type A65 are no prices"),
        (document().replace(b">1<", b">-1<"), "revision '-1' is not between"),
        (document().replace(b"2026-05-03T11:00:00Z", b"yesterday"), "'yesterday' is no time"),
        (document(of_series(point(1, "1"), area=EIC["FR"])), f"prices of {EIC['FR']}, not of {DE}"),
        (document(of_series(point(1, "1"), area="\x7f" * 99)), r"prices of (\\x7f){10}.{0,3}, not of"),
        (document(of_series(point(1, "1"), currency="euro")), "'euro' is no currency"),
        (document(of_series(point(1, "1"), curve="A02")), "a curve of type A02 is not known"),
        (document(of_series(point(1, "1"), position="x")), "sequence 'x' is not between 1 and 1000"),
        (document(of_series(point(1, "1"))).replace(b">MWH<", b">KWH<"), "prices of one KWH, not of one MWH"),
        (document(of_series(point(1, "1"), resolution="P1D")), "a resolution of P1D is not known"),
        (document(of_series(point(1, "1"), end="2026-05-04T22:10Z")), "there are no whole PT60M"),
        (document(of_series(point(1, "1"), end="2026-05-03T22:00Z")), "there are no whole PT60M"),
        (document(of_series(point(1, "1"), start="2026-05-03T22:00")), "has no zone"),
        (document(of_series(point(1, "1"), end="2099-01-01T22:00Z")), "more than 20000 points"),
        (document(of_series(point(0, "1"))), "position '0' is not between 1 and 24"),
        (document(of_series(point(25, "1"))), "position '25' is not between 1 and 24"),
        (document(of_series(point(1, "1") + point(1, "2"))), "two prices at position 1"),
        (document(of_series(point(1, "NaN"))), "'NaN' is no price"),
        (document(of_series(point(1, "1e5"))), "'1e5' is no price"),
        (document(of_series(point(1, "1,5"))), "'1,5' is no price"),
        (document(of_series(point(1, "200000"))), "is not between -100000 and 100000"),
        (document(of_series(point(1, "1")), of_series(point(1, "2"))), "two different values for"),
        (document("<TimeSeries/>"), "prices of one None, not of one MWH"),
        (document(of_series(point(1, "1")).replace("timeInterval>", "interval>")), "without its interval"),
    ],
)
async def test_an_answer_that_cannot_be_is_not_used(http: Http, server: Server, body: bytes, words: str) -> None:
    server.tell("/api", body)
    with pytest.raises(AnswerError, match=words):
        await fetch(http, server)


async def test_the_number_of_places_is_that_of_the_period_and_not_of_a_usual_day(http: Http, server: Server) -> None:
    for day, start, end, count in (
        (LONG, "2025-10-25T22:00Z", "2025-10-26T23:00Z", 100),
        (SHORT, "2026-03-28T23:00Z", "2026-03-29T22:00Z", 92),
    ):
        for position, is_there in ((count, True), (count + 1, False)):
            server.forget()
            points = point(1, "1") + point(position, "2")
            server.tell("/api", document(of_series(points, start=start, end=end, resolution="PT15M")))
            if is_there:
                assert (await fetch(http, server, day)).slots[-1].price == 2
            else:
                with pytest.raises(AnswerError, match=f"position '{position}' is not between 1 and {count}"):
                    await fetch(http, server, day)


# What it is opened with.


@pytest.mark.parametrize("zone", list(EIC))
def test_the_code_of_every_area_has_the_character_that_belongs_to_it(zone: str) -> None:
    assert is_eic(EIC[zone])


@pytest.mark.parametrize(
    "text",
    ["", "10YFR-RTE------D", "10YFR-RTE-----C", "10yfr-rte------c", "10XFR-RTE------C", "10YFR/RTE------C", "X" * 99],
)
async def test_a_code_that_cannot_be_is_refused(http: Http, text: str) -> None:
    assert not is_eic(text)
    with pytest.raises(
        ConfigError, match=r"is no code of an area; write sixteen characters, as 10YFR|market.zone .XX. is none"
    ):
        Entsoe.open(Request("XX", {"token": "t", "eic": text}), http)


async def test_any_area_with_a_code_may_be_asked_for(http: Http, server: Server) -> None:
    serbia = "10YCS-SERBIATSOV"
    server.tell("/api", document(of_series(point(1, "1"), area=serbia)))
    series = await fetch(http, server, zone="RS", eic=serbia)
    assert (series.zone, server.asked[0].query["in_Domain"]) == ("RS", serbia)


async def test_what_cannot_be_asked_for_is_refused_with_what_can(http: Http) -> None:
    def refused(zone: str, **parameters: str) -> str:
        with pytest.raises(ConfigError) as caught:
            open_provider("entsoe", Request(zone, parameters), http)
        return str(caught.value)

    assert refused("DE", token="t").startswith("market.zone 'DE' is none of entsoe; write one of AT, BE, BG")
    assert "only in AT, DE-LU; write sdac" in refused("FR", token="t", auction="exaa")
    assert 'entsoe needs "entsoe.token" = TOKEN as credential:NAME or file:/PATH' in refused("FR")
    assert "entsoe.auction: 'ida' cannot be; write sdac or exaa" in _checked(auction="ida")


def _checked(**given: str) -> str:
    with pytest.raises(ConfigError) as caught:
        checked("entsoe", find("entsoe").parameters, {"token": "t", **given}, {})
    return str(caught.value)


async def test_a_provider_shows_no_key(http: Http) -> None:
    provider = Entsoe.open(Request("FR", {"token": "s3cret"}), http)
    assert repr(provider) == "<Entsoe FR 10YFR-RTE------C sdac>"
