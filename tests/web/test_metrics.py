from __future__ import annotations

import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from fakes import FakeScanStats, FakeSnapshot
from jouled.feed import Feed
from jouled.model import Snapshot
from jouled.sampler import Sampler
from jouled.web.metrics import OwnMetrics
from jouled.web.negotiate import Form


async def no_scan() -> Snapshot:
    return FakeSnapshot()


@pytest.fixture
def metrics() -> OwnMetrics:
    sampler = Sampler(no_scan, Feed(), period_s=1.0)
    sampler.ticks_total, sampler.ticks_late_total = 9, 2
    own = OwnMetrics(sampler, source="fake")
    own.observe(FakeSnapshot(scan=FakeScanStats(seconds=0.002)))
    own.observe(FakeSnapshot(scan=FakeScanStats(seconds=0.2)))
    return own


def samples(text: bytes) -> dict[str, float]:
    return {
        f"{sample.name}{{{','.join(f'{key}={value}' for key, value in sorted(sample.labels.items()))}}}": sample.value
        for family in parse_text(text.decode())
        for sample in family.samples
    }


def test_what_the_daemon_says_of_itself(metrics: OwnMetrics) -> None:
    found = samples(metrics.render(Form.TEXT, FakeSnapshot()))
    zone = "{index=0,source=fake,zone=package}"
    expected = {
        "jouled_ticks_total{}": 9,
        "jouled_ticks_late_total{}": 2,
        "jouled_scan_errors_total{}": 0,
        "jouled_scan_seconds_count{}": 2,
        "jouled_scan_seconds_sum{}": 0.202,
        "jouled_scan_seconds_bucket{le=0.0025}": 1,
        "jouled_scan_cpu_seconds_total{}": 0.5,
        "jouled_scan_processes{}": 7,
        "jouled_scan_cgroups{}": 3,
        "jouled_scan_unreadable_total{}": 1,
        "jouled_scan_vanished_total{}": 2,
        "jouled_scan_reused_total{}": 3,
        f"jouled_zone_read_errors_total{zone}": 4,
        f"jouled_zone_resets_total{zone}": 5,
        f"jouled_zone_wraps_total{zone}": 6,
    }
    assert {name: found.get(name) for name in expected} == pytest.approx(expected)
    assert any(name.startswith("jouled_build_info{") and "version=" in name for name in found)
    assert any(name.startswith("process_resident_memory_bytes") for name in found)
    assert not any("_created" in name for name in found)


def test_openmetrics_is_read_back_by_the_strict_parser(metrics: OwnMetrics) -> None:
    text = metrics.render(Form.OPENMETRICS, FakeSnapshot()).decode()
    families = {family.name: family.type for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
    assert families["jouled_ticks"] == "counter"
    assert families["jouled_scan_seconds"] == "histogram"
    assert text.endswith("# EOF\n")


def test_promtool_has_nothing_to_say(metrics: OwnMetrics) -> None:
    page = FakeSnapshot().exposition(openmetrics=False) + metrics.render(Form.TEXT, FakeSnapshot())
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_two_daemons_in_one_process_do_not_share_metrics() -> None:
    for _ in range(2):
        OwnMetrics(Sampler(no_scan, Feed(), period_s=1.0), source="fake")
