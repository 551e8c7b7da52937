"""A supply that was looked at: a battery, or a UPS."""

from __future__ import annotations

import re
from typing import NamedTuple

from jouled.wire.devices import Kind, PowerDraft


class Supply(NamedTuple):
    """What it says now. `capacity_wh` is None where it does not say that."""

    name: str
    kind: Kind
    capacity_wh: float | None
    power: PowerDraft


def as_id(text: str) -> str:
    """A name that the books take, from one that a kernel or a server chose."""
    plain = re.sub(r"[^A-Za-z0-9_.:@-]", "-", text)[:128]
    return plain if plain[:1].isalnum() else f"x{plain}"[:128]
