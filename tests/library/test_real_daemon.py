"""Through the real daemon, as somebody who may read no sensor."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest

import jouled
from running import Running, running_jouled
from undisturbed import undisturbed

WATTS = 45.0


@pytest.fixture(scope="module")
def daemon() -> Iterator[Running]:
    with running_jouled("--meter=fake", "--interval=200ms", resolution="1mJ") as daemon:
        yield daemon


def measured(url: str, seconds: float) -> list[object]:
    meter = jouled.Meter(url=url)
    with jouled.measure(scope="machine", meter=meter) as m:
        time.sleep(seconds)
    return [m.via, m.source, m.joules, m.seconds, m.error_bound, meter.resolution_j]


def as_nobody(url: str, seconds: float) -> list[object]:
    """The same in a child that is no longer root; where it never was, it is no less unprivileged."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresuid(65534, 65534, 65534)
        os.write(writer, json.dumps(measured(url, seconds)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    found: list[object] = json.loads(text)
    return found


@pytest.mark.parametrize("seconds", [0.05, 1.0])
@undisturbed
def test_who_may_read_no_sensor_measures_through_the_daemon(daemon: Running, seconds: float) -> None:
    via, source, joules, span_s, bound, resolution_j = as_nobody(f"http://127.0.0.1:{daemon.port}", seconds)
    assert (via, source) == ("daemon", "fake")
    assert resolution_j == 0.001
    assert isinstance(bound, float)
    assert joules == pytest.approx(WATTS * float(str(span_s)), abs=min(bound, 0.1))


def test_snapshots_come_from_the_daemons_stream(daemon: Running) -> None:
    with jouled.snapshots(0.2, levels=["user"], url=f"http://127.0.0.1:{daemon.port}") as snapshots:
        first, second = next(snapshots), next(snapshots)
    assert (first.source, list(first.levels)) == ("fake", ["user"])
    assert second.sequence > first.sequence
    assert {zone.zone for zone in second.zones} == {"package", "dram"}
