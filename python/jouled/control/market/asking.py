"""One provider of the chain: how it was asked, what came of it, and for how long it wants to be left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import NamedTuple

import trio

from jouled.books.prices import Series
from jouled.books.series_check import problem_of
from jouled.errors import one_line
from jouled.http import AnswerError, MissingError, SignalError, UnreachableError
from jouled.log import log
from jouled.signals.market.provider import Provider

# All of it: several requests, each with its tries.
DEADLINE_S = 300.0
# Who asks for more is asked once a day all the same.
ALONE_MAX_S = 86_400.0


class Report(NamedTuple):
    """What came: a series, or nothing, and whether that is only because it is not there yet."""

    series: Series | None = None
    is_missing: bool = False


async def fetched(provider: Provider, day: date, now: datetime) -> Series:
    """What it says, looked at. Raises SignalError, and whatever else a third party's code may raise."""
    name = provider.name
    try:
        with trio.fail_after(DEADLINE_S):
            series = await provider.fetch(day, now)
    except trio.TooSlowError:
        raise UnreachableError(f"{name}: no prices of {day} within {DEADLINE_S:g} s; it is tried again later") from None
    if series.provider != name:
        raise AnswerError(f"{name}: the series says it is of {one_line(series.provider)[:64]!r}")
    if problem := problem_of(series, day):
        raise AnswerError(f"{name}: the series of {day} cannot be: {problem}; nothing of it is used")
    return series


def defect_of(provider: Provider, error: Exception) -> str:
    return f"{provider.name}: {type(error).__name__} {one_line(str(error))}; a defect of the provider"


class Asking:
    """Asks, counts, and says each trouble once."""

    def __init__(self, provider: Provider, index: int, clock: Callable[[], datetime]) -> None:
        self.provider = provider
        self.index = index
        # How it went: ok, or the kind of the trouble.
        self.results: Counter[str] = Counter()
        # In a row.
        self.failures = 0
        self.problem: str | None = None
        # Of its latest prices, also of those that an earlier daemon has left.
        self.currency: str | None = None
        self.asked_at: datetime | None = None
        self.answered_at: datetime | None = None
        self._clock = clock
        # By Trio's clock, which nobody sets.
        self._alone_until_s: float | None = None

    def __repr__(self) -> str:
        return f"<Asking {self.name} [{self.failures} failures]>"

    @property
    def name(self) -> str:
        return self.provider.name

    @property
    def alone_s(self) -> float:
        """For how long it wants to be left alone yet."""
        return 0.0 if self._alone_until_s is None else max(0.0, self._alone_until_s - trio.current_time())

    @property
    def alone_until(self) -> datetime | None:
        return self._clock() + timedelta(seconds=self.alone_s) if self.alone_s else None

    async def ask(self, day: date, zone: str, currency: str | None = None) -> Report:
        """Prices of another `currency` are none. Raises nothing: what others wrote may fail in any way."""
        now = self.asked_at = self._clock()
        try:
            series = await self._fetch(day, now, currency)
        except MissingError as error:
            # It answered, and has nothing yet. Whether that is a trouble is for the chain to say.
            self._count("missing")
            self._leave_alone(error)
            self.problem = str(error)
            return Report(is_missing=True)
        except SignalError as error:
            self._count(type(error).__name__.removesuffix("Error").lower())
            self._leave_alone(error)
            self._fail(str(error))
            return Report()
        except Exception as error:  # noqa: BLE001  (a third party's code: the daemon goes on)
            self._count("defect")
            self._fail(defect_of(self.provider, error), error)
            return Report()
        self._count("ok")
        self.currency = series.currency
        self._succeed()
        return Report(series._replace(zone=zone, fetched_at=now))

    async def _fetch(self, day: date, now: datetime, currency: str | None) -> Series:
        series = await fetched(self.provider, day, now)
        if currency not in {None, series.currency}:
            raise AnswerError(
                f"{self.name}: its prices are in {series.currency}, those of providers before it in {currency};"
                " nothing of it is used: leave it out of market.providers"
            )
        return series

    def _count(self, result: str) -> None:
        self.results[result] += 1

    def _leave_alone(self, error: SignalError) -> None:
        if error.retry_after_s:
            self._alone_until_s = trio.current_time() + min(error.retry_after_s, ALONE_MAX_S)

    def _fail(self, problem: str, error: Exception | None = None) -> None:
        self.failures += 1
        if problem != self.problem:
            log.warning(f"market: {problem}", provider=self.name, **({"exc_info": error} if error else {}))
        self.problem = problem

    def _succeed(self) -> None:
        if self.failures:
            log.info("market: the provider answers again", provider=self.name)
        self.failures = 0
        self.problem = None
        self._alone_until_s = None
        self.answered_at = self._clock()
