"""The plant over the API of the real daemon, on its page of metrics, and by joulectl."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from jouled.cli import joulectl
from plant.aggregator import FakeAggregator
from running import Running, running
from serving_api import Api, serving_api


class Site(NamedTuple):
    fake: FakeAggregator
    api: Api
    token: str

    def get(self, path: str) -> Any:
        answer = self.api.ask("GET", path, token=self.token)
        assert answer.status == 200, answer.body
        return answer.json


def until(is_so: Callable[[], Any]) -> Any:
    for _ in range(600):
        if found := is_so():
            return found
        time.sleep(0.1)
    pytest.fail("it did not come to be")


def environ(fake: FakeAggregator, folder: Path) -> dict[str, str]:
    (folder / "key").write_text(fake.key)
    return {
        **fake.settings(),
        "JOULED_PLANT_KEY": f"file:{folder}/key",
        "JOULED_PLANT_POLL": "0.2",
        "JOULED_PLANT_RATED": "200kW",
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("state")
    with FakeAggregator() as fake, serving_api(folder, **environ(fake, folder)) as api:
        made = Site(fake, api, api.token("read").secret)
        until(lambda: made.get("/api/v1/plant/latest"))
        yield made


def test_the_latest_reading_has_the_fields_of_the_original_and_what_is_believed_now(site: Site) -> None:
    latest = site.get("/api/v1/plant/latest")
    assert latest["plant_id"] == "hydro-1"
    assert latest["total_generation"] == pytest.approx(150.0)
    assert latest["total_container_consumption"] == pytest.approx(20.0)
    assert latest["available_power"] == pytest.approx(130.0)
    assert latest["generation_sources"] == {"turbine-1": pytest.approx(90.0), "turbine-2": pytest.approx(60.0)}
    assert latest["consumption_sources"] == {"container-1": pytest.approx(20.0)}
    assert (latest["accepted"], latest["stage"], latest["problem"]) == (True, "fresh", None)
    assert latest["supply_watts"] == pytest.approx(150_000.0)
    assert latest["age_seconds"] < 60


def test_history_also_has_what_was_not_believed_and_is_read_in_pages(site: Site) -> None:
    site.fake.lie = "negative"
    try:
        until(lambda: site.get("/api/v1/plant/history?limit=1")["items"][0]["judgement"] == "negative")
        assert site.get("/api/v1/plant/latest")["supply_watts"] == pytest.approx(150_000.0)
    finally:
        site.fake.lie = None
    until(lambda: site.get("/api/v1/plant/history?limit=1")["items"][0]["accepted"])
    page = site.get("/api/v1/plant/history?limit=2")
    older = site.get(f"/api/v1/plant/history?limit=2&cursor={page['next_cursor']}")
    ids = [one["id"] for one in (*page["items"], *older["items"])]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == len(ids) >= 3


def test_the_page_of_metrics_has_the_supply_its_age_its_stage_and_what_was_rejected(site: Site) -> None:
    text = site.api.daemon.get("/metrics").decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("jouled_plant_")
    }
    assert samples["jouled_plant_generation_watts",] == pytest.approx(150_000.0)
    assert samples["jouled_plant_supply_watts",] == pytest.approx(150_000.0)
    assert samples["jouled_plant_reading_age_seconds",] >= 0
    assert samples["jouled_plant_stage", "fresh"] + samples["jouled_plant_stage", "stale"] == 1
    assert samples["jouled_plant_polls_total", "ok"] >= 1
    assert samples["jouled_plant_rejected_total", "future"] == 0


def test_the_key_is_nowhere_to_be_seen(site: Site) -> None:
    said = site.api.daemon.get("/metrics").decode() + json.dumps(site.get("/api/v1/plant/history"))
    assert site.fake.key not in said
    kept = [file for file in site.api.state_dir.rglob("*") if file.is_file() and file.name != "key"]
    assert any(b"hydro-1" in file.read_bytes() for file in kept)
    assert not any(site.fake.key.encode() in file.read_bytes() for file in kept)


def ctl(*words: str) -> Result:
    return CliRunner().invoke(joulectl.command, [*words], catch_exceptions=False, standalone_mode=False)


@pytest.fixture(scope="module")
def bookless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeAggregator, Running]]:
    folder = tmp_path_factory.mktemp("bookless")
    with (
        FakeAggregator() as fake,
        running(
            sys.executable,
            "-m",
            "jouled",
            "--listen=127.0.0.1:0",
            "--log-format=text",
            "--meter=fake",
            "--interval=200ms",
            "--store=none",
            environ=environ(fake, folder),
        ) as daemon,
    ):
        yield fake, daemon


def test_joulectl_shows_what_is_known_without_a_store_too(bookless: tuple[FakeAggregator, Running]) -> None:
    _, daemon = bookless
    url = f"--url=http://127.0.0.1:{daemon.port}"
    until(lambda: ctl(url, "plant", "latest").return_value == 0)
    shown = ctl(url, "plant").stdout.splitlines()
    assert shown[0].startswith("plant hydro-1: 150.00 kW, ")
    assert shown[1] == "supply now: 150.00 kW, fresh"
    assert "  generation turbine-1: 90.00 kW" in shown
    assert json.loads(ctl(url, "plant", "latest", "--json").stdout)["total_generation"] == pytest.approx(150.0)
    rows = ctl(url, "plant", "history", "--limit", "3").stdout.splitlines()
    assert rows[0].split()[:3] == ["TIME", "GENERATION", "kW"]
    assert "150.00" in rows[1]
    assert len(json.loads(ctl(url, "plant", "history", "--json").stdout)["items"]) >= 1
