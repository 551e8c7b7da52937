from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from answering import Server, answering
from jouled.http import Http
from jouled.signals.webhook import Webhook
from jouled.wire.events import Event

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
EVENT = Event("e-1", "low_battery", "warning", NOW, "charge 18 %", "low:ups-1", device_id="ups-1", value=18.0)
SECRET = b"s3cret"


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as server:
        yield server


def is_genuine(headers: dict[str, str], body: bytes) -> bool:
    """As the documentation tells receivers to."""
    timestamp = headers["jouled-timestamp"]
    expected = "sha256=" + hmac.new(SECRET, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, headers["jouled-signature"])


async def test_an_event_is_posted_as_json_and_a_receiver_can_verify_it(server: Server) -> None:
    server.tell("/hook", status=202)
    async with Http("alerts", address="alerts.webhook") as http:
        assert await Webhook(http, f"{server.url}/hook", SECRET, lambda: NOW).carry(EVENT) is None
    (asked,) = server.asked
    assert asked.method == "POST"
    assert json.loads(asked.body) == {
        "id": "e-1",
        "type": "low_battery",
        "severity": "warning",
        "timestamp": "2026-05-04T12:00:00Z",
        "note": "charge 18 %",
        "dedup_key": "low:ups-1",
        "site_id": None,
        "device_id": "ups-1",
        "meter_id": None,
        "value": 18.0,
    }
    assert asked.headers["content-type"] == "application/json"
    assert (asked.headers["jouled-event"], asked.headers["jouled-event-id"]) == ("low_battery", "e-1")
    assert asked.headers["jouled-timestamp"] == str(int(NOW.timestamp()))
    assert is_genuine(asked.headers, asked.body)
    assert not is_genuine(asked.headers, asked.body.replace(b"18", b"98"))
    assert not is_genuine({**asked.headers, "jouled-timestamp": "1"}, asked.body)


async def test_without_a_secret_nothing_is_signed(server: Server) -> None:
    server.tell("/hook")
    async with Http("alerts") as http:
        assert await Webhook(http, f"{server.url}/hook", None, lambda: NOW).carry(EVENT) is None
    assert "jouled-signature" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("status", "is_final"),
    [
        (302, False),
        (400, True),
        (401, True),
        (404, True),
        (408, False),
        (410, True),
        (429, False),
        (500, False),
        (503, False),
    ],
)
async def test_a_receiver_says_whether_to_try_again(server: Server, status: int, is_final: bool) -> None:
    server.tell("/hook", b"no\n", status, headers={"retry-after": "77", "location": "/elsewhere"})
    async with Http("alerts") as http:
        failure = await Webhook(http, f"{server.url}/hook", SECRET, lambda: NOW).carry(EVENT)
    assert failure is not None
    assert failure.is_final == is_final
    assert failure.retry_after_s == 77.0
    assert failure.words.startswith(f"POST {server.url}/hook: {status} no")
    assert server.paths() == ["/hook"]


async def test_a_receiver_that_hangs_or_is_away_is_tried_again(server: Server) -> None:
    server.tell("/hook", b"0123456789", hangs=True)
    async with Http("alerts", address="alerts.webhook", deadline_s=0.1) as http:
        hung = await Webhook(http, f"{server.url}/hook", SECRET, lambda: NOW).carry(EVENT)
        away = await Webhook(http, "http://127.0.0.1:1/hook", SECRET, lambda: NOW).carry(EVENT)
    assert hung is not None
    assert "no whole answer within 0.1 s" in hung.words
    assert away is not None
    assert "check alerts.webhook and the network" in away.words
    assert not hung.is_final
    assert not away.is_final
