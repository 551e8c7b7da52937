"""`joulectl simulate --yesterday`: what would my site have done with another margin?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from fake_daemon import fake_daemon
from jouled.cli.joulectl import command
from jouled.errors import JouledError

NOW = datetime.now(UTC)


def reading(minutes_ago: float, kilowatts: float, *, accepted: bool = True) -> dict[str, object]:
    at = NOW - timedelta(minutes=minutes_ago)
    return {
        "id": int(10_000 - minutes_ago),
        "plant_id": "hydro",
        "total_generation": kilowatts,
        "total_container_consumption": None,
        "available_power": None,
        "generation_sources": {},
        "consumption_sources": {},
        "recorded_at": at.isoformat(),
        "sourced_at": at.isoformat(),
        "collected_at": None,
        "exported": None,
        "confidence": None,
        "accepted": accepted,
        "judgement": "accepted",
        "problem": None,
        "stage": "fresh",
        "supply_watts": None,
    }


def load(number: int, *, is_managed: bool = True) -> dict[str, object]:
    points = [("off", 0.0, 0.0), ("1100", 1100.0, 53.0), ("1300", 1300.0, 58.0), ("1500", 1500.0, 63.0)]
    return {
        "id": f"00:00:00:00:00:{number:02}",
        "name": f"miner-{number}",
        "kind": "vnish",
        "state": "running",
        "point": "1300",
        "cap_watts": None,
        "power_watts": 1300.0,
        "work": 58.0,
        "worst_watts": 1300.0,
        "age_seconds": 2.0,
        "is_managed": is_managed,
        "unmanaged_reason": None if is_managed else "locked",
        "circuit": None,
        "priority": 5,
        "points": [{"name": name, "power_watts": watts, "work": work} for name, watts, work in points],
        "span": None,
        "model": "S19",
        "firmware": None,
        "address": None,
        "note": None,
        "problem": None,
        "notes": [],
    }


def asked(history: list[dict[str, object]], loads: list[dict[str, object]], *arguments: str) -> Result:
    """The history comes in two pages, newest first."""
    half = len(history) // 2
    first = json.dumps({"count": half, "items": history[:half], "next_cursor": "more"}).encode()
    rest = json.dumps({"count": len(history) - half, "items": history[half:], "next_cursor": None}).encode()
    fleet = json.dumps({"count": len(loads), "items": loads, "next_cursor": None}).encode()
    with fake_daemon() as daemon:
        daemon.routes["/api/v1/plant/history"] = lambda handler: handler.answer(
            rest if "cursor=more" in handler.path else first
        )
        daemon.routes["/api/v1/loads"] = lambda handler: handler.answer(fleet)
        return CliRunner().invoke(command, ["--url", daemon.url, "simulate", "--yesterday", *arguments])


def test_another_margin_of_yesterday_is_compared() -> None:
    history = [reading(minutes, 7.5 if 60 < minutes < 90 else 15.0) for minutes in range(0, 180, 1)]
    loads = [load(number) for number in range(10)]
    result = asked(history, loads, "--reserve", "5,20", "--strategy", "ours", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["hours"] == pytest.approx(179 / 60)
    five, twenty = content["outcomes"]
    assert (five["reserve_pct"], twenty["reserve_pct"]) == (5, 20)
    assert five["work_th_h"] > twenty["work_th_h"] > 0
    assert five["shed_kw"]


def test_what_was_not_believed_and_what_is_older_than_a_day_is_left_out() -> None:
    history = [reading(0, 15.0), reading(30, 9000.0, accepted=False), reading(60, 15.0), reading(60 * 25, 1.0)]
    result = asked(history, [load(1)], "--strategy", "ours", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["hours"] == pytest.approx(1.0)


def test_loads_that_are_not_steered_draw_as_they_do_now() -> None:
    history = [reading(0, 2.6), reading(60, 2.6)]
    result = asked(history, [load(1), load(2, is_managed=False)], "--strategy", "ours", "--reserve", "0", "--json")
    assert "not simulated, and taken as they draw now: miner-2" in result.stderr
    # Of 2.6 kW the other one has 1.3.
    assert json.loads(result.stdout)["outcomes"][0]["energy_kwh"] <= 1.3


def test_a_daemon_without_a_plant_or_without_loads_says_what_to_do() -> None:
    without = asked([reading(0, 15.0)], [load(1)])
    assert isinstance(without.exception, JouledError)
    assert "has heard nothing of its plant" in str(without.exception)
    empty = asked([reading(0, 15.0), reading(60, 15.0)], [])
    assert isinstance(empty.exception, JouledError)
    assert "the daemon steers 0 loads with presets" in str(empty.exception)
