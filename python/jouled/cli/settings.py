"""`joulectl config`: the daemon's settings, their defaults and their schema."""

from __future__ import annotations

import os

import click

from jouled.cli.flags import given, settings_flags


@click.group(no_args_is_help=False, context_settings={"max_content_width": 100})
def command() -> None:
    """Show the daemon's settings, their defaults and their schema.

    \b
    joulectl config show                       what holds here, and where each value comes from
    joulectl config show --config new.toml     what would hold with this file
    joulectl config default > jouled.toml      a file to begin with
    """  # noqa: D301  (the mark by which click keeps the lines)


@command.command()
@settings_flags
def show(path: str | None, **flags: object) -> None:
    """Show every setting that would be in force, and where it comes from.

    It takes the file, the environment of this shell, and the flags of jouled.
    """
    from jouled import config
    from jouled.config import document

    traced = config.trace(config.find(path, os.environ), given(flags), os.environ)
    click.echo(document.in_force(traced), nl=False)


@command.command()
def default() -> None:
    """Print an example of jouled.toml: every key, its default, its meaning and what is allowed."""
    from jouled.config import document

    click.echo(document.example(), nl=False)


@command.command()
def schema() -> None:
    """Print the JSON Schema of jouled.toml, for editors and programs."""
    from jouled.config import document

    click.echo(document.schema(), nl=False)
