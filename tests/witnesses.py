"""Who sees what is true of a site of fakes: each change of a miner, what all of them draw, and what the plant gives."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from jouled.balance.fleet.words import OFF
from miners.fake_http import Answer, Asked

if TYPE_CHECKING:
    from miners.farm import Device, Farm
    from plant.aggregator import FakeAggregator

# Of the wall.
SAMPLE_S = 0.02
STILL = frozenset({"stopped", "stopping", "paused"})


class Change(NamedTuple):
    """What one request did to a miner. Powers are what it truly draws there."""

    # By the wall's clock, as decisions are.
    at_s: float
    mac: str
    before: str
    after: str
    before_w: float
    after_w: float
    # Of all miners, were they to do what they are set to.
    together_w: float

    @property
    def is_raise(self) -> bool:
        return self.after_w > self.before_w


class Sample(NamedTuple):
    """Truly so at one moment of the wall's clock."""

    at_s: float
    supply_w: float
    load_w: float
    # The controller had its chance to see and to act.
    is_watched: bool

    @property
    def is_over(self) -> bool:
        return self.load_w > self.supply_w


class Watch(Protocol):
    def __call__(self) -> bool: ...


class Witness:
    """From entering it until it is left. `is_watched` says whether a daemon looks after the site now."""

    def __init__(self, farm: Farm, plant: FakeAggregator, is_watched: Watch) -> None:
        self.changes: list[Change] = []
        # Whatever was asked that is no question, by its method and path.
        self.orders = 0
        self.samples: list[Sample] = []
        self._farm = farm
        self._plant = plant
        self._is_watched = is_watched
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="witness")
        for device in farm.devices:
            self._listen(device)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def supply_around_w(self, from_s: float, to_s: float) -> float:
        """The most that there was in between."""
        samples = self.samples
        first = bisect_left(samples, from_s, key=lambda sample: sample.at_s)
        last = bisect_left(samples, to_s, lo=first, key=lambda sample: sample.at_s)
        return max(sample.supply_w for sample in samples[max(0, first - 1) : last + 1])

    def over_s(self, *, is_watched: bool | None = None) -> float:
        """Seconds of the wall above the supply; of those that somebody watched, or nobody."""
        return sum(
            later.at_s - sample.at_s
            for sample, later in zip(self.samples, self.samples[1:], strict=False)
            if sample.is_over and is_watched in (None, sample.is_watched)
        )

    def longest_over_s(self) -> float:
        """The longest that it was above the supply without a pause while it was watched, in seconds of the wall."""
        longest_s, since_s = 0.0, None
        for sample in self.samples:
            if not (sample.is_over and sample.is_watched):
                since_s = None
                continue
            since_s = sample.at_s if since_s is None else since_s
            longest_s = max(longest_s, sample.at_s - since_s)
        return longest_s

    def _listen(self, device: Device) -> None:
        handle = device.handle

        def heard(asked: Asked) -> Answer:
            before, before_w = target(device), target_w(device)
            answer = handle(asked)
            # They keep all they were asked, which of a whole day is too much.
            device.asked.clear()
            self.orders += asked.method != "GET"
            if (after := target(device)) != before:
                together_w = sum(target_w(each) for each in self._farm.devices)
                change = Change(time.time(), device.mac, before, after, before_w, target_w(device), together_w)
                self.changes.append(change)
            return answer

        device.handle = heard  # type: ignore[method-assign]

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            self.samples.append(Sample(time.time(), self._plant.true_w, self._farm.power_w(), self._is_watched()))


def target(device: Device) -> str:
    """What it was last told to be, by anybody."""
    return OFF if device.mode in STILL else device.preset


def target_w(device: Device) -> float:
    """What it truly draws there."""
    if device.mode in STILL:
        return 0.0
    known = device.curve.get(device.preset)
    watts = float(device.preset) if known is None and device.preset.isdigit() else (known.watts if known else 5000.0)
    return watts * device.drift
