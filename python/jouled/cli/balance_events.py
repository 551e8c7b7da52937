"""`joulectl balance events`: each change of a load, why it was made, and what came of it."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click

from jouled.cli.balance_status import BALANCE, watts_words
from jouled.cli.duration import duration
from jouled.cli.joulectl import Options

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.wire.balance import BalanceEvent
    from jouled.wire.problems import Page

PAGE = 1000
# Of which it is known what was told; older ones do not change any more.
TOLD_MAX = 4 * PAGE
HEADS = ("TIME", "LOAD", "CHANGE", "FROM", "TO", "STATUS", "WHY")
EPILOG = """\b
Examples:
  joulectl balance events --limit 20
  joulectl balance events --load 02:00:00:00:00:01
  joulectl balance events --follow --json | jq -c '{load: .miner_id, status, reason}'
"""

json_option = click.option("--json", "is_json", is_flag=True, help="Print it as JSON, as the API does.")


def print_json(found: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


@click.command(epilog=EPILOG)
@click.option("--load", metavar="ID", help="Of this load only: a miner's MAC, another's name.")
@click.option("--limit", type=click.IntRange(1, PAGE), default=30, show_default=True, help="Events at most.")
@click.option("--follow", "is_following", is_flag=True, help="Go on with what comes, until Ctrl-C; oldest first.")
@click.option(
    "--interval",
    "interval_s",
    metavar="TIME",
    type=duration(0.1, 3600.0),
    default=2.0,
    help="With --follow: time between two looks.  [default: 2s]",
)
@click.option("--json", "is_json", is_flag=True, help="Print them as JSON; with --follow one a line.")
@click.pass_obj
def events(
    options: Options, *, load: str | None, limit: int, is_following: bool, interval_s: float, is_json: bool
) -> None:
    """List the changes of loads, newest first: when, what, why, and whether it was seen to happen."""
    first = _ask(options, load, limit)
    if is_following:
        _follow(options, load, first, interval_s, is_json=is_json)
    elif is_json:
        print_json(first)
    elif not first.items:
        click.echo("nothing was changed yet" if load is None else "nothing of this load was changed yet")
    else:
        from jouled.cli import look

        style = look.look_of(sys.stdout)
        look.say(look.table(HEADS, [_row(one) for one in first.items], frozenset(), style), style)


def _ask(options: Options, load: str | None, limit: int) -> Page[BalanceEvent]:
    """Raises DaemonError."""
    from jouled.client import Client
    from jouled.wire.balance import BalanceEvent
    from jouled.wire.problems import Page

    query = urlencode({"limit": limit} | ({} if load is None else {"miner_id": load}))
    return Client(options.url).ask(f"{BALANCE}/events?{query}", Page[BalanceEvent])


def _follow(options: Options, load: str | None, first: Page[BalanceEvent], interval_s: float, *, is_json: bool) -> None:
    import msgspec

    from jouled.cli import look

    style = look.look_of(sys.stdout)
    for one in news(_looks(options, load, first, interval_s)):
        if isinstance(one, str):
            look.warn(one)
        elif is_json:
            click.echo(msgspec.json.encode(one).decode())
        else:
            look.say([line(one)], style)
        sys.stdout.flush()


def _looks(
    options: Options, load: str | None, first: Page[BalanceEvent], interval_s: float
) -> Iterator[tuple[BalanceEvent, ...] | str]:
    """What is found each time, oldest first; the reason while the daemon does not answer."""
    from jouled.errors import JouledError

    yield tuple(reversed(first.items))
    while True:
        time.sleep(interval_s)
        try:
            yield tuple(reversed(_ask(options, load, PAGE).items))
        except JouledError as error:
            yield str(error)


def news(seen: Iterator[tuple[BalanceEvent, ...] | str]) -> Iterator[BalanceEvent | str]:
    """Each state of each change once, from the oldest of the first look on; why nothing is heard, once."""
    told: OrderedDict[str, str] = OrderedDict()
    trouble, since = "", None
    for found in seen:
        if isinstance(found, str):
            if found != trouble:
                yield found
            trouble = found
            continue
        trouble = ""
        if since is None and found:
            since = min(one.recorded_at for one in found)
        for one in found:
            if told.get(one.id) == one.status or (since is not None and one.recorded_at < since):
                continue
            told[one.id] = one.status
            told.move_to_end(one.id)
            yield one
        while len(told) > TOLD_MAX:
            told.popitem(last=False)


def line(one: BalanceEvent) -> str:
    """One change in one line, for a log."""
    from jouled.cli.look import clean

    at, load, kind, before, after, status, why = _row(one)
    return clean(f"{at} {load}: {kind} from {before} to {after}, {status}: {why}")


def _row(one: BalanceEvent) -> tuple[str, ...]:
    why = one.reason if one.error_message is None else f"{one.reason}; {one.error_message}"
    return (
        f"{one.recorded_at:%Y-%m-%d %H:%M:%SZ}",
        one.miner_id,
        f"{one.kind}!" if one.is_urgent else one.kind,
        one.old_preset or watts_words(one.old_power),
        one.new_preset or watts_words(one.new_power),
        one.status,
        why,
    )
