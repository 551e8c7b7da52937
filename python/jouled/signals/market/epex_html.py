"""EPEX SPOT's results as powercap read them, from pages: off unless it is allowed, or pages were saved.

https://www.epexspot.com/en/market-results?trading_date=&delivery_date=&market_area=FR&auction=IDA1&...: the
exchange asked public clients to stop reading these pages, and its site answers 202 with a challenge.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Self

import trio

from jouled.books.prices import Series
from jouled.errors import ConfigError
from jouled.http import Http, RejectedError
from jouled.signals.market import saved
from jouled.signals.market.epex_page import ASKED_TO_STOP, INSTEAD
from jouled.signals.market.epex_page import read as read_page
from jouled.signals.market.provider import CET, Parameter, Request
from jouled.signals.market.rows import points_of_rows
from jouled.signals.market.slots import Origin, series_of

NAME = "epex-html"
URL = "https://www.epexspot.com/en/market-results"
# A page has half of one, with all that is around the table.
BYTES_MAX = 8 * 1024 * 1024
WORD_MAX = 64
AGENT_MAX = 300
# When results are out, the day before.
PUBLISHED = {"IDA1": time(15, 15), "IDA2": time(22, 15)}


class EpexHtml:
    """One page a day of delivery; from a directory in a thread, because its disk may hang."""

    name = NAME
    description = "EPEX SPOT's pages of results; no key; off unless pages were saved or reading them is allowed to you"
    parameters: tuple[Parameter, ...] = (
        Parameter("market_area", "Whose results, as FR."),
        Parameter("auction", "Which auction, as IDA1."),
        Parameter("modality", "As the page has it, Auction."),
        Parameter("sub_modality", "As the page has it, Intraday or DayAhead."),
        Parameter("data_mode", "How the page shows results; only tables are read.", "table", allowed=("table",)),
        Parameter("directory", "Where saved pages are, epex_YYYY-MM-DD.html by the day of delivery.", ""),
        Parameter("allow", "Whether the exchange allows you to read its pages.", "no", allowed=("no", "yes")),
        Parameter("user_agent", "What to call yourself there, in place of jouled's name.", ""),
    )
    zones: tuple[str, ...] = ()
    timezone = CET
    published = time(12, 55)

    def __init__(self, http: Http, request: Request) -> None:
        given = request.parameters
        self._http = http
        self._zone = request.zone
        self._url = request.url or URL
        self._area = given["market_area"]
        # In the page's own order; the empty ones belong to it too.
        self._query = {
            **{name: given[name] for name in ("market_area", "auction", "modality", "sub_modality")},
            "data_mode": given.get("data_mode", "table"),
            **dict.fromkeys(("underlying_year", "technology", "period", "production_period"), ""),
        }
        self._agent = given.get("user_agent", "")
        self._directory = Path(given["directory"]) if given.get("directory") else None
        self.published = PUBLISHED.get(given["auction"].upper(), self.published)
        self._limiter = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<EpexHtml {self._area} from {self._directory or self._url}>"

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:
        given = request.parameters
        for name in ("market_area", "auction", "modality", "sub_modality"):
            _check_text(name, given[name], WORD_MAX)
        if given.get("user_agent"):
            _check_text("user_agent", given["user_agent"], AGENT_MAX)
        directory = given.get("directory", "")
        if directory and not directory.startswith("/"):
            raise ConfigError(f"market.parameters {NAME}.directory: {directory!r} is no directory; write /PATH")
        if not directory and given.get("allow", "no") != "yes":
            raise ConfigError(
                f"market.parameters {NAME}.allow: {NAME} is off: {ASKED_TO_STOP}, and its site answers 202 with a"
                f" challenge; {INSTEAD}; where it is allowed to you, write yes"
            )
        return cls(http, request)

    @property
    def notice(self) -> str | None:
        said = []
        if self._directory is None:
            said.append(f"{ASKED_TO_STOP}; {NAME} does so because {NAME}.allow is yes")
        if self._area != self._zone:
            said.append(f"{NAME} reads prices of {self._area} for zone {self._zone}; set market.zone to match")
        return "; ".join(said) or None

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        if self._directory is not None:
            path = self._directory / f"epex_{delivery_day.isoformat()}.html"
            body, where = (
                await trio.to_thread.run_sync(_saved, path, limiter=self._limiter, abandon_on_cancel=True),
                str(path),
            )
        else:
            body, where = await self._ask(delivery_day)
        origin = Origin(NAME, self._zone, delivery_day, CET, now, where, product=product_of(self._query))
        return parse(body, origin._replace(currency="GBP" if self._area.startswith("GB") else "EUR"))

    async def _ask(self, delivery_day: date) -> tuple[bytes, str]:
        params = {
            "trading_date": (delivery_day - timedelta(days=1)).isoformat(),
            "delivery_date": delivery_day.isoformat(),
            **self._query,
        }
        headers = {"accept": "text/html", **({"user-agent": self._agent} if self._agent else {})}
        try:
            answer = await self._http.get(self._url, params=params, headers=headers)
        except RejectedError as error:
            said = f"{str(error).partition(';')[0]}; {ASKED_TO_STOP}: {INSTEAD}"
            refused = RejectedError(said)
            refused.retry_after_s, refused.status = error.retry_after_s, error.status
            raise refused from error
        return answer.body, answer.where


def product_of(query: dict[str, str]) -> str:
    """Of the day-ahead auction its own name, of others theirs: prices of two auctions are not of one series."""
    return "day-ahead" if query["sub_modality"].lower() == "dayahead" else query["auction"].lower()


def parse(body: bytes, origin: Origin) -> Series:
    """`origin.currency` is that of a page that names none."""
    page = read_page(body, origin.delivery_day, origin.currency, origin.where)
    points = points_of_rows(page.rows, origin.delivery_day, origin.timezone)
    return series_of(points, origin._replace(currency=page.currency), body)


def _saved(path: Path) -> bytes:
    """Raises as `saved.read`."""
    too_large = "save the page alone, without its pictures"
    return saved.read(path, BYTES_MAX, missing="there is no such page; save it there", too_large=too_large)


def _check_text(name: str, text: str, most: int) -> None:
    if not text.strip() or not text.isprintable() or not text.isascii() or len(text) > most:
        raise ConfigError(
            f"market.parameters {NAME}.{name}: {text[:most]!r} cannot be; write at most {most} plain characters"
        )
