from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from answering import Server, answering
from jouled.books.intensity import Slot
from jouled.config.books import Carbon
from jouled.errors import ConfigError
from jouled.http import (
    AnswerError,
    BusyError,
    Http,
    MissingError,
    QuestionError,
    RejectedError,
    UnreachableError,
)
from jouled.signals.carbon.fetched import Provider
from jouled.signals.carbon.provider import open_provider

FIXTURES = Path(__file__).parent / "fixtures"
NOW = datetime(2026, 5, 4, 12, 2, tzinfo=UTC)


def recorded(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def changed(name: str, change: Any) -> bytes:
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
    async with Http("carbon", pause_s=0.001, deadline_s=20.0) as http:
        yield http


def provider(http: Http, server: Server, name: str, tmp_path: Path, **settings: Any) -> Provider:
    (tmp_path / "token").write_text("anna:secret\n" if name == "watttime" else "s3cret\n")
    needed = {"token": f"file:{tmp_path}/token", "kind": "marginal" if name == "watttime" else "average"}
    return open_provider(Carbon(provider=name, url=f"{server.url}/", **{**needed, **settings}), http)  # type: ignore[arg-type]


def shown(slots: list[Slot]) -> list[tuple[str, str, float, bool, str]]:
    return [
        (f"{slot.start:%H:%M}", f"{slot.end:%H:%M}", slot.ug_per_kwh / 1e6, slot.is_forecast, slot.quality)
        for slot in slots
    ]


async def test_electricity_maps_gives_the_last_day_now_and_a_forecast(
    http: Http, server: Server, tmp_path: Path
) -> None:
    for part in ("history", "latest", "forecast"):
        server.tell(f"/v3/carbon-intensity/{part}", recorded(f"electricity_maps_{part}"))
    fetched = await provider(http, server, "electricity-maps", tmp_path).fetch("DE", NOW)
    assert shown(fetched.slots) == [
        ("04:00", "05:00", 302.0, False, "good"),
        ("05:00", "06:00", 295.0, False, "good"),
        ("07:00", "08:00", 258.0, False, "estimated"),
        ("08:00", "09:00", 241.0, False, "estimated"),
        ("09:00", "10:00", 236.0, True, "good"),
        ("10:00", "11:00", 221.0, True, "good"),
        ("11:00", "12:00", 215.0, True, "good"),
    ]
    assert {slot.kind for slot in fetched.slots} == {"average"}
    assert not fetched.problems
    assert all(asked.headers["auth-token"] == "s3cret" and asked.query == {"zone": "DE"} for asked in server.asked)


async def test_a_free_plan_has_no_forecast_and_is_not_asked_for_it_all_day(
    http: Http, server: Server, tmp_path: Path
) -> None:
    for part in ("history", "latest"):
        server.tell(f"/v3/carbon-intensity/{part}", recorded(f"electricity_maps_{part}"))
    server.tell("/v3/carbon-intensity/forecast", b'{"status":"error","message":"Forbidden"}', 403)
    maps = provider(http, server, "electricity-maps", tmp_path)
    first = await maps.fetch("DE", NOW)
    assert len(first.slots) == 4
    assert len(first.problems) == 1
    assert "/forecast: 403" in first.problems[0]
    assert "s3cret" not in first.problems[0]
    assert not (await maps.fetch("DE", NOW + timedelta(hours=23))).problems
    assert server.paths().count("/v3/carbon-intensity/forecast") == 1
    await maps.fetch("DE", NOW + timedelta(hours=25))
    assert server.paths().count("/v3/carbon-intensity/forecast") == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, RejectedError), (403, RejectedError), (404, MissingError), (422, QuestionError), (429, BusyError)],
)
async def test_a_provider_that_refuses_all_is_an_error_of_its_kind(
    http: Http, server: Server, tmp_path: Path, status: int, kind: type[Exception]
) -> None:
    for part in ("history", "latest", "forecast"):
        server.tell(f"/v3/carbon-intensity/{part}", b'{"message":"no"}', status)
    with pytest.raises(kind):
        await provider(http, server, "electricity-maps", tmp_path).fetch("DE", NOW)


async def test_electricity_maps_answers_of_another_zone_or_method_are_not_used(
    http: Http, server: Server, tmp_path: Path
) -> None:
    def direct(content: Any) -> None:
        content["history"][1]["emissionFactorType"] = "direct"

    maps = provider(http, server, "electricity-maps", tmp_path)
    server.tell("/v3/carbon-intensity/history", recorded("electricity_maps_history"))
    with pytest.raises(AnswerError, match=r"the answer is of zone 'DE', not 'FR'; check carbon\.zone"):
        await maps.fetch("FR", NOW)
    server.forget()
    server.tell("/v3/carbon-intensity/history", changed("electricity_maps_history", direct))
    with pytest.raises(AnswerError, match="'direct' emissions came where lifecycle was asked for"):
        await maps.fetch("DE", NOW)


async def test_electricity_maps_points_without_a_zone_of_time_are_refused(
    http: Http, server: Server, tmp_path: Path
) -> None:
    body = recorded("electricity_maps_history").replace(b"05:00:00.000Z", b"05:00:00.000")
    server.tell("/v3/carbon-intensity/history", body)
    with pytest.raises(AnswerError, match="not the answer that was expected: Expected `datetime` with a timezone"):
        await provider(http, server, "electricity-maps", tmp_path).fetch("DE", NOW)


async def test_watttime_logs_in_and_pounds_become_grams(http: Http, server: Server, tmp_path: Path) -> None:
    server.tell("/login", b'{"token":"abcd"}')
    server.tell("/v3/historical", recorded("watttime_historical"))
    server.tell("/v3/forecast", recorded("watttime_forecast"))
    fetched = await provider(http, server, "watttime", tmp_path).fetch("CAISO_NORTH", NOW)
    assert shown(fetched.slots) == [
        ("00:00", "00:05", 394.625362, False, "good"),
        ("00:05", "00:10", 393.944973, False, "good"),
        ("00:15", "00:20", 453.59237, False, "good"),
        ("00:20", "00:25", 408.732085, True, "good"),
        ("00:25", "00:30", 407.779541, True, "good"),
    ]
    assert {slot.kind for slot in fetched.slots} == {"marginal"}
    login, historical, forecast = server.asked
    assert login.headers["authorization"] == "Basic YW5uYTpzZWNyZXQ="
    assert historical.headers["authorization"] == forecast.headers["authorization"] == "Bearer abcd"
    assert historical.query["start"] == "2026-05-03T12:02:00+00:00"
    assert forecast.query["horizon_hours"] == "24"


async def test_a_login_is_kept_until_it_ends(http: Http, server: Server, tmp_path: Path) -> None:
    server.tell("/login", b'{"token":"one"}')
    server.tell("/login", b'{"token":"two"}')
    server.tell("/v3/historical", recorded("watttime_historical"))
    server.tell("/v3/forecast", recorded("watttime_forecast"))
    watttime = provider(http, server, "watttime", tmp_path)
    for minutes in (0, 20, 26):
        await watttime.fetch("CAISO_NORTH", NOW + timedelta(minutes=minutes))
    tokens = [asked.headers["authorization"] for asked in server.asked if asked.path == "/v3/forecast"]
    assert tokens == ["Bearer one", "Bearer one", "Bearer two"]


async def test_a_login_that_was_taken_back_is_made_again(http: Http, server: Server, tmp_path: Path) -> None:
    server.tell("/login", b'{"token":"one"}')
    server.tell("/login", b'{"token":"two"}')
    server.tell("/v3/historical", recorded("watttime_historical"))
    server.tell("/v3/forecast", recorded("watttime_forecast"))
    watttime = provider(http, server, "watttime", tmp_path)
    await watttime.fetch("CAISO_NORTH", NOW)
    server.forget()
    server.tell("/login", b'{"token":"two"}')
    server.tell("/v3/historical", b"", 401)
    server.tell("/v3/historical", recorded("watttime_historical"))
    server.tell("/v3/forecast", recorded("watttime_forecast"))
    assert len((await watttime.fetch("CAISO_NORTH", NOW)).slots) == 5


async def test_a_wrong_password_is_asked_with_once(http: Http, server: Server, tmp_path: Path) -> None:
    server.tell("/login", b"", 403)
    with pytest.raises(RejectedError, match=r"/login: 403; check carbon.token"):
        await provider(http, server, "watttime", tmp_path).fetch("CAISO_NORTH", NOW)
    assert server.paths() == ["/login", "/login"]  # for each of the two parts


async def test_a_percentile_is_never_taken_for_an_intensity(http: Http, server: Server, tmp_path: Path) -> None:
    server.tell("/login", b'{"token":"abcd"}')
    server.tell("/v3/historical", recorded("watttime_index"))
    with pytest.raises(AnswerError, match="a percentile, which is no intensity"):
        await provider(http, server, "watttime", tmp_path).fetch("CAISO_NORTH", NOW)
    assert "/v3/signal-index" not in server.paths()


@pytest.mark.parametrize(
    ("name", "value"), [("units", "g_co2_per_kwh"), ("signal_type", "co2_aoer"), ("region", "PJM")]
)
async def test_another_unit_signal_or_region_of_watttime_is_not_used(
    http: Http, server: Server, tmp_path: Path, name: str, value: str
) -> None:
    server.tell("/login", b'{"token":"abcd"}')
    server.tell("/v3/historical", changed("watttime_historical", lambda content: content["meta"].update({name: value})))
    with pytest.raises(AnswerError, match=r"only co2_moer in lbs_co2_per_mwh is taken|check carbon\.zone"):
        await provider(http, server, "watttime", tmp_path).fetch("CAISO_NORTH", NOW)


async def test_great_britain_is_measured_where_known_and_forecast_beyond(
    http: Http, server: Server, tmp_path: Path
) -> None:
    server.tell("/intensity/2026-05-03T12:02Z/fw48h", recorded("uk_national"))
    fetched = await provider(http, server, "uk-carbon-intensity", tmp_path).fetch("GB", NOW)
    assert shown(fetched.slots) == [
        ("12:00", "12:30", 263.0, False, "good"),
        ("12:30", "13:00", 270.0, True, "good"),
        ("13:00", "13:30", 255.0, True, "good"),
    ]


@pytest.mark.parametrize(("zone", "path"), [("GB-RG41", "postcode/RG41"), ("GB-12", "regionid/12")])
async def test_a_british_region_by_number_or_postcode(
    http: Http, server: Server, tmp_path: Path, zone: str, path: str
) -> None:
    server.tell(f"/regional/intensity/2026-05-03T12:02Z/fw48h/{path}", recorded("uk_regional"))
    fetched = await provider(http, server, "uk-carbon-intensity", tmp_path).fetch(zone, NOW)
    assert shown(fetched.slots) == [("12:00", "12:30", 301.0, True, "good"), ("12:30", "13:00", 298.0, True, "good")]
    assert fetched.slots[0].zone == zone


async def test_another_british_region_than_was_asked_for_is_not_used(
    http: Http, server: Server, tmp_path: Path
) -> None:
    uk = provider(http, server, "uk-carbon-intensity", tmp_path)
    for zone, path in (("GB-3", "regionid/3"), ("GB-SW1", "postcode/SW1")):
        server.tell(f"/regional/intensity/2026-05-03T12:02Z/fw48h/{path}", recorded("uk_regional"))
        with pytest.raises(AnswerError, match="the answer is of region 12"):
            await uk.fetch(zone, NOW)


async def test_what_the_british_service_says_is_passed_on(http: Http, server: Server, tmp_path: Path) -> None:
    server.tell("/intensity/2026-05-03T12:02Z/fw48h", recorded("uk_error"), 400)
    with pytest.raises(QuestionError, match="Please enter a valid date"):
        await provider(http, server, "uk-carbon-intensity", tmp_path).fetch("GB", NOW)


async def test_energy_charts_fills_what_is_not_measured_with_its_forecast(
    http: Http, server: Server, tmp_path: Path
) -> None:
    server.tell("/co2eq", recorded("energy_charts"))
    fetched = await provider(http, server, "energy-charts", tmp_path).fetch("DE", NOW)
    assert shown(fetched.slots) == [
        ("22:00", "22:15", 312.4, False, "good"),
        ("22:15", "22:30", 308.95, False, "good"),
        ("22:30", "22:45", 301.2, True, "good"),
        ("23:00", "23:15", 288.0, True, "good"),  # both are null in the quarter before
    ]
    assert server.asked[0].query == {"country": "de", "start": "1777809720", "end": "1777982520"}


@pytest.mark.parametrize("name", ["unix_seconds", "co2eq", "co2eq_forecast"])
async def test_a_list_of_energy_charts_may_be_null(http: Http, server: Server, tmp_path: Path, name: str) -> None:
    def null(content: Any) -> None:
        content[name] = None
        if name == "unix_seconds":
            content["co2eq"] = content["co2eq_forecast"] = None

    server.tell("/co2eq", changed("energy_charts", null))
    fetched = await provider(http, server, "energy-charts", tmp_path).fetch("DE", NOW)
    assert len(fetched.slots) == {"unix_seconds": 0, "co2eq": 2, "co2eq_forecast": 2}[name]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content["co2eq"].pop(), "5 times, 4 values and 5 forecasts; none is used"),
        (lambda content: content.update(unit="lb/MWh"), "the unit is 'lb/MWh', not g/kWh"),
        (lambda content: content.update(co2eq=None, co2eq_forecast=None), "neither co2eq nor co2eq_forecast"),
        (lambda content: content["unix_seconds"].__setitem__(0, 1_782_856_800_000), "no time in seconds"),
        (lambda content: content["co2eq"].__setitem__(0, -1), "-1 g/kWh is not between 0 and 5000"),
        (lambda content: content["co2eq"].__setitem__(0, [312]), "not the answer that was expected"),
    ],
)
async def test_an_answer_of_energy_charts_that_cannot_be_is_not_used(
    http: Http, server: Server, tmp_path: Path, change: Any, words: str
) -> None:
    server.tell("/co2eq", changed("energy_charts", change))
    with pytest.raises(AnswerError, match=words):
        await provider(http, server, "energy-charts", tmp_path).fetch("DE", NOW)


async def test_energinet_gives_five_minutes_measured_and_forecast(http: Http, server: Server, tmp_path: Path) -> None:
    server.tell("/dataset/CO2Emis", recorded("energinet_measured"))
    server.tell("/dataset/CO2EmisProg", recorded("energinet_forecast"))
    fetched = await provider(http, server, "energinet", tmp_path).fetch("DK1", NOW)
    assert shown(fetched.slots) == [
        ("12:00", "12:05", 90.0, False, "good"),
        ("12:05", "12:10", 89.0, False, "good"),
        ("12:10", "12:15", 88.0, False, "good"),
        ("12:15", "12:20", 87.0, True, "good"),
        ("12:20", "12:25", 86.0, True, "good"),
    ]
    measured, forecast = server.asked
    assert json.loads(measured.query["filter"]) == {"PriceArea": ["DK1"]}
    assert measured.query["start"] == "now-P1D"
    assert forecast.query["start"] == "now"


async def test_a_record_of_the_other_danish_area_spoils_the_answer(http: Http, server: Server, tmp_path: Path) -> None:
    def mixed(content: Any) -> None:
        content["records"][1]["PriceArea"] = "DK2"

    server.tell("/dataset/CO2Emis", changed("energinet_measured", mixed))
    with pytest.raises(AnswerError, match="a record is of 'DK2', not 'DK1'"):
        await provider(http, server, "energinet", tmp_path).fetch("DK1", NOW)


ALL = ["electricity-maps", "watttime", "uk-carbon-intensity", "energy-charts", "energinet"]
ZONES = dict(zip(ALL, ("DE", "CAISO_NORTH", "GB", "DE", "DK1"), strict=True))


@pytest.mark.parametrize("name", ALL)
async def test_a_page_for_browsers_is_no_series_of_any_provider(
    http: Http, server: Server, tmp_path: Path, name: str
) -> None:
    _everywhere(server, b"<!doctype html><title>Sign in</title>")
    with pytest.raises(AnswerError, match="a page for browsers came instead of JSON"):
        await provider(http, server, name, tmp_path).fetch(ZONES[name], NOW)


@pytest.mark.parametrize("name", ALL)
async def test_a_slow_body_hits_the_deadline_of_any_provider(server: Server, tmp_path: Path, name: str) -> None:
    _everywhere(server, b'{"data":[]}', hangs=True)
    async with Http("carbon", deadline_s=0.1, tries=1) as http:
        with pytest.raises(UnreachableError, match="no whole answer within"):
            await provider(http, server, name, tmp_path).fetch(ZONES[name], NOW)


def _everywhere(server: Server, body: bytes, **parts: Any) -> None:
    paths = [f"/v3/carbon-intensity/{part}" for part in ("history", "latest", "forecast")]
    paths += ["/login", "/intensity/2026-05-03T12:02Z/fw48h", "/co2eq", "/dataset/CO2Emis", "/dataset/CO2EmisProg"]
    for path in paths:
        server.tell(path, body, **parts)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"provider": "electricity-maps", "token": "file:/nowhere/token"},
            "read /nowhere/token: No such file or directory; put the token there",
        ),
        ({"provider": "uk-carbon-intensity", "zone": "FR"}, "write GB, GB-1 to GB-18, or GB-RG41"),
        ({"provider": "uk-carbon-intensity", "zone": "GB-RG41/../x"}, "write GB, GB-1 to GB-18, or GB-RG41"),
        ({"provider": "energinet", "zone": "SE4"}, "write DK1 or DK2"),
        ({"provider": "energy-charts", "zone": "DE-LU"}, "write a country as DE"),
    ],
)
async def test_settings_that_cannot_be_are_refused_with_the_fix(http: Http, settings: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_provider(Carbon(**settings), http, {})
    assert words in str(caught.value)


async def test_a_login_of_watttime_has_a_colon(http: Http, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("anna")
    with pytest.raises(ConfigError, match="put USER:PASSWORD there"):
        open_provider(
            Carbon(provider="watttime", kind="marginal", token="credential:token"),
            http,
            {"CREDENTIALS_DIRECTORY": str(tmp_path)},
        )
