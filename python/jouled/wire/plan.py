"""The plan of the node's power: what it will be, when, and why. Powers are in watts, prices of a MWh."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct


class PlanSlot(Struct, frozen=True):
    """From `start` up to, and without, `end`. What is not known is null, which is not 0.

    `price` is the market's, `tariff` what is paid: charges and tax included. `watts` null is no limit.
    """

    start: datetime
    end: datetime
    price: Decimal | None
    tariff: Decimal | None
    volume_mwh: Decimal | None
    carbon_g_per_kwh: Decimal | None
    watts: float | None
    reason: str


class PlanOfPower(Struct, frozen=True):
    """`is_in_force` false: it shows what would hold, and nothing follows it. `problem` says why there is none."""

    timezone: str
    # ISO 4217, of all prices here; null where none is known.
    currency: str | None
    strategies: tuple[str, ...]
    is_in_force: bool
    min_watts: float | None
    max_watts: float | None
    slots: tuple[PlanSlot, ...]
    problem: str | None = None


class CapDecision(Struct, frozen=True):
    """A budget that began to hold, and what became of it. `inputs` are those of each strategy."""

    id: str
    node: str
    at: datetime
    start: datetime
    end: datetime
    watts: float | None
    applied_watts: float | None
    reason: str
    inputs: dict[str, Any]
    problem: str | None = None
