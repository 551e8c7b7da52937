"""The tables, by noun. Importing this fills `metadata` with all of them."""

from __future__ import annotations

from jouled.store.schema import (
    access,
    balance,
    carbon,
    events,
    fleet,
    load,
    market,
    measured,
    meters,
    plant,
    readings,
    sites,
    steering,
)
from jouled.store.schema.tables import MARK, metadata

__all__ = [
    "MARK",
    "access",
    "balance",
    "carbon",
    "events",
    "fleet",
    "load",
    "market",
    "measured",
    "metadata",
    "meters",
    "plant",
    "readings",
    "sites",
    "steering",
]
