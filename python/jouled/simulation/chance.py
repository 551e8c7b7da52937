"""Where chance comes from: the same for the same seed, and each matter has its own."""

from __future__ import annotations

from random import Random


def chance(seed: int, matter: str) -> Random:
    """A generator that nothing else draws from, so that one more fault does not change the plant's noise."""
    return Random(f"{matter} {seed}")  # noqa: S311  (it has to repeat itself)
