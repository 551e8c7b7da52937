"""A market for tests: a provider that publishes when it should, fails when it is told to, and keeps what it was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Self
from zoneinfo import ZoneInfo

import trio

from jouled.books.prices import Quality, Series, Slot, day_bounds
from jouled.http import Http, MissingError, SignalError
from jouled.signals.market.provider import Parameter, Request

BERLIN = "Europe/Berlin"


def series(
    day: date,
    *,
    provider: str = "fake",
    price: str = "50",
    at: datetime = datetime(2026, 5, 4, 12, tzinfo=UTC),
    minutes: int = 15,
    timezone: str = BERLIN,
    quality: Quality = "final",
) -> Series:
    """A whole day; the price grows by a cent each slot, so that each has its own."""
    start, end = day_bounds(day, timezone)
    slots: list[Slot] = []
    step = timedelta(minutes=minutes)
    while start < end:
        slots.append(Slot(start, start + step, Decimal(price) + Decimal(len(slots)) / 100, Decimal("68.2")))
        start += step
    sha = hashlib.sha256(f"{provider} {day} {price} {minutes} {quality}".encode()).hexdigest()
    return Series(provider, "DE-LU", "day-ahead", day, timezone, "EUR", tuple(slots), at, sha, quality=quality)


class FakeProvider:
    """Knows a day's prices from 12:50 of the day before on. `error` is what it answers with instead, while it is set."""

    description = "a fake; no key"
    parameters: tuple[Parameter, ...] = ()
    zones: tuple[str, ...] = ()
    timezone = BERLIN
    published = time(12, 50)
    notice: str | None = None

    def __init__(self, name: str = "fake", *, price: str = "50") -> None:
        self.name = name
        self.price = price
        self.error: SignalError | None = None
        self.make: Callable[[date, datetime], Series] = lambda day, now: series(
            day, provider=self.name, price=self.price, at=now
        )
        # How late it publishes.
        self.late = timedelta(0)
        self.asked: list[tuple[datetime, date]] = []

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:  # the shape of all providers
        return cls()

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        self.asked.append((now, delivery_day))
        if self.error is not None:
            raise self.error
        out_at = datetime.combine(delivery_day - timedelta(days=1), self.published, ZoneInfo(self.timezone))
        if now < out_at.astimezone(UTC) + self.late:
            raise MissingError(f"fake: {delivery_day} is not published yet; it is asked again later")
        return self.make(delivery_day, now)


class WallClock:
    """Goes with Trio's clock from an instant on, and can be set: `step` is what NTP does, or a sleep of the host."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._trio_s: float | None = None

    def __call__(self) -> datetime:
        try:
            now_s = trio.current_time()
        except RuntimeError:  # of a thread of the store's
            now_s = self._trio_s or 0.0
        if self._trio_s is None:
            self._trio_s = now_s
        return self._start + timedelta(seconds=now_s - self._trio_s)

    def step(self, by: timedelta) -> None:
        self._start += by
