"""A fake host at known watts, and this process as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import jouled
from jouled import meter as meters
from jouled.measurement.tally import tally_of


@pytest.fixture(autouse=True)
def own_meter() -> Iterator[None]:
    """No test inherits another one's meter."""
    yield
    meters.use(None)


@pytest.fixture
def meter() -> Iterator[jouled.Meter]:
    """A package that draws 40 W and memory that draws 5 W."""
    meter = jouled.Meter(meters=["fake"], fake_zones=["package:0=40W", "dram:0=5W"])
    yield meter
    tally_of(meter).keeper.pause()


@pytest.fixture
def fake_default(meter: jouled.Meter) -> jouled.Meter:
    """The same, as the meter of this process."""
    meters.use(meter)
    return meter
