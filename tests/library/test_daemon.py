"""Through a daemon: unprivileged processes, at most 10 readings a second, whole millijoules."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trio

import jouled
from jouled.errors import UnsupportedError
from jouled.measurement import Result
from undisturbed import undisturbed

WATTS = 40.0


class FakeDaemon(ThreadingHTTPServer):
    """Counts 40 W; it shows a reading that may be a tenth of a second old, as the real one does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.started_s = time.monotonic()
        self.grain_s = 0.1
        self.is_well = True
        self.requests = 0
        self.readers: set[int] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def counters(self) -> dict[str, Any]:
        age_s = (time.monotonic() - self.started_s) % self.grain_s if self.grain_s else 0.0
        read_s = time.monotonic() - age_s
        joules = WATTS * (read_s - self.started_s)
        zone = {"zone": "package", "index": "0", "source": "rapl", "joules_total": joules // 0.001 * 0.001}
        zone |= {"monotonic_seconds": read_s, "watts": WATTS, "gaps": 0}
        return {
            "source": "rapl",
            "opened_seconds": self.started_s,
            "rate_hertz": 10,
            "resolution_joules": 0.001,
            "zones": [zone],
        }


class Answer(BaseHTTPRequestHandler):
    server: FakeDaemon

    def do_GET(self) -> None:
        self.server.requests += 1
        assert self.path == "/api/v1/zones?now=1"
        body = json.dumps(self.server.counters() if self.server.is_well else {"error": "no counters"}).encode()
        self.send_response(200 if self.server.is_well else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    server = FakeDaemon()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def meter(daemon: FakeDaemon) -> jouled.Meter:
    return jouled.Meter(url=daemon.url)


def test_a_block_says_that_it_came_through_the_daemon_and_from_what(meter: jouled.Meter) -> None:
    with jouled.measure(scope="machine", meter=meter) as m:
        time.sleep(0.05)
    assert (m.source, m.via) == ("rapl", "daemon")
    assert str(m).endswith("machine, rapl via the daemon")


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.35])
@undisturbed
def test_readings_of_before_are_reckoned_to_the_ends_of_the_block(meter: jouled.Meter, seconds: float) -> None:
    with jouled.measure(scope="machine", meter=meter) as m:
        time.sleep(seconds)
    assert m.joules == pytest.approx(WATTS * m.seconds, abs=0.002)
    assert m.error_bound is not None
    # Each end may be reckoned by what was read a tenth of a second before.
    assert 0.002 <= m.error_bound <= WATTS * (2 * 0.15) + 1


def test_the_share_of_the_process_is_reckoned_here(meter: jouled.Meter) -> None:
    with jouled.measure(meter=meter) as m:
        end_ns = time.process_time_ns() + 50_000_000
        while time.process_time_ns() < end_ns:
            pass
    assert m.joules is not None
    assert m.machine_joules is not None
    assert 0 < m.joules < m.machine_joules


def test_the_idle_part_is_known_without_the_daemons_load(meter: jouled.Meter) -> None:
    with jouled.measure(scope="machine", meter=meter) as m:
        time.sleep(0.1)
    assert m.active_joules is not None
    assert m.joules is not None
    assert 0 <= m.active_joules <= m.joules


@undisturbed
def test_a_daemon_that_does_not_answer_at_the_end_leaves_the_energy_unknown(
    meter: jouled.Meter, daemon: FakeDaemon
) -> None:
    with jouled.measure(scope="machine", meter=meter) as m:
        daemon.is_well = False
    assert m.joules is None
    assert "no counters" in m.problems[0]
    daemon.is_well = True
    with jouled.measure(scope="machine", meter=meter) as again:
        time.sleep(0.02)
    assert again.joules == pytest.approx(WATTS * again.seconds, abs=0.002)


def test_a_daemon_that_was_started_again_counts_from_nothing(meter: jouled.Meter, daemon: FakeDaemon) -> None:
    time.sleep(0.15)
    with jouled.measure(scope="machine", meter=meter) as m:
        daemon.started_s = time.monotonic()
    assert m.joules is None
    assert "its counter was reset" in m.problems[0]


@undisturbed
async def test_trio_is_not_held_up_by_the_daemon_and_a_cancelled_block_has_its_end(meter: jouled.Meter) -> None:
    m = jouled.measure(scope="machine", meter=meter)
    with trio.move_on_after(0.05):
        async with m:
            await trio.sleep_forever()
    assert m.joules == pytest.approx(WATTS * m.seconds, abs=0.002)


@undisturbed
def test_asyncio_is_not_held_up_either(meter: jouled.Meter) -> None:
    async def one() -> Result:
        async with jouled.measure(scope="machine", meter=meter) as m:
            await asyncio.sleep(0.05)
        return m.result

    async def cancelled() -> Result:
        m = jouled.measure(scope="machine", meter=meter)

        async def wait() -> None:
            async with m:
                await asyncio.sleep(60)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return m.result

    for work in (one, cancelled):
        result = asyncio.run(work())
        assert result.joules == pytest.approx(WATTS * result.seconds, abs=0.002)


def test_the_thread_of_an_async_block_is_the_tasks_own(meter: jouled.Meter) -> None:
    async def one() -> Result:
        async with jouled.measure(scope="thread", meter=meter) as m:
            end_ns = time.thread_time_ns() + 30_000_000
            while time.thread_time_ns() < end_ns:
                pass
        return m.result

    cpu_s = asyncio.run(one()).cpu_seconds
    assert cpu_s is not None
    assert cpu_s >= 0.03


def test_the_url_of_the_environment_is_asked(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOULED_URL", daemon.url)
    monkeypatch.setenv("JOULED_METERS", "daemon")
    assert [zone.source for zone in jouled.zones()] == ["rapl"]
    assert jouled.Meter(meters=["daemon"], zones=["dram"]).read().zones == []


def test_sensors_come_first_then_the_daemon_then_the_estimate(daemon: FakeDaemon, tmp_path: Any) -> None:
    words = ["battery", "daemon", "estimate"]
    assert jouled.Meter(meters=words, url=daemon.url).via == "daemon"
    assert jouled.Meter(meters=words, url="unix:/nowhere/at.sock").source == "estimate"
    with pytest.raises(UnsupportedError, match=r"battery.*unix:/nowhere"):
        jouled.Meter(meters=["battery", "daemon"], url="unix:/nowhere/at.sock")
    # A captured host is not the daemon's.
    assert jouled.Meter(sysfs=str(tmp_path)).source == "estimate"
    assert daemon.requests == 1


def test_energy_across_a_restart_of_the_daemon_is_not_known_also_where_it_has_counted_further(
    daemon: FakeDaemon,
) -> None:
    meter = jouled.Meter(url=daemon.url)
    with jouled.measure(scope="machine", meter=meter) as m:
        time.sleep(0.01)
        daemon.started_s -= 100.0
    assert m.joules is None
    assert any("package" in problem for problem in m.problems), m.problems
