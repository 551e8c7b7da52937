"""A page that is drawn anew again and again, on the terminal's other screen."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from jouled.cli.look import Look

T = TypeVar("T")


def follow(
    seen: Iterator[tuple[T | None, str]], lines: Callable[[T, datetime, Look], list[str]], *, verb: str, all_by: str
) -> None:
    """What was on the terminal before is there again at the end. Each of `seen` is a state, or why there is none:
    then the latest one stays.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from jouled.cli import look

    last: T | None = None
    with Live(console=Console(file=sys.stdout, highlight=False), screen=True, auto_refresh=False) as live:
        for state, note in seen:
            last = state or last
            now, style = datetime.now(UTC), look.look_of(sys.stdout)
            body = [] if last is None else lines(last, now, style)
            shown = page(body, note, now, style, verb=verb, all_by=all_by)
            live.update(Text.from_ansi("\n".join(shown), no_wrap=True, overflow="crop"), refresh=True)


def page(body: list[str], note: str, now: datetime, style: Look, *, verb: str, all_by: str) -> list[str]:
    """What fits on this screen; what does not is said to be there."""
    from jouled.cli import look

    shown = [f"{now:%H:%M:%SZ}  {verb}  (Ctrl-C ends it)", ""]
    if note:
        shown += [look.clean(f"! {note}"), ""]
    shown += body
    if len(shown) > style.height:
        hidden = len(shown) - style.height + 1
        shown = [*shown[: style.height - 1], f"... {hidden} more lines; {all_by} shows all"]
    return [look.spoken(line, style) for line in shown]
