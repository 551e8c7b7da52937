"""A plant that is made up: a wave over the day with some noise, the same for a seed; for trying things out."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime

from jouled.balance.site.supply import Reading

RATED_W = 100_000.0
# Of what is rated: its middle, how far the day's wave goes, and the noise.
MIDDLE, WAVE, NOISE = 0.7, 0.25, 0.02
DAY_S = 86_400.0
# Readings are of whole such steps: the same moment has the same value.
STEP_S = 5.0


class Mock:
    """Nobody is asked."""

    def __init__(self, rated_w: float | None = None, seed: int = 0) -> None:
        self.where = "made up"
        self._rated_w = rated_w or RATED_W
        self._seed = seed

    def __repr__(self) -> str:
        return f"<Mock {self._rated_w:g} W seed {self._seed}>"

    async def fetch(self, now: datetime) -> Reading:
        step = math.floor(now.timestamp() / STEP_S)
        at = datetime.fromtimestamp(step * STEP_S, now.tzinfo)
        return Reading(self.power_w(step), at, confidence=1.0, id=str(step))

    async def aclose(self) -> None:
        """Nothing is open."""

    def power_w(self, step: int) -> float:
        wave = math.sin(2 * math.pi * (step * STEP_S % DAY_S) / DAY_S)
        noise = sum(_random(self._seed, step + back) for back in range(4)) / 4
        return max(0.0, self._rated_w * (MIDDLE + WAVE * wave + NOISE * noise))


def _random(seed: int, step: int) -> float:
    """From -1 to 1, by a hash: no state, so that a reading depends on its time only."""
    digest = hashlib.blake2b(f"{seed}:{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**63 - 1.0
