"""A simulated plant, and what its feed says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import fmean, pstdev

import pytest

from jouled.simulation.chance import chance
from jouled.simulation.plant import Feed, supply_of_plant
from jouled.simulation.scenario import FeedFault, Lie, Plant, Ramp, Trip
from jouled.simulation.traces import parse_trace

START = datetime(2026, 3, 1, tzinfo=UTC)
FLAT = Plant(mean_w=100_000.0, swing_w=0.0, noise_w=0.0)


def supply(plant: Plant, hours: float = 24.0, seed: int = 1) -> list[float]:
    return supply_of_plant(plant, int(hours * 360), 10.0, chance(seed, "plant"))


def feed(kind: FeedFault) -> Feed:
    """Rising by 1 W a second; wrong from 100 s on, for 100 s."""
    plant = Plant(fault=(Lie(kind, 100.0, 100.0),))
    return Feed(plant, [1000.0 + second for second in range(400)], 1.0, START)


def test_noise_has_the_deviation_that_was_asked_for_and_is_the_same_for_a_seed() -> None:
    plant = Plant(mean_w=100_000.0, swing_w=0.0, noise_w=4000.0, noise_s=60.0)
    found = supply(plant)
    assert found == supply(plant)
    assert found != supply(plant, seed=2)
    assert fmean(found) == pytest.approx(100_000, rel=0.01)
    assert pstdev(found) == pytest.approx(4000, rel=0.1)


def test_a_trip_takes_its_power_for_its_time() -> None:
    found = supply(Plant(mean_w=100_000.0, swing_w=0.0, noise_w=0.0, trip=(Trip(3600.0, 600.0, 30_000.0),)))
    assert [found[index] for index in (359, 360, 419, 420)] == [100_000, 70_000, 70_000, 100_000]


def test_a_trip_never_leaves_less_than_nothing() -> None:
    assert min(supply(Plant(mean_w=10.0, swing_w=0.0, noise_w=0.0, trip=(Trip(0.0, 60.0, 30_000.0),)))) == 0.0


def test_a_ramp_leads_to_another_mean() -> None:
    found = supply(Plant(mean_w=100_000.0, swing_w=0.0, noise_w=0.0, ramp=(Ramp(3600.0, 3600.0, 50_000.0),)))
    assert [found[index] for index in (0, 360, 540, 720, 8639)] == [100_000, 100_000, 75_000, 50_000, 50_000]


def test_a_trace_is_taken_as_it_is() -> None:
    trace = parse_trace("timestamp,watts\n2026-03-01T00:00:00Z,500\n2026-03-01T00:01:00Z,900\n", "x", ("watts",))
    assert supply_of_plant(FLAT, 12, 10.0, chance(1, "plant"), trace) == [500.0] * 6 + [900.0] * 6


def test_without_a_fault_the_feed_says_what_is() -> None:
    heard = feed("silent").poll(50.0)
    assert heard.reading is not None
    assert heard.reading.generation_w == 1050.0
    assert heard.reading.sourced_at == START + timedelta(seconds=50)


@pytest.mark.parametrize(
    ("kind", "power_w", "sourced_s"),
    [("negative", -1150.0, 150.0), ("thousandfold", 1_150_000.0, 150.0), ("frozen", 1100.0, 100.0)],
)
def test_a_feed_that_lies_says_something_else(kind: FeedFault, power_w: float, sourced_s: float) -> None:
    heard = feed(kind).poll(150.0)
    assert heard.reading is not None
    assert heard.reading.generation_w == power_w
    assert heard.reading.sourced_at == START + timedelta(seconds=sourced_s)


def test_a_feed_is_silent_ahead_doubtful_or_flaps() -> None:
    assert feed("silent").poll(150.0).problem == "no answer within 10 s"
    ahead, doubtful = feed("future").poll(150.0).reading, feed("doubtful").poll(150.0).reading
    assert ahead is not None
    assert ahead.sourced_at > START + timedelta(seconds=1000)
    assert doubtful is not None
    assert doubtful.confidence is not None
    assert doubtful.confidence <= 0.8
    flapping = feed("flapping")
    values = {reading.generation_w for reading in (flapping.poll(150.0).reading for _ in range(4)) if reading}
    assert values == {1150.0, 1725.0}
