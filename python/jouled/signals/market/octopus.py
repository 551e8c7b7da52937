"""Octopus Agile: half-hourly prices that customers in Great Britain pay; no key.

https://api.octopus.energy/v1/products/AGILE-24-10-01/electricity-tariffs/E-1R-AGILE-24-10-01-C/standard-unit-rates/:
pence per kWh, newest first, in pages.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Self
from urllib.parse import urlsplit

from msgspec import Struct

from jouled.books.prices import Series, day_bounds
from jouled.errors import ConfigError
from jouled.http import AnswerError, Http
from jouled.signals.answers import decoded, excerpt, instant_of_text
from jouled.signals.market.provider import CET, Parameter, Request
from jouled.signals.market.slots import Origin, Point, bounded, per_mwh, series_of, unit_of

NAME = "octopus"
URL = "https://api.octopus.energy"
# Regions of the network; there is no I and no O.
REGIONS = "ABCDEFGHJKLMNP"
PRODUCT = re.compile(r"[A-Z0-9][A-Z0-9-]{2,60}", re.ASCII)
VAT = ("inc", "exc")
METHODS = ("DIRECT_DEBIT", "NON_DIRECT_DEBIT")
PAGE_SIZE = 1500
# A day has fifty rates; of two ways to pay a hundred.
PAGES_MAX = 5


class _Rate(Struct, frozen=True):
    value_exc_vat: Decimal | None
    value_inc_vat: Decimal | None
    valid_from: str
    valid_to: str | None = None
    payment_method: str | None = None


class _Page(Struct, frozen=True):
    results: list[_Rate]
    next: str | None = None


class Octopus:
    """A request a day of delivery, which goes from 23:00 to 23:00 local time: that is midnight of CET all year."""

    name = NAME
    description = "half-hourly Agile tariff in Great Britain, GB-A to GB-P; no key; prices of the supplier's customers"
    parameters: tuple[Parameter, ...] = (
        Parameter("product", "The tariff's product.", "AGILE-24-10-01"),
        Parameter("vat", "Prices with VAT, or without where tariff.tax adds it.", "inc", allowed=VAT),
        Parameter("payment", "How it is paid for, where the price depends on it.", METHODS[0], allowed=METHODS),
    )
    zones: tuple[str, ...] = tuple(f"GB-{region}" for region in REGIONS)
    timezone = CET
    # 16:00 in London, at the earliest.
    published = time(17, 0)
    notice: str | None = None

    def __init__(
        self,
        http: Http,
        zone: str,
        *,
        product: str = "AGILE-24-10-01",
        vat: str = "inc",
        payment: str = METHODS[0],
        url: str | None = None,
    ) -> None:
        self._http = http
        self._zone = zone
        self._tariff = f"E-1R-{product}-{zone[-1]}"
        self._product = product
        self._vat = vat
        self._payment = payment
        self._url = url or URL

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:
        given = request.parameters
        product = given.get("product", "AGILE-24-10-01")
        if not PRODUCT.fullmatch(product):
            raise ConfigError(
                f"market.parameters {NAME}.product: {product!r} is no product; write it as AGILE-24-10-01"
            )
        return cls(
            http,
            request.zone,
            product=product,
            vat=given.get("vat", "inc"),
            payment=given.get("payment", METHODS[0]),
            url=request.url,
        )

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        start, end = day_bounds(delivery_day, CET)
        base = f"{self._url}/v1/products/{self._product}/electricity-tariffs/{self._tariff}/standard-unit-rates/"
        params: dict[str, str] | None = {
            "period_from": f"{start:%Y-%m-%dT%H:%MZ}",
            "period_to": f"{end:%Y-%m-%dT%H:%MZ}",
            "page_size": str(PAGE_SIZE),
        }
        url: str | None = base
        bodies: list[bytes] = []
        where = ""
        while url is not None:
            answer = await self._http.get(url, params=params)
            where = where or answer.where
            bodies.append(answer.body)
            url, params = next_of(answer.body, base, where), None
            if url is not None and len(bodies) == PAGES_MAX:
                raise AnswerError(f"{where}: more than {PAGES_MAX} pages for one day; none of it is used")
        origin = Origin(NAME, self._zone, delivery_day, CET, now, where, "GBP", self._product)
        return parse(bodies, origin, vat=self._vat, payment=self._payment)


def next_of(body: bytes, base: str, where: str) -> str | None:
    """The next page's address; only one of the same place is followed."""
    following = decoded(body, _Page, where).next
    if following is None:
        return None
    try:
        here, there = urlsplit(base), urlsplit(following)
        is_same = (here.scheme, here.netloc, here.path) == (there.scheme, there.netloc, there.path)
    except ValueError:
        is_same = False
    if not is_same or not following.isprintable():
        raise AnswerError(
            f"{where}: the next page is at {excerpt(following)!r}, which is elsewhere; none of it is used"
        )
    return following


def parse(bodies: list[bytes], origin: Origin, *, vat: str = "inc", payment: str = METHODS[0]) -> Series:
    rates = [rate for body in bodies for rate in decoded(body, _Page, origin.where).results]
    points = (_point(rate, vat, origin.where) for rate in rates if rate.payment_method in {None, payment})
    return series_of(_closed(bounded(points, origin.where), origin), origin, *bodies)


def _point(rate: _Rate, vat: str, where: str) -> Point:
    _, factor = unit_of("pence/kWh", where)
    value = rate.value_inc_vat if vat == "inc" else rate.value_exc_vat
    end = None if rate.valid_to is None else instant_of_text(rate.valid_to, where)
    return Point(instant_of_text(rate.valid_from, where), per_mwh(value, factor, where), end)


def _closed(points: list[Point], origin: Origin) -> list[Point]:
    """Within the day. A rate without an end holds until the next one; the last one of several is as long as the
    one before it, and one that is alone holds until it is changed, as far as this day is concerned.
    """
    start, end = day_bounds(origin.delivery_day, origin.timezone)
    ordered = sorted(points, key=lambda point: point.start, reverse=True)
    lengths = [point.end - point.start for point in ordered if point.end is not None]
    later: datetime | None = None
    closed: list[Point] = []
    for index, point in enumerate(ordered):
        if index and ordered[index - 1].start > point.start:
            later = ordered[index - 1].start
        until = point.end or later or (point.start + lengths[0] if lengths else max(end, point.start))
        if until > start and point.start < end:  # a tariff may have held for years
            closed.append(point._replace(start=max(point.start, start), end=min(until, end)))
    return closed
