"""Readings, carbon, sites and events over the API of a real daemon, with the names that A1's service documents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jouled.store import Store
from metered import make_meter
from serving_api import Answer, Api, serving_api

HOUR = timedelta(hours=1)


class Client:
    """With a token that may write all that is asked for here."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._token = api.token("write:readings", "write:sites", "write:budgets").secret

    def get(self, path: str) -> Answer:
        return self._api.ask("GET", f"/api/v1{path}")

    def post(self, path: str, body: Any, method: str = "POST", **headers: str) -> Answer:
        return self._api.ask(method, f"/api/v1{path}", body, self._token, **headers)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One daemon for all: each test has a site of its own."""
    state_dir: Path = tmp_path_factory.mktemp("state")
    with serving_api(state_dir) as api:
        yield Client(api)


@pytest.fixture
def site(client: Client, request: pytest.FixtureRequest) -> str:
    name: str = request.node.name.partition("[")[0].removeprefix("test_")[:100]
    made = client.post("/sites", {"id": name, "name": name, "timezone": "Europe/Berlin", "total_capacity": 100})
    assert made.status in {201, 409}, made.body
    with Store(state_dir=str(client._api.state_dir)) as store:
        if made.status == 201:
            store.write(lambda connection: make_meter(connection, f"m.{name}", name))
    return name


def reading(site: str, kwh: float = 2.0, at: datetime | None = None, **fields: Any) -> dict[str, Any]:
    at = at or datetime.now(UTC)
    return {"meter_id": f"m.{site}", "facility_id": site, "consumption": kwh, "timestamp": at.isoformat(), **fields}


def test_a_reading_is_ingested_and_got(client: Client, site: str) -> None:
    body = reading(
        site,
        voltage=230.5,
        current=8.7,
        power_factor=0.97,
        frequency=50,
        quality="good",
        metadata={"a": 1},
        energy_source="grid",
    )
    done = client.post("/readings", body)

    assert done.status == 201
    assert done.json["message"] == "reading ingested successfully"
    assert set(done.json) >= {"id", "message", "timestamp"}
    got = client.get(f"/readings/{done.json['id']}")
    assert got.status == 200
    for name, value in body.items():
        if name != "timestamp":
            assert got.json[name] == value
    assert datetime.fromisoformat(got.json["timestamp"]) == datetime.fromisoformat(body["timestamp"])
    missing = client.get("/readings/none")
    assert (missing.status, missing.json["error"]) == (404, "not_found")


def test_the_same_reading_again_has_the_same_id(client: Client, site: str) -> None:
    body = reading(site)
    first, again = client.post("/readings", body), client.post("/readings", body)

    assert (again.status, again.json["id"], again.json["is_new"]) == (201, first.json["id"], False)
    other = client.post("/readings", {**body, "consumption": 3})
    assert (other.status, other.json["error"]) == (409, "conflict")


def test_the_header_names_a_reading_as_the_body_does(client: Client, site: str) -> None:
    body = reading(site)
    first = client.post("/readings", body, Idempotency_Key="header-1")
    again = client.post("/readings", {**body, "key": "header-1"})

    assert first.json["id"] == again.json["id"]
    assert client.get(f"/readings/{first.json['id']}").json["key"] == "header-1"
    assert client.post("/readings", {**body, "key": "a"}, Idempotency_Key="b").status == 400
    assert client.post("/readings", {**body, "consumption": 9}, Idempotency_Key="header-1").status == 409


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"timestamp": "2026-03-04T12:00:00"}, 400),
        ({"timestamp": "yesterday"}, 400),
        ({"timestamp": 1_700_000_000}, 400),
        ({"consumption": -1}, 400),
        ({"consumption": "5"}, 400),
        ({"consumption": 1e12}, 400),
        ({"energy_source": "peat"}, 400),
        ({"quality": "fine"}, 400),
        ({"consumtion": 1}, 400),
        ({"facility_id": "other-site"}, 422),
        ({"meter_id": "none"}, 422),
        ({"timestamp": "2999-01-01T00:00:00Z"}, 422),
        ({"timestamp": "1970-01-01T00:00:00Z"}, 422),
    ],
)
def test_bad_input_is_never_our_own_error(client: Client, site: str, change: dict[str, Any], status: int) -> None:
    """It was: 500 for what did not validate."""
    answer = client.post("/readings", {**reading(site), **change})

    assert (answer.status, set(answer.json) >= {"error", "message"}) == (status, True)


def test_a_batch_answers_for_each(client: Client, site: str) -> None:
    now = datetime.now(UTC)
    rows = [
        reading(site, 1, now - HOUR),
        reading(site, 2, now - 2 * HOUR),
        {**reading(site, 3, now - 3 * HOUR), "meter_id": "none"},
    ]
    first = client.post("/readings/batch", {"readings": rows})
    again = client.post("/readings/batch", {"readings": [*rows[:2], {**rows[0], "consumption": 9}]})

    assert (first.status, first.json["count"], first.json["new"], first.json["refused"]) == (200, 3, 2, 1)
    assert [item["status"] for item in first.json["items"]] == [201, 201, 422]
    assert "no meter" in first.json["items"][2]["message"]
    assert [item["status"] for item in again.json["items"]] == [200, 200, 409]
    assert again.json["items"][0]["id"] == first.json["items"][0]["id"]
    assert client.post("/readings/batch", {"readings": []}).status == 400


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
def test_an_instant_that_cannot_be_fails_none_of_the_others(client: Client, site: str, at: str) -> None:
    client.post(f"/sites/{site}", {"name": site, "carbon_zone": "DE"}, method="PUT")
    now = datetime.now(UTC)

    rows = [reading(site, 1, now - HOUR), {**reading(site, 2), "timestamp": at}]
    done = client.post("/readings/batch", {"readings": rows})

    assert (done.status, [item["status"] for item in done.json["items"]][1]) == (200, 422)
    assert done.json["items"][0]["status"] in {200, 201}
    assert "timestamp" in done.json["items"][1]["message"]


def test_a_batch_of_ten_thousand_is_taken_as_it_comes(client: Client, site: str) -> None:
    """In a body as large as the limit that is there unless somebody sets another."""
    now = datetime.now(UTC)
    rows = [
        reading(
            site,
            1,
            now - n * timedelta(seconds=7),
            key=f"plc-7-{n:012}",
            voltage=230.1,
            current=4.2,
            power_factor=0.97,
            frequency=50.01,
            quality="good",
            metadata={"shift": "early", "line": n},
        )
        for n in range(10_000)
    ]
    done = client.post("/readings/batch", {"readings": rows})
    assert (done.status, done.json["new"]) == (200, 10_000)


def test_readings_of_a_facility_are_those_of_the_last_day_by_default(client: Client, site: str) -> None:
    now = datetime.now(UTC)
    for hours in (1, 2, 30):
        client.post("/readings", reading(site, hours, now - hours * HOUR))
    got = client.get(f"/readings/facility/{site}")

    assert got.status == 200
    assert set(got.json) >= {"facility_id", "start_time", "end_time", "count", "readings"}
    assert [one["consumption"] for one in got.json["readings"]] == [1, 2]
    assert client.get(f"/readings/facility/{site}?limit=1").json["count"] == 1
    begin = (now - 48 * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert client.get(f"/readings/facility/{site}?start_time={begin}").json["count"] == 3


@pytest.mark.parametrize(
    "query", ["start_time=yesterday", "start_time=2026-03-04T12:00:00", "limit=x", "limit=0", "limit=-1", "start=1"]
)
def test_a_bad_parameter_is_refused_and_not_ignored(client: Client, site: str, query: str) -> None:
    """It was: bad instants and limits that counted as none given."""
    assert client.get(f"/readings/facility/{site}?{query}").status == 400
    assert client.get(f"/carbon/emissions/{site}?{query}").status == 400


@pytest.mark.parametrize(
    "query",
    [
        "start_time=2026-03-04T12:00:00Z&end_time=2026-03-04T12:00:00Z",
        "end_time=9999-12-31T23:59:59Z",
        "start_time=0001-01-01T00:00:00Z",
    ],
)
def test_a_range_that_cannot_be_is_unprocessable(client: Client, site: str, query: str) -> None:
    for path in (f"/readings/facility/{site}", f"/carbon/emissions/{site}/total", f"/carbon/intensity/{site}"):
        assert client.get(f"{path}?{query}").status == 422


def test_carbon_is_processed_once(client: Client, site: str) -> None:
    client.post("/carbon/budget", {"facility_id": site, "budget_period": "yearly", "budget_amount": 100})
    body = reading(site, 10)
    done = [client.post("/carbon/process", body) for _ in range(3)]
    saved = client.get(f"/readings/{done[0].json['id']}").json
    done.append(client.post("/carbon/process", saved))

    assert [one.status for one in done] == [201] * 4
    for one in done:
        assert (one.json["total_emission"], one.json["carbon_intensity"], one.json["unit"]) == (4.2, 420, "kg CO2")
        assert one.json["id"] == saved["id"]
    assert client.get(f"/carbon/budget/{site}").json["used_amount"] == 4.2


def test_emissions_have_the_documented_names(client: Client, site: str) -> None:
    done = client.post("/readings", reading(site, 10, datetime.now(UTC) - HOUR))
    got = client.get(f"/carbon/emissions/{site}").json

    assert set(got) >= {"facility_id", "start_time", "end_time", "count", "emissions"}
    (one,) = got["emissions"]
    assert one["reading_id"] == done.json["id"]
    wanted = {
        "facility_id": site,
        "energy_source": "grid",
        "emission_factor": 0.42,
        "consumption": 10,
        "total_emission": 4.2,
        "carbon_intensity": 420,
    }
    assert {name: one[name] for name in wanted} == wanted
    assert set(one) >= {"id", "timestamp", "calculated_at"}
    assert client.get(f"/carbon/emissions/{site}/by-source").json["by_source"] == {"grid": 4.2}
    total = client.get(f"/carbon/emissions/{site}/total").json
    assert (total["total"], total["unit"]) == (4.2, "kg CO2")
    intensity = client.get(f"/carbon/intensity/{site}").json
    assert (intensity["carbon_intensity"], intensity["unit"]) == (420, "g CO2/kWh")


def test_a_budget_is_made_followed_and_closed(client: Client, site: str) -> None:
    missing = client.get(f"/carbon/budget/{site}")
    assert (missing.status, missing.json["message"].partition(";")[0]) == (
        404,
        "no budget configured for this facility",
    )
    body = {
        "facility_id": site,
        "budget_period": "monthly",
        "budget_amount": 5,
        "warning_threshold": 50,
        "critical_threshold": 60,
    }
    made = client.post("/carbon/budget", body)
    assert (made.status, made.json["id"], set(made.json)) == (
        201,
        made.json["budget"]["id"],
        {"id", "message", "budget"},
    )
    client.post("/readings", reading(site, 7))
    got = client.get(f"/carbon/budget/{site}").json
    names = {
        "id",
        "facility_id",
        "budget_period",
        "budget_amount",
        "used_amount",
        "remaining_amount",
        "usage_percentage",
        "status",
    }
    names |= {"warning_threshold", "critical_threshold", "period_start", "period_end", "created_at", "updated_at"}
    assert set(got) >= names
    assert (got["used_amount"], got["usage_percentage"], got["status"]) == (2.94, 58.8, "warning")
    status = client.get(f"/carbon/status/{site}").json
    assert (status["facility_id"], status["status"], status["budget"]["id"]) == (site, "warning", made.json["id"])
    events = client.get(f"/events?site_id={site}").json["items"]
    assert [event["type"] for event in events] == ["carbon_budget_warning"]
    assert client.get(f"/alerts?site_id={site}").json["count"] == 1
    assert client.post(f"/carbon/budget/{made.json['id']}/close", None).json["is_active"] is False
    assert client.get(f"/alerts?site_id={site}").json["count"] == 0
    assert client.get(f"/carbon/budgets?facility_id={site}&is_active=false").json["count"] == 1
    assert client.get(f"/carbon/budget/{made.json['id']}/periods").json["count"] == 1


def test_a_budget_of_nothing_is_unprocessable(client: Client, site: str) -> None:
    body = {"facility_id": site, "budget_period": "monthly", "budget_amount": 0}

    assert client.post("/carbon/budget", body).status == 422
    assert client.post("/carbon/budget", {**body, "budget_amount": -1}).status == 400
    assert client.post("/carbon/budget", {**body, "budget_amount": 1, "budget_period": "hourly"}).status == 400


def test_factors_have_versions(client: Client, site: str) -> None:
    made = client.post(
        "/carbon/factors", {"version": "old-1", "valid_from": "1999-01-01T00:00:00Z", "factors": {"grid": 0.42}}
    )

    assert made.status == 201
    assert {one["version"] for one in client.get("/carbon/factors").json["items"]} >= {"default-1", "old-1"}
    assert (
        client.post("/carbon/factors", {"version": "old-1", "valid_from": "1998-01-01T00:00:00Z", "factors": {}}).status
        == 409
    )


def test_a_facility_at_a_glance(client: Client, site: str) -> None:
    client.post("/readings", reading(site, 10))
    made = client.post("/site-zones", {"facility_id": site, "id": f"z.{site}", "name": "Hall", "capacity": 50})
    assert made.status == 201
    client.post(
        "/load/metrics",
        {
            "facility_id": site,
            "zone_id": f"z.{site}",
            "avg_consumption": 20,
            "timestamp": datetime.now(UTC).isoformat(),
        },
    )
    load = client.get(f"/facility/{site}/load").json
    assert (load["facility_id"], load["current_load"], load["unit"]) == (site, 20, "kW")
    day = client.get(f"/facility/{site}/consumption").json
    assert (day["consumption"], day["unit"], set(day) >= {"facility_id", "date"}) == ({"grid": 10}, "kWh", True)
    status = client.get(f"/facility/{site}/status").json
    assert (status["current_load"], status["total_daily_usage"], status["status"]) == (20, 10, "normal")
    zones = client.get(f"/facility/{site}/zones").json
    assert [(zone["id"], zone["current_load"]) for zone in zones["zones"]] == [(f"z.{site}", 20)]
    for path in ("load", "consumption", "status", "zones"):
        assert client.get(f"/facility/none/{path}").status == 404
    assert client.get(f"/facility/{site}/consumption?date=today").status == 400


def test_circuits_zones_and_plans_are_made_and_changed(client: Client, site: str) -> None:
    main = client.post("/circuits", {"facility_id": site, "id": f"c.{site}", "name": "Main", "limit": 100})
    assert (main.status, main.json["effective_limit"]) == (201, 100)
    around = {"facility_id": site, "name": "Main", "parent_id": f"c.{site}"}
    assert client.post(f"/circuits/c.{site}", around, "PUT").status == 422
    assert client.get(f"/circuits?facility_id={site}").json["count"] == 1
    assert client.get(f"/circuits/c.{site}").json["name"] == "Main"
    zone = {"facility_id": site, "id": f"z.{site}", "name": "Hall", "capacity": 50, "circuit_id": f"c.{site}"}
    assert client.post("/site-zones", zone).status == 201
    assert client.post("/site-zones", zone).status == 409
    zone.pop("id")
    assert client.post(f"/site-zones/z.{site}", {**zone, "capacity": 60}, "PUT").json["capacity"] == 60
    plan = {"event_type": "maintenance", "start_time": "2030-01-01T00:00:00Z", "end_time": "2030-01-01T01:00:00Z"}
    made = client.post(f"/site-zones/z.{site}/events", plan)
    assert (made.status, made.json["status"]) == (201, "scheduled")
    done = client.post(f"/site-zones/events/{made.json['id']}/status", {"status": "cancelled"}, "PUT")
    assert done.json["status"] == "cancelled"
    assert client.get(f"/site-zones/z.{site}/events").json["count"] == 1
    assert client.get(f"/site-zones?facility_id={site}").json["count"] == 1
    assert client.get(f"/site-zones/z.{site}").json["scheduled_events"] == []
