"""`joulectl top`: zones and workloads, live or once."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import click

from jouled.cli import look
from jouled.cli.duration import duration
from jouled.cli.joulectl import Options
from jouled.cli.look import Look
from jouled.cli.top_draw import Scene, page, peaks, rows_height, screen
from jouled.cli.top_source import Request, Source, Trouble, opened
from jouled.cli.top_tree import Trend, zone_classes
from jouled.cli.top_view import FILTER_CHARS_MAX, View, press
from jouled.wire import LEVELS, SORTS, Snapshot

EPILOG = """\b
Examples:
  joulectl top                          units in their slices, live
  joulectl top --level container        containers and their processes
  joulectl top --once --list            one page, for a mail or a log
  joulectl top --json | jq .zones       one JSON object a snapshot
  joulectl --url http://host:9917 top   another host's daemon
"""


class Wanted(NamedTuple):
    """What the command line asks for, beside the source."""

    view: View
    is_once: bool
    is_json: bool


@click.command(epilog=EPILOG)
@click.option("--once", "is_once", is_flag=True, help="Print one view and exit.")
@click.option("--json", "is_json", is_flag=True, help="Print snapshots as JSON, one a line.")
@click.option(
    "--interval",
    "interval_s",
    metavar="TIME",
    type=duration(0.1, 60),
    help="Time between snapshots: 500ms, 5s.  [default: the daemon's; 2s without one]",
)
@click.option("--level", type=click.Choice(LEVELS), help="What to list.  [default: unit; with --json all]")
@click.option("--list", "is_list", is_flag=True, help="A list of the level instead of a tree.")
@click.option("--sort", type=click.Choice(SORTS), default="watts", help="The column to sort by.  [default: watts]")
@click.option(
    "--zone", metavar="CLASS", help="The zone class to show: package, dram, psys.  [default: what covers most]"
)
@click.option("--filter", "text", metavar="TEXT", default="", help="Show only what this text is found in.")
@click.pass_obj
def command(
    options: Options,
    *,
    is_once: bool,
    is_json: bool,
    interval_s: float | None,
    level: str | None,
    is_list: bool,
    sort: str,
    zone: str | None,
    text: str,
) -> None:
    """Watch where the watts go: zones as bars, then workloads as a tree or a list.

    Asks the daemon; where none runs, it measures by itself. Press ? for the keys.
    """
    view = View(level or "unit", not is_list, sort, zone, text[:FILTER_CHARS_MAX])
    wanted = Wanted(view, is_once, is_json)
    levels = (level,) if is_json and level else None
    with opened(options.url, options.root, Request(levels, interval_s)) as source:
        run(source, wanted)


def run(source: Source, wanted: Wanted) -> None:
    style = look.look_of(sys.stdout)
    is_live = source.is_live and style.has_escapes and not (wanted.is_once or wanted.is_json)
    if source.warning and not is_live:
        look.warn(source.warning)
    if wanted.is_once or not source.is_live:
        snapshot = source.once()
        check_zone(wanted.view, snapshot)
        write(snapshot, wanted, source, style)
    elif not is_live:
        for snapshot in steady(source):
            check_zone(wanted.view, snapshot)
            write(snapshot, wanted, source, style)
    else:
        live(source, wanted.view)


def check_zone(view: View, snapshot: Snapshot) -> None:
    classes = zone_classes(snapshot)
    if view.zone is not None and view.zone not in classes:
        raise click.BadParameter(f"no zone {view.zone!r} here; there is {', '.join(classes)}.", param_hint="--zone")


def steady(source: Source) -> Iterator[Snapshot]:
    """The snapshots; troubles are said beside them."""
    said = ""
    for item in source.snapshots():
        if isinstance(item, Snapshot):
            said = ""
            yield item
        elif item.text != said:
            said = item.text
            look.warn(said)


def write(snapshot: Snapshot, wanted: Wanted, source: Source, style: Look) -> None:
    if wanted.is_json:
        import msgspec

        click.echo(msgspec.json.encode(snapshot))
        return
    trend = Trend()
    trend.add(snapshot)
    scene = Scene(snapshot, source.via, trend=trend, peaks_w=peaks({}, snapshot), has_trend=False)
    look.say([look.painted(line, style) for line in page(wanted.view, scene, style)], style)


class Feeder:
    """Reads the source in a thread, so that keys are answered while it waits. The latest wins."""

    def __init__(self, source: Source, wake_fd: int) -> None:
        self._source = source
        self._wake_fd = wake_fd
        self._lock = threading.Lock()
        self._items: list[Snapshot | Trouble | BaseException] = []
        # A daemon thread: a scan, or a daemon, that does not answer must not hold the exit.
        threading.Thread(target=self._run, name="joulectl source", daemon=True).start()

    def take(self) -> list[Snapshot | Trouble]:
        """What has come since; raises what ended the source."""
        with self._lock:
            items, self._items = self._items, []
        for item in items:
            if isinstance(item, BaseException):
                raise item
        return [item for item in items if not isinstance(item, BaseException)]

    def _run(self) -> None:
        try:
            for item in self._source.snapshots():
                self._put(item)
        except BaseException as error:  # noqa: BLE001  (it is raised again where it can be said)
            self._put(error)

    def _put(self, item: Snapshot | Trouble | BaseException) -> None:
        with self._lock:
            # While nobody looks, ten snapshots are as good as a thousand.
            self._items = [*self._items[-9:], item]
        try:
            os.write(self._wake_fd, b"\0")
        except OSError:
            # Full: it will wake up. Closed: nobody is there any more.
            return


def live(source: Source, view: View) -> None:
    from jouled.cli.top_terminal import Stopped, Terminal

    fd, is_ours = keyboard()
    try:
        with Terminal(fd, sys.stdout.fileno()).taken() as terminal:
            feeder = Feeder(source, terminal.wake_fd)
            scene: Scene | None = None
            is_checked = False
            while not (view.has_quit or terminal.has_gone):
                style = look.look_of(sys.stdout)
                scene = following(scene, feeder.take(), source, is_paused=view.is_paused)
                if scene is not None:
                    if not is_checked:
                        check_zone(view, scene.snapshot)
                        is_checked = True
                    view, lines = screen(view, scene, style)
                    terminal.draw(lines, style)
                else:
                    terminal.draw([[(f"measuring, via {source.via} …", "dim")]], style)
                for key in terminal.wait():
                    view = pressed(view, key, scene, style)
    except Stopped as stop:
        sys.exit(128 + stop.number)
    finally:
        if is_ours:
            os.close(fd)


def pressed(view: View, key: str, scene: Scene | None, style: Look) -> View:
    if scene is None:
        return replace(view, has_quit=key == "q")
    return press(view, key, scene.snapshot, rows_height(scene, style))


def following(scene: Scene | None, items: list[Snapshot | Trouble], source: Source, *, is_paused: bool) -> Scene | None:
    """The scene after what has come. A pause keeps what is shown; the trend goes on below."""
    for item in items:
        if isinstance(item, Trouble):
            scene = scene._replace(trouble=item.text) if scene else None
            continue
        before = scene or Scene(item, source.via, source.warning, Trend())
        before.trend.add(item)
        shown = before.snapshot if is_paused else item
        scene = before._replace(snapshot=shown, peaks_w=peaks(before.peaks_w, item), trouble="")
    return scene


def keyboard() -> tuple[int, bool]:
    """Where keys come from, and whether it is ours to close: the terminal itself, also where the input is a pipe."""
    if sys.stdin is not None and sys.stdin.isatty():
        return sys.stdin.fileno(), False
    try:
        return os.open("/dev/tty", os.O_RDWR), True
    except OSError as error:
        raise click.UsageError("no terminal to read keys from; use --once.") from error
