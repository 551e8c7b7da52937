"""Carbon intensity and deliveries over the API of the real daemon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from answering import Server, answering
from jouled.bookkeeping import events
from jouled.store import Store
from serving_api import Api, serving_api

FIXTURES = Path(__file__).parents[1] / "signals" / "fixtures"
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.fixture(scope="module")
def outside() -> Iterator[Server]:
    with answering() as server:
        server.tell("/co2eq", (FIXTURES / "energy_charts.json").read_bytes())
        server.tell("/hook", status=410)
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, outside: Server) -> Iterator[Api]:
    settings = {
        "JOULED_CARBON_PROVIDER": "energy-charts",
        "JOULED_CARBON_ZONE": "DE",
        "JOULED_CARBON_URL": outside.url,
        "JOULED_ALERTS_WEBHOOK": f"{outside.url}/hook",
    }
    with serving_api(tmp_path_factory.mktemp("state"), **settings) as api:
        yield api


@pytest.fixture(scope="module")
def token(api: Api) -> str:
    return api.token("admin").secret


def until(is_so: Callable[[], Any]) -> Any:
    for _ in range(600):
        if found := is_so():
            return found
        time.sleep(0.1)
    pytest.fail("it did not come to be")


def slots(*values: float) -> list[dict[str, Any]]:
    return [
        {
            "start": _text(HOUR + index * timedelta(hours=1)),
            "end": _text(HOUR + (index + 1) * timedelta(hours=1)),
            "g_per_kwh": value,
        }
        for index, value in enumerate(values)
    ]


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def test_what_the_provider_gave_is_listed(api: Api) -> None:
    path = "/api/v1/carbon/series?zone=DE&from=2026-06-30T22:00:00Z&to=2026-07-01T00:00:00Z"
    items = until(lambda: api.ask("GET", path).json["items"])
    assert [(item["start"], item["g_per_kwh"], item["is_forecast"]) for item in items] == [
        ("2026-06-30T22:00:00Z", 312.4, False),
        ("2026-06-30T22:15:00Z", 308.95, False),
        ("2026-06-30T22:30:00Z", 301.2, True),
        ("2026-06-30T23:00:00Z", 288, True),
    ]
    assert {item["provider"] for item in items} == {"energy-charts"}
    assert {item["kind"] for item in items} == {"average"}
    assert api.ask("GET", path.replace("DE&", "DE&kind=marginal&")).json["items"] == []
    first = api.ask("GET", f"{path}&limit=3").json
    rest = api.ask("GET", f"{path}&limit=3&cursor={first['next_cursor']}").json
    assert first["items"] + rest["items"] == items
    assert rest["next_cursor"] is None


def test_a_series_is_put_in_by_hand_and_known_now(api: Api, token: str) -> None:
    series = {"zone": "FR", "kind": "marginal", "slots": slots(45.25, 50)}
    assert api.ask("POST", "/api/v1/carbon/series", series).status == 401
    taken = api.ask("POST", "/api/v1/carbon/series", series, token)
    assert (taken.status, taken.json) == (201, {"zone": "FR", "kind": "marginal", "count": 2, "changed": 2})
    assert api.ask("POST", "/api/v1/carbon/series", series, token).json["changed"] == 0
    now = api.ask("GET", "/api/v1/carbon/now?zone=FR&kind=marginal")
    assert now.status == 200
    assert now.json["g_per_kwh"] in {45.25, 50}
    assert api.ask("GET", "/api/v1/carbon/now?zone=FR").status == 404
    listed = api.ask("GET", "/api/v1/carbon/series?zone=FR&kind=marginal").json
    assert [item["g_per_kwh"] for item in listed["items"]] == [45.25, 50]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kind": "both"}, 400),
        ({"zone": ""}, 400),
        ({"slots": []}, 400),
        ({"slots": [{**slots(1)[0], "g_per_kwh": -1}]}, 422),
        ({"slots": [{**slots(1)[0], "start": "2026-05-04T12:00:00"}]}, 400),
        ({"slots": slots(1) + slots(2)}, 422),
        ({"slots": [{**slots(1)[0], "end": slots(1)[0]["start"]}]}, 422),
    ],
)
def test_a_series_that_cannot_be_is_refused(api: Api, token: str, change: dict[str, Any], status: int) -> None:
    series = {"zone": "IT", "kind": "average", "slots": slots(1), **change}
    refused = api.ask("POST", "/api/v1/carbon/series", series, token)
    assert (refused.status, set(refused.json) <= {"error", "message", "detail"}) == (status, True)
    assert api.ask("GET", "/api/v1/carbon/series?zone=IT").json["items"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("zone=DE&kind=both", 400),
        ("zone=DE&from=2026-05-04T12:00:00", 400),
        ("zone=DE&from=2026-05-04T12:00:00Z&to=2026-05-04T12:00:00Z", 422),
        ("zone=DE&from=2020-05-04T12:00:00Z&to=2026-05-04T12:00:00Z", 422),
        ("zone=DE&to=0001-01-01T00:00:00Z", 422),
        ("zone=DE&from=9999-12-31T00:00:00Z", 422),
        ("zone=DE&cursor=nonsense", 422),
    ],
)
def test_a_question_that_cannot_be_is_refused(api: Api, query: str, status: int) -> None:
    assert api.ask("GET", f"/api/v1/carbon/series?{query}").status == status


def test_a_dead_delivery_is_seen_and_tried_again(api: Api, token: str, outside: Server) -> None:
    with Store(state_dir=str(api.state_dir)) as store:
        store.write(
            lambda connection: events.note_event(
                connection, type="test", severity="info", dedup_key="x", at=datetime.now(UTC), note="a test"
            )
        )
    dead = until(
        lambda: [
            one for one in api.ask("GET", "/api/v1/deliveries?state=dead").json["items"] if one["event_type"] == "test"
        ]
    )[0]
    assert (dead["target"], dead["attempts"], dead["next_at"]) == ("webhook", 1, None)
    assert dead["last_error"].startswith(f"POST {outside.url}/hook: 410")
    outside.forget()
    outside.tell("/hook")
    path = f"/api/v1/deliveries/{dead['seq']}/retry"
    assert api.ask("POST", path, {}).status == 401
    again = api.ask("POST", path, None, token, content_type="application/json")
    assert (again.status, again.json["state"]) == (200, "pending")
    until(
        lambda: (
            dead["seq"] in {one["seq"] for one in api.ask("GET", "/api/v1/deliveries?state=delivered").json["items"]}
        )
    )
    assert api.ask("POST", path, None, token, content_type="application/json").status == 409
    assert api.ask("POST", "/api/v1/deliveries/99999/retry", None, token, content_type="application/json").status == 404
    assert api.ask("GET", "/api/v1/deliveries?state=lost").status == 400
