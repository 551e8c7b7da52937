"""Prices by time, and who gives them. Prices are of one MWh, in the currency that stands beside them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct


class MarketSlot(Struct, frozen=True):
    """From `start` up to, and without, `end`. Null is missing, which is not zero; prices may be negative."""

    start: datetime
    end: datetime
    price: Decimal | None
    volume: Decimal | None


class MarketSeries(Struct, frozen=True):
    """What one provider said of a delivery day, cut to the range that was asked for.

    `origin` is the first provider of the chain, a fallback, persisted by an earlier daemon and not confirmed
    since, or stored: of a day that is over. `fetched_at` is when this answer came last, `revision` counts the
    answers about this day that differed.
    """

    provider: str
    zone: str
    product: str
    delivery_day: date
    timezone: str
    currency: str
    unit: str
    volume_unit: str
    resolution_seconds: float | None
    is_complete: bool
    quality: str
    revision: int
    origin: str
    fetched_at: datetime
    age_seconds: float
    body_sha256: str
    slots: tuple[MarketSlot, ...]


class MarketRange(Struct, frozen=True):
    """The series of all delivery days that touch the range, in order of time."""

    zone: str
    start: datetime
    end: datetime
    count: int
    series: tuple[MarketSeries, ...]


class ProviderParameter(Struct, frozen=True):
    """Something that a provider wants to know; one without a default is required. Values are not shown."""

    name: str
    description: str
    default: str | None
    is_required: bool
    is_secret: bool
    allowed: tuple[str, ...]


class ProviderState(Struct, frozen=True):
    """How asking one of the chain went; `failures` is in a row, `fetches` counts by result since the start."""

    position: int
    asked_at: datetime | None
    answered_at: datetime | None
    failures: int
    problem: str | None
    left_alone_until: datetime | None
    fetches: dict[str, int]


class MarketProvider(Struct, frozen=True):
    """A provider that the settings may name. `origin` is jouled, or the package that brings it."""

    name: str
    description: str
    origin: str
    zones: tuple[str, ...]
    parameters: tuple[ProviderParameter, ...]
    # Null where it is not in the chain.
    state: ProviderState | None = None


class MarketProviders(Struct, frozen=True):
    """All of them, and the chain of the settings: asked in this order."""

    zone: str
    timezone: str
    chain: tuple[str, ...]
    next_fetch_at: datetime | None
    refreshes: int
    problems: tuple[str, ...]
    providers: tuple[MarketProvider, ...]
