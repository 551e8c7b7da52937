"""ENTSO-E's documents: what a body of XML holds, as it is written there, or the refusal that came in its place.

Publication_MarketDocument and Acknowledgement_MarketDocument of IEC 62325-351, whichever of their versions:
names count, namespaces do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, NoReturn, cast
from xml.etree import ElementTree as ET

from jouled.http import AnswerError, MissingError, QuestionError, RejectedError
from jouled.signals.answers import excerpt, instant_of_text

# A hundred time series of a day of five-minute points have ninety thousand elements, in three megabytes.
BYTES_MAX = 4 * 1024 * 1024
ELEMENTS_MAX = 100_000
DEPTH_MAX = 12
CHUNK_CHARS = 16 * 1024
REASON_CHARS = 200
REVISION_MAX = 1_000_000
NUMBER = re.compile(r"[-+]?\d{1,12}(\.\d{0,40})?", re.ASCII)
WHOLE = re.compile(r"\d{1,7}", re.ASCII)
RESOLUTIONS = {
    "PT5M": timedelta(minutes=5),
    "PT15M": timedelta(minutes=15),
    "PT30M": timedelta(minutes=30),
    "PT60M": timedelta(minutes=60),
    "PT1H": timedelta(minutes=60),
}
# A point holds until the next one, or for its own length.
HELD, FIXED = "A03", "A01"
NO_MATCH = "no matching data"
KEY_FIX = "check entsoe.token in market.parameters, and that its account may use the API"
# Reasons have one code for nearly everything, 999: the words tell a refused key from a question that makes no sense.
KEY_WORDS = ("security token", "unauthorized", "unauthorised", "authentication", "authorization")


class Period(NamedTuple):
    """`places` of one length behind each other, some with a price by their number from 1; None says there is none."""

    start: datetime
    resolution: timedelta
    places: int
    prices: dict[int, Decimal | None]
    is_held: bool

    def points(self) -> Iterator[tuple[datetime, Decimal | None]]:
        """Of a held curve what is left out is as before it, also after the last one, to the period's end.

        Before the first one there is nothing to be held: that is missing.
        """
        price: Decimal | None = None
        for place in range(min(self.prices, default=self.places + 1), self.places + 1):
            if place in self.prices:
                price = self.prices[place]
            elif not self.is_held:
                continue
            yield self.start + (place - 1) * self.resolution, price


class TimeSeries(NamedTuple):
    """One auction's prices of one area. `position` tells auctions of the same area and contract apart."""

    area: str | None
    contract: str | None
    position: int | None
    currency: str
    periods: tuple[Period, ...]


class Document(NamedTuple):
    """A publication; `created_at` is when it was made, which is when it was asked for."""

    revision: int
    created_at: datetime | None
    series: tuple[TimeSeries, ...]


def read(body: bytes, where: str) -> Document:
    """Raises MissingError, RejectedError or QuestionError for an acknowledgement, AnswerError for what is no document."""
    root = _root(body, where)
    name = _name(root)
    if name == "Acknowledgement_MarketDocument":
        _refuse(root, where)
    if name != "Publication_MarketDocument" or _text(root, "type") != "A44":
        raise AnswerError(f"{where}: {excerpt(name)} of type {excerpt(_text(root, 'type'))} are no prices")
    created = _text(root, "createdDateTime")
    return Document(
        _whole(_text(root, "revisionNumber") or "1", REVISION_MAX, "revision", where),
        None if created is None else instant_of_text(created, where),
        tuple(_series(child, where) for child in root if _name(child) == "TimeSeries"),
    )


def _root(body: bytes, where: str) -> ET.Element:
    """Read in pieces, so that what is too much or too deep is refused before it is there.

    The text is decoded first: then the document cannot choose another encoding, and what would declare
    entities or fetch files is seen however it is written.
    """
    if len(body) > BYTES_MAX:
        raise AnswerError(f"{where}: more than {BYTES_MAX} bytes for one day; none of it is used")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AnswerError(f"{where}: not UTF-8; none of it is used") from None
    if "<!doctype html" in text[:1024].lower() or "<html" in text[:1024].lower():
        raise AnswerError(f"{where}: a page for browsers came instead of XML; open it in one, or mend the address")
    if "<!DOCTYPE" in text:
        raise AnswerError(f"{where}: a document with declarations of its own; none of it is used")
    parser: ET.XMLPullParser[ET.Element] = ET.XMLPullParser(("start", "end"))
    root: ET.Element | None = None
    count = depth = 0
    try:
        for at in range(0, len(text), CHUNK_CHARS):
            parser.feed(text[at : at + CHUNK_CHARS])
            for event, element in cast("Iterator[tuple[str, ET.Element]]", parser.read_events()):
                root = element if root is None else root
                count += event == "start"
                depth += 1 if event == "start" else -1
                if count > ELEMENTS_MAX or depth > DEPTH_MAX:
                    raise AnswerError(f"{where}: more than {ELEMENTS_MAX} parts, or {DEPTH_MAX} inside each other")
        parser.close()
    except (ET.ParseError, ValueError) as error:  # ValueError: a lone surrogate is no character
        raise AnswerError(f"{where}: not the XML that was expected: {excerpt(error, 100)}") from None
    if root is None:
        raise AnswerError(f"{where}: nothing came; it is tried again later")
    return root


def _refuse(root: ET.Element, where: str) -> NoReturn:
    """What an acknowledgement is here: the answer that there is no other."""
    reasons = [child for child in root if _name(child) == "Reason"]
    code = next((_text(reason, "code") for reason in reasons), None)
    text = " ".join(" ".join(_text(reason, "text") or "" for reason in reasons).split())
    said = f"{where}: {excerpt(code or 'no code')} {excerpt(text, REASON_CHARS)!r}"
    words = text.lower()
    if any(word in words for word in KEY_WORDS):
        raise RejectedError(f"{said}; {KEY_FIX}")
    if NO_MATCH in words or (code == "999" and not text):
        raise MissingError(f"{said}; nothing of it is published yet: it is asked again later")
    if code is None:
        raise AnswerError(f"{where}: an acknowledgement without a reason; none of it is used")
    raise QuestionError(f"{said}; it does not understand the question: check market.zone and entsoe.eic")


def _series(element: ET.Element, where: str) -> TimeSeries:
    unit = _text(element, "price_Measure_Unit.name")
    if unit is None or unit.upper() != "MWH":
        raise AnswerError(f"{where}: prices of one {excerpt(unit)}, not of one MWH; none of it is used")
    currency = _text(element, "currency_Unit.name") or ""
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        raise AnswerError(f"{where}: {excerpt(currency)!r} is no currency; none of it is used")
    # Without a curve it is of fixed blocks, as the standard has it.
    curve = _text(element, "curveType") or FIXED
    if curve not in {HELD, FIXED}:
        raise AnswerError(f"{where}: a curve of type {excerpt(curve)} is not known; none of it is used")
    position = _text(element, "classificationSequence_AttributeInstanceComponent.position")
    return TimeSeries(
        _text(element, "in_Domain.mRID"),
        _text(element, "contract_MarketAgreement.type"),
        None if position is None else _whole(position, 1000, "sequence", where),
        currency,
        tuple(_period(child, curve == HELD, where) for child in element if _name(child) == "Period"),
    )


def _period(element: ET.Element, is_held: bool, where: str) -> Period:
    interval = _child(element, "timeInterval")
    text = _text(element, "resolution")
    if interval is None or text is None:
        raise AnswerError(f"{where}: a period without its interval or its resolution; none of it is used")
    start, end = (instant_of_text(_text(interval, name) or "", where) for name in ("start", "end"))
    resolution = RESOLUTIONS.get(text)
    if resolution is None:
        raise AnswerError(f"{where}: a resolution of {excerpt(text)} is not known; none of it is used")
    places, rest = divmod(end - start, resolution)
    if rest or places < 1:
        raise AnswerError(f"{where}: from {start} to {end} there are no whole {excerpt(text)}; none of it is used")
    prices: dict[int, Decimal | None] = {}
    for child in element:
        if _name(child) == "Point":
            position = _whole(_text(child, "position") or "", places, "position", where)
            price = _price(_text(child, "price.amount"), where)
            if prices.setdefault(position, price) != price:
                raise AnswerError(f"{where}: two prices at position {position} from {start}; none of it is used")
    return Period(start, resolution, places, prices, is_held)


def _price(text: str | None, where: str) -> Decimal | None:
    if text is None:
        return None
    if not NUMBER.fullmatch(text):
        raise AnswerError(f"{where}: {excerpt(text)!r} is no price; none of it is used")
    return Decimal(text)


def _whole(text: str, most: int, what: str, where: str) -> int:
    if not WHOLE.fullmatch(text) or not 1 <= int(text) <= most:
        raise AnswerError(f"{where}: {what} {excerpt(text)!r} is not between 1 and {most}; none of it is used")
    return int(text)


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _child(element: ET.Element, name: str) -> ET.Element | None:
    return next((child for child in element if _name(child) == name), None)


def _text(element: ET.Element, name: str) -> str | None:
    """Of a child of that name, without white space around it; None where there is none, or nothing in it."""
    child = _child(element, name)
    return None if child is None else (child.text or "").strip() or None
