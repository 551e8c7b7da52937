"""Who gives prices, in the words of the API: one translation for the daemon and for joulectl."""

from __future__ import annotations

from jouled.config.market import Market as Settings
from jouled.control.market.asking import Asking
from jouled.control.market.market import Market
from jouled.signals.market import registry
from jouled.signals.market.provider import Parameter
from jouled.wire.market import (
    MarketProvider,
    MarketProviders,
    ProviderParameter,
    ProviderState,
)


def providers(listing: registry.Listing, market: Market | None, settings: Settings) -> MarketProviders:
    chain = () if market is None else market.chain
    states = {asking.name: _state(asking) for asking in chain}
    return MarketProviders(
        zone=settings.zone,
        timezone=settings.timezone,
        chain=tuple(asking.name for asking in chain),
        next_fetch_at=None if market is None else market.next_at,
        refreshes=0 if market is None else market.refreshes,
        problems=listing.problems,
        providers=tuple(
            MarketProvider(
                name=one.name,
                description=one.kind.description,
                origin=one.origin,
                zones=tuple(one.kind.zones),
                parameters=tuple(_parameter(about) for about in one.kind.parameters),
                state=states.get(one.name),
            )
            for one in listing.providers
        ),
    )


def _parameter(about: Parameter) -> ProviderParameter:
    return ProviderParameter(
        name=about.name,
        description=about.description,
        default=None if about.is_secret else about.default,
        is_required=about.default is None,
        is_secret=about.is_secret,
        allowed=about.allowed,
    )


def _state(asking: Asking) -> ProviderState:
    return ProviderState(
        position=asking.index,
        asked_at=asking.asked_at,
        answered_at=asking.answered_at,
        failures=asking.failures,
        problem=asking.problem,
        left_alone_until=asking.alone_until,
        fetches=dict(asking.results),
    )
