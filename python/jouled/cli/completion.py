"""`joulectl completion`: the script that lets a shell complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from jouled.cli import joulectl

EPILOG = """\b
Examples:
  eval "$(joulectl completion bash)"                       for this shell
  joulectl completion bash > /etc/bash_completion.d/joulectl
  joulectl completion fish > ~/.config/fish/completions/joulectl.fish
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  (click has these three)
    script = kind(joulectl.command, {}, "joulectl", "_JOULECTL_COMPLETE")
    # Not `source()`: that would start a bash to ask for its version, also where a package is built.
    click.echo(script.source_template % script.source_vars())
