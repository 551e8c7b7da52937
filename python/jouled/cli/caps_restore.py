"""`joulectl caps restore`: the original limits back, without the daemon. The unit's ExecStopPost runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

import click
import msgspec

from jouled.cli.joulectl import EXIT_FAILED, EXIT_OK
from jouled.errors import ConfigError, one_line
from jouled.journal import GivenBack, Journal, JournalError, Restored
from jouled.journal.files import DIRECTORY, FILE

EPILOG = """\b
Exit codes: 0 all of it holds again, or there was nothing to give back; 1 some of it does not, or a daemon is in
charge of the limits.

\b
Examples:
  joulectl caps restore --dry-run        what would be written
  joulectl caps restore                  after the daemon was killed
"""


class Report(msgspec.Struct, frozen=True):
    """What came of it. `left` says that caps were left on purpose, as the settings ask for."""

    journal: str
    is_dry_run: bool
    left: Literal["hold", "safe"] | None = None
    limits: tuple[GivenBack, ...] = ()
    problem: str | None = None

    @property
    def is_whole(self) -> bool:
        return self.problem is None and all(item.outcome != "failed" for item in self.limits)


@click.command(epilog=EPILOG)
@click.option("--state-dir", metavar="DIR", help="Where the daemon's state is, instead of the settings'.")
@click.option("--config", "path", metavar="FILE", help="Read the daemon's settings from this file, '' for none.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--as-configured", is_flag=True, help="As caps.on_exit says: restore, hold or safe. For the unit.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def restore(state_dir: str | None, path: str | None, *, is_dry_run: bool, as_configured: bool, as_json: bool) -> int:
    """Give the original power limits back, and verify them.

    Works without the daemon, from the originals that it keeps on disk, and is needed only where the daemon was
    killed: it gives everything back when it ends. Each limit is restored by itself; what cannot be stays
    journalled for the next attempt. While a daemon runs, use joulectl caps set none.
    """
    report = _given_back(_place(state_dir, path), is_dry_run=is_dry_run, as_configured=as_configured)
    if as_json:
        click.echo(msgspec.json.encode(_rows(report)).decode())
    else:
        for line in _lines(report, is_quiet=as_configured):
            click.echo(line)
    if report.problem is not None:
        raise JournalError(report.problem)
    return EXIT_OK if report.is_whole else EXIT_FAILED


class Place(NamedTuple):
    """Where the journal is, and the trees that it is about."""

    directory: str
    procfs: str
    sysfs: str


def _place(state_dir: str | None, path: str | None) -> Place:
    """A mistake in the settings is no reason to stay capped."""
    from jouled import config

    try:
        settings = config.load(config.find(path, os.environ), {"state_dir": state_dir}, os.environ)
    except ConfigError as error:
        usual = config.Config()
        found = {name: os.environ.get(f"JOULED_{name.upper()}") for name in ("state_dir", "procfs", "sysfs")}
        state_dir = state_dir or found["state_dir"] or usual.state_dir
        click.echo(f"joulectl: {one_line(str(error))}; looking in {one_line(state_dir)}", err=True)
        return Place(f"{state_dir}/{DIRECTORY}", found["procfs"] or usual.procfs, found["sysfs"] or usual.sysfs)
    return Place(f"{settings.state_dir}/{DIRECTORY}", settings.procfs, settings.sysfs)


def _given_back(place: Place, *, is_dry_run: bool, as_configured: bool) -> Report:
    directory, procfs, sysfs = place
    file = f"{directory}/{FILE}"
    seen = Journal.read(directory, procfs=procfs, sysfs=sysfs)
    if not seen.is_there:
        return Report(file, is_dry_run)
    is_safe = as_configured and seen.policy == "safe"
    if is_dry_run:
        left = _left(seen) if as_configured else None
        done = Restored() if left else seen.would_restore(is_safe=is_safe)
        return Report(file, is_dry_run, left, (*seen.voided, *done.items))
    # Whoever caps by another state directory would write the same limits.
    guards = (f"{sysfs}/class/powercap",)
    holder = "joulectl caps restore"
    with Journal.open(directory, procfs=procfs, sysfs=sysfs, holder=holder, guards=guards) as journal:
        left = _left(journal) if as_configured else None
        done = Restored() if left else journal.restore(is_safe=is_safe)
        if not as_configured and journal.leases:
            # Whoever says so by hand wants no caps, also not when the daemon is back.
            journal.keep_leases(())
        return Report(file, is_dry_run, left, (*journal.voided, *done.items), done.problem)


def _left(journal: Journal) -> Literal["hold", "safe"] | None:
    """What is left on purpose; a daemon that was killed had no time to write its safe cap."""
    if not journal.entries:
        return None
    return journal.left or ("hold" if journal.policy == "hold" else None)


def _lines(report: Report, *, is_quiet: bool) -> Iterator[str]:
    if report.left is not None:
        yield f"{one_line(report.journal)}: the limits are left as they are, by caps.on_exit = {report.left}"
    elif not report.limits and not is_quiet:
        yield f"nothing to give back: {one_line(report.journal)} names no limit"
    for item in report.limits:
        yield _line(item, is_dry_run=report.is_dry_run)


def _line(item: GivenBack, *, is_dry_run: bool) -> str:
    path, found = one_line(item.path), one_line((item.found or "").strip())
    whose = ", which another program had set" if item.is_foreign else ""
    if item.outcome == "already":
        return f"{path}: holds {found} already"
    if item.outcome in {"restored", "made-safe"} and item.problem is None:
        if is_dry_run:
            return f"{path}: holds {found}{whose}; {_target(item)} would be written"
        of_what = "again" if item.outcome == "restored" else "of the safe cap"
        return f"{path}: holds {one_line((item.holds or '').strip())} {of_what}; it held {found}{whose}"
    return item.problem or f"{path}: {item.outcome}"


def _target(item: GivenBack) -> str:
    return "its value under the safe cap" if item.outcome == "made-safe" else item.original.strip()


def _rows(report: Report) -> dict[str, object]:
    """Named tuples would be arrays in JSON."""
    return {**msgspec.structs.asdict(report), "limits": [item._asdict() for item in report.limits]}
