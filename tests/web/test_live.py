"""What the API answers, over a real socket to a real server."""

from __future__ import annotations

import gzip

import msgspec
import pytest

from fakes import FakeScanStats, FakeSnapshot
from jouled import wire
from jouled._core import Scanner
from jouled.config import Access, Listener
from jouled.errors import UnsupportedError
from serving import FREE, Rig, serving

FULL = Listener(FREE, detail="full")


async def test_a_snapshot_has_all_levels_with_their_residuals() -> None:
    async with serving(FULL) as rig:
        rig.tick(FakeSnapshot(sequence=7, series=3, scan=FakeScanStats(processes=7, cgroups=3)))
        reply = await rig.get("/api/v1/snapshot")
    found = msgspec.json.decode(reply.body, type=wire.Snapshot)
    assert (found.sequence, found.time_seconds, found.interval_seconds, found.cpu_busy_ratio) == (7, 1.7e9, 1.0, 0.25)
    assert (found.source, found.processes, found.cgroups) == ("fake", 7, 3)
    assert found.zones[0].joules_total == 1000.0
    assert list(found.levels) == ["process", "unit"]
    level = found.levels["unit"]
    assert [row.labels["pid"] for row in level.workloads] == ["1", "2", "3"]
    assert level.workloads[0].watts == {"package": 4.0}
    assert level.residuals[0].labels == {"level": "unit", "reason": "kernel"}
    assert level.omitted == 0
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.headers["cache-control"] == "no-store"


async def test_the_largest_are_picked_and_the_others_are_counted() -> None:
    async with serving(FULL) as rig:
        rig.tick(FakeSnapshot(series=10))
        found = (await rig.get("/api/v1/snapshot?level=unit&sort=joules&limit=4")).json
        assert list(found["levels"]) == ["unit"]
        assert len(found["levels"]["unit"]["workloads"]) == 4
        assert found["levels"]["unit"]["omitted"] == 6
        assert found["levels"]["unit"]["workloads"][0]["labels"]["comm"] == "joules"
        level = msgspec.convert((await rig.get("/api/v1/workloads?level=process&limit=0")).json, wire.Level)
        assert (level.level, level.workloads, level.omitted) == ("process", (), 10)
        assert len(level.residuals) == 1
        assert (await rig.get("/api/v1/snapshot?level=")).json["levels"] == {}


async def test_zones_alone() -> None:
    async with serving(FULL) as rig:
        (zone,) = msgspec.convert((await rig.get("/api/v1/zones")).json, tuple[wire.Zone, ...])
        assert (zone.zone, zone.joules_total, zone.idle_watts) == ("package", 1000.0, 7.5)


async def test_compressed_where_that_is_asked_for() -> None:
    async with serving(FULL) as rig:
        plain = await rig.get("/api/v1/snapshot")
        small = await rig.get("/api/v1/snapshot", accept_encoding="gzip")
    assert small.headers["content-encoding"] == "gzip"
    assert gzip.decompress(small.body) == plain.body


async def test_the_same_question_is_encoded_once_a_tick() -> None:
    async with serving(FULL) as rig:
        for _ in range(2):
            for _ in range(5):
                await rig.get("/api/v1/snapshot?level=unit,process&limit=5")
                await rig.get("/api/v1/snapshot?limit=5&level=process,unit,unit")
            rig.tick()
        assert rig.room._prepared.renderings_total == 2


@pytest.mark.parametrize(
    ("path", "status", "error", "allowed"),
    [
        ("/api/v1/snapshot?levels=unit", 400, "unknown parameter 'levels'", ["level", "sort", "limit"]),
        ("/api/v1/snapshot?level=slice", 400, "level 'slice' is none", ["process", "unit"]),
        ("/api/v1/snapshot?level=unit,", 400, "level '' is none", ["process", "unit"]),
        (
            "/api/v1/snapshot?level=pod",
            400,
            "level 'pod' is not computed here; see levels in the settings",
            ["process", "unit"],
        ),
        ("/api/v1/snapshot?sort=size", 400, "sort 'size' is none", list(wire.SORTS)),
        ("/api/v1/snapshot?limit=-1", 400, "limit '-1' is no whole number from 0 to 20000", None),
        ("/api/v1/snapshot?limit=1e3", 400, "limit '1e3' is no whole number from 0 to 20000", None),
        ("/api/v1/snapshot?limit=20001", 400, "limit '20001' is no whole number from 0 to 20000", None),
        ("/api/v1/snapshot?limit=%C2%B2", 400, "limit '²' is no whole number from 0 to 20000", None),
        ("/api/v1/snapshot?limit=1&limit=2", 400, "parameter 'limit' is given twice", ["level", "sort", "limit"]),
        ("/api/v1/snapshot?" + "a&" * 50, 400, "more than 10 parameters", ["level", "sort", "limit"]),
        ("/api/v1/workloads", 400, "parameter 'level' is missing", ["process", "unit"]),
        ("/api/v1/workloads?level=process,unit", 400, "level 'process,unit' is none", ["process", "unit"]),
        ("/api/v1/zones?now=yes", 400, "now 'yes' is none", ["0", "1"]),
        ("/api/v1/stream?interval=soon", 400, "interval 'soon' is no number of seconds from 0 to 3600", None),
        ("/api/v1/stream?interval=nan", 400, "interval 'nan' is no number of seconds from 0 to 3600", None),
        ("/api/v1/stream?interval=-1", 400, "interval '-1' is no number of seconds from 0 to 3600", None),
        (
            "/api/v2/snapshot",
            404,
            "not found; see /",
            ["/api/v1/snapshot", "/api/v1/zones", "/api/v1/workloads", "/api/v1/stream"],
        ),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_what_can(
    path: str, status: int, error: str, allowed: list[str] | None
) -> None:
    async with serving(FULL) as rig:
        reply = await rig.get(path)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/json")
    code = "not_found" if status == 404 else "invalid_request"
    expected = {"error": code, "message": error}
    assert reply.json == (expected if allowed is None else {**expected, "detail": {"allowed": allowed}})


async def test_a_method_that_writes_is_refused() -> None:
    async with serving(FULL) as rig:
        raw = await rig.send(b"DELETE /api/v1/zones HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 405")
    assert b"allow: GET, HEAD" in raw
    assert raw.endswith(b'{"error":"method_not_allowed","message":"only GET and HEAD"}\n')


@pytest.mark.parametrize("path", ["snapshot", "zones", "workloads?level=unit", "stream"])
async def test_before_the_first_interval_it_is_to_be_asked_again(path: str) -> None:
    async with serving(FULL) as rig:
        rig.tick(FakeSnapshot(sequence=1, interval_s=None))
        reply = await rig.get(f"/api/v1/{path}")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.json == {"error": "unavailable", "message": "no interval has been measured yet; try again in a second"}


# ---- the counters, read when asked ----


async def counters(rig: Rig) -> wire.Counters:
    return msgspec.json.decode((await rig.get("/api/v1/zones?now=1")).body, type=wire.Counters)


async def test_counters_are_read_when_asked_and_not_before() -> None:
    async with serving(FULL) as rig:
        assert rig.meter.reads == 0
        first, second = await counters(rig), await counters(rig)
        assert rig.meter.reads == 2
    assert first == wire.Counters(
        "fake", first.opened_seconds, None, None, (wire.ZoneCount("package", "0", "fake", 1.234568, 1.0, 9.876543, 3),)
    )
    assert second.zones[0].joules_total == 2.234568


async def test_who_is_not_privileged_gets_whole_millijoules_and_the_reading_before() -> None:
    async with serving(access=Access(rate_hz=0.01)) as rig:
        replies = [await counters(rig) for _ in range(5)]
    assert replies[0] == wire.Counters(
        "fake", replies[0].opened_seconds, 0.01, 0.001, (wire.ZoneCount("package", "0", "fake", 1.234, 1.0, 12.5, 3),)
    )
    assert replies == [replies[0]] * 5
    assert rig.meter.reads == 1


async def test_readings_of_the_privileged_are_none_of_the_others() -> None:
    async with serving(Listener(FREE), FULL, access=Access(rate_hz=0.01)) as rig:
        coarse = (await rig.get("/api/v1/zones?now=1", place=0)).json
        fine = (await rig.get("/api/v1/zones?now=1", place=1)).json
        assert coarse == (await rig.get("/api/v1/zones?now=1", place=0)).json
        assert fine["zones"][0]["joules_total"] > coarse["zones"][0]["joules_total"]


async def test_counters_that_cannot_be_read_are_an_answer() -> None:
    async with serving(FULL) as rig:
        rig.meter.troubles = [UnsupportedError("no meter: rapl: permission denied; run as root")]
        reply = await rig.get("/api/v1/zones?now=1")
        assert reply.status == 503
        assert reply.json["message"] == "the counters cannot be read: no meter: rapl: permission denied; run as root"
        assert (await rig.get("/api/v1/zones?now=1")).status == 200


# ---- fine and coarse ----


async def test_both_kinds_of_readers_at_once_each_get_theirs() -> None:
    scanner = Scanner(meters=["fake"], fake_zones=["package:0=40W"])
    scanner.tick()
    async with serving(Listener(FREE), FULL, access=Access(resolution_j=0.5)) as rig:
        rig.tick(scanner.tick())
        for path in ("/api/v1/snapshot", "/api/v1/zones"):
            coarse, fine = [(await rig.get(path, place=place)).json for place in (0, 1)]
            coarse_zone, fine_zone = [
                (found if path.endswith("zones") else found["zones"])[0] for found in (coarse, fine)
            ]
            assert coarse_zone["joules_total"] == fine_zone["joules_total"] // 0.5 * 0.5
        pages = [(await rig.get("/metrics", place=place)).body.decode() for place in (0, 1)]
    values = [[line.split()[-1] for line in page.splitlines() if "_joules_total{" in line] for page in pages]
    assert all(float(value) % 0.5 == 0 for value in values[0])
    assert any(float(value) % 0.5 != 0 for value in values[1])


def test_the_coarse_snapshot_of_the_core_adds_up() -> None:
    scanner = Scanner(meters=["fake"], fake_zones=["package:0=40W"])
    scanner.tick()
    coarse = scanner.tick().coarse(0.001)
    zone = coarse.zones()[0]
    assert zone.active_watts is not None
    for level in coarse.levels:
        rows = [*coarse.workloads(level), *coarse.residuals(level)]
        assert sum(row.watts.get("package", 0) for row in rows) == pytest.approx(zone.active_watts, rel=1e-9)
        assert coarse.count(level) == len(coarse.workloads(level))
