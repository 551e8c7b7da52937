"""`joulectl db`: the daemon's store, looked after by hand."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from jouled import config
from jouled.config import Config
from jouled.errors import ConfigError, StoreError

if TYPE_CHECKING:  # it is heavy: imported when something is done
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

LEVELS = ("zone", "process", "unit", "container", "pod", "vm", "user")
RESOLUTIONS = ("minute", "quarter-hour", "day")


class Place:
    """Which store: what the daemon's settings say, with the flags given here. Read when it is used."""

    def __init__(self, path: str | None, url: str | None, state_dir: str | None) -> None:
        self._path = path
        self._flags = {"store.url": url, "state_dir": state_dir}

    @cached_property
    def _settings(self) -> Config:
        settings = config.load(config.find(self._path, os.environ), self._flags, os.environ)
        if settings.store.url == "none":
            raise ConfigError("store.url is none: there are no books; name a store by --store or --state-dir")
        return settings

    @property
    def prefix(self) -> str:
        return self._settings.store.prefix

    @cached_property
    def url(self) -> URL:
        from jouled.store.engine import store_url

        return store_url(self._settings.store.url, self._settings.state_dir)

    def engine(self, *, is_new: bool = False) -> Engine:
        from jouled.store.engine import open_engine

        if not is_new and self.url.drivername == "sqlite":
            _look_for(str(self.url.database))
        return open_engine(self.url, self.prefix, "tool")

    @contextmanager
    def opened(self, what: str, *, is_new: bool = False) -> Iterator[Engine]:
        """An engine of this version's tables. What goes wrong in it is one line."""
        from sqlalchemy.exc import DBAPIError

        from jouled.store.migrations import refuse_old, version_of
        from jouled.store.trouble import place, trouble_of

        engine = self.engine(is_new=is_new)
        try:
            if not is_new:
                refuse_old(version_of(engine), place(self.url))
            yield engine
        except DBAPIError as error:
            trouble = trouble_of(error)
            reason = trouble.reason if trouble else f"{error.orig}; see joulectl db check"
            raise StoreError(f"{what} {place(self.url)}: {reason}") from error
        finally:
            engine.dispose()


def _look_for(file: str) -> None:
    """SQLite would make one that is not there."""
    try:
        Path(file).stat()
    except PermissionError:
        raise StoreError(f"open {file}: permission denied; run this as root or as the daemon's user") from None
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror).lower()
        raise StoreError(f"open {file}: {reason}; name a store by --store or --state-dir") from None


pass_place = click.make_pass_decorator(Place)


def place_options(group: Callable[..., None]) -> Callable[..., None]:
    """Of every group of verbs that goes to the store itself."""
    options = (
        click.option(
            "--config", "path", metavar="FILE", help="Read the daemon's settings from this file, '' for none."
        ),
        click.option("--store", "url", metavar="URL", help="The store, instead of the settings'."),
        click.option("--state-dir", metavar="DIR", help="Where the store's file is, instead of the settings'."),
    )
    for option in reversed(options):
        group = option(group)
    return group


@click.group(no_args_is_help=False, context_settings={"max_content_width": 100})
@place_options
@click.pass_context
def command(context: click.Context, path: str | None, url: str | None, state_dir: str | None) -> None:
    """Look after the daemon's store: its tables, its soundness, copies of it.

    \b
    joulectl db check                                     is all of it sound?
    joulectl db backup /backup/jouled.sqlite              while the daemon runs
    joulectl db export --level unit --resolution day      for a spreadsheet
    """  # noqa: D301  (the mark by which click keeps the lines)
    context.obj = Place(path, url, state_dir)


@command.command()
@pass_place
def upgrade(place: Place) -> None:
    """Make the tables, or bring them to this version. The daemon does so itself when it starts."""
    from jouled.store.migrations import HEAD, version_of
    from jouled.store.migrations import upgrade as run

    if place.url.drivername == "sqlite":
        with suppress(OSError):  # opening it says what is wrong
            Path(str(place.url.database)).parent.mkdir(parents=True, exist_ok=True)
    with place.opened("upgrade", is_new=True) as engine:
        before = version_of(engine)
        run(engine)
    click.echo(f"version {HEAD}: {'up to date' if before == HEAD else f'was {before}' if before else 'new tables'}")


@command.command()
@pass_place
def check(place: Place) -> int:
    """Is the file whole, and does everything add up? Each problem is a line; exits with 1 if there is one."""
    from jouled.store.check import problems

    count = 0
    with place.opened("check") as engine, engine.connect() as connection:
        for problem in problems(connection):
            click.echo(problem)
            count += 1
    click.echo(f"{count} problems" if count else "ok")
    return 1 if count else 0


@command.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@pass_place
def backup(place: Place, file: Path) -> None:
    """Copy all of it to FILE, also while the daemon runs.

    Of SQLite that is a database again; of PostgreSQL the archive of pg_dump, for pg_restore.
    """
    from jouled.store.backup import backup as copy

    with place.opened("back up"):
        copy(place.url, file, place.prefix)
    click.echo(f"{file}: {file.stat().st_size:,} bytes")


@command.command()
@pass_place
def vacuum(place: Place) -> None:
    """Give the room of deleted records back to the disk. Writers wait meanwhile."""
    from jouled.store.vacuum import vacuum as run

    with place.opened("vacuum") as engine:
        sizes = run(engine)
    click.echo(f"{sizes.before_bytes:,} bytes before, {sizes.after_bytes:,} after")


def _instant(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time; write 2026-03-01 or 2026-03-01T12:00:00+01:00") from None
    if at.tzinfo is None and ("T" in value or " " in value):
        raise click.BadParameter(f"{value!r} has no zone; add Z or +01:00")
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


@command.command()
@click.option("--level", type=click.Choice(LEVELS), default="zone", show_default=True, help="What the records are of.")
@click.option("--resolution", type=click.Choice(RESOLUTIONS), default="day", show_default=True)
@click.option("--from", "begin", callback=_instant, metavar="TIME", help="The first; a date begins at midnight UTC.")
@click.option("--to", "end", callback=_instant, metavar="TIME", help="The first that is no more in it.")
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write here, not to the terminal."
)
@pass_place
def export(  # noqa: PLR0917  (click's own form)
    place: Place,
    level: str,
    resolution: str,
    begin: datetime | None,
    end: datetime | None,
    kind: Any,
    output: Path | None,
) -> None:
    """Write records: joules of zones or workloads, with how much of the time they cover."""
    if kind == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is no text; name a file by --output")
    if begin is not None and end is not None and begin >= end:
        raise click.UsageError(f"--from {begin.isoformat()} is not before --to {end.isoformat()}")
    with place.opened("export") as engine:
        if output is None:
            _export(engine, sys.stdout.buffer, (level, resolution, begin, end), kind)
            return
        part = output.with_name(f".{output.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                _export(engine, file, (level, resolution, begin, end), kind)
            part.replace(output)
        except OSError as error:
            raise StoreError(f"write {output}: {str(error.strerror).lower()}; write it elsewhere") from error
        finally:
            part.unlink(missing_ok=True)


def _export(
    engine: Engine, file: BinaryIO, which: tuple[str, str, datetime | None, datetime | None], kind: Any
) -> None:
    from itertools import islice

    from jouled.store import export

    level, resolution, begin, end = which
    sink = export.sink(kind, file, export.columns(level))
    with engine.connect() as connection:
        rows = export.rows(connection, level, export.RESOLUTIONS[resolution], begin, end)
        while chunk := list(islice(rows, export.ROWS)):
            sink.put(chunk)
    sink.close()
