"""Each provider against answers in its recorded format, from a server on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncHTTPTransport

from answering import Server, answering
from jouled.books.prices import Series
from jouled.http import (
    AnswerError,
    BusyError,
    Http,
    MissingError,
    QuestionError,
    RejectedError,
    TroubleError,
    UnreachableError,
)
from jouled.signals.market.provider import Provider, Request
from jouled.signals.market.registry import checked, find, open_provider

ROOM = Path(__file__).parent
NOW = datetime(2026, 5, 3, 11, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
PLAIN, FIRST_QUARTERS, LONG, SHORT, NEGATIVE = (
    "2026-05-04",
    "2025-10-01",
    "2025-10-26",
    "2026-03-29",
    "2025-05-11",
)
DAYS = (PLAIN, FIRST_QUARTERS, LONG, SHORT)
RATES = "/v1/products/AGILE-24-10-01/electricity-tariffs/E-1R-AGILE-24-10-01-C/standard-unit-rates/"
WEEKS = {
    "2025-10-01": (1758492000000, 1759096800000),
    "2025-10-26": (1760306400000, 1760911200000),
    "2026-03-29": (1773615600000, 1774220400000),
    "2026-05-04": (1777240800000, 1777845600000),
}
ALL = ["energy-charts", "awattar", "nordpool", "smard", "octopus"]


def recorded(name: str) -> bytes:
    return (ROOM / "fixtures" / f"{name}.json").read_bytes()


def golden(name: str) -> list[tuple[datetime, Decimal]]:
    lines = (ROOM / "golden" / f"{name}.txt").read_text().splitlines()
    return [(datetime.fromisoformat(at), Decimal(price)) for at, price in (line.split() for line in lines)]


def prices(series: Series) -> list[tuple[datetime, Decimal | None]]:
    return [(slot.start, slot.price) for slot in series.slots]


def changed(name: str, change: Callable[[Any], Any]) -> bytes:
    """The recorded answer after `change` of what it holds."""
    content = json.loads(recorded(name))
    change(content)
    return json.dumps(content).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    # Certificates take long to load, and loopback has none.
    async with Http("market", deadline_s=20.0, tries=1, transport=AsyncHTTPTransport(verify=False)) as http:
        yield http


def opened(http: Http, server: Server, name: str, zone: str | None = None, **parameters: str) -> Provider:
    usual = "GB-C" if name == "octopus" else "DE-LU"
    request = Request(zone or usual, checked(name, find(name).parameters, parameters, {}), server.url)
    return open_provider(name, request, http)


def tell(server: Server, name: str, day: str) -> None:
    """What that provider answers for that day."""
    if name == "smard":
        before, week = WEEKS[day]
        folder = "/app/chart_data/4169/DE-LU"
        server.tell(f"{folder}/index_quarterhour.json", recorded(f"smard_index_{day}"))
        server.tell(f"{folder}/4169_DE-LU_quarterhour_{before}.json", recorded(f"smard_before_{day}"))
        server.tell(f"{folder}/4169_DE-LU_quarterhour_{week}.json", recorded(f"smard_week_{day}"))
    elif name == "octopus" and day == PLAIN:
        for page in (1, 2):
            server.tell(RATES, recorded(f"octopus_{day}_{page}").replace(b"https://api.octopus.energy", _url(server)))
    else:
        paths = {
            "energy-charts": "/price",
            "awattar": "/v1/marketdata",
            "nordpool": "/api/DayAheadPrices",
            "octopus": RATES,
        }
        server.tell(paths[name], recorded(f"{name.replace('-', '_')}_{day}"))


def _url(server: Server) -> bytes:
    return server.url.encode()


async def fetch(provider: Provider, day: str) -> Series:
    return await provider.fetch(date.fromisoformat(day), NOW)


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("name", ["energy-charts", "nordpool", "smard"])
async def test_quarters_of_a_day_are_exactly_those_of_the_auction(
    http: Http, server: Server, name: str, day: str
) -> None:
    tell(server, name, day)
    series = await fetch(opened(http, server, name), day)
    assert prices(series) == golden(day)
    assert len(series.slots) == {LONG: 100, SHORT: 92}.get(day, 96)
    assert all(slot.end - slot.start == QUARTER for slot in series.slots)
    assert series.is_complete
    assert series[:6] == (name, "DE-LU", "day-ahead", date.fromisoformat(day), "Europe/Brussels", "EUR")
    assert series.fetched_at == NOW


@pytest.mark.parametrize("day", [*DAYS, NEGATIVE])
async def test_awattar_has_hours_also_where_the_auction_has_quarters(http: Http, server: Server, day: str) -> None:
    tell(server, "awattar", day)
    series = await fetch(opened(http, server, "awattar"), day)
    assert prices(series) == golden(f"{day}-hours")
    assert len(series.slots) == {LONG: 25, SHORT: 23}.get(day, 24)
    assert series.is_complete


async def test_before_the_first_day_of_quarters_there_were_hours_and_prices_far_below_zero(
    http: Http, server: Server
) -> None:
    tell(server, "energy-charts", NEGATIVE)
    series = await fetch(opened(http, server, "energy-charts"), NEGATIVE)
    assert prices(series) == golden(NEGATIVE)
    assert len(series.slots) == 24
    assert series.is_complete
    assert min(price for _, price in golden(NEGATIVE)) < -150


@pytest.mark.parametrize("day", [PLAIN, LONG, SHORT])
@pytest.mark.parametrize("vat", ["inc", "exc"])
async def test_half_hours_of_octopus_go_from_23_to_23_and_are_pounds(
    http: Http, server: Server, day: str, vat: str
) -> None:
    tell(server, "octopus", day)
    series = await fetch(opened(http, server, "octopus", vat=vat), day)
    assert prices(series) == golden(f"octopus-{day}{'' if vat == 'inc' else '-exc'}")
    assert len(series.slots) == {LONG: 50, SHORT: 46}.get(day, 48)
    assert series.is_complete
    assert (series.currency, series.product) == ("GBP", "AGILE-24-10-01")
    london = series.slots[0].start + timedelta(hours=0 if day == SHORT else 1)
    assert f"{london:%H:%M}" == "23:00"


async def test_what_is_asked_is_the_local_day(http: Http, server: Server) -> None:
    for name in ALL:
        tell(server, name, PLAIN)
        await fetch(opened(http, server, name), PLAIN)
    asked = {one.path: one.query for one in reversed(server.asked)}
    assert asked["/price"] == {"bzn": "DE-LU", "start": PLAIN, "end": PLAIN}
    assert asked["/v1/marketdata"] == {"start": "1777845600000", "end": "1777932000000"}
    assert asked["/api/DayAheadPrices"] == {
        "date": PLAIN,
        "market": "DayAhead",
        "deliveryArea": "GER",
        "currency": "EUR",
    }
    assert asked[RATES] == {"period_from": "2026-05-03T22:00Z", "period_to": "2026-05-04T22:00Z", "page_size": "1500"}


async def test_energy_charts_is_asked_by_instants_where_the_zone_s_day_is_not_the_auction_s(
    http: Http, server: Server
) -> None:
    tell(server, "energy-charts", PLAIN)
    series = await fetch(opened(http, server, "energy-charts", "FI"), PLAIN)
    assert server.asked[0].query == {"bzn": "FI", "start": "1777845600", "end": "1777931999"}
    assert len(series.slots) == 96


# What they do not all do alike.


async def test_energy_charts_nulls_are_gaps_and_lists_that_are_null_are_nothing_yet(http: Http, server: Server) -> None:
    def some(content: Any) -> None:
        content["price"][3] = content["price"][95] = None

    server.tell("/price", changed(f"energy_charts_{PLAIN}", some))
    series = await fetch(opened(http, server, "energy-charts"), PLAIN)
    assert prices(series) == [row for index, row in enumerate(golden(PLAIN)) if index not in {3, 95}]
    assert all(slot.end - slot.start == QUARTER for slot in series.slots)
    assert not series.is_complete
    server.forget()
    server.tell("/price", changed(f"energy_charts_{PLAIN}", lambda c: c.update(unix_seconds=None, price=None)))
    with pytest.raises(MissingError, match="nothing of 2026-05-04 in DE-LU yet"):
        await fetch(opened(http, server, "energy-charts"), PLAIN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["price"].pop(), "96 times and 95 prices; none of it is used"),
        (lambda c: c.update(unit="g/kWh"), "'g/kWh' is of no currency"),
        (lambda c: c["unix_seconds"].__setitem__(0, 1_777_845_600_000), "no time in seconds since 1970"),
        (lambda c: c["price"].__setitem__(0, 10**9), "is not between -100000 and 100000"),
        (lambda c: c["price"].__setitem__(0, "12 EUR"), "not the answer that was expected"),
        (lambda c: c["unix_seconds"].__setitem__(1, c["unix_seconds"][0]), "two different values"),
    ],
)
async def test_an_answer_of_energy_charts_that_cannot_be_is_not_used(
    http: Http, server: Server, change: Any, words: str
) -> None:
    server.tell("/price", changed(f"energy_charts_{PLAIN}", change))
    with pytest.raises(AnswerError, match=words):
        await fetch(opened(http, server, "energy-charts"), PLAIN)


async def test_nord_pool_says_what_is_not_final_and_which_version_it_is(http: Http, server: Server) -> None:
    for day, quality, revision in ((PLAIN, "preliminary", 2), (FIRST_QUARTERS, "final", 3)):
        server.forget()
        tell(server, "nordpool", day)
        series = await fetch(opened(http, server, "nordpool"), day)
        assert (series.quality, series.revision) == (quality, revision)


@pytest.mark.parametrize(
    "states", [[], [("Final", "NL")], [("Cancelled", "GER")], [("Final", "GER"), ("Preliminary", "GER")]]
)
async def test_only_what_nord_pool_calls_final_is_final(
    http: Http, server: Server, states: list[tuple[str, str]]
) -> None:
    def other(content: Any) -> None:
        content["areaStates"] = [{"state": state, "areas": ["SE3", area]} for state, area in states]

    server.tell("/api/DayAheadPrices", changed(f"nordpool_{FIRST_QUARTERS}", other))
    assert (await fetch(opened(http, server, "nordpool"), FIRST_QUARTERS)).quality == "preliminary"


async def test_another_area_of_nord_pool_is_left_out_and_one_that_is_not_there_is_missing(
    http: Http, server: Server
) -> None:
    def more(content: Any) -> None:
        for entry in content["multiAreaEntries"]:
            entry["entryPerArea"]["SE3"] = 1

    server.tell("/api/DayAheadPrices", changed(f"nordpool_{PLAIN}", more))
    assert prices(await fetch(opened(http, server, "nordpool"), PLAIN)) == golden(PLAIN)
    with pytest.raises(MissingError, match="nothing of 2026-05-04 in NL yet"):
        await fetch(opened(http, server, "nordpool", "NL"), PLAIN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(deliveryDateCET="2026-05-05"), "the answer is of '2026-05-05', not '2026-05-04'"),
        (lambda c: c.update(currency="SEK"), "the answer is of 'SEK', not 'EUR'"),
        (lambda c: c.update(market="N2EX_DayAhead"), "not 'DayAhead'"),
        (lambda c: c["multiAreaEntries"][0].update(deliveryStart="2026-05-03T22:00:00"), "has no zone"),
        (lambda c: c["multiAreaEntries"][0].update(deliveryStart="0001-01-01T00:00:00+14:00"), "is no time"),
        (lambda c: c.update(version=-1), "-1 is no version"),
    ],
)
async def test_an_answer_of_nord_pool_that_cannot_be_is_not_used(
    http: Http, server: Server, change: Any, words: str
) -> None:
    server.tell("/api/DayAheadPrices", changed(f"nordpool_{PLAIN}", change))
    with pytest.raises(AnswerError, match=words):
        await fetch(opened(http, server, "nordpool"), PLAIN)


async def test_nord_pool_in_crowns_is_asked_for_and_said(http: Http, server: Server) -> None:
    server.tell("/api/DayAheadPrices", changed(f"nordpool_{PLAIN}", lambda c: c.update(currency="SEK")))
    series = await fetch(opened(http, server, "nordpool", currency="SEK"), PLAIN)
    assert series.currency == "SEK"
    assert server.asked[0].query["currency"] == "SEK"


async def test_smard_loads_the_last_two_weeks_before_the_day_s_end(http: Http, server: Server) -> None:
    tell(server, "smard", LONG)
    await fetch(opened(http, server, "smard"), LONG)
    before, week = WEEKS[LONG]
    assert [path.rpartition("/")[2] for path in server.paths()] == [
        "index_quarterhour.json",
        f"4169_DE-LU_quarterhour_{before}.json",
        f"4169_DE-LU_quarterhour_{week}.json",
    ]


async def test_an_index_of_smard_that_is_ahead_of_its_files_leaves_the_week_before(http: Http, server: Server) -> None:
    tell(server, "smard", PLAIN)
    folder = "/app/chart_data/4169/DE-LU"
    week = WEEKS[PLAIN][1]
    server.tell(f"{folder}/index_quarterhour.json", b'{"timestamps":[%d,%d]}' % (week, week + 7 * 86_400_000))
    await fetch(opened(http, server, "smard"), PLAIN)  # of the first answer
    series = await fetch(opened(http, server, "smard"), PLAIN)  # of the index that is ahead
    assert prices(series) == golden(PLAIN)
    with pytest.raises(MissingError, match="nothing of 2026-05-11"):
        await fetch(opened(http, server, "smard"), "2026-05-11")
    with pytest.raises(MissingError, match="no file reaches back to 2017-12-31"):
        await fetch(opened(http, server, "smard"), "2018-01-01")


async def test_pages_of_octopus_are_followed_on_the_same_host_only_and_not_for_ever(http: Http, server: Server) -> None:
    tell(server, "octopus", PLAIN)
    await fetch(opened(http, server, "octopus"), PLAIN)
    assert [asked.query.get("page") for asked in server.asked] == [None, "2"]
    server.forget()
    server.tell(RATES, recorded(f"octopus_{PLAIN}_1"))  # its next page is on the public host
    with pytest.raises(AnswerError, match="which is elsewhere; none of it is used"):
        await fetch(opened(http, server, "octopus"), PLAIN)
    server.forget()
    server.tell(RATES, recorded(f"octopus_{PLAIN}_1").replace(b"https://api.octopus.energy", _url(server)))
    with pytest.raises(AnswerError, match="more than 5 pages for one day"):
        await fetch(opened(http, server, "octopus"), PLAIN)


async def test_of_two_ways_to_pay_octopus_the_chosen_one_counts(http: Http, server: Server) -> None:
    def both(content: Any) -> None:
        for rate in list(content["results"]):
            rate["payment_method"] = "DIRECT_DEBIT"
            content["results"].append({**rate, "value_inc_vat": 99, "payment_method": "NON_DIRECT_DEBIT"})

    server.tell(RATES, changed(f"octopus_{SHORT}", both))
    assert prices(await fetch(opened(http, server, "octopus"), SHORT)) == golden(f"octopus-{SHORT}")
    other = await fetch(opened(http, server, "octopus", payment="NON_DIRECT_DEBIT"), SHORT)
    assert {slot.price for slot in other.slots} == {Decimal(990)}


def rate(since: str, until: str | None, value: float) -> dict[str, Any]:
    return {"value_exc_vat": value, "value_inc_vat": value, "valid_from": since, "valid_to": until}


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([rate("2017-01-01T00:00:00Z", None, 20)], [("22:00", "22:00", 200)]),  # alone: until it is changed
        (
            [rate("2026-05-04T10:00:00Z", None, 30), rate("2017-01-01T00:00:00Z", None, 20)],
            [("22:00", "10:00", 200)],
        ),
        (
            [
                rate("2026-05-03T23:00:00Z", None, 3),
                rate("2026-05-03T22:30:00Z", None, 2),
                rate("2026-05-03T22:00:00Z", "2026-05-03T22:30:00Z", 1),
            ],
            [("22:00", "22:30", 10), ("22:30", "23:00", 20), ("23:00", "23:30", 30)],
        ),
    ],
)
async def test_a_rate_of_octopus_without_an_end_holds_until_the_next(
    http: Http, server: Server, rates: list[dict[str, Any]], expected: list[tuple[str, str, int]]
) -> None:
    server.tell(RATES, json.dumps({"count": 1, "next": None, "previous": None, "results": rates}).encode())
    series = await fetch(opened(http, server, "octopus"), PLAIN)
    shown = [(f"{slot.start:%H:%M}", f"{slot.end:%H:%M}", int(slot.price or 0)) for slot in series.slots]
    assert shown[: len(expected)] == expected


async def test_awattar_s_unit_is_read_and_two_of_them_are_refused(http: Http, server: Server) -> None:
    def cents(content: Any) -> None:
        for value in content["data"]:
            value["unit"] = "ct/kWh"

    server.tell("/v1/marketdata", changed(f"awattar_{PLAIN}", cents))
    series = await fetch(opened(http, server, "awattar"), PLAIN)
    assert prices(series) == [(at, price * 10) for at, price in golden(f"{PLAIN}-hours")]
    server.forget()
    server.tell("/v1/marketdata", changed(f"awattar_{PLAIN}", lambda c: c["data"][0].update(unit="ct/kWh")))
    with pytest.raises(AnswerError, match="2 units in one answer"):
        await fetch(opened(http, server, "awattar"), PLAIN)
    server.forget()
    server.tell("/v1/marketdata", b'{"object":"list","data":[],"url":"/de/v1/marketdata"}')
    with pytest.raises(MissingError, match="nothing of 2026-05-04"):
        await fetch(opened(http, server, "awattar"), PLAIN)


# What they all do alike.


def everywhere(server: Server, body: bytes, status: int = 200, **parts: Any) -> None:
    folder = "/app/chart_data/4169/DE-LU"
    for path in ("/price", "/v1/marketdata", "/api/DayAheadPrices", RATES, f"{folder}/index_quarterhour.json"):
        server.tell(path, body, status, **parts)


@pytest.mark.parametrize(
    "answer",
    [
        (204, b"", MissingError),
        (404, b'{"detail":"not published"}', MissingError),
        (202, b"<!doctype html><title>Checking your browser</title>", RejectedError),
        (200, b"<!doctype html><title>Checking your browser</title>", AnswerError),
        (403, b"<html>", RejectedError),
        (422, b'{"detail":[{"loc":["query","bzn"]}]}', QuestionError),
        (503, b"", TroubleError),
    ],
)
@pytest.mark.parametrize("name", ALL)
async def test_a_status_means_the_same_of_every_provider(
    http: Http, server: Server, name: str, answer: tuple[int, bytes, type[Exception]]
) -> None:
    status, body, kind = answer
    everywhere(server, body, status)
    with pytest.raises(kind):
        await fetch(opened(http, server, name), PLAIN)


@pytest.mark.parametrize("name", ALL)
async def test_who_is_asked_too_often_says_when_again(http: Http, server: Server, name: str) -> None:
    everywhere(server, b"", 429, headers={"retry-after": "900"})
    with pytest.raises(BusyError) as caught:
        await fetch(opened(http, server, name), PLAIN)
    assert caught.value.retry_after_s == 900


@pytest.mark.parametrize("name", ALL)
async def test_a_body_that_does_not_end_hits_the_deadline(server: Server, name: str) -> None:
    everywhere(server, b'{"data":[]}', hangs=True)
    async with Http("market", deadline_s=0.1, tries=1, transport=AsyncHTTPTransport(verify=False)) as http:
        with pytest.raises(UnreachableError, match="no whole answer within"):
            await fetch(opened(http, server, name), PLAIN)


async def test_a_refused_token_names_the_setting_that_holds_it(server: Server) -> None:
    everywhere(server, b"{}", 401)
    async with Http("market", token="market.parameters") as http:
        with pytest.raises(RejectedError, match=r"401 '{}'; check market.parameters and what it may ask for"):
            await fetch(opened(http, server, "awattar"), PLAIN)
