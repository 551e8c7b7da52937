"""Where `joulectl market` has its prices from: a provider that is asked, the daemon, or its store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from jouled import config
from jouled.cli.db import Place
from jouled.config import Config
from jouled.errors import JouledError

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.books.prices import Series
    from jouled.signals.market.provider import Provider
    from jouled.wire.market import MarketRange, MarketSeries

# Who is asked where the settings name nobody.
DEFAULT = "energy-charts"


class Source:
    """The daemon's settings, with the flags given here. Read when they are used."""

    def __init__(self, path: str | None, url: str | None, state_dir: str | None) -> None:
        self._path = path
        self._flags = {"store.url": url, "state_dir": state_dir}
        self.place = Place(path, url, state_dir)
        # The store or the settings were named here: then no daemon is asked.
        self.is_offline = any(value is not None for value in (path, url, state_dir))

    @cached_property
    def settings(self) -> Config:
        return config.load(config.find(self._path, os.environ), self._flags, os.environ)

    @property
    def names(self) -> tuple[str, ...]:
        if not self.settings.market.providers:
            from jouled.cli import look

            look.warn(f"market.providers names nobody: {DEFAULT} is asked")
        return self.settings.market.providers or (DEFAULT,)

    def ask(self, name: str, day: str) -> Series:
        """Of the provider itself, now; `day` as the user said it. Raises ConfigError, SignalError."""
        import trio

        from jouled.control.market.asking import defect_of, fetched
        from jouled.control.market.chain import open_one
        from jouled.http import AnswerError, Http

        async def fetch() -> Series:
            async with Http("market") as http:
                provider = open_one(self.settings.market, name, http)
                now = datetime.now(UTC)
                try:
                    series = await fetched(provider, self.day(day, provider.timezone), now)
                except JouledError:
                    raise
                except Exception as error:  # a third party's code may raise anything
                    raise AnswerError(defect_of(provider, error)) from error
            return series._replace(zone=self.settings.market.zone, fetched_at=now)

        return trio.run(fetch)

    def provider(self, name: str) -> Provider:
        """Opened and not asked. Raises ConfigError."""
        from jouled.control.market.chain import open_one
        from jouled.http import Http

        return open_one(self.settings.market, name, Http("market"))

    def day(self, said: str, timezone: str) -> date:
        from jouled.books.prices import day_of

        today = day_of(datetime.now(UTC), timezone)
        return {"today": today, "tomorrow": today + timedelta(days=1)}.get(said) or date.fromisoformat(said)


class Day(click.ParamType[str]):
    """today, tomorrow, or a date: which date that is depends on the market's zone of time."""

    name = "DAY"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text in {"today", "tomorrow"}:
            return text
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = None
        # What a calendar holds, with a day before and after it.
        if day is None or day.isoformat() != text or not 1971 <= day.year <= 9000:
            self.fail(f"{text!r} is no day; write 2026-03-01, today or tomorrow", param, ctx)
        return text

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002
        from click.shell_completion import CompletionItem

        return [CompletionItem(word) for word in ("today", "tomorrow") if word.startswith(incomplete)]


def complete_name(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from jouled.signals.market import registry

    return [name for name in registry.names() if name.startswith(incomplete)]


day_option = click.option(
    "--day", type=Day(), default="today", show_default=True, help="The delivery day: YYYY-MM-DD, today or tomorrow."
)
json_option = click.option("--json", "is_json", is_flag=True, help="Print it as JSON, as the API does.")
pass_source = click.make_pass_decorator(Source)


def of_series(series: Sequence[Series], origin: str, zone: str) -> MarketRange:
    """In the words of the API."""
    from jouled.bookkeeping.market_shown import shown
    from jouled.wire.market import MarketRange

    now = datetime.now(UTC)
    start = min((one.bounds[0] for one in series), default=now)
    end = max((one.bounds[1] for one in series), default=now)
    return MarketRange(zone, start, end, len(series), tuple(shown(one, now, origin) for one in series))


def print_json(content: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.Encoder(decimal_format="number").encode(content)).decode())


def head_of(series: MarketSeries, now: datetime) -> str:
    """`energy-charts DE-LU day-ahead 2026-05-04: 96 slots, EUR/MWh, final, fetched 3 min ago`."""
    from jouled.cli.look import clean, seconds_text

    has_gaps = "" if series.is_complete else ", with gaps"
    age = seconds_text(max(0.0, (now - series.fetched_at).total_seconds()))
    origin = "" if series.origin == "fetched" else f", {series.origin}"
    revision = f", revision {series.revision}" if series.revision > 1 else ""
    return clean(
        f"{series.provider} {series.zone} {series.product} {series.delivery_day}: {len(series.slots)} slots{has_gaps},"
        f" {series.unit}, {series.quality}{revision}{origin}, fetched {age} ago"
    )


def rows_of(series: MarketSeries, timezone: str, now: datetime) -> list[list[str]]:
    """Local times with their offset: in the night of 25 hours two slots have one label."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(timezone)
    rows = []
    for slot in series.slots:
        start, end = slot.start.astimezone(zone), slot.end.astimezone(zone)
        until = "24:00" if end.time().isoformat() == "00:00:00" else f"{end:%H:%M}"
        offset = f"{start:%z}"
        rows.append(
            [
                f"{start:%Y-%m-%d}",
                f"{start:%H:%M}-{until}",
                f"{offset[:3]}:{offset[3:5]}",
                "-" if slot.price is None else f"{slot.price:.2f}",
                "-" if slot.volume is None else f"{slot.volume:.1f}",
                "now" if slot.start <= now < slot.end else "",
            ]
        )
    return rows


def show(found: MarketRange, timezone: str) -> None:
    """One table for each series."""
    import sys

    from jouled.cli import look

    style = look.look_of(sys.stdout)
    now = datetime.now(UTC)
    lines: list[str] = []
    for series in found.series:
        lines += [head_of(series, now)]
        heads = ("DAY", "PERIOD", "OFFSET", series.unit, series.volume_unit, "")
        lines += look.table(heads, rows_of(series, timezone, now), frozenset({3, 4}), style)
    look.say(lines, style)
