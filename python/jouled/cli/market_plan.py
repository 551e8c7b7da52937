"""`joulectl market plan`: the day before it acts."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click

from jouled.cli.joulectl import Options
from jouled.cli.market_source import Source, day_option, json_option, pass_source, print_json
from jouled.errors import JouledError

if TYPE_CHECKING:  # help must not wait for what asking needs
    from collections.abc import Iterable

    from jouled.books.intensity import Slot as CarbonSlot
    from jouled.books.prices import Series
    from jouled.wire.plan import PlanOfPower

EPILOG = """\b
Examples:
  joulectl market plan                              today, of the daemon
  joulectl market plan --day tomorrow --html plan.html
  joulectl market --config new.toml plan            what would hold with these settings
"""


@click.command(epilog=EPILOG)
@day_option
@click.option("--html", metavar="FILE", help="Write one page with plots to this file, - for standard output.")
@json_option
@pass_source
@click.pass_context
def plan(context: click.Context, source: Source, *, day: str, html: str | None, is_json: bool) -> None:
    """Show the plan of a day before it acts: price, what is paid, carbon, and the power that follows.

    Days are the site's. Nothing is written, and nothing changes.
    """
    from jouled.cli.look import warn

    if html is not None and is_json:
        raise click.UsageError("--html and --json: give one of them", context)
    found = _plan(source, day, context.find_object(Options))
    if found.problem is not None:
        warn(found.problem)
    if is_json:
        print_json(found)
    elif html is not None:
        from jouled.cli.plan_page import page
        from jouled.cli.report import write_page

        write_page(html, page(found, f"Plan of {_day_of(found)}", datetime.now(UTC)))
    else:
        _show(found)


def _plan(source: Source, day: str, options: Options | None) -> PlanOfPower:
    """Of the daemon; where none runs, or other settings are named, by these settings."""
    from jouled.books.prices import day_bounds
    from jouled.client import Client, NotRunningError
    from jouled.wire.plan import PlanOfPower

    url = options.url if options is not None else None
    if not source.is_offline:
        client = Client(url)
        now = datetime.now(UTC)
        try:
            # Which day that is depends on the daemon's zone of time.
            zone = client.ask(_path(now, now + timedelta(seconds=1)), PlanOfPower).timezone
        except NotRunningError:
            if url is not None:
                raise
        else:
            return client.ask(_path(*day_bounds(source.day(day, zone), zone)), PlanOfPower)
    return _of_settings(source, day)


def _path(start: datetime, end: datetime) -> str:
    span = urlencode({"from": f"{start:%Y-%m-%dT%H:%M:%SZ}", "to": f"{end:%Y-%m-%dT%H:%M:%SZ}"})
    return f"/api/v1/market/plan?{span}"


def _of_settings(source: Source, day: str) -> PlanOfPower:
    import trio

    from jouled.books.prices import day_bounds
    from jouled.control.plan.planning import Planning
    from jouled.control.plan.rules import least_w, range_of, rules_of
    from jouled.control.plan.steered import hardware_range

    settings = source.settings
    zone = settings.market.timezone
    local_day = source.day(day, zone)
    start, end = day_bounds(local_day, zone)
    power = range_of(settings.plan, settings.caps.min_w, hardware_range(settings))
    market = Gathered(_gathered(source, local_day, start, end))
    grams = _carbon(source, start, end)

    async def carbon(_: datetime, __: datetime) -> list[CarbonSlot]:
        return grams

    planning = Planning(
        rules_of(settings),
        lambda: power,
        lambda: least_w(settings.plan, settings.caps.min_w),
        market=market,
        carbon=carbon,
    )
    return trio.run(planning.shown, start, end)


class Gathered:
    """A market of series that were fetched by hand."""

    def __init__(self, series: Iterable[Series]) -> None:
        self._series = list(series)

    def __repr__(self) -> str:
        return f"<Gathered {len(self._series)} series>"

    def known(self, now: datetime, since: datetime | None = None) -> tuple[()]:  # noqa: ARG002  (the shape is given)
        return ()

    async def series(self, day: date) -> list[Series]:
        return [one for one in self._series if one.delivery_day == day]


def _gathered(source: Source, day: date, start: datetime, end: datetime) -> list[Series]:
    """The delivery days that the local day lies in, each of the first provider that answers."""
    from jouled.cli.look import warn
    from jouled.http import SignalError

    found: list[Series] = []
    plan = source.settings.plan
    # A day of energy begins and ends at its deadline; so do the 24 hours ahead.
    is_over_midnight = "cheapest-hours" in plan.strategies or plan.rank_over == "next-24h"
    wanted = [day + timedelta(days=off) for off in ((0, -1, 1) if is_over_midnight else (0,))]
    for one in wanted:
        for name in source.names:
            try:
                series = source.ask(name, one.isoformat())
            except SignalError as error:
                warn(str(error))
                continue
            found.append(series)
            # The auction's day may begin later or end earlier than the site's.
            others = [one - timedelta(days=1)] if series.bounds[0] > start else []
            others += [one + timedelta(days=1)] if series.bounds[1] < end else []
            wanted += [other for other in others if one == day and other not in wanted]
            break
    return found


def _carbon(source: Source, start: datetime, end: datetime) -> list[CarbonSlot]:
    """What the daemon's books hold; without them a plan has no carbon."""
    from jouled.bookkeeping import intensity
    from jouled.cli.look import warn

    carbon = source.settings.carbon
    zone = carbon.zone
    if zone is None or carbon.provider == "factors":
        return []
    try:
        with source.place.opened("read carbon intensity of") as engine, engine.begin() as connection:
            return intensity.between(connection, zone, carbon.kind, start, end)
    except JouledError as error:
        warn(f"without carbon intensity: {error}")
        return []


def _show(found: PlanOfPower) -> None:
    from jouled.cli import look
    from jouled.cli.plan_page import label_of, summary

    style = look.look_of(sys.stdout)
    now = datetime.now(UTC)
    money = f"{found.currency or ''}/MWh"
    rows = [
        [
            *label_of(slot, found.timezone).split(),
            _number(slot.price),
            _number(slot.tariff),
            _number(slot.carbon_g_per_kwh),
            "none" if slot.watts is None else f"{slot.watts:.1f} W",
            ("now: " if slot.start <= now < slot.end else "") + look.clean(slot.reason),
        ]
        for slot in found.slots
    ]
    heads = ("PERIOD", "OFFSET", money, "PAID", "g/kWh", "BUDGET", "REASON")
    lines = [f"{_day_of(found)} {found.timezone}. {summary(found)}"]
    look.say([*lines, *look.table(heads, rows, frozenset({2, 3, 4, 5}), style)], style)


def _number(value: object) -> str:
    return "-" if value is None else f"{float(str(value)):.2f}"


def _day_of(found: PlanOfPower) -> date:
    from zoneinfo import ZoneInfo

    return found.slots[0].start.astimezone(ZoneInfo(found.timezone)).date()
