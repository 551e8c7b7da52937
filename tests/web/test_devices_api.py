"""REST for devices, meters and their power, over the real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving_api import Answer, Api, serving_api


class Books:
    """The API with a token that may write."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.token = api.token("write:sites", "write:readings").secret

    def get(self, path: str) -> Answer:
        return self.api.ask("GET", f"/api/v1{path}")

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.api.ask("POST", f"/api/v1{path}", body, self.token, **headers)

    def put(self, path: str, body: Any) -> Answer:
        return self.api.ask("PUT", f"/api/v1{path}", body, self.token)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    folder: Path = tmp_path_factory.mktemp("devices")
    with serving_api(folder) as api:
        books = Books(api)
        assert books.post("/devices", {"id": "cabin", "name": "The cabin", "target_wh": 50}).status == 201
        made = books.post("/meters", {"id": "bank", "type": "battery", "device_id": "cabin", "capacity_wh": 100})
        assert made.status == 201, made.body
        yield books


def test_a_device_is_registered_and_changed(books: Books) -> None:
    assert books.post("/devices", {"id": "cabin"}).status == 409
    assert books.put("/devices/cabin", {"low_threshold": 30}).json["target_wh"] == 50
    assert books.put("/devices/nowhere", {"low_threshold": 30}).status == 404
    assert books.put("/devices/cabin", {"low_threshold": 99}).status == 422
    assert books.put("/devices/cabin", {"low_threshold": "x"}).status == 400
    assert books.put("/devices/cabin", {"low_threshold": 20}).status == 200
    assert books.get("/devices/nowhere").json["message"] == "Device not found: nowhere"
    assert [device["id"] for device in books.get("/devices").json["items"]].count("cabin") == 1
    assert books.get("/devices/cabin").json["shutdown_threshold"] == 3.0


def test_a_meter_is_made_and_changed(books: Books) -> None:
    assert books.get("/meters/bank").json["direction"] == "produce"
    assert books.post("/meters", {"type": "battery"}).status == 422
    assert books.post("/meters", {"type": "nuclear", "device_id": "cabin"}).status == 400
    assert books.post("/meters", {"id": "bank", "type": "main", "device_id": "cabin"}).status == 409
    assert books.put("/meters/bank", {"name": "Bank"}).json["capacity_wh"] == 100
    assert books.put("/meters/nowhere", {"name": "Bank"}).status == 404
    assert "bank" in [meter["id"] for meter in books.get("/devices/cabin/meters").json["items"]]
    assert "bank" in [meter["id"] for meter in books.get("/meters?device_id=cabin").json["items"]]
    assert books.get("/devices/nowhere/meters").status == 404


def test_a_meter_of_a_site_knows_its_site(books: Books) -> None:
    assert books.post("/sites", {"id": "plant", "name": "Plant"}).status == 201
    made = books.post("/meters", {"type": "generation", "site_id": "plant", "energy_source": "hydro"})
    assert (made.status, made.json["site_id"], made.json["energy_source"]) == (201, "plant", "hydro")
    assert books.get("/meters?site_id=plant").json["count"] == 1
    assert books.post("/meters", {"type": "main", "site_id": "nowhere"}).status == 422
    assert books.post("/meters", {"type": "main", "site_id": "plant", "circuit_id": "none"}).status == 422


def test_power_is_logged_once(books: Books) -> None:
    body = {"voltage": 12, "current": 1, "charge_pct": 48, "timestamp": "2026-01-01T10:00:00+01:00"}
    first = books.post("/meters/bank/power", body, Idempotency_Key="one")
    assert (first.status, first.json["wattage"], first.json["state"]) == (201, 12.0, "discharging")
    assert first.json["timestamp"] == "2026-01-01T09:00:00Z"
    assert books.post("/meters/bank/power", body, Idempotency_Key="one").json == first.json
    assert books.post("/meters/bank/power", {**body, "current": 2}, Idempotency_Key="one").status == 409
    assert books.post("/meters/nowhere/power", body).status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"voltage": 12}, 422),
        ({"voltage": 1e7, "current": 1}, 400),
        ({"voltage": "12", "current": 1}, 400),
        (b'{"voltage": NaN, "current": 1}', 400),
        ({"wattage": 1, "timestamp": "2026-01-01T10:00:00"}, 400),
        ({"wattage": 1, "timestamp": "2999-01-01T10:00:00Z"}, 422),
        ({"wattage": 1, "colour": "red"}, 400),
    ],
)
def test_power_that_cannot_be_is_refused(books: Books, body: Any, status: int) -> None:
    answer = books.post("/meters/bank/power", body)
    assert answer.status == status, answer.body
    assert answer.json["error"]


def test_a_batch_is_logged_once(books: Books) -> None:
    made = books.post("/meters", {"id": "roof", "type": "solar", "device_id": "cabin"})
    assert made.status == 201
    rows = [{"wattage": 360, "timestamp": f"2026-01-01T10:{minute:02}:00Z"} for minute in range(11)]
    batch = {"readings": rows[::-1]}
    done = books.post("/meters/roof/power/batch", batch, Idempotency_Key="b")
    assert (done.status, done.json) == (201, {"meter_id": "roof", "new": 11, "known": 0, "state": "charging"})
    assert books.post("/meters/roof/power/batch", batch, Idempotency_Key="b").json["known"] == 11
    ask = "/meters/roof/history?start_time=2026-01-01T10:00:00Z&end_time=2026-01-01T11:00:00Z"
    assert books.get(ask).json["count"] == 11
    quarters = books.get(f"{ask}&resolution=quarter-hour").json["readings"]
    assert [(entry["wattage"], entry["coverage_ratio"]) for entry in quarters] == [(360.0, pytest.approx(2 / 3))]
    assert books.get("/meters/roof/history?end_time=2026-01-01T10:00:00").status == 400
    assert books.get("/meters/nowhere/history").status == 404


def test_a_device_says_how_it_is(books: Books) -> None:
    books.post("/meters/bank/power", {"voltage": 10, "current": 2, "charge_pct": 50})
    assert books.get("/devices/cabin/runtime").json["hours"] == 2.5
    budget = books.get("/power-budget?device=cabin,nowhere").json
    assert budget["nowhere"] == {"error": "Device not found: nowhere"}
    assert (budget["cabin"]["total_wattage"], budget["cabin"]["is_target_met"]) == (20.0, True)
    assert books.get("/power-budget").status == 400
    events = books.get("/devices/cabin/events").json
    assert [event["type"] for event in events["events"]] == ["discharge"]
    assert books.get("/devices/cabin/events?type=restore").json["count"] == 0
    report = books.get("/devices/cabin/report?days=1").json
    assert {meter["meter_id"]: meter["reading_count"] for meter in report["meters"]} == {"bank": 1, "roof": 0}
    assert books.get("/devices/nowhere/report").status == 404
    assert books.get("/devices/cabin/report?days=0").status == 400


def test_writing_needs_a_token(books: Books) -> None:
    assert books.api.ask("POST", "/api/v1/meters/bank/power", {"wattage": 1}).status == 401
    reader = books.api.token("read").secret
    assert books.api.ask("POST", "/api/v1/meters/bank/power", {"wattage": 1}, reader).status == 403


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
def test_a_power_at_an_instant_that_cannot_be_is_told_so(books: Books, at: str) -> None:
    logged = books.post("/meters/bank/power", {"wattage": 1, "timestamp": at})
    asked = books.get(f"/meters/bank/history?end_time={at.replace('+', '%2B')}")
    for answer in (logged, asked):
        assert answer.status == 422
        assert at[:4] in answer.json["message"]
