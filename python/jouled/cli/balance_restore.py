"""`joulectl balance restore`: loads as they were found, without the daemon, from what it has left on the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jouled.cli.joulectl import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:  # help must not wait for what asking devices needs
    from jouled.config import Config
    from jouled.control.site.leaving import Left
    from jouled.control.site.originals import Kept

EPILOG = """\b
Exit codes: 0 all loads are as they were found, or there was none; 1 some are not, or a daemon is in charge of them.

\b
Examples:
  joulectl balance restore --dry-run        what would be given back
  joulectl balance restore                  after the daemon was killed, or with balance.on_exit = hold
"""


@click.command(epilog=EPILOG)
@click.option("--state-dir", metavar="DIR", help="Where the daemon's state is, instead of the settings'.")
@click.option("--config", "path", metavar="FILE", help="Read the daemon's settings from this file, '' for none.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Show what would be given back, and set nothing.")
@click.option("--json", "is_json", is_flag=True, help="One JSON array instead of lines.")
def restore(state_dir: str | None, path: str | None, *, is_dry_run: bool, is_json: bool) -> int:
    """Give every load back as it was found, and verify it.

    Works without the daemon, from the originals that it keeps on disk. Each load is restored by itself; what cannot
    be stays journalled for the next attempt. That may be more than the plant has: look before.
    """
    from jouled import config as room

    config = room.load(room.find(path, os.environ), {"state_dir": state_dir}, os.environ)
    if is_dry_run:
        return _shown(config, is_json=is_json)
    from jouled.control.site.restoring import restore as give_back

    done = give_back(config)
    if is_json:
        _print_json([left._asdict() for left in done])
    elif not done:
        click.echo(_nothing(config))
    else:
        from jouled.cli.look import clean

        for left in done:
            click.echo(clean(_line(left)))
    return EXIT_OK if all(left.problem is None for left in done) else EXIT_FAILED


def _shown(config: Config, *, is_json: bool) -> int:
    from jouled.control.site.restoring import left_behind

    kept = left_behind(config)
    if is_json:
        _print_json(list(kept))
    elif not kept:
        click.echo(_nothing(config))
    else:
        from jouled.cli.look import clean

        for one in kept:
            click.echo(clean(_would(one)))
    return EXIT_OK


def _nothing(config: Config) -> str:
    from jouled.cli.look import clean
    from jouled.control.site.originals import DIRECTORY

    folder = Path(config.state_dir) / DIRECTORY
    return clean(f"nothing to give back: {folder} names no load that is other than it was found")


def _line(left: Left) -> str:
    return f"{left.name}: {'as it was found' if left.problem is None else left.problem}"


def _would(one: Kept) -> str:
    original = ", ".join(f"{name} {value}" for name, value in one.original.items()) or "as it was"
    told = "; it was told nothing"
    if one.power_w is not None:
        told = f"; it was last told {f'{one.point} ({one.power_w:.0f} W)' if one.point else f'{one.power_w:.0f} W'}"
    failed = "" if one.problem is None else f"; the last attempt failed: {one.problem}"
    return f"{one.name} ({one.kind}, found {one.taken_at:%Y-%m-%d %H:%M:%SZ}): {original}{told}{failed}"


def _print_json(found: Any) -> None:
    import msgspec

    click.echo(msgspec.json.encode(found).decode())
