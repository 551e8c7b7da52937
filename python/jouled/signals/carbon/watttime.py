"""WattTime: marginal intensity (MOER), the last day's and forecast.

https://api.watttime.org/login gives a token for 30 minutes; /v3/{historical,forecast} give lb/MWh.
/v3/signal-index is a percentile of 0 to 100 and no intensity: it is never asked for, and never taken.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from jouled.books.intensity import Slot, grams_of_pounds
from jouled.http import Answer, AnswerError, Http, RejectedError
from jouled.signals.answers import decoded
from jouled.signals.carbon.fetched import Fetched, Source, gathered
from jouled.signals.carbon.slots import Origin, Point, slots_of

NAME = "watttime"
URL = "https://api.watttime.org"
SIGNAL = "co2_moer"
UNITS = "lbs_co2_per_mwh"
HORIZON_HOURS = 24
# It is given for 30 minutes; one that ends on its way would be a request for nothing.
LOGIN_LASTS = timedelta(minutes=25)


class _Login(Struct, frozen=True):
    token: str


class _Value(Struct, frozen=True):
    point_time: Annotated[datetime, Meta(tz=True)]
    value: Decimal | None = None


class _Meta(Struct, frozen=True):
    region: str
    signal_type: str
    units: str
    data_point_period_seconds: Annotated[int, Meta(gt=0, le=3600)] | None = None


class _Answer(Struct, frozen=True):
    data: list[_Value]
    meta: _Meta


class WattTime:
    """Logs in with USER:PASSWORD, and again before the login ends, or when it is no longer taken."""

    name = NAME

    def __init__(self, http: Http, source: Source) -> None:
        self._http = http
        self._url = source.url or URL
        user, _, password = (source.token or "").partition(":")
        self._auth = user, password
        self._login: tuple[str, datetime] | None = None

    async def fetch(self, zone: str, now: datetime) -> Fetched:
        day = {"start": (now - timedelta(days=1)).isoformat(), "end": now.isoformat()}
        ahead = {"horizon_hours": str(HORIZON_HOURS)}
        return await gathered(
            lambda: self._part(zone, now, "historical", day), lambda: self._part(zone, now, "forecast", ahead)
        )

    async def _part(self, zone: str, now: datetime, part: str, extra: dict[str, str]) -> list[Slot]:
        params = {"region": zone, "signal_type": SIGNAL, **extra}
        url = f"{self._url}/v3/{part}"
        was_logged_in = self._login is not None
        try:
            answer = await self._ask(url, params, now)
        except RejectedError:
            if not was_logged_in:
                raise
            self._login = None  # it may have been taken back
            answer = await self._ask(url, params, now)
        return parse(answer.body, Origin(zone, "marginal", NAME, now, answer.where), is_forecast=part == "forecast")

    async def _ask(self, url: str, params: dict[str, str], now: datetime) -> Answer:
        return await self._http.get(url, params=params, headers={"authorization": f"Bearer {await self._token(now)}"})

    async def _token(self, now: datetime) -> str:
        if self._login is not None and now < self._login[1]:
            return self._login[0]
        answer = await self._http.get(f"{self._url}/login", auth=self._auth)
        token = decoded(answer.body, _Login, answer.where).token
        if not token.isascii() or not token.isprintable():
            raise AnswerError(f"{answer.where}: its token holds characters that no header takes")
        self._login = token, now + LOGIN_LASTS
        return token


def parse(body: bytes, origin: Origin, *, is_forecast: bool) -> list[Slot]:
    answer = decoded(body, _Answer, origin.where)
    meta = answer.meta
    if meta.region != origin.zone:
        raise AnswerError(f"{origin.where}: the answer is of {meta.region!r}, not {origin.zone!r}; check carbon.zone")
    if meta.units != UNITS or meta.signal_type != SIGNAL:
        what = (
            "a percentile, which is no intensity" if "percent" in meta.units else f"{meta.signal_type} in {meta.units}"
        )
        raise AnswerError(f"{origin.where}: the answer is {what}; only {SIGNAL} in {UNITS} is taken")
    points = [
        Point(value.point_time, None if value.value is None else grams_of_pounds(value.value), is_forecast=is_forecast)
        for value in answer.data
    ]
    period_s = meta.data_point_period_seconds
    return slots_of(points, origin, body, resolution=None if period_s is None else timedelta(seconds=period_s))
