"""`joulectl caps watch`: the caps live; to a pipe or a file, a line for each change."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jouled.cli import caps_list
from jouled.cli.duration import duration
from jouled.cli.joulectl import Options

if TYPE_CHECKING:  # help must not wait for what asking needs
    from jouled.wire.caps import Caps

EPILOG = """\b
Examples:
  joulectl caps watch                      until Ctrl-C
  joulectl caps watch --interval 5s > caps.log
"""
LIVE_VERB, ALL_BY = "joulectl caps", "joulectl caps list"
# A cap that is read to a tenth of a watt moves all the time; a change is one that somebody made.
GRAIN_W = 0.5


@click.command("watch", epilog=EPILOG)
@click.option(
    "--interval",
    "interval_s",
    metavar="TIME",
    type=duration(0.1, 3600.0),
    default=1.0,
    help="Time between two looks.  [default: 1s]",
)
@click.pass_obj
def watch(options: Options, *, interval_s: float) -> None:
    """Show the caps live, until Ctrl-C; to a pipe or a file, a line for each change."""
    if options.root is not None:
        raise click.UsageError("--root: a captured host does not change; use joulectl caps list.")
    from jouled.cli import live_page, look

    style = look.look_of(sys.stdout)
    first = caps_list.find(options)
    seen = looks(options, first, interval_s)
    if style.has_escapes:
        live_page.follow(seen, caps_list.lines, verb=LIVE_VERB, all_by=ALL_BY)
        return
    for line in changes(seen, lambda: datetime.now(UTC)):
        look.say([line], style)
        sys.stdout.flush()


def looks(options: Options, first: tuple[Caps, str], interval_s: float) -> Iterator[tuple[Caps | None, str]]:
    """What is found each time; None with the reason while the daemon does not answer."""
    from jouled.errors import JouledError

    yield first
    while True:
        time.sleep(interval_s)
        try:
            yield caps_list.find(options)
        except JouledError as error:
            yield None, str(error)


def changes(seen: Iterator[tuple[Caps | None, str]], clock: Callable[[], datetime]) -> Iterator[str]:
    """A line for the first look, and for each that says something else than the last."""
    told: object = None
    for state, note in seen:
        facts = note if state is None else _facts(state)
        if facts == told:
            continue
        told = facts
        said = note if state is None else caps_list.summary(state)
        problems = [] if state is None else caps_list.problems_of(state)
        (line,) = caps_list.clean([f"{clock():%Y-%m-%d %H:%M:%SZ} {'; '.join([said, *problems])}"])
        yield line


def _facts(state: Caps) -> tuple[object, ...]:
    holds = None if state.effective_watts is None else round(state.effective_watts / GRAIN_W)
    owners = tuple(sorted((lease.owner, lease.watts) for lease in state.leases))
    return state.asked_watts, holds, owners, tuple(caps_list.problems_of(state))
