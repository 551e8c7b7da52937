"""Power over time."""

from __future__ import annotations

import asyncio
import time

import pytest

import jouled
from jouled import wire
from undisturbed import undisturbed


@undisturbed
def test_samples_are_the_power_between_readings(meter: jouled.Meter) -> None:
    with jouled.Sampler(period_s=0.02, meter=meter) as sampler:
        time.sleep(0.2)
    samples = sampler.samples
    assert 1 <= len(samples) <= 12
    for sample in samples[:-1]:
        assert sample.watts["package:0"] == pytest.approx(40, rel=0.01)
    assert [sample.time for sample in samples] == sorted(sample.time for sample in samples)
    assert (sampler.source, sampler.dropped, sampler.problems) == ("fake", 0, ())
    time.sleep(0.05)
    assert sampler.samples == samples, "it has stopped"


def test_a_series_is_bounded_and_counts_what_went(meter: jouled.Meter) -> None:
    with jouled.Sampler(period_s=0.01, meter=meter, samples_max=3) as sampler:
        while sampler.dropped < 2:
            time.sleep(0.005)
    assert len(sampler.samples) == 3


def test_a_period_that_counters_cannot_follow_is_refused() -> None:
    for period_s in (0.0, 0.001, float("nan")):
        with pytest.raises(ValueError, match=r"take 0\.01 or more"):
            jouled.Sampler(period_s)


def test_snapshots_come_one_after_the_other_and_say_their_source() -> None:
    with jouled.snapshots(0.05, levels=["process"]) as snapshots:
        first, second = next(snapshots), next(snapshots)
    assert isinstance(first, wire.Snapshot)
    assert second.sequence == first.sequence + 1
    assert list(second.levels) == ["process"]
    assert second.source in {"rapl", "hwmon", "battery", "estimate"}
    assert second.interval_seconds is not None
    assert second.interval_seconds > 0
    assert any(row.labels["pid"] for row in second.levels["process"].workloads)


async def test_snapshots_come_in_trio() -> None:
    async for snapshot in jouled.snapshots(0.05, levels=["unit"]):
        assert snapshot.zones
        break


def test_snapshots_come_in_asyncio() -> None:
    async def one() -> wire.Snapshot:
        async for snapshot in jouled.snapshots(0.05, levels=["unit"]):
            return snapshot
        raise AssertionError

    assert asyncio.run(one()).zones


def test_an_interval_that_is_none_is_refused() -> None:
    for interval in (0, -1, float("nan"), 1e9):
        with pytest.raises(ValueError, match=r"is not between 0\.01 and 3600 seconds"):
            jouled.snapshots(interval)
