"""`/api/v1/records` over a real socket to a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from jouled.bookkeeping.records import NodeRecords
from jouled.books.records import Part, RowShare, ZoneShare
from jouled.config import Listener
from jouled.store import Store
from serving import FREE, Reply, Rig, serving

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE_US = 60_000_000


async def get(rig: Rig, path: str) -> Reply:
    """By a name of this machine: the books answer to no other."""
    head = f"GET /api/v1/records/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    return Reply.of(await rig.send(head.encode()))


def minute(number: int) -> Part:
    at_us = round(AT.timestamp() * 1e6) + number * MINUTE_US
    rows = [
        RowShare("unit", {"unit": "nginx.service"}, None, {"package": 1_500}, 2_000_000),
        RowShare("unit", {"level": "unit", "reason": "idle"}, "idle", {"package": 500}, 0),
    ]
    zone = ("package", "0", "rapl")
    return Part(at_us, {zone: MINUTE_US // 2}, {zone: ZoneShare(2_000, 500, "good")}, rows)


@pytest.fixture
async def rig(store: Store) -> AsyncIterator[Rig]:
    records = NodeRecords("rack1-07", None, lambda _: None, lambda: AT)
    for number in range(3):
        await store.commit(records.work(minute(number)))
    async with serving(Listener(FREE), store=store) as rig:
        yield rig


async def test_zones_by_minute(rig: Rig) -> None:
    reply = await get(rig, "zones?from=2026-03-01T12:01:00Z&to=2026-03-01T14:02:00%2B01:00&resolution=minute")
    assert reply.status == 200
    assert reply.json == {
        "count": 1 + 1,
        "items": [
            {
                "node": "rack1-07",
                "zone": "package",
                "index": "0",
                "source": "rapl",
                "start": f"2026-03-01T12:0{number}:00Z",
                "energy_joules": 2.0,
                "idle_joules": 0.5,
                "watts": 0.066667,
                "covered_seconds": 30.0,
                "coverage_ratio": 0.5,
                "quality": "good",
            }
            for number in (1, 2)
        ],
        "next_cursor": None,
    }


async def test_workloads_by_quarter_hour(rig: Rig) -> None:
    reply = await get(
        rig,
        "workloads?level=unit&name=nginx.service&resolution=quarter-hour"
        "&from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z",
    )
    assert reply.status == 200
    assert reply.json["items"] == [
        {
            "node": "rack1-07",
            "level": "unit",
            "name": "nginx.service",
            "reason": None,
            "labels": {"unit": "nginx.service"},
            "zone": "package",
            "start": "2026-03-01T12:00:00Z",
            "energy_joules": 4.5,
            "cpu_seconds": 6.0,
            "watts": 0.05,
            "coverage_ratio": 0.1,
            "quality": "good",
        }
    ]


async def test_pages_of_days_and_minutes_follow_each_other(rig: Rig) -> None:
    path = "workloads?level=unit&limit=2&from=2026-03-01T12:00:00Z&to=2026-03-01T13:00:00Z"
    found, cursor = [], None
    while True:
        reply = await get(rig, path if cursor is None else f"{path}&cursor={quote(cursor)}")
        assert reply.status == 200
        found += [(item["name"], item["start"]) for item in reply.json["items"]]
        cursor = reply.json["next_cursor"]
        if cursor is None:
            break
    assert len(found) == len(set(found)) == 6


async def test_totals(rig: Rig) -> None:
    reply = await get(rig, "totals?node=rack1-07")
    assert reply.json["items"] == [
        {
            "node": "rack1-07",
            "zone": "package",
            "index": "0",
            "source": "rapl",
            "since": "2026-03-01T12:00:00Z",
            "energy_joules": 6.0,
        }
    ]
    assert (await get(rig, "totals?node=other")).json["items"] == []


QUESTIONS = (
    ("zones?from=2026-03-01T12:00:00", 400),
    ("zones?resolution=hour", 400),
    ("zones?limit=0", 400),
    ("zones?limit=100000", 400),
    ("zones?since=2026-03-01T12:00:00Z", 400),
    ("zones?from=2026-03-02T12:00:00Z&to=2026-03-01T12:00:00Z", 422),
    ("zones?from=2020-03-02T12:00:00Z&to=2026-03-01T12:00:00Z", 422),
    ("zones?cursor=x", 422),
    ("zones?cursor=WzEsOTk5OTk5OTk5OTk5OTk5OTk5OTldCg", 422),
    ("zones?to=0001-01-01T00:00:00Z", 422),
    ("workloads?to=0001-01-01T00:30:00Z", 422),
    ("workloads?cursor=WzEsMl0", 422),
    ("workloads?from=9999-12-31T23:00:00Z&to=9999-12-31T23:30:00Z", 200),
    ("workloads?level=unknown", 400),
    ("totals?cursor=WzFd", 422),
)


async def test_a_question_that_cannot_be_answered_is_refused_in_words(rig: Rig) -> None:
    for path, status in QUESTIONS:
        reply = await get(rig, path)
        assert (path, reply.status) == (path, status), reply.body
        if status >= 400:
            assert set(reply.json) <= {"error", "message", "detail"}
            assert reply.json["message"]


async def test_a_value_that_is_not_known_is_told_with_those_that_are(rig: Rig) -> None:
    for path, said in [
        ("zones?resolution=hour", "resolution: Invalid enum value 'hour'; there is day, minute, quarter-hour"),
        ("workloads?level=foo", "level: Invalid enum value 'foo'; there is container, pod, process, unit, user, vm"),
        (
            "zones?from=2026-03-01",
            "from '2026-03-01' is no instant of RFC 3339 with a zone; write 2026-03-01T12:00:00Z",
        ),
    ]:
        reply = await get(rig, path)
        assert (reply.status, reply.json["message"]) == (400, said)


async def test_without_a_range_it_is_the_last_hour(store: Store) -> None:
    now = datetime.now(UTC)
    latest = round((now - timedelta(minutes=2) - AT) / timedelta(minutes=1))
    records = NodeRecords("n", None, lambda _: None)
    for number in (latest, latest - 90):
        await store.commit(records.work(minute(number)))
    async with serving(Listener(FREE), store=store) as rig:
        assert (await get(rig, "zones")).json["count"] == 1
        assert (await get(rig, "zones?resolution=quarter-hour")).json["count"] == 2
