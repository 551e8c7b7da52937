"""`joulectl token`: who may write by the API without the Unix socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from jouled.books.scopes import SCOPES
from jouled.cli.db import Place, pass_place, place_options
from jouled.cli.duration import duration
from jouled.config.about import DAY_S, YEAR_S

if TYPE_CHECKING:  # it is heavy: imported when something is done
    from sqlalchemy import Connection

NEVER = "never"


class Term(click.ParamType[float | None]):
    """A span of time, or `never`."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:  # noqa: ARG002  (the shape is given)
        if value == NEVER or value is None:
            return None
        return duration(60.0, 100 * YEAR_S)(str(value) if not isinstance(value, float) else value)


@click.group(no_args_is_help=False, context_settings={"max_content_width": 100})
@place_options
@click.pass_context
def command(context: click.Context, path: str | None, url: str | None, state_dir: str | None) -> None:
    """Give out tokens of the API, see them, revoke them.

    They are kept, hashed, in the daemon's store; what is done here holds within seconds.

    \b
    joulectl token create plc-7 --scope write:readings --expires 365d
    joulectl token list
    joulectl token revoke 1a2b3c4d
    """  # noqa: D301  (the mark by which click keeps the lines)
    context.obj = Place(path, url, state_dir)


@command.command(
    epilog="\b\nScopes; each of them lets read:\n" + "\n".join(f"  {name:<18}{what}" for name, what in SCOPES.items())
)
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, metavar="SCOPE", help="What it lets do; several.")
@click.option(
    "--expires", type=Term(), default=90 * DAY_S, metavar="TIME", help="From now on, or never.  [default: 90d]"
)
@pass_place
def create(place: Place, name: str, scopes: tuple[str, ...], expires: float | None) -> None:
    """Make a token, and show it this once.

    The token goes to standard output, everything else to standard error. NAME says whom it is for; it stands
    in the audit.
    """
    from jouled.bookkeeping import tokens

    now = datetime.now(UTC)
    until = None if expires is None else now + timedelta(seconds=expires)
    with _writing(place, "make a token in") as connection:
        made = tokens.create(connection, name, scopes, until, now)
    click.echo(f"token {made.token.id}, shown only this once (JOULED_TOKEN for joulectl):", err=True)
    click.echo(made.secret)


@command.command("list")
@pass_place
def list_tokens(place: Place) -> None:
    """Show all tokens: whom they are for, what they let do, whether they still do."""
    from jouled.bookkeeping import tokens

    now = datetime.now(UTC)
    with place.opened("read") as engine, engine.connect() as connection:
        rows = [
            (
                token.id,
                token.state(now),
                _day(token.expires_at),
                _day(token.used_at),
                ",".join(token.scopes),
                token.name,
            )
            for token in tokens.listed(connection)
        ]
    head = ("ID", "STATE", "EXPIRES", "USED", "SCOPES", "NAME")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@command.command()
@click.argument("token_id", metavar="ID")
@pass_place
def revoke(place: Place, token_id: str) -> None:
    """Make a token void, for ever. The daemon refuses it after some seconds at the latest."""
    from jouled.bookkeeping import tokens

    with _writing(place, "revoke a token in") as connection:
        token = tokens.revoke(connection, token_id, datetime.now(UTC))
    click.echo(f"token {token.id} of {token.name} is revoked")


@contextmanager
def _writing(place: Place, what: str) -> Iterator[Connection]:
    """Beside the daemon: the store lets in one after the other."""
    with place.opened(what) as engine, engine.begin() as connection:
        yield connection


def _day(at: datetime | None) -> str:
    return NEVER if at is None else at.strftime("%Y-%m-%d")
