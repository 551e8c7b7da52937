"""The API over loads, decisions, recommendations and reports, with the documented names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jouled.store import Store
from plants import BROKEN, NOW, Api, FakeLoad, mill

SHIFT = {
    "facility_id": "mill",
    "decision_type": "shift_load",
    "source_zone_id": "hall-1",
    "target_zone_id": "hall-2",
    "load_shift_amount": 12.5,
    "reason": "a peak",
    "triggering_condition": "peak_shaving",
    "priority": 2,
}
METRIC = {
    "facility_id": "mill",
    "zone_id": "hall-1",
    "timestamp": "2026-03-04T12:59:00+01:00",
    "window_duration": 60,
    "avg_consumption": 95.0,
    "peak_consumption": 97.0,
    "min_consumption": 90.0,
    "total_consumption": 1.58,
    "avg_utilization": 95.0,
    "peak_utilization": 97.0,
    "reactive_power": 20.0,
    "harmonic_distortion": 6.5,
    "power_factor": 0.8,
    "sample_count": 12,
}


@pytest.fixture
def load() -> FakeLoad:
    return FakeLoad()


@pytest.fixture
def api(store: Store, load: FakeLoad) -> Api:
    store.write(mill)
    return Api(store, {"hall-1": load})


async def propose(api: Api, **fields: Any) -> str:
    answer = await api.post("/balancing/decisions", {**SHIFT, **fields})
    assert (answer.status, answer.body["message"]) == (201, "decision created successfully")
    return str(answer.body["id"])


async def test_load_metrics_come_in_and_the_load_is_evaluated(api: Api) -> None:
    empty = await api.get("/load/evaluate/mill")
    assert (empty.status, empty.body["reason"], empty.body["current_load"]) == (200, "no_metrics_available", None)
    answer = await api.post("/load/metrics", METRIC)
    assert (answer.status, set(answer.body)) == (201, {"id", "message"})
    found = (await api.get("/load/evaluate/mill")).body
    assert (found["facility_id"], found["current_load"], found["peak_load"]) == ("mill", 95.0, 97.0)
    assert (found["utilization"], found["status"], found["needs_action"]) == (47.5, "underutilized", True)
    assert len(found["recommendations"]) == 1
    zones = (await api.get("/load/zones/mill")).body
    assert zones["facility_id"] == "mill"
    assert zones["zones"]["hall-1"] == {
        "zone_id": "hall-1",
        "zone_name": "Hall-1",
        "zone_type": "production",
        "capacity": 100.0,
        "current_load": 95.0,
        "utilization": 95.0,
        "status": "overloaded",
        "can_shed_load": True,
        "sheddable": 75.0,
        "measured_at": "2026-03-04T11:59:00Z",
    }


async def test_a_decision_goes_through_its_whole_life(api: Api, load: FakeLoad) -> None:
    decision_id = await propose(api)
    answer = await api.post(f"/balancing/decisions/{decision_id}/approve", {"reason": "agreed"})
    assert (answer.status, answer.body["id"], answer.body["status"]) == (200, decision_id, "approved")
    answer = await api.post(f"/balancing/decisions/{decision_id}/execute")
    assert (answer.status, answer.body["message"]) == (200, "decision executed successfully")
    assert (answer.body["status"], answer.body["result"]) == ("completed", "moved 12.5 kW")
    assert [order.id for order in load.orders] == [decision_id]
    answer = await api.get(f"/balancing/decisions/{decision_id}/steps")
    assert answer.body["decision"]["executed_at"] == "2026-03-04T12:00:00Z"
    assert [(step["who"], step["to_status"], step["why"]) for step in answer.body["steps"]] == [
        ("ann", "proposed", "a peak"),
        ("ann", "approved", "agreed"),
        ("ann", "executing", "asked for"),
        ("ann", "completed", "moved 12.5 kW"),
    ]


async def test_decisions_are_listed_with_the_documented_names(api: Api) -> None:
    decision_id = await propose(api, scheduled_at="2026-04-01T00:00:00Z")
    found = (await api.get("/balancing/decisions/mill")).body
    assert (found["facility_id"], found["count"]) == ("mill", 1)
    (decision,) = found["decisions"]
    assert decision["id"] == decision_id
    assert {name: decision[name] for name in SHIFT} == SHIFT
    assert (decision["status"], decision["scheduled_at"]) == ("proposed", "2026-04-01T00:00:00Z")
    assert {"executed_at", "cancelled_at", "result"} <= set(decision)
    for status, count in (("pending", 1), ("proposed", 1), ("executing", 0)):
        assert (await api.get("/balancing/decisions/mill", status=status)).body["count"] == count
    assert (await api.get("/balancing/decisions/mill", status="done")).status == 400


async def test_cancel_keeps_its_reason(api: Api) -> None:
    decision_id = await propose(api)
    answer = await api.post(f"/balancing/decisions/{decision_id}/cancel", {"reason": "it rains"})
    assert (answer.status, answer.body["status"], answer.body["result"]) == (200, "cancelled", "it rains")
    again = await api.post(f"/balancing/decisions/{decision_id}/cancel")
    assert (again.status, again.body["error"]) == (409, "conflict")
    assert "is cancelled" in again.body["message"]


@pytest.mark.parametrize("move", ["approve", "cancel", "execute"])
async def test_a_decision_that_is_not_there_is_not_found(api: Api, move: str) -> None:
    answer = await api.post(f"/balancing/decisions/nothing/{move}")
    assert (answer.status, answer.body["error"]) == (404, "not_found")


async def test_a_proposed_one_is_not_executed(api: Api) -> None:
    answer = await api.post(f"/balancing/decisions/{await propose(api)}/execute")
    assert (answer.status, "approve it first" in answer.body["message"]) == (409, True)


async def test_without_a_load_execute_fails_with_a_clear_word(api: Api) -> None:
    decision_id = await propose(api, source_zone_id="hall-2", target_zone_id="hall-1")
    await api.post(f"/balancing/decisions/{decision_id}/approve")
    answer = await api.post(f"/balancing/decisions/{decision_id}/execute")
    assert (answer.status, "no load is attached to zone 'hall-2'" in answer.body["message"]) == (409, True)
    assert (await api.get("/balancing/decisions/mill")).body["decisions"][0]["status"] == "approved"


async def test_a_load_that_fails_is_no_success(store: Store) -> None:
    store.write(mill)
    api = Api(store, {"hall-1": FakeLoad(BROKEN)})
    decision_id = await propose(api)
    await api.post(f"/balancing/decisions/{decision_id}/approve")
    answer = await api.post(f"/balancing/decisions/{decision_id}/execute")
    assert (answer.status, answer.body["message"]) == (409, f"decision {decision_id} failed: the switch is stuck")


async def test_auto_balance_proposes_once(api: Api) -> None:
    await api.post("/load/metrics", METRIC)
    none = await api.post("/balancing/auto/mill")
    assert (none.status, none.body["count"], none.body["decisions"]) == (200, 0, [])
    assert "no other zone has free capacity" in none.body["reason"]
    await api.post("/load/metrics", {"facility_id": "mill", "zone_id": "hall-2", "avg_consumption": 10})
    found = (await api.post("/balancing/auto/mill")).body
    assert (found["facility_id"], found["count"]) == ("mill", 1)
    assert found["decisions"][0]["target_zone_id"] == "hall-2"
    assert (await api.post("/balancing/auto/mill")).body["count"] == 0


async def test_recommendations_are_computed_and_judged(api: Api) -> None:
    await api.post("/load/metrics", METRIC)
    found = (await api.get("/optimization/recommend/mill")).body
    assert (found["facility_id"], found["count"]) == ("mill", 3)
    assert [one["title"] for one in found["recommendations"]] == [
        "Implement Peak Shaving",
        "Reduce Harmonic Distortion",
        "Improve Power Factor",
    ]
    names = {"category", "title", "description", "estimated_savings", "priority", "implementation", "status", "method"}
    assert names <= set(found["recommendations"][0])
    chosen = found["recommendations"][2]["id"]
    answer = await api.patch(f"/optimization/recommend/mill/{chosen}", {"status": "approved"})
    assert (answer.status, answer.body["status"]) == (200, "approved")
    assert (await api.get("/optimization/recommend/mill")).body["recommendations"][2]["status"] == "approved"
    assert (await api.patch("/optimization/recommend/mill/x", {"status": "approved"})).status == 404
    assert (await api.patch(f"/optimization/recommend/mill/{chosen}", {"status": "done"})).status == 400


async def test_a_report_has_the_documented_names(api: Api) -> None:
    await api.post("/load/metrics", METRIC)
    found = (await api.get("/optimization/report/mill")).body
    assert (found["report_type"], found["start_time"]) == ("weekly", "2026-02-25T12:00:00Z")
    names = {"total_consumption", "peak_demand", "carbon_savings", "energy_savings", "cost_savings"}
    assert names | {"optimizations_applied", "recommendations", "by_source", "coverage"} <= set(found)
    assert (found["peak_demand"], found["total_cost"]) == (95.0, 0)
    answer = await api.get(
        "/optimization/report/mill",
        start_time=(NOW - timedelta(days=90)).isoformat(),
        end_time=NOW.isoformat(),
        type="quarterly",
    )
    assert (answer.status, answer.body["report_type"]) == (200, "quarterly")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"facility_id": "mill"}, 400),
        ({**METRIC, "avg_consumption": -1}, 400),
        ({**METRIC, "avg_consumption": "95"}, 400),
        ({**METRIC, "power_factor": 1.5}, 400),
        ({**METRIC, "timestamp": "2026-03-04T12:00:00"}, 400),
        ({**METRIC, "timestamp": "yesterday"}, 400),
        ({**METRIC, "unheard_of": 1}, 400),
        ({**METRIC, "timestamp": "2026-03-05T12:00:00Z"}, 422),
        ({**METRIC, "timestamp": "0001-01-01T00:00:00Z"}, 422),
        ({**METRIC, "min_consumption": 96.0}, 422),
        ({**METRIC, "zone_id": "hall-9"}, 422),
        ({**METRIC, "facility_id": "nowhere"}, 404),
    ],
)
async def test_a_bad_metric_is_the_clients_mistake(api: Api, body: dict[str, Any], status: int) -> None:
    answer = await api.post("/load/metrics", body)
    assert (answer.status, bool(answer.body["message"])) == (status, True)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"decision_type": "wish"}, 400),
        ({"scheduled_at": "2026-04-01T00:00:00"}, 400),
        ({"load_shift_amount": -1}, 400),
        ({"reason": ""}, 400),
        ({"target_zone_id": None}, 422),
        ({"target_zone_id": "hall-1"}, 422),
        ({"scheduled_at": "2020-01-01T00:00:00Z"}, 422),
        ({"facility_id": "nowhere"}, 404),
    ],
)
async def test_a_bad_decision_is_the_clients_mistake(api: Api, change: dict[str, Any], status: int) -> None:
    assert (await api.post("/balancing/decisions", {**SHIFT, **change})).status == status


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"start_time": "yesterday"}, 400),
        ({"start_time": "2026-03-01T00:00:00"}, 400),
        ({"from": "2026-03-01T00:00:00Z"}, 400),
        ({"type": "hourly"}, 400),
        ({"start_time": "2010-03-01T00:00:00Z"}, 422),
        ({"end_time": "0001-01-01T00:00:00Z"}, 422),
        ({"start_time": "2026-03-04T00:00:00Z", "end_time": "2026-03-03T00:00:00Z"}, 422),
    ],
)
async def test_a_range_that_cannot_be_is_refused_and_never_ignored(
    api: Api, query: dict[str, str], status: int
) -> None:
    assert (await api.get("/optimization/report/mill", **query)).status == status


@pytest.mark.parametrize(
    "path", ["load/evaluate", "load/zones", "balancing/decisions", "optimization/recommend", "optimization/report"]
)
async def test_an_unknown_site_is_not_found(api: Api, path: str) -> None:
    assert (await api.get(f"/{path}/nowhere")).status == 404


async def test_a_key_makes_a_record_only_once(api: Api) -> None:
    for path, body in (("/load/metrics", METRIC), ("/balancing/decisions", SHIFT)):
        first = await api.post(path, {**body, "key": "k-1"})
        again = await api.post(path, {**body, "key": "k-1"})
        assert (first.status, again.status, again.body["id"]) == (201, 201, first.body["id"])
        other = {**body, "key": "k-1", "facility_id": "elsewhere"}
        assert (await api.post(path, other)).status == 409
