"""What whoever writes a provider runs in its tests: recorded answers, broken ones, and what must come of them.

def test_my_provider() -> None:
    series = check_provider(MyProvider, {"https://prices.example/v1/day": recorded}, date(2026, 5, 4), zone="FR")
    assert len(series.slots) == 96
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import httpx2
import trio

from jouled.books.prices import PRICE_MAX, Series, day_bounds
from jouled.http import BusyError, Http, MissingError, SignalError, TroubleError
from jouled.signals.market.provider import Provider, Request
from jouled.signals.market.registry import checked, misshapen

# Of each recorded answer at most so many values are exchanged, spread over it.
LEAVES_MAX = 12
RETRY_AFTER_S = 17


class Recorded(NamedTuple):
    """An answer as it came, where its status is not 200 or its headers matter."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}


# By address. One without a query answers every query; one with it only that one.
Answers: TypeAlias = Mapping[str, bytes | Recorded]


def check_provider(
    kind: type[Provider],
    answers: Answers,
    day: date,
    *,
    zone: str,
    parameters: Mapping[str, str] | None = None,
    timezone: str = "Europe/Berlin",
) -> Series:
    """The series of the recorded answers, after a look at all that a provider promises.

    The class has the shape of a provider; parameters that it does not know are refused; each of the answers
    is spoiled in a few hundred ways, and what comes of it is a series that can be or a SignalError; statuses
    come through as what they mean. Call it once for each day that matters: an ordinary one, those on which
    the clock is set, one with nulls and negative prices. Raises AssertionError, which says what is wrong.
    """
    wrong = misshapen(kind)
    if wrong is not None:
        raise AssertionError(f"{kind!r} is no provider: {wrong}")
    given = checked(kind.name, kind.parameters, parameters or {}, {})
    return trio.run(_check, kind, dict(answers), Request(zone, given, None, timezone), day)


def check_series(series: Series, request: Request, day: date, now: datetime) -> None:
    """Raises AssertionError for a series that cannot be."""
    said = f"series of {series.provider} for {day}"
    if (series.zone, series.delivery_day, series.fetched_at) != (request.zone, day, now):
        raise AssertionError(f"{said}: it is of another zone, day or fetch: {series._replace(slots=())}")
    if len(series.currency) != 3 or not series.currency.isupper() or len(series.body_sha256) != 64:
        raise AssertionError(f"{said}: {series.currency!r} is no currency, or {series.body_sha256!r} no SHA-256")
    before, end = day_bounds(day, series.timezone)
    if not series.slots:
        raise AssertionError(f"{said}: no slots; raise MissingError where nothing is published yet")
    for slot in series.slots:
        if slot.start.tzinfo is not UTC or slot.end.tzinfo is not UTC:
            raise AssertionError(f"{said}: {slot} is not in UTC")
        if not before <= slot.start < slot.end <= end:
            raise AssertionError(f"{said}: {slot} overlaps the one before it, or leaves the day")
        for value in (slot.price, slot.volume_mwh):
            if value is not None and not (
                type(value) is Decimal and value.is_finite() and abs(value) <= PRICE_MAX * 100
            ):
                raise AssertionError(f"{said}: {slot} has a value that cannot be")
        before = slot.end


def spoiled(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Ways in which an answer goes wrong, each with its name."""
    yield "nothing", b""
    yield "a page for browsers", b"<!doctype html><title>Checking your browser</title>"
    yield "null", b"null"
    yield "an empty list", b"[]"
    yield "an empty object", b"{}"
    yield "a number", b"42"
    yield "no UTF-8", b"\xff\xfe" + body
    yield "a zero byte", body[: len(body) // 2] + b"\0" + body[len(body) // 2 :]
    yield "deep nesting", b"[" * 50_000
    yield "deep nesting of objects", b'{"a":' * 50_000
    yield "the answer twice", body + body
    for tenth in range(1, 10):
        yield f"cut off after {tenth} tenths", body[: len(body) * tenth // 10]
    yield "letters for digits", bytes(120 if 48 <= byte < 58 else byte for byte in body)
    yield "a digit more everywhere", b"".join(bytes((byte,)) * (2 if 48 <= byte < 58 else 1) for byte in body[:20_000])
    yield from _exchanged(body)


def transport_of(answers: Answers) -> httpx2.MockTransport:
    """For Http(transport=): 404 for every other address."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        told = answers.get(str(request.url), answers.get(str(request.url.copy_with(query=None))))
        if told is None:
            return httpx2.Response(404, stream=_Stream(b"no such address among the recorded answers"))
        answer = Recorded(told) if isinstance(told, bytes) else told
        return httpx2.Response(answer.status, headers=dict(answer.headers), stream=_Stream(answer.body))

    return httpx2.MockTransport(respond)


async def _check(kind: type[Provider], answers: dict[str, bytes | Recorded], request: Request, day: date) -> Series:
    now = datetime.combine(day, time(), UTC) - timedelta(hours=10)
    told = dict(answers)
    async with Http("market", transport=transport_of(told), tries=1) as http:
        asked = _Asked(kind, request, http, day, now)
        series = await asked.series()
        check_series(series, request, day, now)
        for address, answer in answers.items():
            body = answer if isinstance(answer, bytes) else answer.body
            for how, bad in spoiled(body):
                told[address] = bad
                await asked.badly(f"{address} with {how}")
            told[address] = answer
        if answers:
            await _check_statuses(asked, told)
    return series


class _Stream(httpx2.AsyncByteStream):
    """As from a network: a body that is there at once is not what Http reads."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


class _Asked(NamedTuple):
    """The same question again and again."""

    kind: type[Provider]
    request: Request
    http: Http
    day: date
    now: datetime

    async def series(self) -> Series:
        return await self.kind.open(self.request, self.http).fetch(self.day, self.now)

    async def badly(self, what: str) -> SignalError | None:
        """What came of it; None for a series that can be."""
        try:
            check_series(await self.series(), self.request, self.day, self.now)
        except SignalError as error:
            return error
        except Exception as error:
            raise AssertionError(f"{self.kind.name}: {what}: {error!r}; raise AnswerError instead") from error
        return None


async def _check_statuses(asked: _Asked, told: dict[str, bytes | Recorded]) -> None:
    page = b"<!doctype html><title>Checking your browser</title>"
    cases: tuple[tuple[Recorded, type[SignalError]], ...] = (
        (Recorded(status=204), MissingError),
        (Recorded(b"{}", 404), MissingError),
        (Recorded(page, 202), SignalError),
        (Recorded(b"{}", 401), SignalError),
        (Recorded(b'{"detail":[]}', 422), SignalError),
        (Recorded(b"", 429, {"retry-after": str(RETRY_AFTER_S)}), BusyError),
        (Recorded(b"", 503), TroubleError),
    )
    for answer, expected in cases:
        told.update(dict.fromkeys(told, answer))
        error = await asked.badly(f"status {answer.status}")
        if error is None or not isinstance(error, expected):
            raise AssertionError(f"{asked.kind.name}: {answer.status} became {error!r}, not {expected.__name__}")
        if expected is BusyError and error.retry_after_s != RETRY_AFTER_S:
            raise AssertionError(f"{asked.kind.name}: Retry-After was lost; let the error of Http through")


def _exchanged(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Of JSON: one value after the other becomes something else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return
    places = list(_places(content))
    for place in places[:: max(1, len(places) // LEAVES_MAX)]:
        parent = content
        for step in place[:-1]:
            parent = parent[step]
        was = parent[place[-1]]
        others: tuple[Any, ...] = (None, "x", "", -1, 10**18, 0.5, True, [], {}, [was, was], 123456789)
        for bad in others:
            parent[place[-1]] = bad
            yield f"{bad!r} at {place}", json.dumps(content).encode()
        parent[place[-1]] = "\N{REPLACEMENT CHARACTER}!"
        text = json.dumps(content, ensure_ascii=False)
        for word in ("1e999999999", "-1e400", "1e-999999999", "NaN", "9" * 5000, '"\\ud800"', '"NaN"', '"sNaN"'):
            yield f"{word[:20]} at {place}", text.replace('"\N{REPLACEMENT CHARACTER}!"', word, 1).encode()
        parent[place[-1]] = was


def _places(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(inner):
        yield from _places(value, (*place, key))
