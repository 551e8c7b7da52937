"""The market as the settings want it: the chain of providers, opened, or refused before anything starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime

from jouled.config.market import Market as Settings
from jouled.control.market.market import Market
from jouled.errors import ConfigError
from jouled.http import Http
from jouled.log import log
from jouled.signals.market import registry
from jouled.signals.market.provider import Provider
from jouled.store import Store


def open_market(
    settings: Settings, store: Store | None, clock: Callable[[], datetime], environ: Mapping[str, str] = os.environ
) -> Market | None:
    """None where no provider is set. Raises ConfigError for a name, a zone or a parameter that cannot be.

    What binds whoever uses them, a licence, is said here once.
    """
    if not settings.providers:
        registry.check_names(settings)
        return None
    http = Http("market")
    chain = open_chain(settings, http, environ)
    for problem in registry.problems():
        log.warning(problem)
    for provider in chain:
        if provider.notice:
            log.warning(f"market: {provider.notice}", provider=provider.name)
    return Market(settings, chain, store=store, clock=clock, http=http)


def open_chain(settings: Settings, http: Http, environ: Mapping[str, str] = os.environ) -> list[Provider]:
    """All of `market.providers`, in order. Raises ConfigError."""
    for index, name in enumerate(settings.providers):
        if name in settings.providers[:index]:
            raise ConfigError(f"market.providers: {name} is given twice; give it once")
    return [open_one(settings, name, http, environ) for name in settings.providers]


def open_one(settings: Settings, name: str, http: Http, environ: Mapping[str, str] = os.environ) -> Provider:
    return registry.open_provider(name, registry.request_of(settings, name, environ), http)


def check(settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Whether the daemon would start with it. Asks nobody. Raises ConfigError."""
    registry.check_names(settings)
    if settings.providers:
        open_chain(settings, Http("market"), environ)
