"""`joulectl balance status`: supply, budget, target and load, what is on its way, and what is wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jouled.cli.duration import duration
from jouled.cli.joulectl import Options

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.cli.look import Look
    from jouled.wire.balance import BalanceStatus

BALANCE = "/api/v1/balance"
# From so much on, a power is told in kW.
KILO_W = 10_000.0
LIVE_VERB, ALL_BY = "joulectl balance", "joulectl balance status"
# Of what is on its way; the others are counted.
PENDING_ROWS = 20
EPILOG = """\b
Exit codes: 0 all is well; 1 the loads are above the target, nothing is known, or nothing is left to shed.

\b
Examples:
  joulectl balance status
  joulectl balance status --watch               until Ctrl-C
  joulectl balance status --json | jq .target_power_w
"""


@click.command(epilog=EPILOG)
@click.option("--watch", "is_watching", is_flag=True, help="Live, until Ctrl-C; to a pipe a line for each change.")
@click.option(
    "--interval",
    "interval_s",
    metavar="TIME",
    type=duration(0.1, 3600.0),
    default=1.0,
    help="With --watch: time between two looks.  [default: 1s]",
)
@click.option("--json", "is_json", is_flag=True, help="Print it as JSON, as the API does.")
@click.pass_obj
def status(options: Options, *, is_watching: bool, interval_s: float, is_json: bool) -> int:
    """Show supply, budget, target and load of the site, what is on its way, and what is wrong.

    Exits with 1 where it is not well.
    """
    if is_watching and is_json:
        raise click.UsageError("--watch and --json do not go together; see joulectl balance events --follow --json.")
    from jouled.cli import look

    found = ask(options)
    style = look.look_of(sys.stdout)
    if is_watching:
        _watch(looks(options, found, interval_s), style)
    elif is_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        look.say(lines(found, datetime.now(UTC), style), style)
    return 0 if is_well(found) else 1


def ask(options: Options) -> BalanceStatus:
    """Raises DaemonError."""
    from jouled.client import Client
    from jouled.wire.balance import BalanceStatus

    return Client(options.url).ask(f"{BALANCE}/status", BalanceStatus)


def is_well(found: BalanceStatus) -> bool:
    return found.is_enabled and found.status in {"OK", "WARNING"} and not found.is_saturated


def lines(found: BalanceStatus, now: datetime, style: Look) -> list[str]:
    """All of it for a person."""
    from jouled.cli import look

    told = [summary(found)]
    if found.is_enabled:
        told += _powers(found, now)
    if found.paused is not None:
        why = f": {found.paused.why}" if found.paused.why else ""
        told.append(f"paused    by {found.paused.who} since {found.paused.since:%Y-%m-%d %H:%M:%SZ}{why}")
    if found.is_enabled and found.explanation:
        told.append(f"why       {found.explanation}")
    told += [f"! {problem}" for problem in problems_of(found)]
    told = [look.clean(line) for line in told]
    if found.pending:
        told += ["", *_pending(found, now, style)]
    return told


def summary(found: BalanceStatus) -> str:
    """One line: how it is, and who acts."""
    if not found.is_enabled:
        return "nothing is balanced here"
    words = [found.status, f"band {found.band}", f"mode {found.mode}"]
    if found.is_saturated:
        words.append("nothing is left to shed")
    if found.paused is not None:
        words.append("paused")
    if found.proposed:
        words.append(f"{found.proposed} wait for approval" if found.mode == "ask" else f"would do {found.proposed}")
    if not found.is_leader:
        words.append(f"{found.leader or 'another daemon'} leads")
    return ", ".join(words)


def problems_of(found: BalanceStatus) -> list[str]:
    supply = [f"plant: {found.supply_problem}"] if found.supply_problem else []
    return list(dict.fromkeys([*supply, *found.problems]))


def _powers(found: BalanceStatus, now: datetime) -> list[str]:
    stage = "" if found.stage is None else f", {found.stage}"
    if found.last_reading_at is not None:
        from jouled.cli.look import seconds_text

        stage += f", read {seconds_text(max(0.0, (now - found.last_reading_at).total_seconds()))} ago"
    by = f", by {found.limited_by}" if found.limited_by else ""
    limit = "" if found.limit_watts is None else f" (the operator's limit is {watts_words(found.limit_watts)})"
    measured, ordered = watts_words(found.current_consumption_w), watts_words(found.expected_consumption_w)
    states = ", ".join(f"{count} {state}" for state, count in found.loads.items()) or "none"
    return [
        f"supply    {watts_words(found.supply_watts)}{stage}",
        f"budget    {watts_words(found.budget_watts)}{by}{limit}",
        f"target    {watts_words(found.target_power_w)}, at a safety margin of {found.safety_margin_percent:g} %",
        f"load      {watts_words(found.load_watts)}: measured {measured}, ordered {ordered}",
        f"loads     {states}; {found.managed_miners_count} are steered",
    ]


def _pending(found: BalanceStatus, now: datetime, style: Look) -> list[str]:
    from jouled.cli import look

    rows = [
        (
            one.load,
            one.from_preset or watts_words(one.from_watts),
            one.to_preset or watts_words(one.to_watts),
            look.seconds_text(max(0.0, (one.expected_by - now).total_seconds())),
            one.reason,
        )
        for one in found.pending[:PENDING_ROWS]
    ]
    more = len(found.pending) - len(rows)
    table = look.table(("ON ITS WAY", "FROM", "TO", "WITHIN", "WHY"), rows, frozenset({3}), style)
    return [*table, f"... and {more} more; --json has all"] if more else table


def watts_words(power_w: float | None) -> str:
    """In kW where that is easier to read."""
    if power_w is None:
        return "-"
    return f"{power_w / 1000:.2f} kW" if abs(power_w) >= KILO_W else f"{power_w:.0f} W"


# ---- --watch ----


def looks(options: Options, first: BalanceStatus, interval_s: float) -> Iterator[tuple[BalanceStatus | None, str]]:
    """What is found each time; None with the reason while the daemon does not answer."""
    from jouled.errors import JouledError

    yield first, ""
    while True:
        time.sleep(interval_s)
        try:
            yield ask(options), ""
        except JouledError as error:
            yield None, str(error)


def changes(seen: Iterator[tuple[BalanceStatus | None, str]], clock: Callable[[], datetime]) -> Iterator[str]:
    """A line for the first look, and for each that says something else than the last; powers move all the time."""
    from jouled.cli.look import clean

    told: object = None
    for found, note in seen:
        facts = note if found is None else (summary(found), tuple(found.problems), found.stage, found.limit_watts)
        if facts == told:
            continue
        told = facts
        words = [note]
        if found is not None:
            load, target = watts_words(found.load_watts), watts_words(found.target_power_w)
            words = [summary(found), f"load {load} of {target}", *problems_of(found)]
        yield clean(f"{clock():%Y-%m-%d %H:%M:%SZ} {'; '.join(words)}")


def _watch(seen: Iterator[tuple[BalanceStatus | None, str]], style: Look) -> None:
    from jouled.cli import live_page, look

    if not style.has_escapes:
        for line in changes(seen, lambda: datetime.now(UTC)):
            look.say([line], style)
            sys.stdout.flush()
        return
    live_page.follow(seen, lines, verb=LIVE_VERB, all_by=ALL_BY)
