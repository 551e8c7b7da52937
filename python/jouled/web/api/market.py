"""`/api/v1/market`: prices by time, and who gives them."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, TypeAlias
from zoneinfo import ZoneInfo

import trio
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from jouled.bookkeeping import market as books
from jouled.bookkeeping.market_shown import STORED, counting, shown
from jouled.books.calendar import outside
from jouled.books.prices import Series
from jouled.config.market import Market as Settings
from jouled.errors import InvalidError, StoreError
from jouled.web.api.no_store import NoStoreError
from jouled.web.api.parameters import TheClock, TheStore
from jouled.wire.market import MarketProviders, MarketRange

if TYPE_CHECKING:  # it asks over HTTP: a daemon without providers imports none of it
    from jouled.control.market.market import Fresh, Market

DAY = timedelta(days=1)

Zone = Annotated[
    str | None, QueryParameter(min_length=1, max_length=64, description="The bidding zone; default: market.zone.")
]
From = Annotated[datetime | None, QueryParameter(name="from", description="Default: today's midnight at the site.")]
To = Annotated[datetime | None, QueryParameter(name="to", description="Default: two days after `from`.")]
OfProvider = Annotated[
    str | None, QueryParameter(min_length=1, max_length=64, description="Of this one, also where another one counts.")
]
OfProduct = Annotated[
    str | None, QueryParameter(min_length=1, max_length=64, description="Of this product only, as day-ahead.")
]


class Trading:
    """What the routes need: the settings, and the market where providers are set."""

    def __init__(self, settings: Settings | None = None, market: Market | None = None) -> None:
        self.settings = settings or Settings()
        self.market = market
        self._limiter = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<Trading {self.market!r}>"

    async def providers(self) -> MarketProviders:
        """All of them are imported for it, in a thread: others' code may take its time."""
        from jouled.control.market.shown import providers
        from jouled.signals.market import registry

        listing = await trio.to_thread.run_sync(registry.listing, limiter=self._limiter, abandon_on_cancel=True)
        return providers(listing, self.market, self.settings)

    def known(self, now: datetime, zone: str) -> list[Fresh]:
        """Of today and tomorrow, what counts."""
        if self.market is None or zone != self.settings.zone:
            return []
        return list(self.market.known(now))


TheMarket: TypeAlias = NamedDependency[Trading]


class MarketApi(Controller):
    """Day-ahead prices and other products, as providers gave them."""

    path = "/market"
    tags = ("market",)

    @get("/series")
    async def list_market_series(
        self,
        *,
        store: TheStore,
        clock: TheClock,
        trading: TheMarket,
        zone: Zone = None,
        start: From = None,
        end: To = None,
        provider: OfProvider = None,
        product: OfProduct = None,
    ) -> MarketRange:
        """The series that count, in order of time; those of one provider where it is named."""
        now, where = clock(), zone or trading.settings.zone
        since, until = during(start, end, now, trading.settings.timezone)
        held = [
            fresh
            for fresh in trading.known(now, where)
            if provider in {None, fresh.series.provider} and product in {None, fresh.series.product}
        ]
        held = [fresh for fresh in held if fresh.series.bounds[1] > since and fresh.series.bounds[0] < until]
        try:
            kept = await store.fetch(
                lambda connection: books.between(connection, where, since, until, provider=provider, product=product)
            )
        except NoStoreError:
            kept = []
        except StoreError:
            if not held:
                raise
            kept = []
        rows = [shown(fresh.series, now, fresh.origin, since, until) for fresh in held]
        rows += [shown(series, now, STORED, since, until) for series in not_held(kept, held)]
        rows.sort(key=lambda series: (series.delivery_day, series.product, series.provider))
        return MarketRange(where, since, until, len(rows), tuple(rows))

    @get("/providers")
    async def list_market_providers(self, trading: TheMarket) -> MarketProviders:
        """Who can be asked for prices; and of those that are, how that went."""
        return await trading.providers()


def not_held(kept: list[Series], held: list[Fresh]) -> list[Series]:
    """What the store has besides: of each day and product the one that counts."""
    days = {(fresh.series.delivery_day, fresh.series.product) for fresh in held}
    return counting(series for series in kept if (series.delivery_day, series.product) not in days)


def during(start: datetime | None, end: datetime | None, now: datetime, timezone: str) -> tuple[datetime, datetime]:
    """Two days from the site's midnight on, where nothing else is asked for. Raises InvalidError."""
    for at in (start, end):
        problem = None if at is None else outside(at)
        if problem is not None:
            raise InvalidError(problem)
    zone = ZoneInfo(timezone)
    midnight = datetime.combine(now.astimezone(zone).date(), time(), zone).astimezone(UTC)
    since = start or (midnight if end is None or end > midnight else end - DAY)
    until = end or since + 2 * DAY
    if since >= until:
        raise InvalidError(f"from {since.isoformat()} is not before to {until.isoformat()}")
    if until - since > books.RANGE_MAX:
        raise InvalidError(f"a range of {until - since} is longer than {books.RANGE_MAX.days} days; ask for less")
    return since, until
