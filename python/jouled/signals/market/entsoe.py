"""ENTSO-E's Transparency Platform: day-ahead prices of all Europe, document A44; a free key by mail.

https://web-api.tp.entsoe.eu/api?documentType=A44&in_Domain=EIC&out_Domain=EIC&periodStart=&periodEnd=: whole
market days in UTC, several time series for one of them. What is not published yet is an acknowledgement, whose
status may be 200 or 400. More than 400 questions a minute are followed by ten minutes without answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Self

from jouled.books.prices import Series, day_bounds
from jouled.errors import ConfigError
from jouled.http import (
    Answer,
    AnswerError,
    BusyError,
    Http,
    MissingError,
    RejectedError,
    SignalError,
    TroubleError,
)
from jouled.signals.answers import excerpt
from jouled.signals.market.entsoe_xml import KEY_FIX, Document, TimeSeries, read
from jouled.signals.market.provider import CET, Parameter, Request
from jouled.signals.market.slots import Origin, Point, series_of

NAME = "entsoe"
URL = "https://web-api.tp.entsoe.eu/api"
# By the names that other providers have for them too.
EIC: Mapping[str, str] = {
    "AT": "10YAT-APG------L",
    "BE": "10YBE----------2",
    "BG": "10YCA-BULGARIA-R",
    "CH": "10YCH-SWISSGRIDZ",
    "CZ": "10YCZ-CEPS-----N",
    "DE-LU": "10Y1001A1001A82H",
    "DK1": "10YDK-1--------W",
    "DK2": "10YDK-2--------M",
    "EE": "10Y1001A1001A39I",
    "ES": "10YES-REE------0",
    "FI": "10YFI-1--------U",
    "FR": "10YFR-RTE------C",
    "GR": "10YGR-HTSO-----Y",
    "HR": "10YHR-HEP------M",
    "HU": "10YHU-MAVIR----U",
    "IE-SEM": "10Y1001A1001A59C",
    "IT-Calabria": "10Y1001C--00096J",
    "IT-Centre-North": "10Y1001A1001A70O",
    "IT-Centre-South": "10Y1001A1001A71M",
    "IT-North": "10Y1001A1001A73I",
    "IT-SACOAC": "10Y1001A1001A885",
    "IT-SACODC": "10Y1001A1001A893",
    "IT-Sardinia": "10Y1001A1001A74G",
    "IT-Sicily": "10Y1001A1001A75E",
    "IT-South": "10Y1001A1001A788",
    "LT": "10YLT-1001A0008Q",
    "LV": "10YLV-1001A00074",
    "NL": "10YNL----------L",
    "NO1": "10YNO-1--------2",
    "NO2": "10YNO-2--------T",
    "NO3": "10YNO-3--------J",
    "NO4": "10YNO-4--------9",
    "NO5": "10Y1001A1001A48H",
    "PL": "10YPL-AREA-----S",
    "PT": "10YPT-REN------W",
    "RO": "10YRO-TEL------P",
    "SE1": "10Y1001A1001A44P",
    "SE2": "10Y1001A1001A45N",
    "SE3": "10Y1001A1001A46L",
    "SE4": "10Y1001A1001A47J",
    "SI": "10YSI-ELES-----O",
    "SK": "10YSK-SEPS-----K",
}
EIC_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"
# What the sequence's position is of each auction. Only in AT and DE-LU there are two of them.
POSITIONS = {"sdac": 1, "exaa": 2}
PRODUCTS = {"sdac": "day-ahead", "exaa": "exaa"}
EXAA = ("AT", "DE-LU")
DAY_AHEAD = "A01"
# Of one answer; the next ones begin behind it. A day has two or four, so a few answers are plenty.
PAGE_SIZE = 100
PAGES_MAX = 5
BAN_S = 600.0


class Entsoe:
    """One question a day of delivery, which is that of CET, and one more for each further hundred time series."""

    name = NAME
    description = "day-ahead prices of all Europe, SDAC or EXAA; a free key by mail; ENTSO-E Transparency Platform"
    parameters: tuple[Parameter, ...] = (
        Parameter("token", "The key that ENTSO-E gives by mail.", is_secret=True),
        Parameter(
            "auction",
            "Whose prices, where there are two; EXAA's are of AT and DE-LU.",
            "sdac",
            allowed=("sdac", "exaa"),
        ),
        Parameter("eic", "The code of a bidding zone that has no name here.", ""),
    )
    # Any with a code of its own, so that opening it decides.
    zones: tuple[str, ...] = ()
    timezone = CET
    published = time(12, 55)
    notice: str | None = None

    def __init__(
        self, http: Http, zone: str, *, token: str, auction: str = "sdac", eic: str = "", url: str | None = None
    ) -> None:
        self._http = http
        self._zone = zone
        self._token = token
        self._auction = auction
        self._eic = eic or EIC[zone]
        self._url = url or URL

    def __repr__(self) -> str:
        return f"<Entsoe {self._zone} {self._eic} {self._auction}>"

    @classmethod
    def open(cls, request: Request, http: Http) -> Self:
        given = request.parameters
        auction, eic = given.get("auction", "sdac"), given.get("eic", "")
        if not eic and request.zone not in EIC:
            known = ", ".join(EIC)
            raise ConfigError(
                f"market.zone {request.zone!r} is none of {NAME}; write one of {known}, or its code as {NAME}.eic"
            )
        if eic and not is_eic(eic):
            raise ConfigError(
                f"market.parameters {NAME}.eic: {eic!r} is no code of an area; write sixteen characters, as {EIC['FR']}"
            )
        if auction == "exaa" and (eic or EIC[request.zone]) not in {EIC[zone] for zone in EXAA}:
            raise ConfigError(
                f"market.parameters {NAME}.auction: there is no exaa in {request.zone}, only in {', '.join(EXAA)};"
                " write sdac"
            )
        return cls(http, request.zone, token=given["token"], auction=auction, eic=eic, url=request.url)

    async def fetch(self, delivery_day: date, now: datetime) -> Series:
        start, end = day_bounds(delivery_day, CET)
        params = {
            "securityToken": self._token,
            "documentType": "A44",
            "in_Domain": self._eic,
            "out_Domain": self._eic,
            "periodStart": f"{start:%Y%m%d%H%M}",
            "periodEnd": f"{end:%Y%m%d%H%M}",
            "contract_MarketAgreement.type": DAY_AHEAD,
        }
        bodies: list[bytes] = []
        documents: list[Document] = []
        where = ""
        while not documents or len(documents[-1].series) >= PAGE_SIZE:
            if len(bodies) == PAGES_MAX:
                raise AnswerError(f"{where}: more than {PAGES_MAX * PAGE_SIZE} time series for one day")
            offset = {"offset": str(len(bodies) * PAGE_SIZE)} if bodies else {}
            try:
                answer = await self._ask({**params, **offset})
                document = read(answer.body, answer.where)
            except MissingError:
                if not bodies:
                    raise
                break  # the answer before it was the last one, and full
            where = where or answer.where
            bodies.append(answer.body)
            documents.append(document)
        origin = Origin(NAME, self._zone, delivery_day, CET, now, where, product=PRODUCTS[self._auction])
        return parse(documents, bodies, origin, eic=self._eic, auction=self._auction)

    async def _ask(self, params: Mapping[str, str]) -> Answer:
        """Statuses as ENTSO-E means them: the reason is in the body, as XML or as a page."""
        try:
            return await self._http.get(self._url, params=params, busy_s=BAN_S)
        except SignalError as error:
            raise _meant(error) from error


def _meant(error: SignalError) -> SignalError:
    said, status = str(error).partition(";")[0], error.status or 0
    found = error
    if status == 429:
        found = BusyError(f"{said}; asked too often: it answers again after ten minutes")
    elif status in {401, 403}:
        found = RejectedError(f"{said}; {KEY_FIX}")
    elif status == 400:
        found = _reason(error.body, said) or error
    elif status >= 500:
        found = TroubleError(f"{said}; their trouble: it is tried again later")  # also where it is a page
    found.retry_after_s, found.status = error.retry_after_s, error.status
    return found


def _reason(body: bytes, where: str) -> SignalError | None:
    """None where the body gives none: then the status says all that there is."""
    try:
        read(body, where)
    except AnswerError:
        return None
    except SignalError as reason:
        return reason
    return None


def parse(
    documents: Sequence[Document], bodies: Sequence[bytes], origin: Origin, *, eic: str, auction: str = "sdac"
) -> Series:
    """Of one auction; what is of others, and of other contracts, is left out.

    Raises AnswerError for prices of another area, or in two currencies; MissingError where nothing is left.
    """
    every = [series for document in documents for series in document.series]
    for series in every:
        if series.area not in {None, eic}:
            raise AnswerError(f"{origin.where}: prices of {excerpt(series.area)}, not of {eic}; none of it is used")
    contracted = [series for series in every if series.contract in {None, DAY_AHEAD}]
    chosen = [series for series in contracted if _is_of(series, auction)]
    if contracted and not chosen:
        others = " or ".join(name for name in POSITIONS if name != auction)
        raise MissingError(
            f"{origin.where}: of {origin.delivery_day} only prices of {others} are there, none of {auction}; ask again"
            f" later, or set {NAME}.auction"
        )
    currencies = {series.currency for series in chosen} or {origin.currency}
    if len(currencies) > 1:
        raise AnswerError(f"{origin.where}: prices in {' and '.join(sorted(currencies))}; none of it is used")
    revision = max((document.revision for document in documents), default=1)
    return series_of(_points(chosen), origin._replace(currency=currencies.pop()), *bodies, revision=revision)


def is_eic(text: str) -> bool:
    """Whether the last of its sixteen characters is the one that belongs to the others; Y is an area.

    The EIC Reference Manual of ENTSO-E: each character's number times 16, 15, 14 and so on.
    """
    if len(text) != 16 or text[2] != "Y" or not all(char in EIC_CHARACTERS for char in text):
        return False
    total = sum(EIC_CHARACTERS.index(char) * (16 - place) for place, char in enumerate(text[:15]))
    return text[15] == EIC_CHARACTERS[36 - (total - 1) % 37]


def _is_of(series: TimeSeries, auction: str) -> bool:
    """Where there is one auction only, or in years before there were two, it has no position: that one is SDAC."""
    return series.position == POSITIONS[auction] or (series.position is None and auction == "sdac")


def _points(chosen: Sequence[TimeSeries]) -> Iterator[Point]:
    for series in chosen:
        for period in series.periods:
            for start, price in period.points():
                yield Point(start, price, start + period.resolution)
