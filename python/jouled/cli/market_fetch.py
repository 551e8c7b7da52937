"""`joulectl market fetch`, `show`, `providers`: prices asked for by hand, seen, kept."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click

from jouled.cli.joulectl import Options
from jouled.cli.market_source import (
    Source,
    complete_name,
    day_option,
    json_option,
    of_series,
    pass_source,
    print_json,
    show,
)
from jouled.errors import JouledError

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.books.prices import Series
    from jouled.wire.market import MarketProviders, MarketRange

FETCH_EPILOG = """\b
Examples:
  joulectl market fetch                          today, of the first provider that answers
  joulectl market fetch nordpool --day tomorrow
  joulectl market fetch --csv /var/lib/prices    as <provider>_data_YYYY-MM-DD.csv
"""


@click.command(epilog=FETCH_EPILOG)
@click.argument("name", required=False, shell_complete=complete_name)
@day_option
@click.option("--csv", "directory", metavar="DIR", help="Save it there too, as Period,Volume (MWh),Price (€/MWh).")
@click.option("--no-store", "is_unstored", is_flag=True, help="Do not keep it in the daemon's store.")
@json_option
@pass_source
def fetch(
    source: Source, name: str | None, *, day: str, directory: str | None, is_unstored: bool, is_json: bool
) -> None:
    """Ask a provider for a day's prices now, and keep them in the store.

    NAME is one of joulectl market providers; without it those of the settings are asked, one after the other.
    """
    series = _asked(source, (name,) if name else source.names, day)
    if directory is not None:
        from jouled.signals.market.csv_file import write_csv

        click.echo(f"wrote {write_csv(Path(directory), series)}, in the time of {series.timezone}", err=True)
    if not is_unstored:
        series = _kept(source, series)
    found = of_series([series], "fetched", source.settings.market.zone)
    if is_json:
        print_json(found)
    else:
        show(found, source.settings.market.timezone)


@click.command("show")
@day_option
@json_option
@click.pass_obj
@click.pass_context
def show_prices(context: click.Context, source: Source, *, day: str, is_json: bool) -> None:
    """Show the prices that the daemon goes by; where none runs, those in its store.

    Times are the site's (market.timezone), with their offset from UTC.
    """
    found, timezone = _known(source, day, context.find_object(Options))
    if not found.series:
        raise JouledError(f"nothing is known of {day} in {found.zone}; see joulectl market fetch --day {day}")
    if is_json:
        print_json(found)
    else:
        show(found, timezone)


@click.command("providers")
@json_option
@click.pass_obj
@click.pass_context
def list_providers(context: click.Context, source: Source, *, is_json: bool) -> None:
    """List who can be asked for prices, what they want to know, and how asking the daemon's went."""
    found = _providers(source, context.find_object(Options))
    from jouled.cli import look

    for problem in found.problems:
        look.warn(problem)
    if is_json:
        print_json(found)
        return
    style = look.look_of(sys.stdout)
    look.say(_lines(found, datetime.now(UTC)), style)


def _lines(found: MarketProviders, now: datetime) -> list[str]:
    from jouled.cli.look import clean, seconds_text

    lines = []
    for one in found.providers:
        mark = "" if one.state is None else f"  [{one.state.position + 1} of {len(found.chain)}]"
        lines.append(clean(f"{one.name}{mark}: {one.description}"))
        for about in one.parameters:
            given = "required" if about.is_required else f"default {about.default}" if about.default else "optional"
            allowed = f"; one of {', '.join(about.allowed)}" if about.allowed else ""
            lines.append(clean(f"  {one.name}.{about.name}: {about.description} ({given}{allowed})"))
        if one.state is not None:
            answered = one.state.answered_at
            when = "never" if answered is None else f"{seconds_text((now - answered).total_seconds())} ago"
            lines.append(clean(f"  answered {when}; failures in a row {one.state.failures}"))
            if one.state.problem:
                lines.append(clean(f"  {one.state.problem}"))
    if found.next_fetch_at is not None:
        lines.append(f"next fetch in {seconds_text(max(0.0, (found.next_fetch_at - now).total_seconds()))}")
    return lines


def _asked(source: Source, names: tuple[str, ...], day: str) -> Series:
    """Of the first that answers; what the others said goes to standard error."""
    from jouled.cli.look import warn
    from jouled.http import SignalError

    for name in names[:-1]:
        try:
            return source.ask(name, day)
        except SignalError as error:
            warn(str(error))
    return source.ask(names[-1], day)


def _kept(source: Source, series: Series) -> Series:
    """In the daemon's store. Where that cannot be, a line says so: the prices are shown all the same."""
    from jouled.bookkeeping.market import put
    from jouled.cli.look import warn

    try:
        with source.place.opened("keep prices in") as engine, engine.begin() as connection:
            return put(connection, series, series.fetched_at)
    except JouledError as error:
        warn(f"not kept: {error}")
        return series


def _known(source: Source, day: str, options: Options | None) -> tuple[MarketRange, str]:
    """Of the daemon, else of its store; and the zone of time in which to show it."""
    from jouled.bookkeeping import market
    from jouled.bookkeeping.market_shown import counting
    from jouled.books.prices import day_bounds
    from jouled.client import Client, NotRunningError
    from jouled.wire.market import MarketProviders, MarketRange

    url = options.url if options is not None else None
    if not source.is_offline:
        client = Client(url)
        try:
            zone = client.ask("/api/v1/market/providers", MarketProviders).timezone
        except NotRunningError:
            if url is not None:
                raise
        else:
            start, end = day_bounds(source.day(day, zone), zone)
            span = urlencode({"from": _text(start), "to": _text(end)})
            return client.ask(f"/api/v1/market/series?{span}", MarketRange), zone
    settings = source.settings.market
    start, end = day_bounds(source.day(day, settings.timezone), settings.timezone)
    with source.place.opened("read prices of") as engine, engine.begin() as connection:
        series = counting(market.between(connection, settings.zone, start, end))
    return of_series(series, "stored", settings.zone), settings.timezone


def _providers(source: Source, options: Options | None) -> MarketProviders:
    """Of the daemon; where none runs, what is installed here."""
    from jouled.client import Client, NotRunningError
    from jouled.wire.market import MarketProviders

    url = options.url if options is not None else None
    if not source.is_offline:
        try:
            return Client(url).ask("/api/v1/market/providers", MarketProviders)
        except NotRunningError:
            if url is not None:
                raise
    from jouled.control.market.shown import providers
    from jouled.signals.market import registry

    return providers(registry.listing(), None, source.settings.market)


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
