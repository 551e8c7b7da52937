"""The balancer over the API of the real daemon: what it says, what it can be told, and who may."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asked_balance import PLENTY_W, STATUS, TOGETHER_W, Site, balanced_site, until
from pages import promtool
from running import running
from serving_api import Api, serving_api

ORIGINAL_STATUS = {
    "plant_generation_kw",
    "plant_container_kw",
    "available_power_kw",
    "safety_margin_percent",
    "target_power_kw",
    "target_power_w",
    "current_consumption_w",
    "managed_consumption_w",
    "unmanaged_consumption_w",
    "expected_consumption_w",
    "expected_delta_w",
    "managed_miners_count",
    "status",
    "last_reading_at",
}
ORIGINAL_EVENT = {
    "id",
    "miner_id",
    "old_preset",
    "new_preset",
    "old_power",
    "new_power",
    "reason",
    "total_consumption_before",
    "total_consumption_after",
    "available_power",
    "target_power",
    "success",
    "error_message",
    "recorded_at",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with balanced_site(tmp_path_factory.mktemp("site"), more='mode = "ask"') as found:
        yield found


@pytest.fixture(autouse=True)
def calm(site: Site) -> None:
    site.calm()


def test_the_status_has_the_fields_of_the_original_and_what_bounds_the_site(site: Site) -> None:
    found = site.get("/balance/status")
    assert found.keys() >= ORIGINAL_STATUS
    assert found["is_enabled"]
    assert found["plant_generation_kw"] == pytest.approx(PLENTY_W / 1000)
    assert found["budget_watts"] == pytest.approx(PLENTY_W)
    assert found["target_power_w"] == pytest.approx(0.9 * PLENTY_W)
    assert found["managed_miners_count"] == 3
    assert (found["mode"], found["limited_by"], found["stage"], found["is_leader"]) == ("ask", "plant", "fresh", True)
    until(lambda: site.get("/balance/status")["status"] == "OK")


@pytest.mark.parametrize("margin", [-0.1, 50.1, "ten", None, True])
def test_a_margin_outside_of_0_to_50_is_400_and_changes_nothing(site: Site, margin: Any) -> None:
    refused = site.ask("PATCH", "/settings/safety-margin", {"safety_margin_percent": margin})
    assert refused.status == 400
    assert "safety_margin_percent" in refused.json["message"]
    assert site.get("/settings")["safety_margin_percent"] == 10
    assert site.ask("PATCH", "/settings/safety-margin", {}).status == 400


def test_a_margin_holds_from_the_next_cycle_on_and_says_who_set_it(site: Site) -> None:
    done = site.ask("PATCH", "/settings/safety-margin", {"safety_margin_percent": 12.5, "reason": "a storm comes"})
    assert (done.status, done.json["safety_margin_percent"]) == (200, 12.5)
    until(lambda: site.get("/balance/status")["target_power_w"] == pytest.approx(0.875 * PLENTY_W))
    (changed,) = site.get("/settings")["changed"]
    assert (changed["key"], changed["value"], changed["why"]) == ("reserve", 12.5, "a storm comes")
    assert changed["who"] == "token a test"


def test_null_takes_back_what_was_set_and_nothing_to_change_is_400(site: Site) -> None:
    site.ask("PATCH", "/settings", {"safety_margin_percent": 5, "limit_watts": 3000, "mode": "observe"})
    assert (site.get("/settings")["limit_watts"], site.get("/settings")["mode"]) == (3000, "observe")
    taken = site.ask("PATCH", "/settings", {"limit_watts": None, "mode": None})
    assert (taken.json["limit_watts"], taken.json["mode"], taken.json["safety_margin_percent"]) == (None, "ask", 5)
    for body in ({}, {"reason": "none"}):
        refused = site.ask("PATCH", "/settings", body)
        assert (refused.status, "no fields to update" in refused.json["message"]) == (400, True)
    assert site.ask("PATCH", "/settings", {"mode": "maybe"}).status == 400
    assert site.ask("PATCH", "/settings", {"limit_watts": -1}).status == 400


def test_a_change_that_was_approved_is_done_and_kept_with_its_reason_and_its_end(site: Site) -> None:
    one = site.proposed()[0]
    assert (one["status"], one["success"], one["kind"]) == ("proposed", None, "shed")
    approved = site.ask("POST", f"/balance/decisions/{one['id']}/approve")
    assert (approved.status, approved.json["status"], approved.json["who"]) == (200, "approved", "token a test")

    def end() -> Any:
        events = site.get(f"/balance/events?miner_id={one['miner_id']}&limit=50")["items"]
        return next((event for event in events if event["id"] == one["id"] and event["success"]), None)

    done = until(end)
    assert done.keys() >= ORIGINAL_EVENT
    assert (done["status"], done["who"], done["mode"]) == ("completed", "token a test", "ask")
    assert done["new_power"] < done["old_power"]
    assert done["reason"]
    assert done["inputs"]["limited_by"] == "plant"
    again = site.ask("POST", f"/balance/decisions/{one['id']}/approve")
    assert (again.status, "only a proposed one" in again.json["message"]) == (409, True)


def test_a_change_that_was_rejected_is_not_done_and_not_proposed_again(site: Site) -> None:
    one = site.proposed()[0]
    rejected = site.ask("POST", f"/balance/decisions/{one['id']}/reject")
    assert (rejected.status, rejected.json["status"], rejected.json["success"]) == (200, "cancelled", None)
    at = site.get("/balance/status")["at"]
    until(lambda: site.get("/balance/status")["at"] > at)
    # For balance.rejected, of 2 s here.
    waiting = [other["id"] for other in site.get("/balance/decisions")["items"]]
    assert one["id"] not in waiting
    assert site.ask("POST", "/balance/decisions/no-such/reject").status == 404


def test_events_come_in_pages_newest_first(site: Site) -> None:
    site.proposed()
    until(lambda: site.get("/balance/events")["count"] >= 3)
    first = site.get("/balance/events?limit=2")
    second = site.get(f"/balance/events?limit=2&cursor={first['next_cursor']}")
    ids = [event["id"] for event in (*first["items"], *second["items"])]
    assert len(set(ids)) == len(ids) >= 3
    assert site.ask("GET", "/balance/events?limit=0").status == 400
    assert site.ask("GET", "/balance/events?cursor=none").status == 422


def test_a_pause_says_who_and_why_until_it_is_over(site: Site) -> None:
    paused = site.ask("POST", "/balance/pause", {"reason": "we work on feeder A"})
    assert paused.status == 200
    assert (paused.json["paused"]["who"], paused.json["paused"]["why"]) == ("token a test", "we work on feeder A")
    assert site.ask("POST", "/balance/pause").status == 200
    assert site.ask("POST", "/balance/resume").json["paused"] is None


def test_the_minute_of_now_is_in_the_series_and_a_range_that_cannot_be_is_422(site: Site) -> None:
    (point,) = until(lambda: site.get("/balance/series?limit=1")["items"])
    assert point["supply_watts"] == pytest.approx(PLENTY_W)
    assert point["target_watts"] < point["budget_watts"]
    assert site.get("/balance/series?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z")["items"] == []
    backwards = site.ask("GET", "/balance/series?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z")
    assert (backwards.status, "is not before" in backwards.json["message"]) == (422, True)


ACTS: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/balance/pause", {}),
    ("POST", "/balance/resume", None),
    ("POST", "/balance/decisions/some/approve", None),
    ("POST", "/balance/decisions/some/reject", None),
    ("PATCH", "/settings", {"mode": "auto"}),
    ("PATCH", "/settings/safety-margin", {"safety_margin_percent": 1}),
)


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
def test_what_acts_takes_a_token_with_the_scope_control(site: Site, method: str, path: str, body: Any) -> None:
    poor = site.api.token("write:readings").secret
    assert site.api.ask(method, f"/api/v1{path}", body, poor).status == 403
    assert site.api.ask(method, f"/api/v1{path}", body).status == 401


def test_another_method_is_405_and_says_which_there_are(site: Site) -> None:
    refused = site.ask("PUT", "/balance/status", {})
    assert (refused.status, set(refused.headers["allow"].split(", "))) == (405, {"GET", "OPTIONS"})


def test_the_stream_tells_of_each_cycle(site: Site) -> None:
    request = urllib.request.Request(f"{site.api.url}/api/v1/stream?topics=balance")
    with urllib.request.urlopen(request, timeout=60) as answer:
        seen: list[str] = []
        event = ""
        for line in answer:
            text = line.decode().strip()
            if text.startswith("event: "):
                event = text
            if text.startswith("data: "):
                assert event == "event: balance"
                seen.append(json.loads(text.removeprefix("data: "))["at"])
                if len(set(seen)) == 3:
                    break
    assert seen == sorted(seen)


def test_the_page_of_metrics_has_powers_bands_changes_and_cycles(site: Site) -> None:
    site.proposed()
    page = until(lambda: page if b"target_watts 2700.0" in (page := site.api.daemon.get("/metrics")) else None)
    assert promtool(page) == ""
    samples = {
        (sample.name.removeprefix("jouled_balance_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name.startswith("jouled_balance_")
    }
    assert samples["supply_watts",] == samples["budget_watts",] == pytest.approx(PLENTY_W)
    assert samples["target_watts",] == 2700
    assert 0 < samples["load_watts",] <= TOGETHER_W
    assert sum(value for key, value in samples.items() if key[0] == "band") == 1
    assert samples["mode", "ask"] == 1
    assert samples["changes_total", "shed", "proposed"] >= 1
    assert (samples["leader",], samples["stale",], samples["saturated",], samples["paused",]) == (1, 0, 0, 0)
    assert samples["proposed",] >= 1
    assert samples["cycle_seconds_count",] == samples["cycle_seconds_bucket", "+Inf"] > 3
    assert samples["safety_margin_percent",] == 25
    assert ("limit_watts",) not in samples


def test_without_a_store_the_latest_are_told_from_memory(tmp_path: Path) -> None:
    with balanced_site(tmp_path, store="none", more='mode = "observe"\nreserve = 25') as site:
        count = until(lambda: site.get("/balance/decisions")["count"])
        first = site.get("/balance/events?limit=1")
        events = list(first["items"])
        while first["next_cursor"]:
            first = site.get(f"/balance/events?limit=1&cursor={first['next_cursor']}")
            events += first["items"]
        assert len({event["id"] for event in events}) == len(events) >= count
        assert all(event["status"] in {"proposed", "expired"} for event in events)
        assert site.get("/balance/series")["count"] >= 1
        # There are no tokens without a store: root at the socket may, and TCP may not.
        assert site.ask("POST", "/balance/pause").status == 401


def test_a_balancer_that_is_off_says_which_setting_it_takes(tmp_path: Path) -> None:
    with serving_api(tmp_path) as api:
        token = api.token("control").secret
        status = api.ask("GET", STATUS).json
        assert (status["is_enabled"], status["status"], status["target_power_w"]) == (False, "NO_DATA", None)
        assert "balance.enabled = true" in status["problems"][0]
        assert api.ask("GET", "/api/v1/settings").json["is_enabled"] is False
        assert api.ask("GET", "/api/v1/balance/events").json["items"] == []
        assert api.ask("GET", "/api/v1/balance/decisions").json["items"] == []
        for method, path, body in ACTS:
            refused = api.ask(method, f"/api/v1{path}", body, token)
            assert (refused.status, "balance.enabled = true" in refused.json["message"]) == (409, True), path
        stream = api.ask("GET", "/api/v1/stream?topics=balance")
        assert (stream.status, "balance.enabled" in stream.json["message"]) == (400, True)
        assert b"jouled_balance" not in api.ask("GET", "/metrics").body


def test_a_daemon_that_only_measures_says_so_too(tmp_path: Path) -> None:
    flags = ("--listen=127.0.0.1:0", "--log-format=text", "--meter=fake", f"--state-dir={tmp_path}", "--store=none")
    with running(sys.executable, "-m", "jouled", *flags) as daemon:
        refused = Api(daemon, tmp_path).ask("GET", STATUS)
    assert (refused.status, "balance.enabled = true" in refused.json["message"]) == (409, True)
