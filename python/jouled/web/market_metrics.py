"""The market on /metrics: what a MWh costs now, how old that is, and how asking went. Nothing of it without providers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jouled.books.prices import day_of

if TYPE_CHECKING:
    from jouled.control.market.market import Fresh, Market


class MarketMetrics(Collector):
    """From what is in memory: a scrape asks nobody."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def __repr__(self) -> str:
        return f"<MarketMetrics {self._market!r}>"

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        now = self._market.clock()
        known = self._market.known(now)
        yield _prices(known, now)
        yield from _availability(known, now, self._market.rules.timezone)
        fetches = CounterMetricFamily(
            "jouled_market_fetches",
            "Times that a provider was asked for a day's prices, by how that went",
            labels=("provider", "result"),
        )
        for (provider, result), count in sorted(self._market.fetches.items()):
            fetches.add_metric([provider, result], count)
        yield fetches
        yield CounterMetricFamily(
            "jouled_market_refreshes", "Times that market prices were asked for", self._market.refreshes
        )


def _prices(known: tuple[Fresh, ...], now: datetime) -> Metric:
    family = GaugeMetricFamily(
        "jouled_market_price_per_mwh",
        "Price of one MWh now, in the currency's unit; absent where it is not known",
        labels=("zone", "product", "currency"),
    )
    for series in (fresh.series for fresh in known):
        slot = series.at(now)
        if slot is not None and slot.price is not None:
            family.add_metric([series.zone, series.product, series.currency], float(slot.price))
    return family


def _availability(known: tuple[Fresh, ...], now: datetime, timezone: str) -> Iterator[Metric]:
    available = GaugeMetricFamily(
        "jouled_market_data_available", "Whether all prices of a delivery day are known", labels=("day",)
    )
    age = GaugeMetricFamily(
        "jouled_market_data_age_seconds",
        "How long ago a delivery day's prices were fetched; absent where there are none",
        labels=("day",),
    )
    today = day_of(now, timezone)
    for word, day in (("today", today), ("tomorrow", today + timedelta(days=1))):
        of_day = [fresh for fresh in known if fresh.series.delivery_day == day]
        available.add_metric([word], any(fresh.series.is_complete for fresh in of_day))
        if of_day:
            age.add_metric([word], min(fresh.age_s for fresh in of_day))
    yield available
    yield age
