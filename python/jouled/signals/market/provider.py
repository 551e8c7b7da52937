"""What gives prices: the shape that every provider has, those of others too.

A third party's provider is a class of this shape, named in the entry-point group `jouled.market_providers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import NamedTuple, Protocol, Self

from jouled.books.prices import Series
from jouled.http import Http

GROUP = "jouled.market_providers"

# The auction's zone of time: all of SDAC, also for sites in EE, FI, GR and PT.
CET = "Europe/Brussels"


class Parameter(NamedTuple):
    """Something that a provider wants to know. Without a default it is required."""

    name: str
    description: str
    default: str | None = None
    # Never shown; given as credential:NAME or file:/PATH, and resolved before the provider sees it.
    is_secret: bool = False
    # The values that can be; empty where any may be.
    allowed: tuple[str, ...] = ()


class Request(NamedTuple):
    """What a provider is opened with."""

    # The bidding zone as jouled's settings name it: DE-LU, FR, GB.
    zone: str
    # By name, all of them checked: known, allowed, and there where required.
    parameters: Mapping[str, str]
    # The provider's address in place of its public one.
    url: str | None = None
    # The site's; a market has its own.
    timezone: str = "Europe/Berlin"


class Provider(Protocol):
    """Gives the series of one delivery day."""

    # "energy-charts"; also the word in market.providers.
    name: str
    # One line for `joulectl market providers`: who it is, what it covers, whether a key is needed, the licence.
    description: str
    parameters: tuple[Parameter, ...]
    # The bidding zones that it has; empty where any may be. Checked before it is opened.
    zones: tuple[str, ...]
    # When tomorrow's prices are out, in the time of `timezone`.
    published: time

    @property
    def timezone(self) -> str:
        """Whose midnights bound the delivery day: the auction's, which is CET for all of SDAC."""
        ...

    @property
    def notice(self) -> str | None:
        """What the operator is told once, when it starts: a licence that binds in this zone. None for nothing."""
        ...

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:
        """Raises ConfigError for a zone or parameter that cannot be, naming what can."""
        ...

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        """The series of that day; `now` is when it is asked for.

        Raises MissingError where nothing of the day is published yet (what is published of it in part is
        a series with gaps), RejectedError, BusyError and the other
        SignalErrors of jouled.http; AnswerError for a body that is not what it should be, of
        which nothing is used. Nothing else is raised whatever the body is.
        """
        ...
