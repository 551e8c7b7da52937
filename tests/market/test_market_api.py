"""Prices over the API of the real daemon, and on its page of metrics."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jouled.bookkeeping import market as books
from jouled.store import Store
from pages import promtool
from running import Running, running, running_jouled
from serving_api import Api, serving_api
from trading import series

SETTINGS = {"JOULED_MARKET_PROVIDERS": "mock"}
OLD = date(2026, 10, 25)


def until(is_so: Callable[[], Any]) -> Any:
    for _ in range(600):
        if found := is_so():
            return found
        time.sleep(0.1)
    pytest.fail("it did not come to be")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    state_dir = tmp_path_factory.mktemp("state")
    with Store(state_dir=str(state_dir)) as store:
        for one in (
            series(OLD, price="40"),
            series(OLD, price="41"),
            series(OLD, provider="other", at=datetime(2026, 1, 1, tzinfo=UTC)),
        ):
            store.write(lambda connection, one=one: books.put(connection, one, datetime.now(UTC)))  # type: ignore[misc]
    with serving_api(state_dir, **SETTINGS) as api:
        until(lambda: api.ask("GET", "/api/v1/market/series").json["count"] == 2)
        yield api


def asked(api: Api, **query: str) -> Any:
    words = "&".join(f"{name.rstrip('_')}={quote(value)}" for name, value in query.items())
    answer = api.ask("GET", f"/api/v1/market/series?{words}")
    assert answer.status == 200, answer.body
    return answer.json


def test_prices_of_today_and_tomorrow_come_with_their_unit_provenance_and_freshness(api: Api) -> None:
    found = asked(api)
    assert (found["zone"], found["count"]) == ("DE-LU", 2)
    today = found["series"][0]
    assert (today["provider"], today["origin"], today["unit"], today["volume_unit"]) == (
        "mock",
        "provider",
        "EUR/MWh",
        "MWh",
    )
    assert (today["is_complete"], today["revision"], today["quality"]) == (True, 1, "estimated")
    assert 0 <= today["age_seconds"] < 600
    assert len(today["body_sha256"]) == 64
    starts = [slot["start"] for one in found["series"] for slot in one["slots"]]
    assert starts == sorted(starts)
    assert (starts[0], found["series"][-1]["slots"][-1]["end"]) == (found["start"], found["end"])


def test_a_day_of_25_hours_that_is_over_is_stored_with_its_newest_revision(api: Api) -> None:
    found = asked(api, from_="2026-10-24T22:00:00Z", to="2026-10-25T23:00:00Z")
    (day,) = found["series"]
    assert (day["provider"], day["origin"], day["revision"], len(day["slots"])) == ("fake", "stored", 2, 100)
    assert day["slots"][1] == {
        "start": "2026-10-24T22:15:00Z",
        "end": "2026-10-24T22:30:00Z",
        "price": 41.01,
        "volume": 68.2,
    }


def test_a_range_cuts_slots_and_a_provider_is_asked_for_by_name(api: Api) -> None:
    span = {"from_": "2026-10-25T00:50:00Z", "to": "2026-10-25T01:20:00Z"}
    found = asked(api, **span, provider="other")
    assert [(one["provider"], len(one["slots"])) for one in found["series"]] == [("other", 3)]
    assert asked(api, **span, provider="nobody")["series"] == []
    assert asked(api, **span, zone="FR")["series"] == []
    assert asked(api, **span, product="IDA1")["series"] == []


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422, "is not before"),
        ("from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z", 422, "31 days"),
        ("from=yesterday", 400, "RFC 3339"),
        ("from=0001-01-01T00:00:00Z", 422, "1970 to 9000"),
        ("to=9999-12-31T23:59:59Z", 422, "1970 to 9000"),
        ("area=FR", 400, "unknown parameter"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(api: Api, query: str, status: int, words: str) -> None:
    answer = api.ask("GET", f"/api/v1/market/series?{query}")
    assert (answer.status, words in answer.json["message"]) == (status, True), answer.body


def test_providers_are_listed_with_their_parameters_and_how_asking_went(api: Api) -> None:
    found = api.ask("GET", "/api/v1/market/providers").json
    assert (found["chain"], found["zone"], found["problems"]) == (["mock"], "DE-LU", [])
    assert datetime.fromisoformat(found["next_fetch_at"]) > datetime.now(UTC)
    named = {one["name"]: one for one in found["providers"]}
    assert {"energy-charts", "csv", "mock", "static"} <= set(named)
    assert named["csv"]["state"] is None
    assert [about["name"] for about in named["csv"]["parameters"] if about["is_required"]] == ["directory"]
    assert named["mock"]["state"]["fetches"] == {"ok": 2}


def test_prices_are_on_the_page_of_metrics(api: Api) -> None:
    assert promtool(api.daemon.get("/metrics")) == ""
    page = api.daemon.get("/metrics").decode()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        if family.name.startswith("jouled_market")
        for sample in family.samples
    }
    price = [value for key, value in found.items() if key[0] == "jouled_market_price_per_mwh"]
    assert len(price) == 1
    assert 10 <= price[0] <= 200
    assert found["jouled_market_data_available", "today"] == found["jouled_market_data_available", "tomorrow"] == 1
    assert 0 <= found["jouled_market_data_age_seconds", "today"] < 600
    assert found["jouled_market_fetches_total", "mock", "ok"] == 2
    assert found["jouled_market_refreshes_total",] == 1


def ask(daemon: Running, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}{path}", timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code


def test_without_a_store_there_is_what_is_in_memory() -> None:
    flags = ("--listen=127.0.0.1:0", "--log-format=text", "--meter=fake", "--interval=200ms", "--store=none")
    with running(sys.executable, "-m", "jouled", *flags, environ=SETTINGS) as daemon:
        found = until(lambda: (answer := ask(daemon, "/api/v1/market/series"))["count"] == 2 and answer)
        assert {one["origin"] for one in found["series"]} == {"provider"}
        assert ask(daemon, "/api/v1/market/providers")["chain"] == ["mock"]


def test_without_providers_the_page_and_the_rooms_are_those_of_before() -> None:
    with running_jouled("--meter=fake", "--interval=200ms", "--store=none") as daemon:
        assert b"jouled_market" not in daemon.get("/metrics")
        assert ask(daemon, "/api/v1/market/series") == 404


def test_prices_that_were_there_before_a_restart_are_there_again_at_once(tmp_path: Path) -> None:
    def origin(api: Api) -> Any:
        return until(lambda: [one["origin"] for one in api.ask("GET", "/api/v1/market/series").json["series"]][:1])

    folder = tmp_path / "prices"
    folder.mkdir()
    day = datetime.now(UTC).date()
    for offset in range(-1, 3):
        file = folder / f"epex_data_{day + timedelta(days=offset)}.csv"
        hours = [f"{hour:02}:00-{hour + 1:02}:00,68.2,95.69" for hour in range(24)]
        file.write_text("\n".join(["Period,Volume (MWh),Price (€/MWh)", *hours, ""]))
    settings = tmp_path / "jouled.toml"
    settings.write_text(
        f'[market]\nproviders = ["csv"]\ntimezone = "UTC"\n[market.parameters]\n"csv.directory" = "{folder}"\n'
    )
    with serving_api(tmp_path / "state", f"--config={settings}") as api:
        assert origin(api) == ["provider"]
        stored = api.ask("GET", "/api/v1/market/series?provider=csv").json["series"]
        assert stored
    for file in folder.iterdir():
        file.unlink()
    with serving_api(tmp_path / "state", f"--config={settings}") as api:
        assert origin(api) == ["persisted"]
