"""`joulectl market test` and `test-data`: a provider is asked once, and judged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import click

from jouled.cli.market_source import (
    Source,
    complete_name,
    day_option,
    json_option,
    of_series,
    pass_source,
    print_json,
    rows_of,
    show,
)

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.books.prices import Series

TEST_EPILOG = """\b
Examples:
  joulectl market test energy-charts
  joulectl market test octopus --day 2026-10-25     a day of 25 hours
"""


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    is_good: bool
    words: str


@click.command("test", epilog=TEST_EPILOG)
@click.argument("name", shell_complete=complete_name)
@day_option
@json_option
@pass_source
def judge(source: Source, name: str, *, day: str, is_json: bool) -> int:
    """Ask a provider once and judge what it gives; exits with 1 where something is wrong. Keeps nothing."""
    findings = list(_findings(source, name, day))
    if is_json:
        print_json([finding._asdict() for finding in findings])
    else:
        from jouled.cli import look

        rows = [[one.what, "ok" if one.is_good else "BAD", one.words] for one in findings]
        style = look.look_of(sys.stdout)
        look.say(look.table(("WHAT", "", ""), rows, frozenset(), style), style)
    return 0 if all(finding.is_good for finding in findings) else 1


def _findings(source: Source, name: str, day: str) -> Iterator[Finding]:
    from jouled.http import SignalError

    provider = source.provider(name)  # what the settings refuse is a mistake, not a finding
    began = datetime.now(UTC)
    try:
        series = source.ask(name, day)
    except SignalError as error:
        yield Finding("answer", False, str(error))
        return
    took_s = (datetime.now(UTC) - began).total_seconds()
    yield Finding("answer", True, f"{series.product} of {series.delivery_day} in {series.zone}, after {took_s:.1f} s")
    yield from judged(series)
    yield Finding("licence", True, provider.notice or provider.description)


def judged(series: Series) -> Iterator[Finding]:
    """Whether a day is whole, and what kind of day it is."""
    from jouled.books.prices import gaps

    start, end = series.bounds
    hours = (end - start) / timedelta(hours=1)
    missing = sum(((gap_end - gap) for gap, gap_end in gaps(series.slots, start, end)), timedelta())
    unknown = sum(slot.price is None and slot.volume_mwh is None for slot in series.slots)
    words = f"{len(series.slots)} slots of a day of {hours:g} h ({series.timezone})"
    if missing or unknown:
        words += f"; {missing.total_seconds() / 60:g} min have no slot, {unknown} slots no value"
    yield Finding("coverage", not missing and not unknown, words)
    lengths = sorted({int((slot.end - slot.start).total_seconds() // 60) for slot in series.slots})
    resolution = ", ".join(f"{length} min" for length in lengths) or "none"
    yield Finding("resolution", len(lengths) == 1, resolution if len(lengths) < 2 else f"{resolution}: several")
    yield Finding("quality", series.quality != "preliminary", series.quality)
    prices = [slot.price for slot in series.slots if slot.price is not None]
    unit = f"{series.currency}/MWh"
    words = f"{min(prices):.2f} to {max(prices):.2f} {unit}" if prices else "none"
    below = sum(price < 0 for price in prices)
    yield Finding("prices", bool(prices), words + (f"; {below} below zero" if below else ""))
    volumes = [slot.volume_mwh for slot in series.slots if slot.volume_mwh is not None]
    said = f"up to {max(volumes):.1f} MWh a slot" if volumes else "none: no volume-proportional plan with it"
    yield Finding("volumes", True, said)


@click.command("test-data")
@click.argument("extent", type=click.Choice(["full"]), required=False)
@day_option
@pass_source
def judge_data(source: Source, extent: str | None, *, day: str) -> None:
    """Fetch a day of the first provider as `powercap test-data` does: the period that holds now, and the day's
    volumes; with `full` all periods.
    """
    series = source.ask(source.names[0], day)
    timezone = source.settings.market.timezone
    found = of_series([series], "fetched", source.settings.market.zone)
    if extent == "full":
        show(found, timezone)
        return
    now = datetime.now(UTC)
    click.echo(f"provider {series.provider}: {len(series.slots)} periods of {series.delivery_day}")
    for _, period, offset, price, volume, is_now in rows_of(found.series[0], timezone, now):
        if is_now:
            click.echo(f"now: period={period} offset={offset} volume={volume} MWh price={price} {series.currency}/MWh")
    volumes = [slot.volume_mwh for slot in series.slots if slot.volume_mwh is not None]
    if volumes:
        mean = sum(volumes) / len(volumes)
        click.echo(f"volume: max={max(volumes):.1f} MWh average={mean:.1f} MWh min={min(volumes):.1f} MWh")
    else:
        click.echo("volume: none is known")
