"""The tables, by noun. Importing this fills `metadata` with all of them."""

from __future__ import annotations

from jouled.store.schema import access, carbon, events, load, market, measured, meters, readings, sites, steering
from jouled.store.schema.tables import MARK, metadata

__all__ = [
    "MARK",
    "access",
    "carbon",
    "events",
    "load",
    "market",
    "measured",
    "metadata",
    "meters",
    "readings",
    "sites",
    "steering",
]
