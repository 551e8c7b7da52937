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
    from jouled.cli.look import Look
    from jouled.wire.caps import Caps

EPILOG = """\b
Examples:
  joulectl caps watch                      until Ctrl-C
  joulectl caps watch --interval 5s > caps.log
"""
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
    from jouled.cli import look

    style = look.look_of(sys.stdout)
    first = caps_list.find(options)
    seen = looks(options, first, interval_s)
    if style.has_escapes:
        _live(seen)
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


def _live(seen: Iterator[tuple[Caps | None, str]]) -> None:
    """On the terminal's other screen, so that what was there before is there again at the end."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from jouled.cli import look

    console = Console(file=sys.stdout, highlight=False)
    last: Caps | None = None
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for state, note in seen:
            last = state or last
            style = look.look_of(sys.stdout)
            shown = page(last, note, datetime.now(UTC), style)
            live.update(Text.from_ansi("\n".join(shown), no_wrap=True, overflow="crop"), refresh=True)


def page(state: Caps | None, note: str, now: datetime, style: Look) -> list[str]:
    """What fits on this screen; what does not is said to be there."""
    from jouled.cli import look

    found = [f"{now:%H:%M:%SZ}  joulectl caps  (Ctrl-C ends it)", ""]
    if note:
        found += [look.clean(f"! {note}"), ""]
    if state is not None:
        found += caps_list.lines(state, now, style)
    if len(found) > style.height:
        hidden = len(found) - style.height + 1
        found = [*found[: style.height - 1], f"... {hidden} more lines; joulectl caps list shows all"]
    return [look.spoken(line, style) for line in found]
